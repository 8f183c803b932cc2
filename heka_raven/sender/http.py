"""POST by urllib3: pools, keep-alive, proxies, TLS. The only module that imports urllib3.

It is imported by the sender alone, never in a request of the app.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - getaddrinfo would import it later, maybe while the process forks
import http.client
import io
import os
import queue
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.util import Timeout, make_headers

from heka_raven.formats.text import printable
from heka_raven.sender.policy import Reply
from heka_raven.sender.request import ANY_WAY, Way

MAX_REPLY_BODY = 64 * 1024  # bytes read so that the connection can be used again; a longer reply costs the connection
REPLY_HEADERS = ("location", "retry-after", "x-sentry-rate-limits", "x-sentry-error")
MAX_DETAIL = 300  # bytes of a refusal's body, for `heka-raven test`
MAX_POOLS = 64  # servers with open connections at a time


class CaFileError(ValueError):
    """An event's own certificates cannot be had."""


class _Watch:
    """One request in flight: when it is overdue, and on which connection."""

    __slots__ = ("connection", "deadline")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.connection: _Watched | None = None

    def left_s(self) -> float:
        return max(0.001, self.deadline - time.monotonic())


_in_flight = threading.local()  # .watch: that of this thread's request


class _HeadReader(io.BufferedReader):
    """Reads lines that have an end: http.client takes a head that was cut off for a whole one."""

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if not line.endswith(b"\n") and len(line) != size:
            raise ConnectionResetError("the connection ended within the head of the answer")
        return line


class _WholeResponse(http.client.HTTPResponse):
    def begin(self) -> None:
        self.fp: io.BufferedReader = _HeadReader(self.fp.detach())
        super().begin()


class _Watched(HTTPConnection):
    """A connection that knows how often it was used, and which the sender's clock can end."""

    response_class = _WholeResponse
    uses = 0
    _held: bytearray | None = None

    def connect(self) -> None:
        self.uses = 0
        super().connect()

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send, within what is left of the deadline."""
        self.uses += 1
        _in_flight.watch.connection = self
        if self.sock is None:
            self.connect()
        self.timeout = _in_flight.watch.left_s()  # urllib3 sends within the time for a connect
        held = self._held = bytearray()
        try:
            super().request(*args, **kwargs)
        finally:
            self._held = None
        self.send(held)

    def getresponse(self) -> Any:
        self.timeout = _in_flight.watch.left_s()
        return super().getresponse()

    def send(self, data: Any) -> None:
        # Headers and body in one write: a system call and, on many servers, a wakeup less for each event.
        if self._held is None:
            super().send(data)
        else:
            self._held += data


class _WatchedTls(_Watched, HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.is_verified = True  # or `no_verify` says that it need not be: urllib3 would warn at each event


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Watched


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _WatchedTls


class HttpTransport:
    """Sends requests from several threads; each call has one deadline for everything after the connect."""

    def __init__(
        self,
        *,
        connections: int = 8,
        connect_timeout_s: float = 5.0,
        proxy: str | None = None,
        ca_file: str | None = None,
    ) -> None:
        """Prepare; nothing is opened.

        Args:
            proxy: for every host; default: the environment's (``http_proxy https_proxy no_proxy``, either case).
            ca_file: certificates to trust in place of the system's.
        """
        self._connect_timeout_s = connect_timeout_s
        self._proxy = proxy
        self._environment_proxies = getproxies_environment()
        self._connections = connections
        self._ca_file = ca_file
        self._pools: dict[tuple[str, str, Way], urllib3.HTTPConnectionPool] = {}  # by scheme, host:port; last used last
        self._managers: dict[Way, urllib3.ProxyManager] = {}
        self._contexts: dict[tuple[bool, str | None], ssl.SSLContext] = {}  # by no_verify, ca_file
        self._lock = threading.Lock()
        self._watches: dict[int, _Watch] = {}

    def send(self, url: str, headers: Mapping[str, str], body: bytes, *, timeout_s: float, way: Way = ANY_WAY) -> Reply:
        """POST once. A kept connection that the server had closed meanwhile is replaced, once."""
        deadline = time.monotonic() + timeout_s
        reply, stale = self._try(url, headers, body, deadline, way)
        if stale:
            reply, _ = self._try(url, headers, body, deadline, way)
        return reply

    def _try(self, url: str, headers: Mapping[str, str], body: bytes, deadline: float, way: Way) -> tuple[Reply, bool]:
        watch = _in_flight.watch = self._watches[threading.get_ident()] = _Watch(deadline)
        try:
            reply = self._post(url, headers, body, self._settle(url, way), watch)
        except (HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            late = time.monotonic() >= deadline
            stale = watch.connection is not None and watch.connection.uses > 1 and not late
            return Reply(None, {}, "no answer in time" if late else explain(error)), stale
        finally:
            del self._watches[threading.get_ident()]
        return reply, False

    def _post(self, url: str, headers: Mapping[str, str], body: bytes, way: Way, watch: _Watch) -> Reply:
        opener: urllib3.HTTPConnectionPool | urllib3.ProxyManager
        if way.proxy is not None:
            target = url
            opener = self._manager(way, way.proxy)
        else:  # urllib3's manager would do here too, and costs a quarter of the sender's speed
            parts = urlsplit(url)
            target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
            opener = self._pool(parts, way)
        response = opener.urlopen(
            "POST",
            target,
            body=body,
            headers=headers,
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
            timeout=Timeout(connect=min(self._connect_timeout_s, watch.left_s()), read=None),
        )
        reply = _reply(response.status, response.headers, _read_rest(response))
        if response.closed:
            response.release_conn()
        else:
            response.close()
        return reply

    def _settle(self, url: str, way: Way) -> Way:
        """With our own settings and the environment's where the event says nothing; None where there are none."""
        ca_file = self._ca_file if way.ca_file is None else way.ca_file
        proxy = self._proxy if way.proxy is None else way.proxy
        return Way(way.no_verify, ca_file or None, proxy or self._proxy_of_environment(url))

    def _proxy_of_environment(self, url: str) -> str | None:
        if not self._environment_proxies:
            return None
        parts = urlsplit(url)
        proxy = self._environment_proxies.get(parts.scheme) or self._environment_proxies.get("all")
        if proxy and proxy_bypass_environment(parts.hostname or "", self._environment_proxies):
            return None
        if proxy and "://" not in proxy:  # as curl, and so the C sender, reads it
            return f"http://{proxy}"
        return proxy or None

    def _pool(self, parts: SplitResult, way: Way) -> urllib3.HTTPConnectionPool:
        """That of a server; of those that are too many, the one that nobody used for longest is closed."""
        key = (parts.scheme, parts.netloc, way)
        with self._lock:
            pool = self._pools.pop(key, None)
            if pool is None:
                if len(self._pools) >= MAX_POOLS:
                    self._pools.pop(next(iter(self._pools))).close()
                host, size = parts.hostname or "", self._connections + 1  # one more, for reports
                if parts.scheme == "http":
                    pool = _Pool(host, parts.port, maxsize=size)
                else:
                    pool = _TlsPool(host, parts.port, maxsize=size, ssl_context=self._context(way))
            self._pools[key] = pool
            return pool

    def _manager(self, way: Way, proxy: str) -> urllib3.ProxyManager:
        with self._lock:
            manager = self._managers.get(way)
            if manager is not None:
                return manager
            login = urlsplit(proxy)
            proxy_headers = None
            if login.username:
                user = f"{unquote(login.username)}:{unquote(login.password or '')}"
                proxy_headers = make_headers(proxy_basic_auth=user)
            manager = self._managers[way] = urllib3.ProxyManager(
                proxy,
                proxy_headers=proxy_headers,
                proxy_ssl_context=self._context(way),
                ssl_context=self._context(way),
                maxsize=self._connections + 1,
                num_pools=MAX_POOLS,
            )
            manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
            return manager

    def _context(self, way: Way) -> ssl.SSLContext:
        """Made once: reading the certificates takes longer than an event. Under the lock."""
        context = self._contexts.get((way.no_verify, way.ca_file))
        if context is None:
            context = _make_context(way)
            self._contexts[way.no_verify, way.ca_file] = context
        return context

    def enforce_deadlines(self) -> None:
        """Cut what is overdue: a server that sends a byte now and then never times out by itself."""
        now = time.monotonic()
        for watch in list(self._watches.values()):
            sock = None if watch.connection is None else watch.connection.sock
            if sock is not None and now >= watch.deadline:
                try:
                    # Not SSLSocket's own: that one takes the TLS state away under the reading thread.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
                except (OSError, TypeError):
                    pass  # closed meanwhile; or TLS in TLS through a proxy, which has the timeout of each read only

    def drop_closed(self) -> int:
        """Close kept connections that their server has closed: nobody may ask for them again.

        Returns:
            How many are open still.
        """
        with self._lock:
            pools: list[Any] = [*self._pools.values()]
            for manager in self._managers.values():
                pools += [manager.pools.get(key) for key in manager.pools.keys()]  # noqa: SIM118 - no iterator
        return sum(_drop_closed(pool.pool) for pool in pools if pool is not None and pool.pool is not None)

    def close(self) -> None:
        with self._lock:
            for pool in self._pools.values():
                pool.close()
            for manager in self._managers.values():
                manager.clear()
            self._pools.clear()
            self._managers.clear()


def _make_context(way: Way) -> ssl.SSLContext:
    if way.ca_file is not None and not os.path.isfile(way.ca_file):
        raise CaFileError(f"the certificates in {way.ca_file} cannot be read: no such file")
    try:
        context = ssl.create_default_context(cafile=way.ca_file)
    except OSError as error:  # SSLError is one
        raise CaFileError(f"the certificates in {way.ca_file} cannot be read: {error.strerror or error}") from None
    if way.no_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _drop_closed(kept: queue.LifoQueue[_Watched | None]) -> int:
    still_open = 0
    with kept.mutex:
        for connection in kept.queue:  # one that is closed stays there, to be opened anew
            if connection is not None and connection.sock is not None:
                if connection.is_connected:
                    still_open += 1
                else:
                    connection.close()
    return still_open


def _reply(status: int, headers: Any, detail: str) -> Reply:
    found = {name: printable(value) for name in REPLY_HEADERS if (value := headers.get(name)) is not None}
    return Reply(status, found, detail if status >= 300 else "")


def _read_rest(response: Any) -> str:
    """Read the body, so that the connection can be used again. The head decided; a cut body changes nothing.

    Returns:
        Its beginning, for people.
    """
    try:
        body: bytes = response.read(MAX_REPLY_BODY)
    except (HTTPError, http.client.HTTPException, OSError, ValueError):
        return ""
    return printable(body[:MAX_DETAIL].decode("utf-8", "replace").strip())


def explain(error: BaseException) -> str:
    """An error of urllib3 in the words of somebody who has to do something about it."""
    if isinstance(error, CaFileError):
        return str(error)
    if isinstance(error, NameResolutionError):
        return f"the host name cannot be resolved ({error.__cause__ or 'DNS'})"
    if isinstance(error, ProxyError):
        return f"the proxy failed ({error.original_error})"
    if isinstance(error, (SSLError, ssl.SSLError)):
        return f"TLS failed ({error})"
    if isinstance(error, NewConnectionError):
        cause = error.__cause__
        words = cause.strerror if isinstance(cause, OSError) else None
        return f"no connection ({words or cause or error})"
    if isinstance(error, ConnectTimeoutError):  # after NewConnectionError, which is one of these
        return "no connection in time"
    if isinstance(error, (ReadTimeoutError, TimeoutError)):
        return "no answer in time"
    if isinstance(error, (ProtocolError, http.client.HTTPException, ConnectionError)):
        return "the connection ended without an answer"
    return f"{type(error).__name__}: {error}"
