"""What this room asks of the masker: private values are masked while they are shown, and need no second walk."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol


class NameMask(Protocol):
    """What masks the values of a dict, or of fields, by their names."""

    def mask_names(self, shown: dict[str, Any], names: Iterable[str]) -> None: ...


class Guard(NameMask, Protocol):
    """What masks values while they are shown; see :class:`heka_raven.scrub.scrubber.Scrubber`."""

    safe_names: set[str]
    public_names: set[str]
    plain_hashes: set[int]
    mask: str

    @property
    def send_pii(self) -> bool: ...

    def mask_integer(self, value: int) -> int | str: ...

    def clean_text(self, text: str) -> str: ...

    def remember_plain(self, text: str) -> None: ...

    def mask_pair(self, shown: list[Any]) -> None: ...

    def mask_flags(self, shown: list[Any]) -> None: ...
