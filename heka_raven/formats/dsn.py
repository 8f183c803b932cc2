"""The address and key of a Sentry project, {scheme}://{public}[:{secret}]@{host}[:{port}]{/path}/{project}.

Pure. The rules stand in tests/data/dsn.tsv, which the C parser reads too. An error names the rule that was broken and
never quotes the text: the text holds a key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from heka.exceptions import ConfigError

MAX_DSN_SIZE = 1024  # bytes; the spool file's header line holds it
MAX_PORT = 65535
DEFAULT_PORTS = {"http": 80, "https": 443, "udp": 9001}  # 9001: Sentry 5's SENTRY_UDP_PORT

# raven's transport prefixes: threaded+http, sync+https, threaded+requests+http.
_SCHEME = re.compile(r"(?:[a-z0-9]+\+)*(http|https|udp)", re.IGNORECASE | re.ASCII)
# RFC 3986 userinfo without ":" and without ",", which separates the parts of X-Sentry-Auth.
_KEY = re.compile(r"[A-Za-z0-9\-._~%!$&'()*+;=]+", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9\-._]+", re.ASCII)
_IPV6 = re.compile(r"(?=[^:]*:[^:]*:)[0-9A-Fa-f:.]+", re.ASCII)  # at least two colons
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_SEGMENT = re.compile(r"[A-Za-z0-9\-._~%!$&'()*+,;=:@]+", re.ASCII)
_PROJECT = re.compile(r"[A-Za-z0-9\-._~]+", re.ASCII)


class DsnError(ConfigError):
    """A DSN that breaks a rule; the message names the rule and never quotes the text."""


@dataclass(frozen=True, slots=True)
class Dsn:
    """A parsed DSN. ``host`` has no brackets around an IPv6 address; the text forms put them on."""

    scheme: str
    public: str
    secret: str | None
    host: str
    port: int | None
    path: str  # "" or "/prefix", never with a trailing slash
    project: str

    def __repr__(self) -> str:
        return f"<Dsn {self.scheme}://…@{self.netloc()}{self.path}/{self.project}>"

    def __str__(self) -> str:
        """For logs: without the keys."""
        return f"{self.scheme}://{self.netloc()}{self.path}/{self.project}"

    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def with_secret(self) -> str:
        keys = self.public if self.secret is None else f"{self.public}:{self.secret}"
        return f"{self.scheme}://{keys}@{self.netloc()}{self.path}/{self.project}"

    def without_secret(self) -> str:
        return replace(self, secret=None).with_secret()

    def key(self) -> str:
        """The name of this DSN in ``state/`` and in reports: the text without the secret."""
        return self.without_secret()

    def address(self) -> tuple[str, int]:
        return self.host, DEFAULT_PORTS[self.scheme] if self.port is None else self.port

    def url(self, api: str) -> str:
        """Where to POST: *api* is ``envelope`` or ``store``."""
        return f"{self.scheme}://{self.netloc()}{self.path}/api/{self.project}/{api}/"


def parse_dsn(text: str) -> Dsn:
    """Read a DSN; white space around it is stripped.

    Raises:
        DsnError: naming the rule that was broken, never the text.
    """
    text = text.strip(" \t\r\n")
    if not text:
        raise DsnError("dsn: it is empty")
    if len(text) > MAX_DSN_SIZE:
        raise DsnError(f"dsn: longer than {MAX_DSN_SIZE} bytes")
    head, mark, rest = text.partition("://")
    scheme = _SCHEME.fullmatch(head)
    if not mark or scheme is None:
        raise DsnError("dsn: the scheme must be http, https or udp, as in https://PUBLIC_KEY@HOST/PROJECT")
    authority, slash, tail = rest.partition("/")
    if "?" in rest or "#" in rest:
        raise DsnError("dsn: it takes no query and no fragment; set options where they belong")
    keys, at, hostport = authority.partition("@")
    if not at:
        raise DsnError("dsn: it has no public key, as in https://PUBLIC_KEY@HOST/PROJECT")
    public, _, secret = keys.partition(":")
    if not _KEY.fullmatch(public):
        raise DsnError("dsn: the public key is missing or has a character that a key cannot have")
    if secret and not _KEY.fullmatch(secret):
        raise DsnError("dsn: the secret has a character that a key cannot have")
    host, port = _split_host(hostport)
    path, project = _split_path(tail if slash else "")
    return Dsn(scheme.group(1).lower(), public, secret or None, host, port, path, project)


def _split_host(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not _IPV6.fullmatch(host) or (rest and not rest.startswith(":")):
            raise DsnError("dsn: the host in brackets must be an IPv6 address")
        return host, _port(rest[1:]) if rest else None
    host, colon, port = text.partition(":")
    if not host and colon and ":" in port:
        raise DsnError("dsn: the port must be 1 to 65535 (an IPv6 host needs brackets)")
    if not _HOST.fullmatch(host):
        raise DsnError("dsn: the host is missing or has a character that a host name cannot have")
    return host, _port(port) if colon else None


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or not 1 <= int(text) <= MAX_PORT:
        raise DsnError(f"dsn: the port must be 1 to {MAX_PORT}")
    return int(text)


def _split_path(text: str) -> tuple[str, str]:
    *segments, project = text.split("/")
    if not _PROJECT.fullmatch(project) or project in (".", ".."):
        raise DsnError("dsn: the project after the last slash is missing or has a character that it cannot have")
    if any(not _SEGMENT.fullmatch(s) or s in (".", "..") for s in segments):
        raise DsnError("dsn: the path before the project has an empty or dotted segment or a character it cannot have")
    return "".join(f"/{s}" for s in segments), project
