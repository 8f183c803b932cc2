"""Encoders: from a Message to what a stream writes."""

import logging
from collections.abc import Mapping
from typing import Any, Protocol

from heka import wire
from heka.levels import LOGLEVEL_MAP
from heka.message import MAX_MESSAGE_SIZE, RECORD_SEPARATOR, UNIT_SEPARATOR, Header, Message, first_value
from heka.signing import normalize_hmac_config, signer_from_config

__all__ = [
    "RECORD_SEPARATOR",
    "UNIT_SEPARATOR",
    "Encoder",
    "NullEncoder",
    "ProtobufEncoder",
    "StdlibPayloadEncoder",
]

TYPE_SIZE = 10  # bytes of the message type in a stdlib payload
MAX_LOGLEVEL = 255  # the level is one byte


class Encoder(Protocol):
    """What a client needs of an encoder; its class is called with the hmac configuration."""

    def encode(self, msg: Message) -> Any:
        """What ``stream.write`` is given."""


def _check(msg: object) -> None:
    if not isinstance(msg, Message):
        raise RuntimeError("You must encode only Message objects")


class NullEncoder:
    """Hands the Message itself to the stream; for debugging with DebugCaptureStream."""

    max_message_size: int | None = MAX_MESSAGE_SIZE

    def __init__(self, hmc: Mapping[str, Any] | None = None) -> None:
        pass

    def encode(self, msg: Message) -> Message:
        """*msg* as it is."""
        return msg


class ProtobufEncoder:
    """A framed record of a Header and a Message, signed when ``hmc`` says how.

    Args:
        hmc: ``signer``, ``key_version``, ``hash_function`` (MD5 or SHA1) and ``key``; None or empty: no signature.

    Raises:
        ConfigError: for an hmac configuration that cannot sign.
    """

    max_message_size: int | None = MAX_MESSAGE_SIZE

    def __init__(self, hmc: Mapping[str, Any] | None = None) -> None:
        self._signer = signer_from_config(hmc)
        self.hmc = normalize_hmac_config(hmc) if hmc else hmc

    def encode(self, msg: Message) -> bytes:
        """One record. It may be over hekad's 65,536 bytes: the client decides what then happens.

        Raises:
            InvalidMessage: if the header would be over 255 bytes.
        """
        payload = self.msg_to_payload(msg)
        if self._signer is None:
            return wire.frame_unsigned(payload)
        header = Header(message_length=len(payload))
        self._signer.sign(header, payload)
        return wire.frame(header.SerializeToString(), payload)

    def msg_to_payload(self, msg: Message) -> bytes:
        """The encoded Message, which is what a signature is over."""
        _check(msg)
        return bytes(msg.SerializeToString())

    def decode(self, data: bytes) -> Message:
        """The Message of one record; heka-py's bare Message bytes, without a frame, are taken too.

        Raises:
            InvalidMessage: if *data* is neither.
        """
        # A Message begins with the tag of its uuid, 0x0A, so its first byte is never a record separator.
        is_record = data[:1] == bytes((RECORD_SEPARATOR,))
        return wire.parse_record(data).message if is_record else wire.parse_message(data)


class StdlibPayloadEncoder:
    """For StdLibLoggingStream: one byte of log level, ten of message type, the payload as UTF-8.

    The level is the field ``loglevel``, or follows from the severity. Severity 0 goes out as INFO: heka-py did so,
    and what reads these bytes expects it.
    """

    max_message_size: int | None = None  # goes to no router

    def __init__(self, hmc: Mapping[str, Any] | None = None) -> None:
        self.hmc = hmc

    def encode(self, msg: Message) -> bytes:
        """The level, the type cut or padded to ten bytes, the payload."""
        _check(msg)
        level = first_value(msg, "loglevel")
        if isinstance(level, bool) or not isinstance(level, int):
            level = LOGLEVEL_MAP.get(msg.severity, logging.INFO) if msg.severity else logging.INFO
        kind = msg.type.encode("utf-8")[:TYPE_SIZE].decode("utf-8", "ignore").encode("utf-8")
        payload: bytes = msg.payload.encode("utf-8")
        return bytes((min(max(level, 0), MAX_LOGLEVEL),)) + kind.ljust(TYPE_SIZE) + payload

    msg_to_payload = encode

    def decode(self, data: bytes) -> Message:
        """Not possible: most of the message is not in the bytes."""
        raise NotImplementedError
