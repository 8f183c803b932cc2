"""The table of library exceptions whose own __str__ is not called: it would show private values, or other objects.

As in readers.py a class is found by its name, and only if its module is imported and holds it. To add one, write a
function of the exception and its attributes, name the class that defines ``__str__``, and add a test to
tests/functional/events/test_messages.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import Any

from heka_raven.capture.classes import bare_name, is_held, module_name
from heka_raven.capture.guard import NameMask
from heka_raven.capture.written import written

MAX_SQL = 2048  # characters of a statement
MAX_ERRORS = 20  # of pydantic, in one message

Message = Callable[[Any, dict[str, Any], NameMask], str]

_SQL_LITERAL = re.compile(r"'(?:[^']|'')*(?:'|$)")


def message_of(cls: type) -> Message | None:
    """What writes the message of exceptions whose ``__str__`` *cls* defines, if that is in the table."""
    name = f"{module_name(cls)}.{bare_name(cls)}"
    found = MESSAGES.get(name)
    return found if found is not None and is_held(cls) else None


def _text(value: Any) -> str:
    return value if type(value) is str else ""


def _http_error(exc: Any, own: dict[str, Any], guard: NameMask) -> str:
    return f"HTTP Error {written(own.get('code'), guard)}: {_text(own.get('msg'))}"


def _sax(exc: Any, own: dict[str, Any], guard: NameMask) -> str:
    place = [_text(own.get("_systemId")) or "<unknown>"]
    place += [str(own[name]) if type(own.get(name)) is int else "?" for name in ("_linenum", "_colnum")]
    return f"{':'.join(place)}: {_text(own.get('_msg'))}"


def _yaml(exc: Any, own: dict[str, Any], guard: NameMask) -> str:
    """What and where, without the lines of the document."""
    parts = []
    for text, mark in (("context", "context_mark"), ("problem", "problem_mark"), ("note", "")):
        parts += [_text(own.get(text)), _yaml_mark(own.get(mark))]
    return "\n".join(filter(None, parts))


def _yaml_mark(mark: Any) -> str:
    if module_name(type(mark)) not in ("yaml.error", "yaml._yaml"):
        return ""
    name, line, column = mark.name, mark.line, mark.column
    if type(name) is not str or type(line) is not int or type(column) is not int:
        return ""
    return f'  in "{name}", line {line + 1}, column {column + 1}'


def _sqlalchemy(exc: Any, own: dict[str, Any], guard: NameMask) -> str:
    """The driver's message and the statement, whose literals are left out. Parameters are shown by name only: a
    position does not tell what is private."""
    args = BaseException.__dict__["args"].__get__(exc)
    text = _text(args[0]) if args else ""
    statement = own.get("statement")
    if type(statement) is str:
        text += f"\n[SQL: {_SQL_LITERAL.sub(repr('…'), statement[:MAX_SQL])}{'…' if len(statement) > MAX_SQL else ''}]"
        params = own.get("params")
        if type(params) is dict and params and own.get("hide_parameters") is False:
            text += f"\n[parameters: {written(params, guard)}]"
    return text


def _pydantic(exc: Any, own: dict[str, Any], guard: NameMask) -> str:
    """Where and what, without the values that were given."""
    errors = exc.errors(include_url=False, include_context=False, include_input=False)
    lines = [f"{len(errors)} validation error{'' if len(errors) == 1 else 's'} for {exc.title}"]
    for error in errors[:MAX_ERRORS]:
        place = ".".join(str(part) for part in error["loc"] if type(part) in (str, int))
        lines += [place, f"  {error['msg']}"] if place else [error["msg"]]
    return "\n".join(lines)


def _aiohttp_response(exc: Any, own: dict[str, Any], guard: NameMask) -> str:
    return f"{written(own.get('status'), guard)}, message={written(own.get('message'), guard)}"


def _aiohttp_connector(exc: Any, own: dict[str, Any], guard: NameMask) -> str:
    key = own.get("_conn_key")
    host, port = islice(tuple.__iter__(key), 2) if key is not None and issubclass(type(key), tuple) else ("?", "?")
    return f"Cannot connect to host {_text(host)}:{written(port, guard)}"


def _jsonschema(exc: Any, own: dict[str, Any], guard: NameMask) -> str:
    """The sentence, without the schema and the instance."""
    return _text(own.get("message"))


MESSAGES: dict[str, Message] = {
    "aiohttp.client_exceptions.ClientConnectorCertificateError": _aiohttp_connector,
    "aiohttp.client_exceptions.ClientConnectorError": _aiohttp_connector,
    "aiohttp.client_exceptions.ClientResponseError": _aiohttp_response,
    "jsonschema.exceptions._Error": _jsonschema,
    "pydantic_core._pydantic_core.ValidationError": _pydantic,
    "sqlalchemy.exc.SQLAlchemyError": _sqlalchemy,
    "urllib.error.HTTPError": _http_error,
    "xml.sax._exceptions.SAXParseException": _sax,
    "yaml.error.MarkedYAMLError": _yaml,
}
