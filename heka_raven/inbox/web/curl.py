"""The request of an event as a curl command that sends the same bytes. Pure.

What the scrubber took out is left out and named in a comment: a command with ``[Filtered]`` in it would ask for
something else. Nothing of the event can become an option, a file name or a second command.
"""

import re
import shlex
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson

from heka_raven.inbox.event.bounded import entries, mapping, text
from heka_raven.inbox.event.older_protocols import modernise

FILTERED = "[Filtered]"
MASKED = re.compile(r"\[Filtered\]|%5BFiltered%5D", re.IGNORECASE)
FORM = "application/x-www-form-urlencoded"
MAX_URL = 8_192  # characters
MAX_BODY = 256 * 1024  # characters; a longer one is no command to paste
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
# What curl says itself, or what asks for an answer that nobody can read.
_SKIPS = {"host", "content-length", "connection", "accept-encoding", "transfer-encoding", "expect"}


class Command:
    """The words so far, and what is not among them."""

    def __init__(self) -> None:
        self.words = ["curl", "-g", "-i", "--path-as-is"]
        self.left_out: list[str] = []

    def __str__(self) -> str:
        notes = "".join(f"# filtered, not in the command: {_one_line(note)}\n" for note in dict.fromkeys(self.left_out))
        return f"{notes}{' '.join(shlex.quote(word) for word in self.words)}\n"


def as_curl(document: dict[str, Any]) -> str:
    """The command for a parsed event of any protocol version; a comment where there is none."""
    request = mapping(modernise(document).get("request"))
    url = request.get("url")
    if not isinstance(url, str) or not url:
        return "# this event has no request\n"
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc or len(url) > MAX_URL:
        return "# not copied: the address of this request is no http or https URL\n"
    command = Command()
    kind, headers = _headers(command, request)
    body = _body(command, request.get("data"), kind)
    method = text(request.get("method"), 20).upper()
    if method == "HEAD":
        command.words.append("-I")
    elif _TOKEN.fullmatch(method) and method != ("GET" if body is None else "POST"):
        command.words += ["-X", method]
    command.words += headers
    if isinstance(body, list):  # curl makes a boundary, and the header that names it
        command.words += body
    else:
        if kind:
            command.words += ["-H", f"Content-Type: {kind}"]
        elif body is not None:
            command.words += ["-H", "Content-Type:"]  # else curl would call it a form
        if body is not None:
            command.words += ["--data-raw", body]
    command.words += ["--", _address(command, url, request.get("query_string"))]
    return str(command)


def _headers(command: Command, request: dict[str, Any]) -> tuple[str, list[str]]:
    """The content type, and the words of the other headers and of the cookies."""
    words, kind = [], ""
    cookies = list(_cookies(command, request.get("cookies")))
    for name, value in _texts(request.get("headers")):
        low = name.lower()
        if low in _SKIPS or not _TOKEN.fullmatch(name) or (low == "cookie" and cookies):
            continue
        if MASKED.search(value):
            command.left_out.append(f"header {name}")
        elif low == "content-type":
            kind = _one_line(value)
        else:
            words += ["-H", f"{name}: {_one_line(value)}" if value.strip() else f"{name};"]
    if cookies:
        words += ["-b", "; ".join(cookies)]
    return kind, words


def _cookies(command: Command, value: Any) -> Iterator[str]:
    if isinstance(value, str):
        value = [list(part.strip().partition("=")[::2]) for part in value.split(";") if part.strip()]
    for name, content in _texts(value):
        if MASKED.search(content):
            command.left_out.append(f"cookie {name}")
        else:
            yield _one_line(f"{name}={content}")


def _body(command: Command, data: Any, kind: str) -> str | list[str] | None:
    """The body's text, curl's words for a form of several parts, or None."""
    if data is None or data == "" or data == {}:
        return None
    form, many = kind.lower().startswith(FORM), kind.lower().startswith("multipart/form-data")
    if isinstance(data, str):
        if form:
            data = _pairs_left(command, data, "field")
        if "\0" in data or len(data) > MAX_BODY or MASKED.search(data):
            command.left_out.append("the body")
            return None
        return str(data)
    if many:
        words = []
        for name, value in _clean_pairs(command, data):
            words += ["--form-string", f"{name}={value}"]
        return words or None
    if form:
        return urlencode(list(_clean_pairs(command, data)), quote_via=quote)
    found = orjson.dumps(_unmasked(command, data, "")).decode()
    return found if len(found) <= MAX_BODY else None


def _clean_pairs(command: Command, data: Any) -> Iterator[tuple[str, str]]:
    for name, value in entries(data):
        for item in value if isinstance(value, list) else [value]:
            content = item if isinstance(item, str) else orjson.dumps(item).decode()
            if MASKED.search(content) or "\0" in content:
                command.left_out.append(f"field {name}")
            else:
                yield str(name), content


def _unmasked(command: Command, value: Any, path: str, depth: int = 50) -> Any:
    """JSON without what was masked: a key goes with its value."""
    if depth and isinstance(value, dict):
        kept = {}
        for key, item in value.items():
            where = f"{path}.{key}" if path else str(key)
            if isinstance(item, str) and MASKED.search(item):
                command.left_out.append(f"field {where}")
            else:
                kept[key] = _unmasked(command, item, where, depth - 1)
        return kept
    if depth and isinstance(value, list):
        masked = [isinstance(item, str) and MASKED.search(item) for item in value]
        if any(masked):
            command.left_out.append(f"an item of {path or 'the list'}")
        return [_unmasked(command, item, path, depth - 1) for item, out in zip(value, masked, strict=True) if not out]
    return value


def _address(command: Command, url: str, query: Any) -> str:
    url, _, _ = url.partition("#")
    base, mark, inside = url.partition("?")
    scheme, _, rest = base.partition("://")
    host, slash, path = rest.partition("/")
    login, sign, name = host.rpartition("@")
    if sign and MASKED.search(login):
        command.left_out.append("the login in the address")
        host = name
    if MASKED.search(path):
        command.left_out.append("a part of the path, which you must fill in")
    asked = inside if mark else query
    if isinstance(asked, str):
        asked = _pairs_left(command, asked.removeprefix("?"), "parameter")
    else:
        kept = []
        for key, value in _texts(asked):
            if MASKED.search(value):
                command.left_out.append(f"parameter {key}")
            else:
                kept.append((key, value))
        asked = urlencode(kept, quote_via=quote)
    address = f"{scheme}://{host}{slash}{path}{'?' if asked else ''}{asked}"
    # curl sends no blank and nothing beyond ASCII in an address: as a browser writes them.
    return quote(_one_line(address), safe="!\"#$%&'()*+,/:;<=>?@[\\]^_`{|}~")


def _pairs_left(command: Command, joined: str, what: str) -> str:
    """``a=1&b=2`` as it was, without the masked ones."""
    kept = []
    for pair in joined.split("&"):
        if MASKED.search(pair):
            command.left_out.append(f"{what} {pair.partition('=')[0]}")
        else:
            kept.append(pair)
    return "&".join(kept)


def _texts(value: Any) -> Iterator[tuple[str, str]]:
    """Pairs of a mapping or a list of pairs; a list of values is a pair for each."""
    for name, content in entries(value):
        for item in content if isinstance(content, list) else [content]:
            if isinstance(name, str) and isinstance(item, str | int | float):
                yield name, item if isinstance(item, str) else text(item)


def _one_line(value: str) -> str:
    """A pasted newline would run what follows it."""
    return re.sub(r"[\x00-\x1f\x7f]", " ", value)
