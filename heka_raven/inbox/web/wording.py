"""How the pages say times, sizes and source lines. Pure filters for the templates."""

import re
from datetime import datetime, timezone
from typing import Any

from markupsafe import Markup, escape

from heka_raven.inbox.event.model import Error, Pairs
from heka_raven.inbox.store.rules import AGAIN, NEW, Rules

FILTERED = "[Filtered]"
AROUND = 4  # related events shown to each side of the one that is looked at
_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


def ago(moment: float, now: float) -> str:
    """``3 min ago``."""
    passed = now - moment
    if passed < 0:
        return "now"
    for size, unit in _UNITS:
        if passed >= size:
            return f"{int(passed // size)} {unit} ago"
    return f"{int(passed)} s ago" if passed >= 1 else "now"


def iso(moment: float | None) -> str:
    """``2026-01-31 12:00:00.000 UTC``; empty for no time."""
    if moment is None:
        return ""
    try:
        found = datetime.fromtimestamp(moment, timezone.utc)
    except (OverflowError, OSError, ValueError):
        return ""
    return f"{found:%Y-%m-%d %H:%M:%S}.{found.microsecond // 1000:03d} UTC"


def machine(moment: float) -> str:
    """The value of a ``<time datetime>``."""
    try:
        return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, OSError, ValueError):
        return ""


def count(value: int) -> str:
    """``1,234`` and from a million on ``1.2M``."""
    return f"{value / 1e6:.1f}M" if value >= 1_000_000 else f"{value:,}"


def size(value: int) -> str:
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= step:
            return f"{value / step:.1f} {unit}"
    return f"{value} B"


def told_of(rules: Rules) -> str:
    """``Told of new issues, those that come back; from level warning on; quiet 22:00-07:00.``"""
    names = {NEW: "new issues", AGAIN: "those that come back"}
    parts = [names[reason] for reason in rules.reasons]
    if rules.often:
        parts.append(often(rules))
    quiet = f"; quiet {rules.quiet}" if rules.quiet else ""
    return f"Told of {', '.join(parts)}; from level {rules.level} on{quiet}."


def often(rules: Rules) -> str:
    """``10 events in 5 min``."""
    return f"{rules.often[0]} events in {rules.often[1] // 60} min" if rules.often else ""


_NUMBER = re.compile(r"\d{1,3}(?:\.\d{1,10})?", re.ASCII)
_BYTES = re.compile(r"(?:.*_bytes|(?:.*_)?(?:memory|storage)(?:_size)?|size)")


def where(culprit: str, place: str) -> list[str]:
    """Where it happened: the culprit, and file and function, if the culprit does not say the function already."""
    function = place.rpartition(" in ")[2]
    same = place and culprit.endswith(f" in {function}")
    return [part for part in ("" if same else culprit, place) if part]


def figures(rows: Pairs) -> Pairs:
    """Numbers of a server or device, with bytes, milliseconds and percents also in units that one can read."""
    out = []
    for name, value in rows:
        if value.isascii() and value.isdigit() and len(value) <= 15:
            # Graphics cards tell their memory in MB.
            if _BYTES.fullmatch(name) and int(value) >= (1_000_000 if "memory" in name else 1_000):
                value = f"{value} ({size(int(value))})"
            elif name.endswith("_ms") and int(value) >= 1_000:
                value = f"{value} ({int(value) / 1_000:,.1f} s)"
        if name == "battery_level" and _NUMBER.fullmatch(value):
            value = f"{value} %"
        out.append((name, value))
    return out


def marked(text: str) -> Markup:
    """Escaped text in which what the scrubber took out stands out."""
    parts = text.split(FILTERED)
    return Markup('<span class="filtered">[Filtered]</span>').join(escape(part) for part in parts)


def tree(errors: list[Error]) -> list[Error]:
    """The newest exceptions, each with what caused it below.

    ``exception_id`` and ``parent_id`` make the tree; without them each exception was caused by the one before it.
    """
    for error in errors:
        error.children = []
    by_id = {error.exception_id: error for error in errors if error.exception_id is not None}
    if len(by_id) == len(errors) and errors:
        roots = []
        for error in reversed(errors):
            parent = by_id.get(error.parent_id) if error.parent_id is not None else None
            # A parent has the smaller number, so no circle can be made.
            if parent is None or (parent.exception_id or 0) >= (error.exception_id or 0):
                roots.append(error)
            else:
                parent.children.append(error)
        return roots
    newest = None
    for error in errors:
        if newest is not None:
            error.children = [newest]
        newest = error
    return [newest] if newest else []


def around(rows: list[Any], row_id: int) -> list[Any]:
    """The rows next to one of them, four to each side: a trace of a hundred events must not hide the stack below it."""
    at = next((place for place, row in enumerate(rows) if row["id"] == row_id), 0)
    return rows[max(0, at - AROUND) : at + AROUND + 1]


def snippets(dsn: str) -> list[tuple[str, str]]:
    """What to write into a program, for the page of an inbox without events."""
    return [
        ("sentry-sdk", f'import sentry_sdk\n\nsentry_sdk.init("{dsn}")'),
        (
            "Flask, and every other WSGI application",
            "from heka_raven.middleware import RavenMiddleware\n\n"
            f'app.wsgi_app = RavenMiddleware(app.wsgi_app, dsn="{dsn}")',
        ),
        (
            "Django (wsgi.py)",
            "from heka_raven.middleware import RavenMiddleware\n\n"
            f'application = RavenMiddleware(get_wsgi_application(), dsn="{dsn}")',
        ),
        (
            "logging",
            "import logging\nfrom heka_raven import build_client\nfrom heka_raven.logging import RavenHandler\n\n"
            f'logging.getLogger().addHandler(RavenHandler(build_client("{dsn}")))',
        ),
    ]
