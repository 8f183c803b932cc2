"""Takes private data out of events."""

# Rule 1: every removal happens in this room; no other module masks anything.
# Rule 2: what is masked is decided by names: of variables, keys, fields, headers, cookies, parameters, and of the
#         names that stand before '=' or ':' inside a text; and by the shape of a value. The name stays, the value
#         becomes '[Filtered]'. docs/security.rst has the rule; the uWSGI plugin's half keeps it too.
# Rule 3: variables are masked while they are shown (the walker's guard), the rest of the event when it is finished.
# Rule 4: a rule that fails fails the event: the caller sends the skeleton instead, never the unscrubbed event.

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import orjson

import heka_raven.scrub.names as kinds
from heka_raven.scrub.masker import Masker, is_suspicious
from heka_raven.scrub.shapes import is_card, mask_bearer, mask_pem, mask_tokens
from heka_raven.scrub.source import (
    PLACEHOLDERS,
    SOURCE_LITERAL,
    literal_at,
    source_literals,
    source_names,
    unpacked_names,
)
from heka_raven.scrub.texts import ASSIGNED

FILTERED = "[Filtered]"
MASK_LEGACY = "********"
MIN_LITERAL = 3  # characters in a source line; `if token == "=="` is a parser's
MIN_CARD, MAX_CARD = 10**12, 10**19  # other integers are no card's number

_ABOUT = ("name", "key", "Name", "Key", "'name'", "'key'")


class Scrubber(Masker):
    """Masks private data in trees, events and source; texts are the :class:`Masker`'s."""

    __slots__ = ()

    # -- trees --------------------------------------------------------------------------------------------------------

    def mask_names(self, node: dict[Any, Any], names: Iterable[Any] | None = None, loose: bool = False) -> None:
        """Mask what stands under private names in *node* itself; *names*: those to look at, if not all."""
        known = self._loose_kinds if loose else self._kinds
        for name in tuple(node) if names is None else names:
            kind = known.get(name)
            if kind is None:
                kind = self._kind_of(name, loose)
            if not kind:
                continue
            value = node[name]
            if kind == kinds.VALUE_OF:
                # {"name": "password", "value": "x"}: a form field or a cookie as an object.
                about = next((node[key] for key in _ABOUT if key in node), None)
                if type(about) is str and self.is_secret(about, True):
                    node[name] = self.mask
            else:
                node[name] = self._mask_value(kind, value)

    def mask_pair(self, node: list[Any], loose: bool = False) -> None:
        """Mask the second of a pair whose first is a private name: a header, a parsed parameter."""
        name, value = node
        if type(name) is str:
            kind = self._kind_of(name, loose)
            if kind and kind != kinds.VALUE_OF:
                node[1] = self._mask_value(kind, value)

    def _mask_value(self, kind: str, value: Any) -> Any:
        """What stands for *value* under a name of this *kind*. A list or a dict stays as it is: others may show it."""
        if value is None or value is True or value is False:
            return value
        if kind == kinds.SECRET or kind == kinds.PERSONAL:
            return self.mask
        if type(value) is str:
            return self._clean_by_kind(kind, value)
        if kind == kinds.DIRECTORY:
            return self.mask
        own = _copied(value, {})
        return self._mask_cookies(own) if kind == kinds.COOKIE else self.scrub_tree(own, kind == kinds.QUERY)

    def _mask_cookies(self, cookies: Any) -> Any:
        """Parsed cookies: the values under names that are not known to be harmless."""
        if type(cookies) is list:
            for index, value in enumerate(cookies):
                cookies[index] = self.clean_cookie(value) if type(value) is str else self._mask_cookies(value)
        elif type(cookies) is dict:
            for name, value in cookies.items():
                if type(value) in (dict, list):
                    self._mask_cookies(value)
                elif value is None or value is True or value is False:
                    continue
                elif not self._names.is_cookie_shown(str(name)) or (type(value) is str and self._holds_secret(value)):
                    cookies[name] = self.mask
        return cookies

    def scrub_tree(self, node: Any, loose: bool = False, done: set[int] | None = None) -> Any:
        """Mask all of *node*, in place where it is a list or a dict, and return what stands for it."""
        kind = type(node)
        if kind is str:
            return self.clean_text(node)
        if kind is int:
            return self.mask_integer(node)
        if kind is not dict and kind is not list:
            return node
        done = set() if done is None else done
        if id(node) in done:
            return node
        done.add(id(node))
        plain = self.plain_hashes
        if kind is dict:
            self.mask_names(node, None, loose)
            safe = self.safe_names
            for name in [n for n in node if n not in safe and type(n) is str and is_suspicious(n)]:
                node[self.clean_found(name)] = node.pop(name)
            for name, value in node.items():
                kind = type(value)
                if kind is str:
                    if hash(value) not in plain:
                        node[name] = self.clean_text(value)
                elif kind is dict or kind is list or (kind is int and value >= MIN_CARD):
                    node[name] = self.scrub_tree(value, loose, done)
        else:
            if len(node) == 2:
                self.mask_pair(node, loose)
            self.mask_flags(node)
            for index, value in enumerate(node):
                kind = type(value)
                if kind is str:
                    if hash(value) not in plain:
                        node[index] = self.clean_text(value)
                elif kind is dict or kind is list or (kind is int and value >= MIN_CARD):
                    node[index] = self.scrub_tree(value, loose, done)
        return node

    def mask_integer(self, value: int) -> int | str:
        """*value*, unless it is the number of a payment card."""
        return self.mask if MIN_CARD <= value < MAX_CARD and is_card(str(value)) else value

    # -- source ----

    def clean_source(self, text: str) -> str:
        """Source without the literals that belong to private names, and without URLs' userinfo. Its lines stay lines.

        In other literals, what is assigned to a private name is masked.
        """
        if "://" in text and "@" in text:
            text = self._mask_userinfo(text)
        if "'" not in text and '"' not in text:
            return text
        found: list[tuple[int, int]] = []
        done = begin = 0
        any_name = False
        for line in text.split("\n"):
            end_of_line = begin + len(line)
            if self._names.may_be_in(line):
                any_name = True
                names, place = unpacked_names(text, begin, end_of_line)
                if any(map(self.is_secret, names)):  # which value is whose, only Python knows: all of them
                    spans = [(start, end) for start, end, _ in source_literals(text, place, ends="\n")]
                    found += spans
                    done = max([done, *(end for _, end in spans)])
                for name in source_names(text, begin, end_of_line):
                    if not self.is_secret(name["name"]):
                        continue
                    # A name within what another one was given: that may have been no name but a part of a literal
                    # ("?token=x"), whose end was then taken for a beginning. Only what follows at once is looked at.
                    passed = name.end() < done
                    literals = literal_at if passed else source_literals
                    for start, end, contents in literals(text, name.end()):
                        if len(contents) >= MIN_LITERAL and (passed or start >= done):
                            found.append((start, end))
                            done = max(done, end)
            begin = end_of_line + 1
        text = mask_tokens(_without(text, found, self.mask), self.mask)
        if "-----BEGIN " in text:
            text = mask_pem(text, self.mask, keep_lines=True)
        if any_name or "earer " in text or "asic " in text:
            return SOURCE_LITERAL.sub(self._clean_literal, text)
        return text

    def _clean_literal(self, found: re.Match[str]) -> str:
        if not is_suspicious(found[0]):
            return found[0]
        lines = []
        for line in found[0].split("\n"):  # none may be lost
            if self._names.may_be_in(line):
                line = self._mask_assigned(ASSIGNED, line, open_values=PLACEHOLDERS)
            lines.append(mask_bearer(line, self.mask))
        return "\n".join(lines)

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
        if not self.send_pii:
            for part in ("user", "sentry.interfaces.User"):
                if type(event.get(part)) is dict and event[part].get("email"):
                    event[part]["email"] = self.mask
        for part in ("logentry", "sentry.interfaces.Message"):
            if part in event:
                event[part] = self._scrub_logentry(event[part])
        for name, clean in _CLEAN_FIELD:
            if type(event.get(name)) is str:
                event[name] = clean(self, event[name])
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
        content_type = "" if request_data is None else _content_type(request.get("headers"))
        if type(request_data) is str:
            request["data"] = self._scrub_body(request_data, content_type)
        elif request_data is not None:
            self.scrub_tree(request_data, "form" in content_type, done)
        for name in ("headers", "cookies"):
            value = request.get(name)
            if type(value) is str:
                request[name] = self.clean_cookie(value) if name == "cookies" else self.mask
            elif value is not None:
                self.scrub_tree(value, False, done)
                if name == "cookies":
                    self._mask_cookies(value)
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


_CLEAN_FIELD = (
    ("message", Masker.clean_text), ("logger", Masker.clean_text), ("transaction", Masker.clean_url),
    ("culprit", Masker.clean_url),
)  # fmt: skip


def _copied(node: Any, known: dict[int, Any]) -> Any:
    """A copy of *node*; what stands in it more than once is copied once, or it would grow without a bound."""
    kind = type(node)
    if kind is not dict and kind is not list:
        return node
    own: Any = known.get(id(node))
    if own is None:
        own = known[id(node)] = kind()
        if kind is dict:
            own.update((name, _copied(value, known)) for name, value in node.items())
        else:
            own.extend(_copied(value, known) for value in node)
    return own


def _without(text: str, places: list[tuple[int, int]], mask: str) -> str:
    """*text* with *mask* for each of *places*, which may overlap. Its lines stay lines."""
    parts: list[str] = []
    done = 0
    for start, end in sorted(places):
        if end > done:
            start = max(start, done)
            parts += [text[done:start], mask, "\n" * text.count("\n", start, end)]
            done = end
    return "".join([*parts, text[done:]])


def _content_type(headers: Any) -> str:
    pairs = headers.items() if type(headers) is dict else headers if type(headers) is list else ()
    for pair in pairs:
        if len(pair) == 2 and type(pair[0]) is str and pair[0].lower() == "content-type" and type(pair[1]) is str:
            return pair[1].lower()
    return ""
