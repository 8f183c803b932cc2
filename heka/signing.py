"""Signatures: the HMAC of a Message under a key that hekad knows by signer and version. Pure."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heka.exceptions import ConfigError
from heka.message import MAX_HEADER_SIZE, Header

_HASHES = {"MD5": "md5", "SHA1": "sha1"}
_HASH_NUMBERS = {"MD5": Header.MD5, "SHA1": Header.SHA1}
_KEYS = ("signer", "key_version", "hash_function", "key")
MAX_KEY_VERSION = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with one key. Made by :func:`signer_from_config`, which checks the values."""

    signer: str
    key_version: int
    hash_function: str  # MD5 or SHA1
    key: bytes

    def __repr__(self) -> str:
        return f"Signer({self.signer!r}, {self.key_version}, {self.hash_function})"  # never the key

    def sign(self, header: Header, message: bytes) -> None:
        """Set fields 3 to 6 of *header* for the encoded *message*; all are written, also defaults."""
        header.hmac_hash_function = _HASH_NUMBERS[self.hash_function]
        header.hmac_signer = self.signer
        header.hmac_key_version = self.key_version
        header.hmac = hmac.digest(self.key, message, _HASHES[self.hash_function])


def verify(header: Header, message: bytes, key: bytes) -> bool:
    """Whether *header* carries the signature of the encoded *message* under *key*; False if it carries none."""
    if not header.HasField("hmac"):
        return False
    name = Header.HmacHashFunction.Name(header.hmac_hash_function)
    return hmac.compare_digest(header.hmac, hmac.digest(key, message, _HASHES[name]))


def normalize_hmac_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Check an ``hmac`` configuration, from a dict or from an INI file where all is text.

    Returns:
        signer and key as given, key_version as int, hash_function in upper case.

    Raises:
        ConfigError: naming the key, its value (never the secret) and what is allowed.
    """
    for name in _KEYS:
        if name not in config:
            raise ConfigError(f"hmac: {name} is missing, required: {', '.join(_KEYS)}")
    signer, key = config["signer"], config["key"]
    if not isinstance(signer, str):
        raise ConfigError(f"hmac: signer: {signer!r} is not allowed: text")
    if not isinstance(key, (str, bytes)):
        raise ConfigError(f"hmac: key: a {type(key).__name__} is not allowed: text or bytes")
    try:
        version = int(config["key_version"])
    except (TypeError, ValueError):
        version = -1
    if isinstance(config["key_version"], float) or not 0 <= version <= MAX_KEY_VERSION:
        raise ConfigError(
            f"hmac: key_version: {config['key_version']!r} is not allowed: an integer from 0 to {MAX_KEY_VERSION}"
        )
    function = str(config["hash_function"]).upper()
    if function not in _HASHES:
        raise ConfigError(f"hmac: hash_function: {config['hash_function']!r} is not allowed: MD5 or SHA1")
    return {"signer": signer, "key_version": version, "hash_function": function, "key": key}


def signer_from_config(config: Mapping[str, Any] | None) -> Signer | None:
    """The signer of an ``hmac`` configuration; None when there is none.

    Raises:
        ConfigError: also for a signer so long that no header can carry it.
    """
    if not config:
        return None
    values = normalize_hmac_config(config)
    if isinstance(values["key"], str):
        values["key"] = values["key"].encode("utf-8")
    signer = Signer(**values)
    smallest = Header(message_length=1)
    try:
        signer.sign(smallest, b"")
    except ValueError:  # UnicodeError, with protobuf in C
        raise ConfigError(f"hmac: signer: {signer.signer!r} is not allowed: text that UTF-8 can carry") from None
    if smallest.ByteSize() > MAX_HEADER_SIZE:
        raise ConfigError(
            f"hmac: signer: {len(signer.signer.encode('utf-8'))} bytes make a header of {smallest.ByteSize()} bytes, "
            f"allowed: {MAX_HEADER_SIZE}"
        )
    return signer
