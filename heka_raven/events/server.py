"""What a server did to one of its processes, or saw: the sentence on top of the event, and what groups it. Pure.

The uWSGI plugin says the same in C (``core/sentence.c``): ``tests/data/sentences.tsv`` and its neighbours hold both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

MAX_REQUEST = 200  # characters
MAX_TEXT = 300  # characters of what a process is called, or waits for
SIGNALS = {  # by Linux' numbers
    1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE",
    9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM",
    24: "SIGXCPU", 25: "SIGXFSZ", 31: "SIGSYS",
}  # fmt: skip
_UNREAD = "a request that is not read yet"
_BREAKS_THE_LINE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_WORD = "[0-9A-Za-z\x80-\U0010ffff]"
_VARYING = re.compile(f"[0-9A-Fa-f]{{8}}(?:-[0-9A-Fa-f]{{4}}){{3}}-[0-9A-Fa-f]{{12}}(?!{_WORD})|{_WORD}+")
_NUMBER = re.compile("[0-9]+")
_HASH = re.compile("(?=.*[0-9])[0-9A-Fa-f]{16,}")


class Place(NamedTuple):
    """A line of Python."""

    function: str
    file: str
    line: int = 0


@dataclass(slots=True)
class Sentence:
    """What the sentence is made of.

    Attributes:
        server: uWSGI, gunicorn, or what it calls itself.
        who: "worker 2"; empty: no process.
        request: "GET /report/2026" as it was asked for; empty: not read yet; None: there is none.
        age_ms: of the request.
        limit_s: of a time limit; 0: not known.
        signal: that ended the process.
        status: its exit status; None: not known.
        words: what the kind needs: of a queue, a limit, a storm, a timeout that ends nobody.
        doing: "running", or "waiting on recv from 127.0.0.1:5432, tcp"; empty: not known.
    """

    server: str
    kind: str
    who: str = ""
    request: str | None = None
    age_ms: int = 0
    limit_s: int = 0
    signal: int = 0
    status: int | None = None
    words: str = ""
    doing: str = ""
    place: Place | None = None


def sentence(facts: Sentence) -> str:
    """One line, whatever the texts hold."""
    kind, words = facts.kind, _text(facts.words)
    who = _text(facts.who) or "a process"
    beside = f", {words}," if words else ""
    if kind in ("harakiri", "timeout") and not (kind == "timeout" and words):
        said = f"{facts.server} killed {who}{beside}{_end(facts)}"
    elif kind == "memory":
        said = f"{facts.server} ended {who} for its memory{beside}{_end(facts)}"
    elif kind in ("listen-queue", "backlog"):
        said = f"{facts.server}: {words}"
        if facts.request is not None:
            said += f"; {who}{_life(facts)}"
    elif kind == "respawn-storm":
        said = f"{facts.server}: {words}"
    elif kind in ("slow", "timeout"):
        said = f"{facts.server}'s {who}{_life(facts)}" + (f", {words}" if words else "")
    else:
        said = _death(facts, f"{facts.server}'s {who}{beside}") + _end(facts)
    doing = facts.doing.removesuffix(", tcp")  # what a socket speaks is told by the context
    if doing:
        said += f": {_text(doing)}"
    return said + _at(facts.place)


def _death(facts: Sentence, owner: str) -> str:
    if facts.kind == "oom":
        return f"The kernel killed {owner} for want of memory"
    if facts.kind in ("exit", "ended"):
        return f"{owner} ended" if facts.status is None else f"{owner} exited with status {facts.status}"
    return f"{owner} {'was killed by' if facts.kind == 'killed' else 'died of'} {signal_name(facts.signal)}"


def _end(facts: Sentence) -> str:
    if facts.request is None:
        return ""
    after = f"{facts.limit_s} s" if facts.limit_s else duration(facts.age_ms)
    return f" after {after} in {_text(facts.request, MAX_REQUEST) or _UNREAD}"


def _life(facts: Sentence) -> str:
    return f" has been in {_text(facts.request or '', MAX_REQUEST) or _UNREAD} for {duration(facts.age_ms)}"


def _at(place: Place | None) -> str:
    if place is None:
        return ""
    file = _text(place.file.rpartition("/")[2], MAX_REQUEST)
    return f" at {_text(place.function, MAX_REQUEST)} ({file}{f':{place.line}' if place.line else ''})"


def duration(ms: int) -> str:
    """ "400 ms", "2.3 s", "30 s"."""
    if ms < 1000:
        return f"{ms} ms"
    return f"{ms // 1000}.{ms % 1000 // 100} s" if ms < 10_000 else f"{ms // 1000} s"


def signal_name(number: int) -> str:
    """SIGSEGV and the like."""
    return SIGNALS.get(number) or f"signal {number}"


def _text(text: str, limit: int = MAX_TEXT) -> str:
    text = _BREAKS_THE_LINE.sub("?", text[: limit + 1])
    return text if len(text) <= limit else text[:limit] + "..."


def path_name(path: str) -> str:
    """A path as the name of what answers it: ``<number>``, ``<uuid>``, ``<hash>`` for what differs between requests."""
    return _VARYING.sub(_varying, path)


def _varying(match: re.Match[str]) -> str:
    word = match.group()
    if "-" in word:
        return "<uuid>"
    if _NUMBER.fullmatch(word):
        return "<number>"
    return "<hash>" if _HASH.fullmatch(word) else word


def place_of(frames: Sequence[dict[str, Any]]) -> Place | None:
    """Where it was: the innermost frame of the application, else the innermost; None: there is none."""
    inner = next((frame for frame in reversed(frames) if frame["in_app"]), frames[-1] if frames else None)
    return None if inner is None else Place(inner["function"], inner["abs_path"], inner["lineno"])


def fingerprint(kind: str, transaction: str, place: Place | None) -> list[str]:
    """What an event is grouped by: kind, transaction, and the function of its place, without a line."""
    where = "-" if place is None else f"{place.function} in {place.file.rpartition('/')[2]}"
    return [kind, transaction or "-", where]
