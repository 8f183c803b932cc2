"""The edge where capture meets the machine: source files, and the list of installed packages.

Reads regular files only, and no more than MAX_FILE_BYTES; calls a module's loader only when it is Python's own
zipimporter: any other get_source could hold the request.
"""

from __future__ import annotations

import linecache
import os
import stat
import sys
import tokenize
import zipimport
from collections import OrderedDict
from io import BytesIO, TextIOWrapper
from typing import Any

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_FILES = 16  # whose lines are kept; templates of frames are kept by capture.py
MAX_MODULES = 300


class SourceReader:
    """Lines of source files; the last few files are kept."""

    __slots__ = ("_files",)

    def __init__(self) -> None:
        self._files: OrderedDict[str, Any] = OrderedDict()

    def __call__(self, filename: str, module_globals: dict[str, Any]) -> list[str] | None:
        """The lines of *filename* with their ends, or ``None``."""
        known = self._files.get(filename, _UNKNOWN)
        if known is not _UNKNOWN:
            return known  # type: ignore[no-any-return]
        try:
            lines: Any = _read_lines(filename, module_globals)
        except (RecursionError, MemoryError):
            raise  # of this moment, not of the file
        except Exception:
            lines = None
        self._files[filename] = lines
        while len(self._files) > MAX_FILES:
            try:
                self._files.popitem(last=False)
            except KeyError:  # another thread was faster
                break
        return lines  # type: ignore[no-any-return]


_UNKNOWN = object()


def _read_lines(filename: str, module_globals: dict[str, Any]) -> list[str] | None:
    if not filename.startswith("<"):
        data = _read_file(filename)
        if data is not None:
            return _decode(data)
        text = _zip_source(module_globals)
        if text is not None:
            return text.splitlines(keepends=True)
    # Source of generated code that its maker registered (attrs, doctest, IPython).
    entry = linecache.cache.get(filename)
    if entry is not None and len(entry) == 4 and type(entry[2]) is list:
        return entry[2]
    return None


def _read_file(filename: str) -> bytes | None:
    try:
        # O_NONBLOCK: a path that is a FIFO must not hold the request.
        descriptor = os.open(filename, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
            return None
        return os.read(descriptor, MAX_FILE_BYTES)
    finally:
        os.close(descriptor)


def _decode(data: bytes) -> list[str]:
    encoding, _ = tokenize.detect_encoding(BytesIO(data).readline)
    return TextIOWrapper(BytesIO(data), encoding, errors="replace").readlines()


def _zip_source(module_globals: dict[str, Any]) -> str | None:
    loader = dict.get(module_globals, "__loader__")
    name = dict.get(module_globals, "__name__")
    if type(loader) is zipimport.zipimporter and type(name) is str:
        return loader.get_source(name)
    return None


def installed_modules() -> dict[str, str]:
    """Names and versions of the installed distributions, from the names of their folders: no file is opened."""
    found: dict[str, str] = {}
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for entry in names:
            if entry.endswith((".dist-info", ".egg-info")):
                name, _, version = entry.rpartition(".")[0].partition("-")
                if name and version:
                    found.setdefault(name.replace("_", "-").lower(), version.partition("-py")[0])
    return dict(sorted(found.items())[:MAX_MODULES])
