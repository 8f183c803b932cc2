"""Sentry's request interface: what is known of a request, in the one shape that every server and tool takes.

Headers, cookies and environ as an object, the query as a text, as sentry-sdk sends them: lists of pairs, which the
protocol allows too, are refused by sentry-cli and remarked upon by Sentry's normaliser.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from heka_raven.capture.classes import is_one_of, plain_dict
from heka_raven.capture.values import Walker
from heka_raven.formats.text import clean, cut

MAX_HEADERS = 100
MAX_NAME = 200  # characters of its name
MAX_HEADER = 2048  # characters of its value
HEADERS_ROOM = 16384  # characters of the values of all headers, or of all cookies
MAX_TEXT = 8192  # characters of what is looked at of a URL or a query
MAX_BODY = 65536  # bytes of a body that nobody parsed yet


def shown_request(request: Mapping[str, Any], walker: Walker) -> dict[str, Any]:
    """Sentry's request interface, known keys only."""
    shown: dict[str, Any] = {}
    for name, read in _READERS.items():
        value = request.get(name)
        if value is None:
            continue
        found = read(value, walker)
        if found is not None and not (is_one_of(found, str, dict) and not found):
            shown[name] = found
    return shown


def _plain_text(value: Any, walker: Walker) -> str:
    if type(value) is bytes:
        value = value[:MAX_TEXT].decode("utf-8", "replace")
    return cut(clean(value), MAX_TEXT) if type(value) is str else _text(walker.show(value))


def _query(value: Any, walker: Walker) -> str:
    if is_one_of(value, str, bytes):
        return _plain_text(value, walker).removeprefix("?")
    pairs = [(name, _header_text(item, walker)) for name, item in _pairs(value, walker)]
    return cut(urlencode(pairs), MAX_TEXT)


def _object(value: Any, walker: Walker) -> dict[str, str] | None:
    """Names and texts. Equal names, in whatever case, are one: their values stand beside each other, as HTTP has it."""
    texts = _plain_texts(value)
    if texts is not None and len({*map(str.lower, texts)}) == len(texts):
        return _within_room(texts)
    out: dict[str, str] = {}
    names: dict[str, str] = {}
    for name, item in _pairs(value, walker):
        text = _header_text(item, walker)
        known = names.setdefault(name.lower(), name)
        if known not in out:
            out[known] = text
        elif text != out[known]:
            out[known] = cut(f"{out[known]}{'; ' if known.lower() == 'cookie' else ', '}{text}", MAX_HEADER)
    return _within_room(out)


def _plain_texts(value: Any) -> dict[str, str] | None:
    """A copy of *value*, if it is a small dict of short ASCII texts, which most are: these need no look."""
    if type(value) is not dict or len(value) > MAX_HEADERS:
        return None
    out: dict[str, str] = {}
    for name, item in value.items():
        if type(name) is not str or type(item) is not str or not name.isascii() or not item.isascii():
            return None
        if len(name) > MAX_NAME or len(item) > MAX_HEADER:
            return None
        out[name] = item
    return out


def _cookies(value: Any, walker: Walker) -> Any:
    return _plain_text(value, walker) if is_one_of(value, str, bytes) else _named(value, walker)


def _named(value: Any, walker: Walker) -> dict[str, str] | None:
    texts = _plain_texts(value)
    if texts is None:
        texts = {name: _header_text(item, walker) for name, item in _pairs(value, walker)}
    return _within_room(texts)


def _within_room(texts: dict[str, str]) -> dict[str, str] | None:
    """*texts*, cut where all together are too long: a server may let more pass than an event can hold."""
    room = HEADERS_ROOM
    for name, text in texts.items():
        if len(text) > room:
            texts[name] = text = cut(text, max(room, 1))
        room -= len(text)
    return texts or None


def _data(value: Any, walker: Walker) -> Any:
    # Whole, if it is text: the scrubber parses it by its content type.
    text = value[:MAX_BODY].decode("utf-8", "replace") if type(value) is bytes else value
    return clean(text) if type(text) is str else walker.show(text)


def _pairs(value: Any, walker: Walker) -> list[tuple[str, Any]]:
    """The first pairs of a dict, or of a list of pairs, whose names are texts."""
    if is_one_of(value, list, tuple):
        found = [tuple(pair) for pair in islice(value, MAX_HEADERS) if is_one_of(pair, list, tuple) and len(pair) == 2]
    else:
        found = list(islice(plain_dict(value).items(), MAX_HEADERS))
    return [(_name(name), item) for name, item in found if is_one_of(name, str, bytes)]


def _name(name: str | bytes) -> str:
    text = name if type(name) is str else bytes(name).decode("latin-1")  # type: ignore[arg-type]
    return text if text.isascii() and len(text) <= MAX_NAME else cut(clean(text), MAX_NAME)


def _header_text(value: Any, walker: Walker) -> str:
    """A value as a text; mostly it is one, and is scrubbed with the request, by the rules for headers."""
    if type(value) is str:
        return value if value.isascii() and len(value) <= MAX_HEADER else cut(clean(value), MAX_HEADER)
    if type(value) is bytes:
        return cut(value.decode("latin-1"), MAX_HEADER)
    if is_one_of(value, list, tuple):
        return cut(", ".join(_text(walker.show(item)) for item in value[:MAX_HEADERS]), MAX_HEADER)
    return cut(_text(walker.show(value)), MAX_HEADER)


def _text(value: Any) -> str:
    return value if type(value) is str else "" if value is None else str(value)


_READERS = {
    "method": _plain_text,
    "url": _plain_text,
    "query_string": _query,
    "fragment": _plain_text,
    "headers": _object,
    "cookies": _cookies,
    "data": _data,
    "env": _named,
}
