"""Reads a tar, plain or gzipped, as a stream with a limit on everything.

The standard library's reader loads extended headers whole, and a gzipped gigabyte of them is a megabyte of file. Here
names are of no interest, so whatever is no plain file is skipped in small pieces.
"""

import zlib
from collections.abc import Iterator
from typing import IO

BLOCK = 512
PIECE = 65_536
GZIP = 16 + zlib.MAX_WBITS
REGULAR = (b"0", b"\0", b"7")


class TarError(ValueError):
    """The bytes are no tar, or the archive is larger than its limit."""


class _Stream:
    """Bytes of a file, unpacked if it is gzipped, at most *limit* of them."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file = file
        self._left = limit
        head = file.read(2)
        file.seek(0)
        self._unpacker = zlib.decompressobj(GZIP) if head == b"\x1f\x8b" else None
        self._pending = b""

    def _piece(self, size: int) -> bytes:
        if self._unpacker is None:
            return self._file.read(size)
        while not self._unpacker.eof:
            packed = self._pending or self._file.read(PIECE)
            try:
                out = self._unpacker.decompress(packed, size)
            except zlib.error:
                raise TarError("the gzip data is damaged") from None
            self._pending = self._unpacker.unconsumed_tail
            if out:
                return out
            if not packed:
                break
        return b""

    def pieces(self, size: int) -> Iterator[bytes]:
        """*size* bytes, in pieces.

        Raises:
            TarError: if there are fewer, or more were read than the limit.
        """
        self._left -= size
        if self._left < 0:
            raise TarError("the archive is too large; nothing after this point was read")
        while size > 0:
            piece = self._piece(min(size, PIECE))
            if not piece:
                raise TarError("the archive ends too early")
            size -= len(piece)
            yield piece

    def read(self, size: int) -> bytes:
        return b"".join(self.pieces(size))

    def skip(self, size: int) -> None:
        for _ in self.pieces(size):
            pass


def _octal(field: bytes) -> int:
    text = field.strip(b" \0")
    if not text:
        return 0
    if not text.isdigit() or b"8" in text or b"9" in text:
        raise TarError("a header holds no octal number")
    return int(text, 8)


def tar_files(file: IO[bytes], *, max_file: int, max_total: int) -> Iterator[tuple[float, bytes | None]]:
    """The plain files of a tar: time of change, and content; None for one larger than *max_file*.

    Raises:
        TarError: if it is none, is damaged, or unpacks to more than *max_total* bytes.
    """
    stream = _Stream(file, max_total)
    while True:
        header = stream.read(BLOCK)
        if header == bytes(BLOCK):
            return
        # The sum counts its own field as spaces.
        if _octal(header[148:156]) != sum(header) - sum(header[148:156]) + 8 * 0x20:
            raise TarError("it is no tar, or it is damaged")
        size = _octal(header[124:136])
        padding = -size % BLOCK
        if header[156:157] in REGULAR and size <= max_file:
            content = stream.read(size)
            stream.skip(padding)
            yield float(_octal(header[136:148])), content
        else:
            stream.skip(size + padding)
            if header[156:157] in REGULAR:
                yield 0.0, None
