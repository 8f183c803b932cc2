"""The edge where capture meets the machine: source files, and the list of installed packages.

Reads regular files only, and no more than MAX_FILE_BYTES; calls a module's loader only when it is Python's own
zipimporter: any other get_source could hold the request. What is kept of a file goes with the file.
"""

from __future__ import annotations

import errno
import linecache
import os
import stat
import sys
import tokenize
import zipimport
from collections import OrderedDict
from io import BytesIO, StringIO, TextIOWrapper
from typing import Any

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_FILES = 16  # whose lines are kept; templates of frames are kept by capture.py
MAX_MODULES = 300


Stamp = tuple[int, int, int]  # mtime in ns, size, inode: a file with another one is another file

# Of this moment, not of the file: no descriptor left, no memory, a file system that is away.
_PASSING = frozenset({
    errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.EAGAIN, errno.EIO, errno.ESTALE, errno.ETIMEDOUT,
})  # fmt: skip


class SourceReader:
    """Lines of source files; those of the last few files are kept as long as the file is the same."""

    __slots__ = ("_files",)

    def __init__(self) -> None:
        self._files: OrderedDict[str, tuple[Stamp, list[str] | None]] = OrderedDict()

    def __call__(self, filename: str, module_globals: dict[str, Any]) -> list[str] | None:
        """The lines of *filename* with their ends; ``None`` where it has none.

        Raises:
            OSError: when the file cannot be read at this moment.
        """
        if filename.startswith("<"):
            return _registered_lines(filename)
        stamp, loader = _stamp_of(filename), None
        if stamp is None:
            loader = dict.get(module_globals, "__loader__")
            if type(loader) is not zipimport.zipimporter:
                return _registered_lines(filename)
            stamp = _stamp_of(loader.archive)
        known = self._files.get(filename)
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            lines = _file_lines(filename) if loader is None else _zip_lines(loader, module_globals)
        except (RecursionError, MemoryError):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _PASSING:
                raise
            lines = None
        if lines is None:
            lines = _registered_lines(filename)
        if stamp is None:
            return lines
        self._files[filename] = stamp, lines
        while len(self._files) > MAX_FILES:
            try:
                self._files.popitem(last=False)
            except KeyError:  # another thread was faster
                break
        return lines


def _stamp_of(path: str) -> Stamp | None:
    """What tells the file at *path* from the one that was there before; ``None`` where there is no regular file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in _PASSING:
            raise
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def _registered_lines(filename: str) -> list[str] | None:
    """Source that its maker registered (attrs, doctest, IPython); that of a file only while the file is the same.

    Not kept here: who compiles anew registers anew. An entry that is a function asks a loader, which could hold the
    request.
    """
    entry = linecache.cache.get(filename)
    if entry is None or len(entry) != 4 or type(entry[2]) is not list:
        return None
    size, mtime, lines, _ = entry
    if mtime is None:
        return lines
    try:
        status = os.stat(filename)
    except (OSError, ValueError):
        return None
    return lines if (size, mtime) == (status.st_size, status.st_mtime) else None


def _file_lines(filename: str) -> list[str] | None:
    # O_NONBLOCK: a path that is a FIFO must not hold the request.
    descriptor = os.open(filename, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
            return None
        return _decode(os.read(descriptor, MAX_FILE_BYTES))
    finally:
        os.close(descriptor)


def _decode(data: bytes) -> list[str]:
    encoding, _ = tokenize.detect_encoding(BytesIO(data).readline)
    return TextIOWrapper(BytesIO(data), encoding, errors="replace").readlines()


def _zip_lines(loader: zipimport.zipimporter, module_globals: dict[str, Any]) -> list[str] | None:
    name = dict.get(module_globals, "__name__")
    source = loader.get_source(name) if type(name) is str else None
    # As Python counts lines: a form feed or U+2028 ends none.
    return None if source is None else StringIO(source, newline=None).readlines()


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
