"""Archives of any tar are read, and none of them fills the memory."""

import gzip
import io
import random
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heka_raven.inbox.intake.tarstream import TarError, tar_files


def archive(files, form=tarfile.GNU_FORMAT, mode="w"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=form) as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), 1_700_000_000
            tar.addfile(member, io.BytesIO(content))
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    return io.BytesIO(out.getvalue())


def read(file, max_file=100_000, max_total=10_000_000):
    return [content for _, content in tar_files(file, max_file=max_file, max_total=max_total)]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_each_form_of_tar_is_read(form, mode):
    """Plain and gzipped, ustar, GNU and pax, long names among them; folders are no files."""
    contents = [b"", b"x", b"y" * 512, b"z" * 70_000]
    name = "d" * 90 + "/" + "n" * 90  # ustar splits it, GNU and pax write a header of their own
    files = [(f"{name}{number}", content) for number, content in enumerate(contents)]
    assert contents == read(archive(files, form, mode))
    assert 1_700_000_000 == next(iter(tar_files(archive(files, form, mode), max_file=9, max_total=999_999)))[0]


def test_a_file_over_the_limit_is_named_but_not_read():
    """The others are."""
    assert [b"a", None, b"b"] == read(archive([("1", b"a"), ("2", b"x" * 50_000), ("3", b"b")]), max_file=100)


def test_a_bomb_ends_at_the_total():
    """200 MB of zeros in 200 kB, also inside an extended header, which other readers load whole."""
    with pytest.raises(TarError, match="too large"):
        read(io.BytesIO(gzip.compress(archive([("1", bytes(200_000_000))]).getvalue(), 1)))
    header = tarfile.TarInfo("pax")
    header.type, header.size = b"x", 4_000_000_000
    with pytest.raises(TarError, match="too large"):
        read(io.BytesIO(gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + bytes(50_000_000), 1)))


@pytest.mark.parametrize("part", [0.01, 0.1, 0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("packed", [False, True])
def test_a_cut_archive_is_an_error(part, packed):
    """Wherever it ends."""
    whole = archive([("1", random.Random(1).randbytes(5_000)), ("2", random.Random(2).randbytes(5_000))]).getvalue()
    whole = gzip.compress(whole) if packed else whole[:12_000]
    with pytest.raises(TarError):
        read(io.BytesIO(whole[: int(len(whole) * part)]))


@given(st.binary(max_size=2_000))
def test_any_bytes_give_files_or_the_one_error(data):
    """Nothing else leaves the reader."""
    for file in (io.BytesIO(data), io.BytesIO(gzip.compress(data))):
        try:
            read(file)
        except TarError:
            pass


def test_a_negative_or_wide_number_is_an_error():
    """Base-256 sizes (over 8 GB) and signs are refused."""
    whole = bytearray(archive([("1", b"x")]).getvalue())
    for field in (b"\x80" + bytes(10) + b"\xff", b"-0000000001\0", b"00000000008\0"):
        whole[124:136] = field
        whole[148:156] = b" " * 8
        whole[148:156] = b"%06o\0 " % sum(whole[:512])
        with pytest.raises(TarError):
            read(io.BytesIO(bytes(whole)))
