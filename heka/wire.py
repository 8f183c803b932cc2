"""Records on the wire: framing, and a reader that takes the bytes as they come.

A record is ``0x1E``, one byte of header length, the Header, ``0x1F``, the Message. Records follow each other without
anything between them. Nothing is escaped: the Header carries the length of the Message.
"""

from heka.message import MAX_HEADER_SIZE, RECORD_SEPARATOR, UNIT_SEPARATOR, InvalidMessage

FRAME_SIZE = 3  # bytes a record has beside its Header and its Message
_RS = bytes((RECORD_SEPARATOR,))
_US = bytes((UNIT_SEPARATOR,))


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
