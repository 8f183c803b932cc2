"""What the installers left beside the packages: which distribution put a file there, and what else it brought.

Reads names of folders, ``RECORD``, ``top_level.txt`` and ``direct_url.json``; imports nothing of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

MAX_RECORD_BYTES = 4 * 1024 * 1024
MAX_DISTRIBUTIONS = 2000  # looked at in one folder
MAX_ROOTS = 200  # of one distribution

_CODE = (".py", ".so", ".pyc")


def installed_by_record(folder: str, top: str) -> bool:
    """Whether *top*, a package or a module's file in *folder*, stands in the RECORD of a distribution there."""
    return _find_record(folder, top) is not None


def distribution_roots(folder: str, top: str) -> list[str]:
    """Where the distribution that brought *top* put code of its own: folders end in a slash, modules in their suffix.

    Args:
        folder: where packages were installed.
        top: a package's folder or a module's file in *folder*; of a namespace package the folder inside it.

    Returns:
        Paths; *top* alone if no distribution says that it brought it.
    """
    record = _find_record(folder, top)
    if record is not None:
        return [f"{folder}/{root}" for root in _roots_of(record)]
    alone = f"{folder}/{top}"
    found = [alone if alone.endswith(_CODE) else alone + "/"]
    name = top.split("/", 1)[0].removesuffix(".py")
    for entry in _metadata_folders(folder, (".egg-info",)):  # of setuptools without pip: no RECORD
        tops = _read(f"{folder}/{entry}/top_level.txt").decode("utf-8", "replace").split()
        if name in tops:
            found += [path for other in tops for path in (f"{folder}/{other}/", f"{folder}/{other}.py")]
            break
    return found[:MAX_ROOTS]


def editable_roots(folders: Iterator[str] | list[str]) -> list[str]:
    """The projects that are installed in editable mode, by what *folders* of installed packages say of them."""
    found = []
    for folder in folders:
        for entry in _metadata_folders(folder, (".egg-link",)):  # of `setup.py develop`
            found.append(_read(f"{folder}/{entry}").decode("utf-8", "surrogateescape").split("\n")[0].rstrip("/") + "/")
        for entry in _metadata_folders(folder, (".dist-info",)):
            try:
                said = json.loads(_read(f"{folder}/{entry}/direct_url.json") or b"{}")
                if said.get("dir_info", {}).get("editable") is True:
                    found.append(unquote(urlsplit(said["url"]).path).rstrip("/") + "/")
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # not ours to mend
    return [root for root in found if len(root) > 1]


def _find_record(folder: str, top: str) -> bytes | None:
    wanted = os.fsencode(top)
    needles = (b"\n" + wanted + b",",) if top.endswith(_CODE) else (b"\n" + wanted + b"/",)
    name = top.partition("/")[0].partition(".")[0].lower().replace("-", "_")
    # The distribution of that name first: as a rule it is the one.
    entries = sorted(
        _metadata_folders(folder, (".dist-info",)),
        key=lambda entry: not entry.lower().replace("-", "_").startswith(name + "_"),
    )
    for entry in entries:
        record = b"\n" + _read(f"{folder}/{entry}/RECORD")
        if any(needle in record for needle in needles):
            return record
    return None


def _roots_of(record: bytes) -> list[str]:
    """The outermost regular packages, and the modules outside any, of one distribution."""
    paths = [line.split(",", 1)[0] for line in record.decode("utf-8", "surrogateescape").split("\n")]
    code = [
        path for path in paths if path.endswith(_CODE) and not path.startswith(("..", "/")) and ".data/" not in path
    ]
    packages = {path.rpartition("/")[0] for path in code if path.endswith("/__init__.py")}
    roots: dict[str, None] = {}
    for path in code:
        parts = path.split("/")
        inside = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
        package = next((each for each in inside if each in packages), None)
        roots[path if package is None else package + "/"] = None
        if len(roots) >= MAX_ROOTS:
            break
    return list(roots)


def _metadata_folders(folder: str, endings: tuple[str, ...]) -> list[str]:
    try:
        return [entry for entry in os.listdir(folder) if entry.endswith(endings)][:MAX_DISTRIBUTIONS]
    except OSError:
        return []


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MAX_RECORD_BYTES)
    except OSError:
        return b""
