"""Finds an object by its dotted name: ``package.module.name`` or ``package.module:name``. Pure, but for that import."""

import importlib
import importlib.util
from types import ModuleType
from typing import Any


class DottedNameResolver:
    """Resolves dotted names.

    Args:
        package: a module, or its name, that a name with a leading dot is relative to; None: only absolute names.
    """

    def __init__(self, package: ModuleType | str | None = None) -> None:
        self._package = package.__name__ if isinstance(package, ModuleType) else package

    def resolve(self, dotted: str) -> Any:
        """The object called *dotted*.

        Raises:
            ValueError: if *dotted* is no such name.
            ImportError: if there is no such object; an error inside a module that is imported comes out as it is.
        """
        if not isinstance(dotted, str):
            raise ValueError(f"{dotted!r} is not a string")
        name = self._absolute(dotted.strip())
        module_name, colon, attributes = name.partition(":")
        if colon:
            return _attribute(importlib.import_module(module_name), attributes, name)
        return _walk(name)

    def maybe_resolve(self, dotted: Any) -> Any:
        """*dotted* resolved if it is a str, else *dotted* itself."""
        return self.resolve(dotted) if isinstance(dotted, str) else dotted

    def _absolute(self, dotted: str) -> str:
        if not dotted.strip(".:"):
            raise ValueError(f"{dotted!r} is not a dotted name")
        if dotted[0] not in ".:":
            return dotted
        if self._package is None:
            raise ValueError(f"relative name {dotted!r} irresolveable without package")
        if dotted[0] == ":":
            return self._package + dotted
        path, colon, attributes = dotted.partition(":")
        return importlib.util.resolve_name(path, self._package) + colon + attributes


def resolve_name(name: str, package: ModuleType | str | None = None) -> Any:
    """The object called *name*; see :class:`DottedNameResolver`."""
    return DottedNameResolver(package).resolve(name)


def _attribute(found: Any, attributes: str, name: str) -> Any:
    for part in attributes.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ImportError(f"{name!r}: there is no {part!r}") from None
    return found


def _walk(name: str) -> Any:
    """Import the longest prefix of *name* that is a module; the rest are attributes."""
    parts = name.split(".")
    if not all(parts):
        raise ValueError(f"{name!r} is not a dotted name")
    for cut in range(len(parts), 0, -1):
        module_name = ".".join(parts[:cut])
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as exc:
            missing = exc.name or ""
            if cut == 1 or not (module_name == missing or module_name.startswith(missing + ".")):
                raise  # the module exists, but something that it imports does not
            continue
        return _attribute(module, ".".join(parts[cut:]), name) if cut < len(parts) else module
    raise ImportError(name)
