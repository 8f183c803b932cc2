"""The keys that a relay knows, and what it thinks of a record's signature."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping

from heka.exceptions import ConfigError
from heka.message import Header
from heka.signing import MAX_KEY_VERSION, verify

MAX_FILE_SIZE = 1024 * 1024  # bytes
_SIGNER = re.compile(r"(?P<name>[^=]*)_(?P<version>[0-9]{1,10})=(?P<key>.+)", re.ASCII | re.DOTALL)

UNSIGNED = "refused.unsigned"
UNKNOWN = "refused.signer"
WRONG = "refused.signature"


class Signers:
    """Judges signatures as hekad did: the key is looked up by signer and key version."""

    def __init__(self, keys: Mapping[tuple[str, int], bytes], *, allow_unsigned: bool = False) -> None:
        self._keys = dict(keys)
        self._allow_unsigned = allow_unsigned

    def __len__(self) -> int:
        return len(self._keys)

    def refusal(self, header: Header, message: bytes) -> str | None:
        """The counter of the reason to refuse a record; None to take it.

        Without any key nothing can be checked, so everything is taken. With one, an unsigned record is refused unless
        that was allowed; a signed one must be right either way.
        """
        if not self._keys:
            return None
        if not header.HasField("hmac") and not header.HasField("hmac_signer"):
            return None if self._allow_unsigned else UNSIGNED
        key = self._keys.get((header.hmac_signer, header.hmac_key_version))
        if key is None:
            return UNKNOWN
        return None if verify(header, message, key) else WRONG


def parse_signers(lines: Iterable[str], where: str) -> dict[tuple[str, int], bytes]:
    """Read ``NAME_VERSION=KEY`` lines; empty ones and those that begin with ``#`` say nothing.

    Raises:
        ConfigError: naming *where* and the line's number, never the key.
    """
    keys: dict[tuple[str, int], bytes] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        found = _SIGNER.fullmatch(text)
        if found is None or int(found["version"]) > MAX_KEY_VERSION:
            raise ConfigError(f"{where}, entry {number}: a signer is NAME_VERSION=KEY, as in ops_1=SECRET")
        name = (found["name"], int(found["version"]))
        if name in keys:
            raise ConfigError(f"{where}, entry {number}: signer {name[0]}_{name[1]} is there twice")
        keys[name] = found["key"].encode("utf-8")
    return keys


def read_signer_file(path: str) -> dict[tuple[str, int], bytes]:
    """The signers of a file that only its owner and group may read.

    Raises:
        ConfigError: when it cannot be read, or others can read it.
    """
    try:
        with open(path, encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(MAX_FILE_SIZE + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"signer_file: {path}: {getattr(error, 'strerror', None) or 'is not UTF-8'}") from None
    if mode & 0o007:
        raise ConfigError(f"signer_file: {path}: mode {mode:04o} lets everybody in; run: chmod 640 {path}")
    if len(text) > MAX_FILE_SIZE:
        raise ConfigError(f"signer_file: {path}: larger than {MAX_FILE_SIZE} bytes")
    return parse_signers(text.splitlines(), path)
