"""Tells when a module is imported, so that a library is hooked without being imported for it."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from heka.limited_log import TROUBLES

Action = Callable[[ModuleType], Any]


def when_imported(name: str, action: Action) -> None:
    """Call *action* with the module *name*: now, if it is imported already; else once it is. Errors are logged."""
    module = sys.modules.get(name)
    if module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False):
        _call(action, module)
        return
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    _FINDER.wanted[name] = action


def _call(action: Action, module: ModuleType) -> None:
    try:
        action(module)
    except Exception:
        name = module.__name__
        TROUBLES.tell(
            f"hook {name}", logging.WARNING, "%s: its errors are not reported by themselves", name, exc_info=True
        )


class _Finder:
    """Finds nothing itself: for a name that is wanted, it lets the others find, and watches the loading."""

    def __init__(self) -> None:
        self.wanted: dict[str, Action] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        action = self.wanted.pop(name, None)
        if action is None:
            return None
        spec = importlib.util.find_spec(name)
        if spec is None or not hasattr(spec.loader, "exec_module"):
            self.wanted[name] = action  # it cannot be imported yet
            return None
        loader: Any = _Loader(spec.loader, action)
        spec.loader = loader
        return spec


class _Loader:
    """The module's own loader; after it, the action."""

    def __init__(self, loader: Any, action: Action) -> None:
        self._loader = loader
        self._action = action

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        found: ModuleType | None = self._loader.create_module(spec)
        return found

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        _call(self._action, module)


_FINDER: Any = _Finder()
