"""Classes for objects that stand for another one, and are not to be told from it."""

from __future__ import annotations

from typing import Any

from heka_raven.capture.classes import find_in_class

MAX_KNOWN = 500  # an application that makes a class for each request must not fill the memory


class StandIns:
    """Subclasses of *base* that answer ``len()``, ``next()`` and the like just where the class they stand for does.

    Args:
        base: what all of them have.
        special: methods by name, of which a subclass has those that the class it stands for has.
    """

    def __init__(self, base: type, special: dict[str, Any]) -> None:
        self._base = base
        self._special = special
        self._combinations: dict[tuple[str, ...], type] = {}
        self.known: dict[type, type] = {}  # by the class they stand for

    def class_for(self, kind: type) -> Any:
        """The one that stands for *kind*."""
        found = self.known.get(kind)
        if found is not None:
            return found
        names = tuple(name for name in self._special if find_in_class(kind, name) is not None)
        found = self._combinations.get(names)
        if found is None:
            methods = {name: self._special[name] for name in names}
            found = type(self._base.__name__, (self._base,), {"__slots__": (), **methods})
            self._combinations[names] = found
        if len(self.known) >= MAX_KNOWN:
            self.known.clear()
        self.known[kind] = found
        return found
