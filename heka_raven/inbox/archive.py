# archive.py: events out of and into the inbox, as a tar of envelopes: the files that a spool holds, too.

import tarfile
import zlib
from collections.abc import Iterator
from typing import IO

import orjson

from heka_raven.envelope import EnvelopeError, encode_item, parse_envelope
from heka_raven.inbox.bounded import moment
from heka_raven.inbox.intake import EVENT_TYPES, Intake, Refusal
from heka_raven.inbox.queries import get_body
from heka_raven.inbox.shape import event_id_of
from heka_raven.inbox.store import Store

GZIP = 16 + zlib.MAX_WBITS
MAX_MEMBERS = 200_000  # files of one archive
MAX_MEMBER = 8 * 1024 * 1024  # bytes of one envelope
MAX_UNPACKED = 4 * 1024 * 1024 * 1024  # bytes of a whole archive: what would pass is not worth waiting for


class ArchiveError(ValueError):
    """The file is neither a tar nor an envelope."""


def envelope_of(event_id: str, body: bytes) -> bytes:
    return orjson.dumps({"event_id": event_id}) + b"\n" + encode_item("event", body)


def export(store: Store) -> Iterator[bytes]:
    """A ``.tar.gz`` of every event, oldest first, made piece by piece."""
    packer = zlib.compressobj(6, zlib.DEFLATED, GZIP)
    last = 0
    while True:
        # One event at a time: no read transaction stays open while a slow client reads.
        row = store.reader.execute(
            "SELECT id, event_id, received FROM event WHERE id > ? ORDER BY id LIMIT 1", (last,)
        ).fetchone()
        if row is None:
            break
        last = row["id"]
        body = get_body(store, last)
        if body is None:
            continue
        data = envelope_of(row["event_id"], body)
        member = tarfile.TarInfo(f"{row['event_id']}.env")
        member.size, member.mtime, member.mode = len(data), int(row["received"]), 0o600
        yield packer.compress(member.tobuf(tarfile.USTAR_FORMAT) + data + b"\0" * (-len(data) % tarfile.BLOCKSIZE))
    yield packer.compress(b"\0" * 2 * tarfile.BLOCKSIZE)
    yield packer.flush()


def import_file(intake: Intake, file: IO[bytes]) -> tuple[int, int]:
    """Store the events of an archive or of one envelope.

    Returns:
        How many events were taken and how many members were refused.

    Raises:
        ArchiveError: if the file is neither.
    """
    head = file.read(512)
    file.seek(0)
    if head.lstrip()[:1] == b"{":
        taken, refused = _import_envelope(intake, file.read(MAX_MEMBER + 1), None)
        if not taken and refused:
            raise ArchiveError("the file is no envelope with an event")
        return taken, refused
    taken = refused = unpacked = 0
    try:
        # A stream: nothing is written to disk, whatever names the members have.
        with tarfile.open(fileobj=file, mode="r|*") as archive:
            for count, member in enumerate(archive):
                unpacked += member.size
                if count >= MAX_MEMBERS or unpacked > MAX_UNPACKED:
                    raise ArchiveError("the archive is too large; nothing after this point was read")
                if not member.isfile():
                    continue
                stream = archive.extractfile(member)
                if stream is None or member.size > MAX_MEMBER:
                    refused += 1
                    continue
                more, no = _import_envelope(intake, stream.read(), float(member.mtime))
                taken, refused = taken + more, refused + no
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise ArchiveError("the file is neither a tar of envelopes nor an envelope, or it is damaged") from error
    return taken, refused


def _import_envelope(intake: Intake, data: bytes, received: float | None) -> tuple[int, int]:
    if len(data) > MAX_MEMBER:
        return 0, 1
    try:
        header, items = parse_envelope(data)
    except EnvelopeError:
        return 0, 1
    event_id = event_id_of(header.get("event_id"))
    at = moment(header.get("sent_at")) if received is None else received
    taken = refused = 0
    for item in items[:100]:
        if item.type not in EVENT_TYPES:
            continue
        try:
            intake.take_item("import", item, event_id, at)
            taken += 1
        except Refusal:
            refused += 1
    return taken, refused if taken else 1
