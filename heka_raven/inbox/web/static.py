"""The style sheet and the script, read once; their addresses change with their content."""

import hashlib
from importlib.resources import files

from webob import Request, Response
from webob.exc import HTTPNotFound

TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class Static:
    """Files of this package, by name; nothing outside of it can be asked for."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        for entry in files("heka_raven.inbox.web").joinpath("static").iterdir():
            if entry.name.rpartition(".")[2] in TYPES:
                self._files[entry.name] = entry.read_bytes()

    def url(self, name: str) -> str:
        return f"/static/{name}?v={hashlib.sha256(self._files[name]).hexdigest()[:12]}"

    def serve(self, request: Request, name: str) -> Response:
        body = self._files.get(name)
        if body is None:
            raise HTTPNotFound("no such file")
        response = Response(body=body, content_type=TYPES[name.rpartition(".")[2]], charset="utf-8")
        stays = "public, max-age=31536000, immutable" if request.GET.get("v") else "no-cache"
        response.headers["Cache-Control"] = stays
        return response
