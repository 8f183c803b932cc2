# search.py: what a person typed and chose on the list page, as SQL conditions. Pure.
#
# Every value becomes a parameter; the texts of the conditions are constants of this module.

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

LEVELS = ("fatal", "error", "warning", "info", "debug")
KINDS = ("app", "server")
MAX_QUERY = 500  # characters
MAX_TERMS = 10

# words, "several words", key:value, key:"several words", each with an optional ! or - in front
_TERM = re.compile(r"""(?P<no>[!-])?(?:(?P<key>[\w.\-]+):)?(?:"(?P<quoted>[^"]*)"|(?P<bare>[^\s"]+))""")

# key:value on a column of the event; everything else is a tag
COLUMNS = {
    "level": "e.level",
    "release": "e.release",
    "environment": "e.environment",
    "server_name": "e.server_name",
    "host": "e.server_name",
    "logger": "e.logger",
    "type": "e.type",
    "transaction": 'e."transaction"',
    "method": "e.method",
    "culprit": "e.culprit",
    "url": "e.url",
    "platform": "e.platform",
    "project": "e.project",
    "worker": "e.worker",
    "event": "e.event_id",
    "id": "e.event_id",
}
PARTIAL = {"url", "culprit", "transaction", "type"}  # here a part is enough
_WORD = "e.id IN (SELECT event FROM words WHERE instr(text, ?))"
_TAG = "e.id IN (SELECT event FROM tag WHERE key = ? AND value = ?)"
_TAG_LIKE = "e.id IN (SELECT event FROM tag WHERE key = ? AND value LIKE ? ESCAPE '\\')"
_FACETS = "e.level", "e.release", "e.environment", "e.server_event"


@dataclass(frozen=True, slots=True)
class Search:
    """The state of the list page; its query string is its only store."""

    query: str = ""
    level: str = ""
    release: str = ""
    environment: str = ""
    kind: str = ""
    before: int = 0

    @property
    def narrowed(self) -> bool:
        return bool(self.query or self.level or self.release or self.environment or self.kind)

    def url(self, **changes: Any) -> str:
        """The list page's address with these changes; empty values are left out."""
        changed = replace(self, **{"before": 0, **changes})
        named = {
            "q": changed.query,
            "level": changed.level,
            "release": changed.release,
            "environment": changed.environment,
            "kind": changed.kind,
            "before": changed.before,
        }
        text = urlencode({key: value for key, value in named.items() if value})
        return f"/?{text}" if text else "/"


@dataclass(slots=True)
class Where:
    """Conditions on ``event AS e``, all of which must hold."""

    parts: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, part: str, *values: Any) -> None:
        self.parts.append(part)
        self.values.extend(values)

    @property
    def sql(self) -> str:
        return " AND ".join(self.parts) or "1"


def parse_search(params: Mapping[str, str]) -> Search:
    """Read the list page's query string; what is no valid choice is ignored."""
    before = params.get("before", "")
    return Search(
        query=params.get("q", "").strip()[:MAX_QUERY],
        level=params.get("level", "") if params.get("level") in LEVELS else "",
        release=params.get("release", "")[:200],
        environment=params.get("environment", "")[:200],
        kind=params.get("kind", "") if params.get("kind") in KINDS else "",
        before=int(before) if before.isascii() and before.isdigit() and len(before) < 16 else 0,
    )


def _like(value: str) -> str:
    """A LIKE pattern from a value in which only ``*`` has a meaning."""
    escaped = value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")


def _add_term(where: Where, term: re.Match[str]) -> None:
    value = term["quoted"] if term["quoted"] is not None else term["bare"]
    key = term["key"]
    if key is None:
        part, values = _WORD, [value.casefold()]
    elif key.lower() in COLUMNS:
        name = key.lower()
        pattern = f"%{_like(value)}%" if name in PARTIAL else _like(value)
        part, values = f"{COLUMNS[name]} LIKE ? ESCAPE '\\'", [pattern]
    elif "*" in value:
        part, values = _TAG_LIKE, [key, _like(value)]
    else:
        part, values = _TAG, [key, value]
    where.add(f"NOT {part}" if term["no"] else part, *values)


def where_of(search: Search) -> Where:
    """The SQL of a search. Words are looked for in type, message, culprit, url; ``key:value`` in columns and tags."""
    where = Where()
    for column, value in zip(_FACETS[:3], (search.level, search.release, search.environment), strict=True):
        if value:
            where.add(f"{column} = ?", value)
    if search.kind:
        where.add("e.server_event != ''" if search.kind == "server" else "e.server_event = ''")
    for term in list(_TERM.finditer(search.query))[:MAX_TERMS]:
        _add_term(where, term)
    return where
