"""Records on the wire: framing, and a reader that takes the bytes as they come. Pure.

A record is ``0x1E``, one byte of header length, the Header, ``0x1F``, the Message. Records follow each other without
anything between them. Nothing is escaped: the Header carries the length of the Message.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from heka.message import (
    MAX_HEADER_SIZE,
    MAX_MESSAGE_SIZE,
    RECORD_SEPARATOR,
    UNIT_SEPARATOR,
    UUID_SIZE,
    Header,
    InvalidMessage,
    Message,
)

FRAME_SIZE = 3  # bytes a record has beside its Header and its Message
MAX_RESCUES = 8  # bad messages looked into for records; bounds the work that crafted garbage can cause
_RS = bytes((RECORD_SEPARATOR,))
_US = bytes((UNIT_SEPARATOR,))


@dataclass(frozen=True, slots=True)
class Record:
    """One record: what it says, and its bytes (a signature is over ``payload``)."""

    header: Header
    message: Message
    payload: bytes  # the encoded Message


def frame(header: bytes, message: bytes) -> bytes:
    """Join an encoded Header and an encoded Message into one record.

    Args:
        header: 1 to 255 bytes.
        message: any length; hekad refuses more than 65,536 bytes, so the client does not send them.

    Raises:
        InvalidMessage: if the header is outside its limits.
    """
    if not 1 <= len(header) <= MAX_HEADER_SIZE:
        raise InvalidMessage(f"Header is too long: {len(header)} bytes, allowed: 1 to {MAX_HEADER_SIZE}")
    return b"%b%c%b%b%b" % (_RS, len(header), header, _US, message)


def frame_unsigned(message: bytes) -> bytes:
    """:func:`frame` with the Header of a message that is not signed, which is the length of *message* and nothing more.

    Written out for the lengths that messages have: protobuf takes five times as long for these two or three bytes.
    """
    size = len(message)
    if size < 1 << 7:
        return b"\x1e\x02\x08%c\x1f%b" % (size, message)
    if size < 1 << 14:
        return b"\x1e\x03\x08%c%c\x1f%b" % (size & 127 | 128, size >> 7, message)
    return frame(Header(message_length=size).SerializeToString(), message)


def split(record: bytes) -> tuple[bytes, bytes]:
    """The encoded Header and the encoded Message of exactly one *record*.

    Raises:
        InvalidMessage: if *record* is not framed as one.
    """
    if len(record) < FRAME_SIZE or record[0] != RECORD_SEPARATOR:
        raise InvalidMessage("not a record: it does not begin with 0x1E and a header length")
    end = 2 + record[1]
    if len(record) <= end or record[end] != UNIT_SEPARATOR:
        raise InvalidMessage("not a record: there is no 0x1F behind the header")
    return record[2:end], record[end + 1 :]


def parse_record(data: bytes) -> Record:
    """What exactly one record says.

    Raises:
        InvalidMessage: if *data* is not exactly one record.
    """
    encoded, payload = split(data)
    header = parse_header(encoded)
    if header.message_length != len(payload):  # cut at the end of a field, the rest would still be a Message
        raise InvalidMessage(f"not a record: {len(payload)} bytes of Message, its header says {header.message_length}")
    return Record(header, parse_message(payload), payload)


def parse_header(data: bytes) -> Header:
    """The Header encoded in *data*.

    Raises:
        InvalidMessage: if it is none.
    """
    try:
        header = Header.FromString(data)
    except Exception as exc:  # protobuf's DecodeError, and on some versions others
        raise InvalidMessage(f"not a Header: {exc}") from None
    if not header.IsInitialized():
        raise InvalidMessage("not a Header: it has no message_length")
    return header


def parse_message(data: bytes) -> Message:
    """The Message encoded in *data*.

    Raises:
        InvalidMessage: if it is none, has no timestamp or no uuid of 16 bytes, or text that is no UTF-8.
    """
    try:
        message = Message.FromString(data)
        # protobuf takes any bytes for text, and gives them back as bytes or raises, depending on its version.
        is_text = all(isinstance(text, str) for text in _texts(message))
    except Exception as exc:
        raise InvalidMessage(f"not a Message: {exc}") from None
    if not is_text or not message.IsInitialized() or len(message.uuid) != UUID_SIZE:
        raise InvalidMessage("not a Message: it needs a timestamp, a uuid of 16 bytes, and text in UTF-8")
    return message


def _texts(message: Message) -> Iterator[object]:
    yield from (message.type, message.logger, message.payload, message.env_version, message.hostname)
    for field in message.fields:
        yield field.name
        yield field.representation
        yield from field.value_string


class RecordReader:
    """Reads records from bytes that come in any pieces.

    Like hekad it takes a record separator, a Header and the unit separator for the start of a record, and goes on one
    byte further when they are none. Unlike hekad it also looks for records inside a Message that cannot be decoded: a
    record cut short by a dying process then does not take the next ones with it.

    Args:
        max_message_size: bytes of the biggest Message to take.

    Attributes:
        skipped: bytes that belonged to no record.
        refused: well framed records whose Message could not be decoded.
    """

    def __init__(self, max_message_size: int = MAX_MESSAGE_SIZE) -> None:
        self.skipped = 0
        self.refused = 0
        self._max_message_size = max_message_size
        self._buffer = bytearray()
        self._needed = 0  # bytes the buffer must have before another look can find anything
        self._bad_until = 0  # end of the bad Message that is being looked into
        self._rescues = 0  # looks at it so far that found another bad one

    @property
    def pending(self) -> int:
        """Bytes held back: the beginning of a record whose end has not come."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Record]:
        """The records that *data* completes. No more than one record and *data* are held in memory."""
        self._buffer += data
        return self._read(at_end=False) if len(self._buffer) >= self._needed else []

    def finish(self) -> list[Record]:
        """The records left when nothing more comes: those behind what only looked like the start of a record."""
        return self._read(at_end=True)

    def _read(self, at_end: bool) -> list[Record]:
        buffer, records, position = self._buffer, [], 0
        self._needed = 0
        while True:
            start = buffer.find(_RS, position)
            if start < 0:
                start = len(buffer)
            self.skipped += start - position
            position = start
            if start == len(buffer):
                break
            body, end = self._find_message(start)
            if end > len(buffer):
                if not at_end:
                    self._needed = end - start
                    break
                body = 0
            record = self._parse(start, body, end) if body else None
            if record is not None:
                records.append(record)
                position = end
            else:
                position = start + 1
                if self._rescues > MAX_RESCUES:
                    position, self._rescues = max(position, self._bad_until), 0
                self.skipped += position - start
        del buffer[:position]
        self._bad_until -= position
        return records

    def _find_message(self, start: int) -> tuple[int, int]:
        """Where the Message of the record at *start* begins and ends; 0 for the first if there is no record.

        An end behind the buffer means that so many bytes are needed to tell.
        """
        buffer = self._buffer
        if len(buffer) < start + 2:
            return 0, start + 2
        unit_separator = start + 2 + buffer[start + 1]
        if len(buffer) <= unit_separator:
            return 0, unit_separator + 1
        if buffer[unit_separator] != UNIT_SEPARATOR:
            return 0, 0
        try:
            length = parse_header(bytes(buffer[start + 2 : unit_separator])).message_length
        except InvalidMessage:
            return 0, 0
        if length > self._max_message_size:
            return 0, 0
        return unit_separator + 1, unit_separator + 1 + length

    def _parse(self, start: int, body: int, end: int) -> Record | None:
        buffer = self._buffer
        payload = bytes(buffer[body:end])
        try:
            message = parse_message(payload)
        except InvalidMessage:
            self.refused += 1
            if start >= self._bad_until:
                self._bad_until, self._rescues = end, 0
            self._rescues += 1
            return None
        return Record(parse_header(bytes(buffer[start + 2 : body - 1])), message, payload)
