"""Who may read. Without a token: whoever can reach the loopback address, by a loopback name."""

from collections.abc import Iterable

from webob import Request, Response
from webob.exc import HTTPForbidden, HTTPUnauthorized

from heka_raven.inbox.intake.auth import derive, same

COOKIE = "heka_raven_inbox"
LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1"}
OPEN_PATHS = ("/login", "/static/")


class Guard:
    """Checks each request that reads or deletes; the intake has its own key."""

    def __init__(self, token: str | None, hosts: Iterable[str] = ()) -> None:
        self.token = token
        self._session = derive(token, "session") if token else ""
        self._hosts = LOOPBACK_NAMES | {host.lower().strip("[]") for host in hosts}

    def refuse(self, request: Request) -> Response | None:
        """None, or the answer for one who may not read.

        Raises:
            HTTPForbidden: without a token, for a foreign name: a web page whose name was pointed at 127.0.0.1
                ("DNS rebinding") would otherwise read the inbox through the visitor's browser.
        """
        if self.token is None:
            host = request.host.lower()
            name = host[1 : host.index("]")] if host.startswith("[") and "]" in host else host.partition(":")[0]
            if not self.knows(name):
                raise HTTPForbidden("this inbox is called by another name; see --allow-host")
            return None
        if request.path_info.startswith(OPEN_PATHS):
            return None
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and same(given.strip(), self.token):
            return None
        if same(_cookie(request), self._session):
            return None
        if request.path_info == "/" or "text/html" in request.headers.get("Accept", ""):
            return Response(status=303, location="/login")
        raise HTTPUnauthorized("show the token: Authorization: Bearer TOKEN")

    def knows(self, host: str) -> bool:
        """Whether this name means this machine, or is one of ``--allow-host``."""
        return host in self._hosts

    def log_in(self, given: str, response: Response) -> bool:
        """Set the session cookie if the token is right."""
        if self.token is None or not same(given, self.token):
            return False
        response.set_cookie(COOKIE, self._session, httponly=True, samesite="strict")
        return True


def _cookie(request: Request) -> str:
    """The session cookie's value. WebOb's own pattern takes time with the square of a header without '='."""
    header: str = request.headers.get("Cookie", "")
    for part in header.split(";"):
        name, _, value = part.partition("=")
        if name.strip() == COOKIE:
            return str(value.strip())
    return ""
