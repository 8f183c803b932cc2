"""Events out of and into the inbox, as a tar of envelopes: the files that a spool holds, too."""

import math
import os
import tarfile
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import IO

import orjson

from heka_raven.formats.dsn import DsnError, parse_dsn
from heka_raven.formats.envelope import EnvelopeError, encode_item, parse_envelope
from heka_raven.inbox.event.bounded import moment, text
from heka_raven.inbox.event.shape import event_id_of
from heka_raven.inbox.intake.intake import EVENT_TYPES, Intake, Refusal
from heka_raven.inbox.intake.tarstream import GZIP, TarError, tar_files
from heka_raven.inbox.store.queries import get_body
from heka_raven.inbox.store.store import Store

MAX_MEMBER = 8 * 1024 * 1024  # bytes of one envelope
MAX_UNPACKED = 4 * 1024 * 1024 * 1024  # bytes of a whole archive: what would pass is not worth waiting for


class ArchiveError(ValueError):
    """The file is neither a tar nor an envelope."""


def envelope_of(event_id: str, body: bytes, project: str) -> bytes:
    """An event as a file for another inbox: its header names the project, too."""
    return orjson.dumps({"event_id": event_id, "project": project}) + b"\n" + encode_item("event", body)


def export(store: Store) -> Generator[bytes, None, int]:
    """A ``.tar.gz`` of every event, oldest first, made piece by piece; returns how many events are in it."""
    packer = zlib.compressobj(6, zlib.DEFLATED, GZIP)
    last = count = 0
    while True:
        # One event at a time: no read transaction stays open while a slow client reads.
        row = store.reader.execute(
            "SELECT id, event_id, received, project FROM event WHERE id > ? ORDER BY id LIMIT 1", (last,)
        ).fetchone()
        if row is None:
            break
        last = row["id"]
        body = get_body(store, last)
        if body is None:
            continue
        data = envelope_of(row["event_id"], body, row["project"])
        member = tarfile.TarInfo(f"{row['event_id']}.env")
        member.size, member.mtime, member.mode = len(data), int(row["received"]), 0o600
        count += 1
        yield packer.compress(member.tobuf(tarfile.USTAR_FORMAT) + data + b"\0" * (-len(data) % tarfile.BLOCKSIZE))
    yield packer.compress(b"\0" * 2 * tarfile.BLOCKSIZE)
    yield packer.flush()
    return count


def export_file(store: Store, path: str) -> int:
    """Write the archive to a file; returns how many events are in it.

    A file that was there is replaced by the whole archive only: a full disk must not cost an older one.

    Raises:
        OSError: with the name of the file.
    """
    into = Path(path)
    part = Path(f"{path}.part") if into.is_file() or not into.exists() else into  # else a device or a pipe
    pieces = export(store)
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            while True:
                try:
                    out.write(next(pieces))
                except StopIteration as end:
                    count = int(end.value)
                    break
        if part != into:
            part.replace(into)
    except OSError as error:
        if part != into:
            part.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, path) from error
    return count


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
    taken = refused = 0
    try:
        for changed, content in tar_files(file, max_file=MAX_MEMBER, max_total=MAX_UNPACKED):
            if content is None:
                refused += 1
            else:
                more, no = _import_envelope(intake, content, changed)
                taken, refused = taken + more, refused + no
    except TarError as error:
        already = f" ({taken} events had been stored)" if taken else ""
        raise ArchiveError(f"neither an envelope nor a whole tar of envelopes: {error}{already}") from error
    return taken, refused


def _import_envelope(intake: Intake, data: bytes, received: float | None) -> tuple[int, int]:
    if len(data) > MAX_MEMBER:
        return 0, 1
    try:
        header, items = parse_envelope(data)
    except EnvelopeError:
        return 0, 1
    event_id = event_id_of(header.get("event_id"))
    project = text(header.get("project"), 60) or _project_of(header.get("dsn")) or "import"
    at = moment(header.get("sent_at")) if received is None else received
    taken = refused = 0
    for item in items[:100]:
        if item.type not in EVENT_TYPES:
            continue
        try:
            # With a time, whichever: nobody is told of what is imported. It is never later than now.
            intake.take_item(project, item, event_id, math.inf if at is None else at)
            taken += 1
        except Refusal:
            refused += 1
    return taken, refused if taken else 1


def _project_of(dsn: object) -> str:
    """The project that a spool file's event is for."""
    try:
        return parse_dsn(dsn).project if isinstance(dsn, str) else ""
    except DsnError:
        return ""
