"""Whose code a frame runs: the application's own, or a library's.

By where the file lies: the standard library and what an installer put somewhere is library code; but not the
distribution of the application itself, which is installed as a package where Pyramid or Paste serve it.
"""

# Rule 1: the longest entry of in_app_include and in_app_exclude that fits decides; where both fit alike, exclude.
# Rule 2: a file's path decides; the module's __file__ where the path is relative (Cython writes src/lxml/etree.pyx).
# Rule 3: an application is looked at through its own __dict__: none of its code runs.

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import partial
from types import FrameType, FunctionType, MethodType
from typing import Any

from heka_raven.reporting.distributions import distribution_roots, editable_roots, installed_by_record

MAX_LAYERS = 20  # of middlewares around an application
MAX_KNOWN = 2048  # of places whose owner is kept

_OWN_PACKAGES = ("heka", "heka_raven", "metlog_raven")
_INSTALLED = ("/site-packages/", "/dist-packages/")

# An application object of these says nothing of whose application it is.
_FRAMEWORKS = {
    "aiohttp", "asgiref", "beaker", "bottle", "celery", "cherrypy", "connexion", "cornice", "django", "dramatiq",
    "falcon", "fastapi", "flask", "flask_restful", "gevent", "gunicorn", "importlib", "morepath", "paste",
    "pecan", "pylons", "pyramid", "pytest", "quart", "repoze", "rest_framework", "routes", "rq", "runpy",
    "starlette", "tg", "tornado", "twisted", "unittest", "uvicorn", "uwsgi", "waitress", "web", "webob",
    "webtest", "werkzeug", "whitenoise", "wsgiref",
}  # fmt: skip
_INNER = ("app", "application", "wsgi_app", "wrap_app", "_app", "_application", "next_app")


def library_prefixes() -> tuple[str, ...]:
    """Folders of the standard library and of installed packages."""
    paths = sysconfig.get_paths()
    found = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib") if name in paths}
    return tuple(sorted({path.rstrip("/") + "/" for path in found if path}))


class AppCode:
    """Tells the application's code from that of libraries.

    Args:
        include: names of packages and modules, or folders, that are the application's.
        exclude: likewise, that are not.
    """

    def __init__(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> None:
        self._named = [(entry.rstrip("/"), True) for entry in include] + [(e.rstrip("/"), False) for e in exclude]
        self._prefixes = library_prefixes()
        self._roots: tuple[str, ...] = ()
        self._known: dict[str, bool] = {}
        self._editable: tuple[str, ...] | None = None

    # -- the two questions -----------------------------------------------------------------------------------------

    def in_app(self, module: str, path: str, module_globals: dict[str, Any] | None = None) -> bool:
        """Whether a frame of *module*, whose code was compiled as *path*, is the application's own."""
        path = _whole_path(path, module_globals)
        named = self._by_name(module, path)
        if named is not None:
            return named
        return module.partition(".")[0] not in _OWN_PACKAGES and not self.is_library(path)

    def is_library(self, path: str) -> bool:
        """Whether the file belongs to the standard library or to an installed package that is not the application."""
        if path.startswith("<"):
            return True
        if self._roots and path.startswith(self._roots):
            return False
        if path.startswith(self._prefixes) or any(part in path for part in _INSTALLED):
            return not self._is_editable(path)
        return self._was_installed(path)

    # -- what the application is -----------------------------------------------------------------------------------

    def add_application(self, app: Any, caller: FrameType | None = None) -> bool:
        """Count the distribution of *app* as the application's own.

        Args:
            app: the WSGI application, or None.
            caller: who wraps it, or sets reporting up: asked where *app* is a framework's.

        Returns:
            Whether that changes anything.
        """
        before = self._roots
        for name in application_modules(app, caller):
            self._roots = tuple(dict.fromkeys((*self._roots, *self._roots_of(name))))
        return self._roots != before

    def _roots_of(self, name: str) -> list[str]:
        """Where the distribution of the module *name* lies, if it is installed as a package."""
        for known in (name, name.partition(".")[0]):
            module = sys.modules.get(known)
            path = _file_of(module)
            if path and self.is_library(path) and not path.startswith("<"):
                folder, top = _split(path, known)
                return distribution_roots(folder, top) if folder else []
        return []

    def signed_roots(self) -> Iterator[tuple[bool, str]]:
        """For who knows a frame's path only: beginnings of paths, and whether they are the application's.

        The first that fits decides.
        """
        for entry, ours in sorted(self._named, key=lambda named: (-len(named[0]), named[1])):
            for path in (entry,) if "/" in entry else (each + entry.replace(".", "/") for each in _import_folders()):
                if os.path.isdir(path):
                    yield ours, path + "/"
                elif os.path.isfile(path):
                    yield ours, path
                elif os.path.isfile(path + ".py"):
                    yield ours, path + ".py"
        for root in self._roots:
            yield True, root

    # -- by name, by place -----------------------------------------------------------------------------------------

    def _by_name(self, module: str, path: str) -> bool | None:
        best, verdict = -1, None
        for entry, ours in self._named:
            if "/" in entry:
                fits = path.startswith(entry + "/") or path == entry
            else:
                fits = module == entry or module.startswith(entry + ".")
            if fits and (len(entry) > best or (len(entry) == best and not ours)):
                best, verdict = len(entry), ours
        return verdict

    def _is_editable(self, path: str) -> bool:
        """A project in editable mode that lies below a folder whose name looks like one of installed packages."""
        if path.startswith(self._prefixes):
            return False
        if self._editable is None:
            self._editable = tuple(editable_roots([prefix.rstrip("/") for prefix in self._prefixes]))
        for root in self._editable:
            if path.startswith(root):
                return not any(part in path[len(root) - 1 :] for part in _INSTALLED)
        return False

    def _was_installed(self, path: str) -> bool:
        """Whether an installer put the file where it is (``pip install --target``)."""
        folder = max((each for each in _import_folders() if path.startswith(each)), key=len, default="")
        if not folder:
            return False
        parts = path[len(folder) :].split("/")
        top = parts[0]
        if len(parts) > 1 and not os.path.exists(f"{folder}{top}/__init__.py"):
            top = "/".join(parts[:-1])  # of a namespace package, which several distributions share
        known = self._known.get(folder + top)
        if known is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            known = self._known[folder + top] = installed_by_record(folder.rstrip("/"), top)
        return known


def application_modules(app: Any, caller: FrameType | None = None) -> list[str]:
    """Names of modules that are of the application *app*, as far as it, or who wraps it, tells."""
    names = [name for name in (_module_of(app), *_django_modules(app)) if name]
    if not names and caller is not None:
        names = [name for name in (_caller_module(caller), _main_module()) if name]
    names = [_main_module() or name if name == "__main__" else name for name in names]
    return [name for name in names if name.partition(".")[0] not in (*_FRAMEWORKS, *_OWN_PACKAGES)]


def _module_of(app: Any) -> str | None:
    """Through the middlewares around it, the module that made the application."""
    for _ in range(MAX_LAYERS):
        kind = type(app)
        if kind is partial:
            app = app.func
            continue
        if kind is MethodType:
            app = app.__self__
            continue
        if kind is FunctionType or isinstance(app, type):
            return _text(getattr(app, "__module__", None))
        own = _own_dict(app)
        for said in (own.get("import_name"), _own_dict(own.get("registry")).get("__name__")):  # Flask, Pyramid
            if type(said) is str:
                return said
        inner = next((own[name] for name in _INNER if callable(own.get(name))), None)
        if inner is None:
            name = _text(type.__dict__["__module__"].__get__(kind))
            return None if name is None or name.partition(".")[0] in _FRAMEWORKS else name
        app = inner
    return None


def _django_modules(app: Any) -> list[str]:
    if not type(app).__module__.startswith("django."):
        return []
    urls = os.environ.get("DJANGO_SETTINGS_MODULE")
    settings = sys.modules.get(urls or "")
    return [name for name in (urls, _text(getattr(settings, "ROOT_URLCONF", None))) if name]


def _caller_module(frame: FrameType | None) -> str | None:
    while frame is not None:
        name = frame.f_globals.get("__name__")
        if type(name) is str and name.partition(".")[0] not in _OWN_PACKAGES:
            return _main_module() if name == "__main__" else name
        frame = frame.f_back
    return None


def _main_module() -> str | None:
    """What ``python -m`` was called with."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return _text(getattr(spec, "name", None))


def _own_dict(value: Any) -> dict[str, Any]:
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return found if type(found) is dict else {}


def _text(value: Any) -> str | None:
    return value if type(value) is str and value else None


def _file_of(module: Any) -> str | None:
    path = _text(_own_dict(module).get("__file__"))
    return path and os.path.abspath(path)


def _split(path: str, name: str) -> tuple[str, str]:
    """The folder in which the top of module *name* was installed, and what it is called there."""
    parts = path.split("/")
    depth = name.count(".") + (2 if parts[-1].startswith("__init__.") else 1)
    if depth >= len(parts):
        return "", ""
    folder, inside = "/".join(parts[:-depth]), parts[-depth:]
    for count in range(1, len(inside)):
        if os.path.exists(f"{folder}/{'/'.join(inside[:count])}/__init__.py"):
            return folder, "/".join(inside[:count])
    return folder, "/".join(inside)


def _whole_path(path: str, module_globals: dict[str, Any] | None) -> str:
    if path.startswith(("/", "<")) or module_globals is None:
        return path
    file = dict.get(module_globals, "__file__")
    return (
        os.path.join(os.path.dirname(file), os.path.basename(path)) if type(file) is str and file[:1] == "/" else path
    )


def _import_folders() -> Iterable[str]:
    for folder in list(sys.path):
        if type(folder) is str:
            yield os.path.abspath(folder).rstrip("/") + "/"
