"""What a person typed and chose on the list page, as SQL conditions. Pure.

Every value becomes a parameter; the texts of the conditions are constants of this module.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from heka_raven.inbox.event.bounded import text, whole
from heka_raven.inbox.event.summary import PEOPLE

LEVELS = ("fatal", "error", "warning", "info", "debug")
KINDS = ("app", "server")
STATES = ("open", "resolved", "muted")
SORTS = ("newest", "count", "first", "users")
ANY = "any"
MAX_QUERY = 500  # characters
MAX_TERMS = 10
MAX_STARS = 3
MAX_PAGE = 10_000

# words (http://host/path is one), "several words", key:value, key:"several words", "key of a tag":value, each with an
# optional ! or - in front. A pasted title is words: a key and what is negated begin with a letter or a quote, so that
# -2], 12:30:00 and std::bad_alloc are words too.
_TERM = re.compile(
    r"""(?P<no>[!-](?=[^\W\d]|"))?(?:(?P<key>[^\W\d][\w.\-]*):(?!//|:)|"(?P<tag>[^"]+)":)?"""
    r"""(?:"(?P<quoted>[^"]*)"|(?P<bare>[^\s"]+))"""
)
_PLAIN_KEY = re.compile(r"[^\W\d][\w.\-]*")
_STATE = re.compile(r"(?:^|\s)is:(open|resolved|muted|any)(?=\s|$)", re.IGNORECASE)
STATE_KEY = "is"  # is:resolved

# key:value on a column of the event; everything else is a tag
COLUMNS = {
    "level": "level",
    "release": "release",
    "environment": "environment",
    "server_name": "server_name",
    "host": "server_name",
    "logger": "logger",
    "type": "type",
    "transaction": '"transaction"',
    "method": "method",
    "culprit": "culprit",
    "url": "url",
    "platform": "platform",
    "project": "project",
    "worker": "worker",
    "user": "user",
    "event": "event_id",
    "id": "event_id",
}
PARTIAL = {
    "url",
    "user",
    "culprit",
    "transaction",
    "type",
}  # a part is enough; all are in the text of "words"
_STARS = re.compile(r"\*+")
_FACETS = ("level", "release", "environment")


@dataclass(frozen=True, slots=True)
class Search:
    """The state of the list page; its query string is its only store."""

    query: str = ""
    level: str = ""
    release: str = ""
    environment: str = ""
    kind: str = ""
    project: str = ""
    state: str = "open"
    sort: str = "newest"
    page: int = 0

    @property
    def looks_inside(self) -> bool:
        """Whether the events decide, not the issues alone."""
        return bool(self.query or self.level or self.release or self.environment or self.kind)

    @property
    def narrowed(self) -> bool:
        return self.looks_inside or bool(self.project) or self.state != "open"

    def url(self, **changes: Any) -> str:
        """The list page's address with these changes; empty values are left out."""
        changed = replace(self, **{"page": 0, **changes})
        named = {
            "q": changed.query,
            "level": changed.level,
            "release": changed.release,
            "environment": changed.environment,
            "kind": changed.kind,
            "project": changed.project,
            "state": "" if changed.state == "open" else changed.state,
            "sort": "" if changed.sort == "newest" else changed.sort,
            "page": changed.page,
        }
        query = urlencode({key: value for key, value in named.items() if value})
        return f"/?{query}" if query else "/"


@dataclass(slots=True)
class Where:
    """Conditions, all of which must hold, on ``table AS x``: whichever has the ids and issues of fewest rows."""

    table: str = "event"
    parts: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, part: str, *values: Any) -> None:
        self.parts.append(part)
        self.values.extend(values)

    def add_word(self, value: str, negate: bool = False) -> None:
        self.table = "words"
        # The text is folded already; LIKE is twice as fast as instr().
        self.add(f"x.text {'NOT ' if negate else ''}LIKE ? ESCAPE '\\'", f"%{_like(value.casefold())}%")

    @property
    def sql(self) -> str:
        return " AND ".join(self.parts) or "1"


def parse_search(params: Mapping[str, str]) -> Search:
    """Read the list page's query string; what is no valid choice is ignored."""
    query = text(params.get("q", "").strip(), MAX_QUERY)
    said = _STATE.search(query)
    return Search(
        query=query,
        level=_choice(params, "level", LEVELS, ""),
        release=params.get("release", "")[:200],
        environment=params.get("environment", "")[:200],
        kind=_choice(params, "kind", KINDS, ""),
        project=params.get("project", "")[:60],
        state=said[1].lower() if said else _choice(params, "state", (*STATES, ANY), "open"),
        sort=_choice(params, "sort", SORTS, "newest"),
        page=min(whole(params.get("page")) or 0, MAX_PAGE),
    )


def _choice(params: Mapping[str, str], name: str, choices: tuple[str, ...], default: str) -> str:
    found = params.get(name, "")
    return found if found in choices else default


def _like(value: str) -> str:
    """A LIKE pattern from a value in which only ``*`` has a meaning, and only the first few of them.

    Each one multiplies the work that a text can make.
    """
    escaped = value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return _STARS.sub("%", escaped, count=MAX_STARS)


def _value(term: re.Match[str]) -> str:
    return term["quoted"] if term["quoted"] is not None else term["bare"]


def _is_tag(term: re.Match[str]) -> bool:
    return term["tag"] is not None or (term["key"] is not None and term["key"].lower() not in COLUMNS)


def tag_query(key: str, value: str) -> str:
    """The search for one tag, whatever its key and value hold: a quoted key is always a tag's."""
    plain = _PLAIN_KEY.fullmatch(key) and key.lower() not in (*COLUMNS, STATE_KEY)
    shown = key if plain else '"{}"'.format(key.replace('"', ""))
    return '{}:"{}"'.format(shown, value.replace('"', "*"))


def column_query(key: str, value: str) -> str:
    """The search for one value of a column: ``release:"2.0"``."""
    return '{}:"{}"'.format(key, value.replace('"', "*"))


def _add_column(where: Where, term: re.Match[str]) -> None:
    name, value = term["key"].lower(), _value(term)
    pattern = _like(value)
    if name in PARTIAL:
        pattern = f"%{pattern}%"
        if not term["no"] and "*" not in value:
            where.add_word(value)  # one pass over the text leaves few rows to look up
    condition = f"EXISTS (SELECT 1 FROM event AS e WHERE e.id = x.id AND e.{COLUMNS[name]} LIKE ? ESCAPE '\\')"  # noqa: S608
    patterns = [pattern]
    if name == "user":  # the column has the word that tells people apart best; the text has their other names, too
        where.table = "words"
        condition = f"(x.text LIKE ? ESCAPE '\\' OR {condition})"
        patterns.insert(0, f"%{PEOPLE}{pattern.casefold()}")
    where.add(f"NOT {condition}" if term["no"] else condition, *patterns)


def _tag_condition(term: re.Match[str]) -> str:
    return "key = ? AND value LIKE ? ESCAPE '\\'" if "*" in _value(term) else "key = ? AND value = ?"


def _tag_value(term: re.Match[str]) -> str:
    value = _value(term)
    return _like(value) if "*" in value else value


def _add_tag(where: Where, term: re.Match[str]) -> None:
    part = f"x.id IN (SELECT id FROM tag WHERE {_tag_condition(term)})"  # noqa: S608
    where.add(f"NOT {part}" if term["no"] else part, term["tag"] or term["key"], _tag_value(term))


def literally(search: Search) -> Where:
    """The SQL of a search for the whole query as it stands, in which nothing has a meaning: a pasted title."""
    where = Where()
    where.add_word(search.query.replace("*", " ").strip())
    for column, value in zip(_FACETS, (search.level, search.release, search.environment), strict=True):
        if value:
            where.add(f"x.{column} = ?", value)
    return where


def where_of(search: Search) -> Where:
    """The SQL of a search. Words are looked for in type, message, culprit, url; ``key:value`` in columns and tags."""
    where = Where()
    for column, value in zip(_FACETS, (search.level, search.release, search.environment), strict=True):
        if value:
            where.add(f"x.{column} = ?", value)
    if search.kind:
        where.add("x.server_event != ''" if search.kind == "server" else "x.server_event = ''")
    terms = [term for term in _TERM.finditer(search.query) if term["key"] is None or term["key"].lower() != STATE_KEY]
    terms = terms[:MAX_TERMS]
    tags = [term for term in terms if _is_tag(term)]
    wanted = [term for term in tags if not term["no"]]
    if wanted and not where.parts and len(tags) == len(terms):
        # Only tags: the index of one of them has what is needed, in order; the one without a * has fewer.
        first = min(wanted, key=lambda term: "*" in _value(term))
        where.table = "tag"
        where.add(_tag_condition(first), first["tag"] or first["key"], _tag_value(first))
        tags.remove(first)
    for term in terms:
        if _is_tag(term):
            continue
        if term["key"] is None:
            where.add_word(_value(term), bool(term["no"]))
        else:
            _add_column(where, term)
    for term in tags:
        _add_tag(where, term)
    return where
