"""Takes private data out of events."""

# Rule 1: every removal happens here; no other module masks anything.
# Rule 2: what is masked is decided by names: of variables, keys, fields, headers, cookies, parameters, and of the
#         names that stand before '=' or ':' inside a text. The name stays, the value becomes '[Filtered]'.
# Rule 3: variables are masked while they are shown (the walker's guard), the rest of the event when it is finished.
# Rule 4: a rule that fails fails the event: the caller sends the skeleton instead, never the unscrubbed event.

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote, unquote_plus

import orjson

from heka_raven.formats.text import clean
from heka_raven.scrub.names import (
    COOKIE_NAMES,
    NETLOC,
    QUERY_NAMES,
    SECRET,
    SYNTAX_NAMES,
    VALUE_OF,
    PrivateNames,
)
from heka_raven.scrub.texts import (
    ASSIGNED,
    FLAG,
    PLACEHOLDERS,
    SOURCE_LITERAL,
    is_no_pair,
    is_parameter,
    source_literals,
    source_names,
    value_at,
)

FILTERED = "[Filtered]"
MASK_LEGACY = "********"
MAX_KNOWN_NAMES = 4096
MAX_SAFE_NAME = 200  # characters; a longer name is cut when it is shown
MIN_LITERAL = 3  # characters in a source line; `if token == "=="` is a parser's
MAX_ESCAPED = 4  # times that a value may be percent-escaped

_ABOUT = ("name", "key", "Name", "Key", "'name'", "'key'")
_USERINFO = re.compile(
    r"""([A-Za-z][A-Za-z0-9+.\-]*://)(?:[^\s/?\#'"<>@]*@|[^\s/?\#'"<>@:]+:(?!\d{1,5}(?:[/?\#'"\s]|$))[^\s'"<>]*?@)"""
    r"""(?:[^\s/?\#'"<>@]*@)*"""
)
# A URL that was cut inside its userinfo.
_CUT_USERINFO = re.compile(r"""([A-Za-z][A-Za-z0-9+.\-]*://)[^\s/?\#'"<>@]*…$""")
# Not "Bearer of", "Basic understanding": a digit, a mark or a capital inside makes it a credential.
_BEARER = re.compile(
    r"\b(Bearer|Basic)\s+(?=[A-Za-z0-9._~+/\-]*(?:[0-9._~+/=\-]|(?-i:[a-z][A-Z])))[A-Za-z0-9._~+/=\-]{8,}",
    re.IGNORECASE,
)
# A URL that was escaped to stand in a parameter of another one.
_ESCAPED = re.compile(r"""(?<==)[^\s&;,"'<>=]*%3[ADad][^\s&;,"'<>]*""")
_ELEMENT = re.compile(r"<([\w.:\-]+)(?:\s[^<>]*)?>((?:<!\[CDATA\[[^\]<]*\]\]>|[^<])+)</")


def is_suspicious(text: str) -> bool:
    """Whether *text* can hold any of what :meth:`Scrubber.clean_text` looks for."""
    return (
        "=" in text or ":" in text or "earer " in text or "asic " in text or "</" in text
        or "', " in text or '", ' in text or "EARER " in text or "ASIC " in text or "--" in text
    )  # fmt: skip


class Scrubber:
    """Masks private data by the names it stands under.

    Args:
        scrub_keys: more terms, found as a part of any name, in any case.
        scrub_allow: names that stay as they are; a term of the default rules takes that rule away.
        mask: what a masked value becomes.
    """

    __slots__ = ("_kinds", "_loose_kinds", "_names", "mask", "safe_names")

    def __init__(
        self, scrub_keys: Iterable[str] | str = (), scrub_allow: Iterable[str] | str = (), mask: str = FILTERED
    ) -> None:
        self._names = PrivateNames(scrub_keys, scrub_allow)
        self.mask = mask
        self._kinds: dict[Any, str] = {}
        self._loose_kinds: dict[Any, str] = {}
        self.safe_names: set[str] = set()  # names that need no look: the only answer on the hot path

    # -- names --------------------------------------------------------------------------------------------------------

    def is_secret(self, name: str, loose: bool = False) -> bool:
        """Whether a value under *name* is private; *loose* in headers, cookies and query parameters."""
        return self._kind_of(name, loose) == SECRET

    def _kind_of(self, name: Any, loose: bool) -> str:
        """What a value under *name* is: private, a text with a syntax of its own, or ''."""
        if type(name) is str and len(name) > MAX_SAFE_NAME:
            return self._names.kind_of(name, loose)  # of a text: not worth its memory
        kinds = self._loose_kinds if loose else self._kinds
        kind = kinds.get(name)
        if kind is None:
            if len(kinds) >= MAX_KNOWN_NAMES:
                kinds.clear()
                self.safe_names.clear()
            kind = kinds[name] = self._names.kind_of(name if type(name) is str else str(name), loose)
            if not kind and not loose and type(name) is str and name == clean(name) and not is_suspicious(name):
                self.safe_names.add(name)
        return kind

    # -- trees --------------------------------------------------------------------------------------------------------

    def mask_names(self, node: dict[Any, Any], names: Iterable[Any] | None = None, loose: bool = False) -> None:
        """Mask what stands under private names in *node* itself; *names*: those to look at, if not all."""
        kinds = self._loose_kinds if loose else self._kinds
        for name in tuple(node) if names is None else names:
            kind = kinds.get(name)
            if kind is None:
                kind = self._kind_of(name, loose)
            if not kind:
                continue
            value = node[name]
            if kind == SECRET:
                if value is not None and value is not True and value is not False:
                    node[name] = self.mask
            elif kind == VALUE_OF:
                # {"name": "password", "value": "x"}: a form field or a cookie as an object.
                about = next((node[key] for key in _ABOUT if key in node), None)
                if type(about) is str and self.is_secret(about, True):
                    node[name] = self.mask
            else:
                node[name] = self._scrub_syntax(kind, value)

    def mask_pair(self, node: list[Any], loose: bool = False) -> None:
        """Mask the second of a pair whose first is a private name: a header, a parsed parameter."""
        name, value = node
        if type(name) is not str or value is None or value is True or value is False:
            return
        kind = self._kind_of(name, loose)
        if kind == SECRET:
            node[1] = self.mask
        elif kind in SYNTAX_NAMES:
            node[1] = self._scrub_syntax(kind, value)

    def mask_flags(self, node: list[Any]) -> None:
        """Mask what follows a private flag in a list of a command's words: ``["--password", "x"]``."""
        for index, word in enumerate(node[:-1]):
            if type(word) is str and word[:1] == "-" and len(word) < MAX_SAFE_NAME and self.is_secret(word.lstrip("-")):
                value = node[index + 1]
                if type(value) is not str or value[:1] != "-":
                    node[index + 1] = self.mask

    def _scrub_syntax(self, bare: str, value: Any) -> Any:
        if type(value) is not str:
            if bare in COOKIE_NAMES:
                self._clean_cookies(value)
            return self.scrub_tree(value, True) if type(value) in (list, dict) else value
        if bare in COOKIE_NAMES:
            return self.clean_cookie(value)
        if bare in QUERY_NAMES:
            return self.clean_query(value)
        if bare == NETLOC:
            _, at, host = value.rpartition("@")
            return f"{self.mask}@{host}" if at else value
        return self.clean_url(value)

    def scrub_tree(self, node: Any, loose: bool = False, done: set[int] | None = None) -> Any:
        """Mask all of *node*, in place where it is a list or a dict, and return what stands for it."""
        kind = type(node)
        if kind is str:
            return self.clean_text(node, loose)
        if kind is not dict and kind is not list:
            return node
        done = set() if done is None else done
        if id(node) in done:
            return node
        done.add(id(node))
        if kind is dict:
            self.mask_names(node, None, loose)
            for name in [name for name in node if type(name) is str and is_suspicious(name)]:
                node[self.clean_text(name, loose)] = node.pop(name)
            for name, value in node.items():
                if type(value) in _TREES and (type(value) is not str or is_suspicious(value)):
                    node[name] = self.scrub_tree(value, loose, done)
        else:
            if len(node) == 2:
                self.mask_pair(node, loose)
            self.mask_flags(node)
            for index, value in enumerate(node):
                if type(value) in _TREES and (type(value) is not str or is_suspicious(value)):
                    node[index] = self.scrub_tree(value, loose, done)
        return node

    # -- texts -----------------------------------------------------------------------------------------------------

    def clean_text(self, text: str, loose: bool = False) -> str:
        """*text* without the secrets that can be told by a name before them, a URL's userinfo, or a scheme."""
        if not is_suspicious(text):
            return text
        if "form-data; name=" in text:
            return self.mask  # a multipart body: its values stand on lines of their own, away from their names
        marks = text.count("://")
        if marks:
            if "@" in text:
                text = _USERINFO.sub(self._mask_userinfo, text)
            if text.endswith("…"):
                text = _CUT_USERINFO.sub(rf"\1{self.mask}", text)
        if "%3" in text and "=" in text:
            text = _ESCAPED.sub(self._mask_escaped, text)
        if "=" in text or text.count(":") > marks or "', " in text or '", ' in text:
            text = self._mask_assigned(ASSIGNED, text, loose)
        if "--" in text:
            text = self._mask_assigned(FLAG, text, loose)
        if "</" in text:
            text = _ELEMENT.sub(self._mask_element, text)
        if "earer " in text or "asic " in text or "EARER " in text or "ASIC " in text:
            text = _BEARER.sub(rf"\1 {self.mask}", text)
        return text

    def _mask_userinfo(self, found: re.Match[str]) -> str:
        return f"{found[1]}{self.mask}@"

    def _mask_escaped(self, found: re.Match[str]) -> str:
        decoded = unquote(found[0])
        return found[0] if self.clean_text(decoded, True) == decoded else self.mask

    def _mask_element(self, found: re.Match[str]) -> str:
        if not self.is_secret(found[1]):
            return found[0]
        start, end = found.start(), found.start(2)
        return f"{found.string[start:end]}{self.mask}</"

    def _mask_assigned(self, pattern: re.Pattern[str], text: str, loose: bool, open_values: bool = False) -> str:
        """Mask what *pattern* finds assigned to private names. What is not private is searched for more.

        Args:
            open_values: leave what stands for a value that is put in later: ``%s``, ``{name}``.
        """
        parts: list[str] = []
        done = place = 0
        while (found := pattern.search(text, place)) is not None:
            place = found.end()
            if is_no_pair(text, found) or not self.is_secret(found["name"], loose or is_parameter(text, found)):
                continue
            value = value_at(text, place)
            if value is None or text.startswith(self.mask, place) or (open_values and text[place] in PLACEHOLDERS):
                continue
            parts += [text[done:place], value.opening, self.mask, value.closing]
            done = place = value.end
        parts.append(text[done:])
        return "".join(parts) if len(parts) > 1 else text

    def clean_source(self, text: str) -> str:
        """Source without the literals that belong to private names, and without URLs' userinfo. Its lines stay lines.

        In other literals, what is assigned to a private name is masked.
        """
        if "://" in text and "@" in text:
            text = _USERINFO.sub(self._mask_userinfo, text)
        if "'" not in text and '"' not in text:
            return text
        parts: list[str] = []
        done = begin = 0
        any_name = False
        for line in text.split("\n"):
            end_of_line = begin + len(line)
            if self._names.may_be_in(line):
                any_name = True
                for name in source_names(text, begin, end_of_line):
                    if name.end() < done or not self.is_secret(name["name"]):
                        continue
                    for start, end, contents in source_literals(text, name.end()):
                        if len(contents) >= MIN_LITERAL and start >= done:
                            parts += [text[done:start], self.mask, "\n" * contents.count("\n")]
                            done = end
            begin = end_of_line + 1
        parts.append(text[done:])
        if any_name or "earer " in text or "asic " in text:
            return SOURCE_LITERAL.sub(self._clean_literal, "".join(parts))
        return "".join(parts)

    def _clean_literal(self, found: re.Match[str]) -> str:
        if not is_suspicious(found[0]):
            return found[0]
        lines = []
        for line in found[0].split("\n"):  # none may be lost
            if self._names.may_be_in(line):
                line = self._mask_assigned(ASSIGNED, line, False, True)
            lines.append(_BEARER.sub(rf"\1 {self.mask}", line))
        return "\n".join(lines)

    def clean_cookie(self, text: str) -> str:
        """A cookie header: every cookie is kept by name, private ones without their value."""
        parts = []
        for part in text.split(";"):
            name, equals, value = part.partition("=")
            private = equals and (self.is_secret(name.strip(), True) or self._holds_secret(value))
            parts.append(f"{name}={self.mask}" if private else part)
        return ";".join(parts)

    def _clean_cookies(self, cookies: Any) -> None:
        """Mask the values of parsed cookies that hold secrets: escaped JSON is common there."""
        if type(cookies) is dict:
            for name, value in cookies.items():
                if type(value) is str and self._holds_secret(value):
                    cookies[name] = self.mask

    def clean_query(self, text: str) -> str:
        """A query string or an urlencoded form: parameter names may be percent-escaped."""
        parts = re.split(r"([&;])", text)
        for index, part in enumerate(parts):
            name, equals, value = part.partition("=")
            if equals and (self.is_secret(unquote(name.replace("+", " ")), True) or self._holds_secret(value)):
                parts[index] = f"{name}={self.mask}"
            elif self._holds_secret(name):  # a body of JSON that was sent as a form
                parts[index] = f"{self.mask}={value}" if equals else self.mask
        return "".join(parts)

    def _holds_secret(self, value: str) -> bool:
        """Whether there is a secret in *value*, of a parameter or a cookie, however often it is escaped."""
        loose = "%3" in value or "://" in value
        for _ in range(MAX_ESCAPED):
            if is_suspicious(value) and self.clean_text(value, loose) != value:
                return True
            decoded = unquote_plus(value)
            if decoded == value:
                break
            value = decoded
        return False

    def clean_url(self, text: str) -> str:
        """A URL, whole or from its path on."""
        if not is_suspicious(text):
            return text
        rest, question, query = text.partition("?")
        rest = self.clean_text(rest)
        if not question:
            return rest
        query, hash_, fragment = query.partition("#")
        return f"{rest}?{self.clean_query(query)}{hash_}{self.clean_query(fragment)}"

    # -- events ----------------------------------------------------------------------------------------------------

    def scrub_event(self, event: dict[str, Any]) -> None:
        """Mask a whole event, in place.

        Not looked at again: local variables, which the walker showed with this scrubber as its guard, and source lines,
        which were masked when their frame template was made.
        """
        done: set[int] = set()
        for part in ("extra", "tags", "user", "contexts", "breadcrumbs"):
            if part in event:
                self.scrub_tree(event[part], False, done)
        for part in ("logentry", "sentry.interfaces.Message"):
            if part in event:
                event[part] = self._scrub_logentry(event[part])
        for name in ("message", "transaction", "culprit", "logger"):
            if type(event.get(name)) is str:
                event[name] = self.clean_url(event[name])
        request = event.get("request")
        if request:
            self.scrub_request(request, done)
        exception = event.get("exception")
        if exception is not None:
            for value in exception["values"]:
                value["value"] = self.clean_text(value["value"])
                mechanism = value.get("mechanism")
                if mechanism is not None and "description" in mechanism:
                    mechanism["description"] = self.clean_text(mechanism["description"])

    def _scrub_logentry(self, logentry: Any) -> Any:
        """Mask a message. Its text tells what its parameters are: ``password=%s``."""
        if type(logentry) is not dict:
            return self.scrub_tree(logentry)
        texts = logentry.get("message"), logentry.get("formatted")
        self.scrub_tree(logentry)
        params: Any = logentry.get("params")
        if type(params) in (dict, list) and texts != (logentry.get("message"), logentry.get("formatted")):
            logentry["params"] = dict.fromkeys(params, self.mask) if type(params) is dict else [self.mask] * len(params)
        return logentry

    def scrub_request(self, request: dict[str, Any], done: set[int] | None = None) -> None:
        """Mask Sentry's request interface, in place."""
        done = set() if done is None else done
        if type(request.get("url")) is str:
            request["url"] = self.clean_url(request["url"])
        query = request.get("query_string")
        request_data = request.get("data")
        if type(query) is str:
            request["query_string"] = self.clean_query(query)
        elif query is not None:
            self.scrub_tree(query, True, done)
        if type(request.get("fragment")) is str:
            request["fragment"] = self.clean_query(request["fragment"])
        if type(request_data) is str:
            request["data"] = self._scrub_body(request_data, _content_type(request.get("headers")))
        elif request_data is not None:
            self.scrub_tree(request_data, False, done)
        for name in ("headers", "cookies"):
            value = request.get(name)
            if type(value) is str:
                request[name] = self.clean_cookie(value) if name == "cookies" else self.mask
            elif value is not None:
                self.scrub_tree(value, True, done)
            if name == "cookies":
                self._clean_cookies(value)
        if request.get("env") is not None:
            self.scrub_tree(request["env"], False, done)

    def _scrub_body(self, text: str, content_type: str) -> Any:
        if "json" in content_type:
            try:
                return self.scrub_tree(orjson.loads(text))
            except ValueError:
                return self.mask  # what cannot be parsed cannot be scrubbed
        if "urlencoded" in content_type:
            return self.clean_query(text)
        if "multipart" in content_type or text.startswith("--"):
            return self.mask  # its values stand on lines of their own, away from their names
        return self.clean_text(text)


_TREES = frozenset({str, dict, list})


def _content_type(headers: Any) -> str:
    pairs = headers.items() if type(headers) is dict else headers if type(headers) is list else ()
    for pair in pairs:
        if len(pair) == 2 and type(pair[0]) is str and pair[0].lower() == "content-type" and type(pair[1]) is str:
            return pair[1].lower()
    return ""
