"""The name of what a request asked for: its method and its route.

Bottle and Routes leave their route in the environ, Flask only as long as the request runs. Pyramid, Django and Falcon
keep it on their request object: it is looked for among the locals of that name of the frames that were running.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType, FrameType, MethodType, TracebackType
from typing import Any

from heka_raven.capture.frames import BORDERS
from heka_raven.middleware.policy import class_names

Environ = dict[str, Any]

MAX_FRAMES = 100  # looked through in each direction
MAX_WRAPPERS = 8  # looked through for the framework's application
MAX_KNOWN = 1024  # codes whose names are kept
_NAMES = ("request", "req", "ctx")


def transaction(environ: Environ, traceback: TracebackType | None = None, left: tuple[Any, ...] = ()) -> str:
    """``METHOD route``, or ``METHOD path`` where no framework left its route.

    Args:
        environ: of the request.
        traceback: of the error, if there is one.
        left: the body and the application, where the error came once the framework had forgotten its request.
    """
    prefix = decoded_path(_text(environ.get("SCRIPT_NAME"))).rstrip("/")
    route = find_route(environ, traceback, left)
    if route is None:
        path = prefix + decoded_path(_text(environ.get("PATH_INFO")))
    else:
        path = f"{prefix}/{route.removeprefix('/')}"
    return f"{_text(environ.get('REQUEST_METHOD')) or 'GET'} {path or '/'}"


def find_route(environ: Environ, traceback: TracebackType | None = None, left: tuple[Any, ...] = ()) -> str | None:
    """The pattern of the route that the request matched, as its framework writes it."""
    for key, read in _IN_ENVIRON:
        if key in environ:
            route = _read(read, environ[key], environ)
            if route is not None:
                return route
    for frame in _frames(traceback):
        known = _known_names.get(id(frame.f_code))
        for name in _names_in(frame.f_code) if known is None else known[1]:
            route = _route_of(frame.f_locals.get(name), environ)
            if route is not None:
                return route
    for holder in left:
        for _ in range(MAX_WRAPPERS):
            route = _route_of(holder, environ)
            if route is not None:
                return route
            holder = _wrapped(holder)
            if holder is None:
                break
    return None


def _wrapped(app: Any) -> Any:
    """The application within *app*, as most middlewares and ``app.wsgi_app`` show it."""
    try:
        found = vars(app)
    except TypeError:
        return getattr(app, "__self__", None) if type(app) is MethodType else None
    return found.get("app") or found.get("wsgi_app")


_known_names: dict[int, tuple[CodeType, tuple[str, ...]]] = {}  # by the id of the code, which is kept alive


def _names_in(code: CodeType) -> tuple[str, ...]:
    """Those of _NAMES that *code* has a variable for. Python 3.11 makes its tuples of names anew at each look."""
    variables = {*code.co_varnames, *code.co_cellvars, *code.co_freevars}
    names = tuple(name for name in _NAMES if name in variables)
    if len(_known_names) >= MAX_KNOWN:
        _known_names.clear()
    _known_names[id(code)] = code, names
    return names


def _frames(traceback: TracebackType | None) -> list[FrameType]:
    """The request's frames, outermost first: those that run now, from the middleware on, then the error's.

    None of ours: a function that gets its own frame, and keeps it, is never freed but by the collector, nor is what
    it knows of the request.
    """
    found: list[FrameType] = []
    frame: FrameType | None = sys._getframe(1)
    for _ in range(MAX_FRAMES):
        if frame is None:
            break
        module = frame.f_globals.get("__name__")
        if module in BORDERS:
            break
        if type(module) is not str or not module.startswith("heka_raven."):
            found.append(frame)
        frame = frame.f_back
    found.reverse()
    for _ in range(MAX_FRAMES):
        if traceback is None:
            break
        found.append(traceback.tb_frame)
        traceback = traceback.tb_next
    return found


def _route_of(request: Any, environ: Environ) -> str | None:
    if request is None:
        return None
    for name in class_names(type(request)):
        if name in _ON_REQUEST:
            return _read(_ON_REQUEST[name], request, environ)
    return None


def _read(read: Callable[[Any, Environ], Any], holder: Any, environ: Environ) -> str | None:
    try:
        route = read(holder, environ)
    except Exception:
        # The framework got no further than this: the request has no route yet.
        return None
    return route if type(route) is str else None


def _routing_args(args: Any, environ: Environ) -> str | None:
    """The path with the values of its variables replaced by their names (wsgiorg.routing_args has no pattern)."""
    named = {str(value): name for name, value in args[1].items() if name not in ("controller", "action")}
    if not named:
        return None
    parts = decoded_path(_text(environ.get("PATH_INFO"))).split("/")
    return "/".join(f"{{{named[part]}}}" if part and part in named else part for part in parts)


def _flask(context: Any, environ: Environ) -> Any:
    return context.request.url_rule.rule


def _werkzeug(request: Any, environ: Environ) -> Any:
    return request.url_rule.rule


def _bottle(route: Any, environ: Environ) -> Any:
    return route.rule


def _routes(route: Any, environ: Environ) -> Any:
    return route.routepath


def _pyramid(request: Any, environ: Environ) -> Any:
    return request.__dict__["matched_route"].pattern


def _django(request: Any, environ: Environ) -> Any:
    return request.__dict__["resolver_match"].route


def _django_body(response: Any, environ: Environ) -> Any:
    """A response closes its request with it, which is how it can still be found while it streams."""
    for closer in response.__dict__["_resource_closers"]:
        route = _route_of(getattr(closer, "__self__", None), environ)
        if route is not None:
            return route
    return None


def _flask_app(app: Any, environ: Environ) -> Any:
    """Flask forgets the request before its body streams: the rule is looked for once more, as Flask did.

    Not if the application has converters of its own: these may do anything.
    """
    rules = app.url_map
    if any(not kind.__module__.startswith("werkzeug.") for kind in rules.converters.values()):
        return None
    rule, _ = rules.bind_to_environ(environ).match(return_rule=True)
    return rule.rule


def _falcon(request: Any, environ: Environ) -> Any:
    return request.uri_template


_IN_ENVIRON: tuple[tuple[str, Callable[[Any, Environ], Any]], ...] = (
    ("werkzeug.request", _werkzeug),
    ("bottle.route", _bottle),
    ("routes.route", _routes),
    ("wsgiorg.routing_args", _routing_args),
)
ROUTE_KEYS = tuple(key for key, _ in _IN_ENVIRON)
_ON_REQUEST: dict[str, Callable[[Any, Environ], Any]] = {
    "pyramid.request.Request": _pyramid,
    "django.http.request.HttpRequest": _django,
    "falcon.request.Request": _falcon,
    "werkzeug.wrappers.request.Request": _werkzeug,
    "flask.ctx.RequestContext": _flask,
    "flask.ctx.AppContext": _flask,
    "flask.app.Flask": _flask_app,
    "django.http.response.HttpResponseBase": _django_body,
}


def _text(value: Any) -> str:
    return value if type(value) is str else ""


def decoded_path(path: str) -> str:
    """PATH_INFO or SCRIPT_NAME as the visitor wrote it: WSGI hands bytes over as if they were Latin-1."""
    try:
        return path.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return path
