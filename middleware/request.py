"""What an event may know of a request, read from its environ after the failure."""

# Rule 1: an environ may hold anything, or nothing: each fact is read for itself and may be missing.
# Rule 2: the environ is not changed: WebOb, which keeps what it parsed in there, works on a copy.
# Rule 3: nothing is hidden here; the scrubber runs over the finished event.

from __future__ import annotations

import io
import ipaddress
import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, quote

from heka_raven.capture.written import label
from heka_raven.middleware.culprit import decoded_path, transaction
from heka_raven.middleware.tee import InputTee
from heka_raven.middleware.trace import parse_trace
from heka_raven.scope import RequestFacts

with warnings.catch_warnings():
    # WebOb 1.8 imports cgi, which Python 3.11 and 3.12 call deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    from webob.request import BaseRequest

Environ = dict[str, Any]

CONTEXT_KEY = "heka_raven.context"  # the application's own: tags, extra, user, fingerprint
USER_KEY = "heka_raven.user"
ENV_KEYS = ("REMOTE_ADDR", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "SERVER_SOFTWARE", "SCRIPT_NAME")
MAX_PATH = 2048  # characters, in the heka message's field
MAX_COOKIES = 8192  # characters of the header that are looked at
PATH_SAFE = "/~!$&'()*+,;=:@"  # RFC 3986; as WebOb quotes
FORM_TYPE, MULTIPART_TYPE = "application/x-www-form-urlencoded", "multipart/form-data"
MAX_FIELDS = 49  # of a form; an event shows no more of a container
MAX_FIELD = 4096  # bytes of one that are looked at
MAX_PARTS = 100  # of a multipart form; one that has more is not parsed


class _NoMask:
    """Nothing is hidden here: see rule 3."""

    def mask_names(self, shown: dict[str, Any], names: Iterable[str]) -> None:
        pass


_NO_MASK = _NoMask()


def describe(
    environ: Environ,
    *,
    trusted_proxies: int = 0,
    status: str | None = None,
    traceback: TracebackType | None = None,
    tee: InputTee | None = None,
    left: tuple[Any, ...] = (),
) -> RequestFacts:
    """Describe the request of *environ*.

    Args:
        environ: of the request, as the application left it.
        trusted_proxies: how many proxies in front of the server are ours.
        status: of the response, as far as it is known.
        traceback: of the error that is reported, if there is one.
        tee: what the application read of the body, if that is kept.
        left: where else the route may be, once the framework has forgotten its request.
    """
    copy = dict(environ)
    request = BaseRequest(copy)
    address = _fact(lambda: client_address(copy, trusted_proxies))
    context = _mapping(copy.get(CONTEXT_KEY))
    facts = RequestFacts(transaction=_fact(lambda: transaction(copy, traceback, left)) or "")
    env = {key: copy[key] for key in ENV_KEYS if type(copy.get(key)) is str and copy[key]}
    if address:
        env["REMOTE_ADDR"] = address
    if "SCRIPT_NAME" in env:
        env["SCRIPT_NAME"] = decoded_path(env["SCRIPT_NAME"])
    path = quoted_path(copy)
    facts.request = _present(
        method=_fact(lambda: request.method),
        url=(_fact(lambda: request.host_url) or "") + path,
        query_string=_fact(lambda: request.query_string),
        headers=read_headers(copy),
        cookies=_fact(lambda: parse_cookies(copy.get("HTTP_COOKIE"))),
        data=None if tee is None else _fact(lambda: describe_body(copy, tee)),
        env=env,
    )
    facts.user = _fact(lambda: find_user(copy, context.get("user"), address))
    facts.tags = _mapping(context.get("tags"))
    facts.extra = _mapping(context.get("extra"))
    facts.fingerprint = _texts(context.get("fingerprint"))
    facts.trace = _fact(lambda: parse_trace(copy))
    code = _fact(lambda: int((status or "")[:3]))
    if code is not None:
        facts.contexts["response"] = {"status_code": code}
    facts.fields = _present(
        request_method=facts.request.get("method"),
        request_path=path and path[:MAX_PATH],
        status=code,
        remote_addr=address,
    )
    return facts


def _fact(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception:
        # The environ lacks what this one is made of: the others are still there.
        return None


def quoted_path(environ: Environ) -> str:
    """SCRIPT_NAME and PATH_INFO as they stand in a URL, whatever bytes the visitor sent.

    WebOb decodes them, and has neither of a path that is no UTF-8 (``/caf%E9``), or of an environ that is no WSGI.
    """
    path = "".join(text for name in ("SCRIPT_NAME", "PATH_INFO") if type(text := environ.get(name)) is str)
    try:
        raw = path.encode("latin-1")
    except UnicodeEncodeError:
        raw = path.encode("utf-8", "surrogatepass")
    return quote(raw, safe=PATH_SAFE)


def read_headers(environ: Environ) -> dict[str, str]:
    """The headers of a request, by the names that WebOb gives them; its own mapping takes three times as long."""
    headers = {}
    for key, value in environ.items():
        if type(key) is str and type(value) is str:
            if key[:5] == "HTTP_":
                headers[_HEADER_NAMES.get(key) or key[5:].replace("_", "-").title()] = value
            elif key in _HEADER_NAMES:
                headers[_HEADER_NAMES[key]] = value
    return headers


_HEADER_NAMES = {
    "CONTENT_TYPE": "Content-Type",
    "CONTENT_LENGTH": "Content-Length",
    "HTTP_CONTENT_TYPE": "Content_Type",
    "HTTP_CONTENT_LENGTH": "Content_Length",
}


def _present(**facts: Any) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value not in (None, "", {})}


def _mapping(value: Any) -> dict[str, Any]:
    return dict.copy(value) if issubclass(type(value), dict) else {}


def _texts(value: Any) -> list[str] | None:
    items = value if type(value) in (list, tuple) else [value]
    return [text for item in items if (text := label(item, _NO_MASK)) is not None] or None


def parse_cookies(header: Any) -> dict[str, str]:
    """The cookies of a request, by name.

    WebOb's own pattern takes time with the square of a header without '='.
    """
    cookies: dict[str, str] = {}
    if type(header) is str:
        for part in header[:MAX_COOKIES].split(";"):
            name, equals, value = part.partition("=")
            if equals and (name := name.strip()):
                cookies.setdefault(name, value.strip().strip('"'))
    return cookies


def client_address(environ: Environ, trusted_proxies: int) -> str | None:
    """The address of the visitor.

    Each proxy appends the address it was called from to ``X-Forwarded-For``; what stands left of the entries of our own
    proxies was sent by the visitor and may be a lie.

    Args:
        environ: of the request.
        trusted_proxies: how many proxies in front of the server are ours.
    """
    peer = environ.get("REMOTE_ADDR")
    if trusted_proxies:
        hops = [hop.strip() for hop in str(environ.get("HTTP_X_FORWARDED_FOR", "")).split(",")]
        hops = [hop for hop in hops if hop]
        if hops:
            return _without_port(hops[-trusted_proxies:][0])
    return peer if type(peer) is str and peer else None


def _without_port(address: str) -> str:
    """Some proxies write ``1.2.3.4:5678`` and ``[2001:db8::1]:5678``."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    host, separator, port = address.rpartition(":")
    return host if separator and ":" not in host and port.isdigit() else address


def find_user(environ: Environ, given: Any, address: str | None) -> dict[str, Any] | None:
    """Who sent the request: what the application says in its context, or in ``heka_raven.user``; else repoze.who's
    identity; else ``REMOTE_USER``."""
    user = _as_user(given) or _as_user(environ.get(USER_KEY)) or _repoze_user(environ.get("repoze.who.identity"))
    if user is None and type(name := environ.get("REMOTE_USER")) is str and name:
        user = {"remote_user": name}  # the event's id, where send_pii lets it be sent
    if user is not None and _is_address(address):
        user.setdefault("ip_address", address)
    return user


def _is_address(text: str | None) -> bool:
    """Whether Sentry takes *text* as an address: a proxy may have written ``unknown``, and a Unix socket has none."""
    try:
        ipaddress.ip_address(text or "")
    except ValueError:
        return False
    return True


def _as_user(value: Any) -> dict[str, Any] | None:
    if isinstance(value, Mapping):
        return dict(value) or None
    name = None if issubclass(type(value), (bool, float)) else label(value, _NO_MASK)
    return {"id": name} if name else None


def _repoze_user(identity: Any) -> dict[str, Any] | None:
    if not isinstance(identity, Mapping):
        return None
    user = _fact(lambda: _as_user(identity.get("repoze.who.userid")))
    name = _fact(lambda: identity.get("login"))
    if user is not None and type(name) is str:
        user["username"] = name
    return user  # type: ignore[no-any-return]


def describe_body(environ: Environ, tee: InputTee) -> Any:
    """What the application read of the request's body: JSON and forms by value, the rest as a size and a type."""
    if not tee.size:
        return None
    content_type = str(environ.get("CONTENT_TYPE") or "")
    kind = content_type.partition(";")[0].strip().lower()
    length = str(environ.get("CONTENT_LENGTH") or "")
    size = int(length) if length.isdigit() else tee.size
    summary = {"size": size, "type": kind or "unknown"}
    if not tee.whole or tee.size != size:
        return {**summary, "truncated": True}
    body = tee.kept()
    if kind == "application/json" or kind.endswith("+json"):
        parsed = _fact(lambda: json.loads(body))
    elif kind == FORM_TYPE:
        parsed = _fact(lambda: _parse_form(body))
    elif kind == MULTIPART_TYPE and body.count(b"\r\n--") <= MAX_PARTS:
        parsed = _fact(lambda: _parse_multipart(body, content_type))
    else:
        return summary
    return summary if parsed is None else parsed


def _parse_form(body: bytes) -> dict[str, Any]:
    """The fields of a form, as many as an event shows."""
    pairs = body.split(b"&", MAX_FIELDS)
    rest = pairs.pop() if len(pairs) > MAX_FIELDS else b""
    text = b"&".join([pair[:MAX_FIELD] for pair in pairs]).decode("latin-1")
    fields = _collected(parse_qsl(text, keep_blank_values=True, errors="replace"))
    if rest:
        fields["…"] = f"<{rest.count(b'&') + 1:,} more>"
    return fields


def _parse_multipart(body: bytes, content_type: str) -> dict[str, Any]:
    """A form's fields; of a file only that there was one."""
    request = BaseRequest({
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    })  # fmt: skip
    return _collected(
        (name, value if type(value) is str else {"filename": getattr(value, "filename", None)})
        for name, value in request.POST.items()
    )


def _collected(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Fields by name; those that came more than once as a list."""
    fields: dict[str, Any] = {}
    for name, shown in pairs:
        if name not in fields:
            fields[name] = shown
        elif type(fields[name]) is list:
            fields[name].append(shown)
        else:
            fields[name] = [fields[name], shown]
    return fields
