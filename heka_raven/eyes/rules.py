"""What is private, and whether values are shown at all, as one line that a worker tells and a reader obeys. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from heka_raven.scrub.scrubber import Scrubber

T = TypeVar("T")

MAX_RULES = 4096  # bytes of all lines; HK_ROOTS_MAX in core/roots.h


class Rules(NamedTuple):
    """The options of one application that say what may be shown."""

    scrub_keys: tuple[str, ...] = ()
    scrub_allow: tuple[str, ...] = ()
    send_pii: bool = False
    show: bool = True

    def scrubber(self) -> Scrubber:
        """A masker of its own: another may be at work in the thread that is interrupted."""
        return Scrubber(self.scrub_keys, self.scrub_allow, send_pii=self.send_pii)

    def line(self) -> bytes:
        """One line of ASCII."""
        return json.dumps([list(self.scrub_keys), list(self.scrub_allow), self.send_pii, self.show]).encode("ascii")


HIDDEN = Rules(show=False)
# Files whose functions call a job: they and what is around them hold its arguments without their names.
_CALL_JOBS = ("/celery/app/trace.py", "/rq/job.py", "/dramatiq/actor.py")


def from_the_job_on(frames: list[T], file_of: Callable[[T], str]) -> list[T]:
    """Of the frames of a job, outermost first, those of its own; of others all."""
    for index in range(len(frames) - 1, -1, -1):
        if file_of(frames[index]).endswith(_CALL_JOBS):
            return frames[index + 1 :]
    return frames


def read_rules(text: bytes) -> Rules:
    """The rules of all lines: what one application calls private is, and only what all allow is shown.

    What cannot be read shows nothing.
    """
    found: list[Rules] = []
    for line in text.splitlines():
        if not line.strip():
            continue
        try:
            keys, allow, pii, show = json.loads(line)
        except (ValueError, TypeError):
            return HIDDEN
        if not (_are_texts(keys) and _are_texts(allow) and type(pii) is bool and type(show) is bool):
            return HIDDEN
        found.append(Rules(tuple(keys), tuple(allow), pii, show))
    if not found:
        return Rules()
    allowed = set.intersection(*(set(each.scrub_allow) for each in found))
    return Rules(
        tuple(_once(key for each in found for key in each.scrub_keys)),
        tuple(_once(name for name in found[0].scrub_allow if name in allowed)),
        all(each.send_pii for each in found),
        all(each.show for each in found),
    )


def _once(names: Iterable[str]) -> Iterable[str]:
    return dict.fromkeys(names)


def _are_texts(value: Any) -> bool:
    return type(value) is list and all(type(item) is str for item in value)
