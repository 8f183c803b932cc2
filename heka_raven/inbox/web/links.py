"""Links from a frame into the reader's editor and to the source on a web server. Pure.

Rule 1: the scheme and the host come from the command line; what an event says is only ever a part of the path, the
        query or the fragment, percent-encoded.
"""

import posixpath
import re
from collections.abc import Mapping
from urllib.parse import quote

from heka_raven.inbox.event.model import Frame

EDITORS = {
    "vscode": "vscode://file{path}:{line}:{column}",
    "pycharm": "pycharm://open?file={path}&line={line}&column={column}",
}
# Browsers run or read what these say instead of calling a program.
REFUSED = ("javascript", "data", "vbscript", "blob", "about", "view-source", "file", "ws", "wss")
_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]{0,40}):", re.IGNORECASE)
_HOLE = re.compile(r"\{([^{}]*)\}")
_WEB = re.compile(r"https?://[^/?#{}\s@]+/", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


class LinkError(ValueError):
    """An option's template is wrong; the message says how."""


def _check_holes(template: str, known: tuple[str, ...]) -> None:
    if not template.isprintable() or any(sign in template for sign in " \"'<>`\\"):
        raise LinkError("spaces, quotes, < > ` and \\ do not belong in a URL")
    for name in _HOLE.findall(template):
        if name not in known:
            raise LinkError(f"{{{name}}} is not known: {', '.join(f'{{{each}}}' for each in known)} are")
    if "{" in _HOLE.sub("", template) or "}" in _HOLE.sub("", template):
        raise LinkError("a { or } stands alone")
    if "{path}" not in template:
        raise LinkError("{path} is missing")


def parse_editor(text: str) -> str:
    """The template of ``--editor``: a name of EDITORS, or a URL with ``{path}``, ``{line}`` and ``{column}``.

    Raises:
        LinkError: says what is wrong.
    """
    template = EDITORS.get(text, text)
    scheme = _SCHEME.match(template)
    if scheme is None or template.startswith("{"):
        raise LinkError(f"want {', '.join(EDITORS)}, or a URL as myeditor://open?file={{path}}&line={{line}}")
    if scheme[1].lower() in REFUSED:
        raise LinkError(f"a link to {scheme[1]}: opens no editor")
    _check_holes(template, ("path", "line", "column"))
    return template


def parse_source(text: str) -> str:
    """The template of ``--source``: a web address with ``{path}``, ``{line}`` and ``{release}`` behind its host.

    Raises:
        LinkError: says what is wrong.
    """
    if not _WEB.match(text):
        raise LinkError("want https://host/… with {path}, {line} and {release} behind the host, and no user in it")
    _check_holes(text, ("release", "path", "line"))
    return text


def _fill(template: str, values: Mapping[str, str]) -> str:
    return _HOLE.sub(lambda hole: quote(values[hole[1]], safe="/"), template)


class Links:
    """The links of frames, as the command line wants them; without options there are none."""

    def __init__(self, editor: str = "", source: str = "") -> None:
        """Take templates that parse_editor() and parse_source() gave."""
        self._editor = editor
        self._source = source

    def editor(self, frame: Frame) -> str:
        """Opens the frame's file at its line; empty where the file has no whole path on a disk."""
        path = frame.abs_path
        if _DRIVE.match(path):
            path = "/" + path.replace("\\", "/")
        if not self._editor or not path.startswith("/") or path.startswith("//") or not frame.lineno:
            return ""
        column = frame.carets[0] + 1 if frame.carets else frame.colno or 1
        return _fill(self._editor, {"path": path, "line": str(frame.lineno), "column": str(max(1, column))})

    def source(self, frame: Frame, release: str) -> str:
        """The frame's line on a web server; only of the app, and where the release is known if the address wants it."""
        path = frame.filename.replace("\\", "/")
        leads_out = path.startswith("/") or ":" in path or "<" in path or ".." in path.split("/")
        if not self._source or not frame.in_app or not path or leads_out or not frame.lineno:
            return ""
        if "{release}" in self._source and (not release or set(posixpath.normpath(release).split("/")) & {"..", "."}):
            return ""
        return _fill(self._source, {"path": path, "line": str(frame.lineno), "release": release})
