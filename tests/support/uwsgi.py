"""Real uWSGI servers with the plugin, each stopped with everything that it started."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import http.client
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from heka_raven.cli.plugin_path import flags_of, key_of
from support.paths import ROOT
from support.ports import free_port
from support.waiting import WAIT_S, wait_for

DEBIAN = "/usr/bin/uwsgi-core"
DEBIAN_PLUGINS = "/usr/lib/uwsgi/plugins"
BUILD_S = 300

APP = """
import ctypes, os, sys, time
sys.path.insert(0, {root!r})
from heka_raven import uwsgi_bridge

def reply(start, text):
    start("200 OK", [("Content-Type", "text/plain"), ("Connection", "close")])
    return [text.encode()]

def application(env, start):
    path, query = env["PATH_INFO"], env.get("QUERY_STRING", "")
    if path == "/boom":
        raise ValueError("boom " + query)
    if path == "/reported":
        try:
            raise KeyError("reported " + query)
        except KeyError as error:
            uwsgi_bridge.tell_reported("0123456789abcdef" * 2, type(error).__name__, str(error))
            raise
    if path == "/big":
        raise ValueError("x" * int(query))
    if path == "/segfault":
        ctypes.string_at(0)
    if path == "/log":
        count, _, text = query.partition(",")
        for i in range(int(count)):
            sys.stderr.write("alarm-line %s %d\\n" % (text, i))
            sys.stderr.flush()
    if path == "/alarms":
        import uwsgi
        count, _, rate = query.partition(",")
        began = time.monotonic()
        for i in range(int(count)):
            if rate:
                time.sleep(max(0, began + i / float(rate) - time.monotonic()))
            uwsgi.alarm("direct", "burst %d" % i)
    if path == "/sleep":
        time.sleep(float(query))
    if path == "/pid":
        return reply(start, str(os.getpid()))
    if path == "/threads":
        import threading
        return reply(start, ",".join(t.name for t in threading.enumerate()))
    return reply(start, repr((os.environ.get("HEKA_RAVEN_SPOOL"), uwsgi_bridge.plugin_loaded())))
"""


def find_uwsgi() -> str | None:
    beside = Path(sys.executable).parent / "uwsgi"
    return os.environ.get("HK_UWSGI") or (str(beside) if beside.exists() else shutil.which("uwsgi"))


def find_plugin(uwsgi: str, plugin: Path) -> str:
    """The lines of ini by which this uWSGI finds the plugin; Debian's has Python as a plugin, too."""
    if uwsgi == DEBIAN:
        return f"plugins-dir = {DEBIAN_PLUGINS}\nplugin = python3\nplugin = {plugin}"
    return f"plugins-dir = {plugin.parent}\nplugin = sentry"


def build_plugin(uwsgi: str, where: Path, source: Path | str = ROOT / "uwsgi_plugin") -> Path:
    """Build as a user does; uWSGI writes into the current directory."""
    where.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [uwsgi, "--build-plugin", str(source)],
        cwd=where,
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        check=False,
    )
    built = where / "sentry_plugin.so"
    assert built.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    assert "warning" not in (done.stdout + done.stderr).lower(), done.stdout + done.stderr
    return built


@functools.cache
def shared_plugin(uwsgi: str) -> Path:
    """The plugin, built once for all processes that test and kept while uWSGI and the sources are the same;
    `./run test` built it already for its own uWSGI."""
    made = ROOT / "build" / "sentry_plugin.so"
    if uwsgi == str(Path(sys.executable).parent / "uwsgi") and made.exists():
        inputs = [Path(uwsgi), *(ROOT / "uwsgi_plugin").rglob("*.[ch]"), *(ROOT / "uwsgi_plugin").rglob("*.py")]
        if made.stat().st_mtime > max(path.stat().st_mtime for path in inputs):
            return made
    where = ROOT / "build" / key_of(Path(uwsgi), flags_of(uwsgi))
    where.mkdir(parents=True, exist_ok=True)
    made = where / "sentry_plugin.so"
    with open(where / "plugin.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            build_plugin(uwsgi, where / "new").replace(made)
    return made


class Server:
    """One uWSGI, started from an ini file; stopped with everything it started."""

    def __init__(
        self,
        uwsgi: str,
        plugin: Path,
        tmp_path: Path,
        lines: str,
        *,
        dsn: str | None,
        master: bool = True,
        env: dict[str, str] | None = None,
        name: str = "uwsgi",
        app: str = APP,
        home: bool = False,
        launch: list[str] | None = None,
        emperor: str | None = None,
        spool: bool = True,
    ) -> None:
        """Start it.

        Args:
            launch: a command that the server's own is appended to.
            emperor: options of an emperor, whose vassal the server then is.
            spool: name one in its ini, in the directory of the test.
        """
        self.port = free_port()
        self.tmp_path = tmp_path
        self.spool = tmp_path / "spool"
        self.log_path = tmp_path / f"{name}.log"
        (tmp_path / "app.py").write_text(app.replace("{root!r}", repr(str(ROOT))))
        vassals = tmp_path / f"{name}-vassals"
        vassals.mkdir(exist_ok=True)
        self.ini = (tmp_path if emperor is None else vassals) / f"{name}.ini"
        text = f"""[uwsgi]
{find_plugin(uwsgi, plugin)}
http-socket = 127.0.0.1:{self.port}
wsgi-file = {tmp_path / "app.py"}
need-app = true
{"master = true" if master else ""}
{f"home = {sys.prefix}" if home else ""}
{f"sentry-dsn = {dsn}" if dsn else ""}
{f"sentry-spool = {self.spool}" if spool else ""}
{lines}
"""
        self.ini.write_text(text)
        self.log = open(self.log_path, "wb")
        where = ["--ini", str(self.ini)] if emperor is None else ["--emperor", str(vassals), *emperor.split()]
        self.process = subprocess.Popen(
            [*(launch or ()), uwsgi, *where],
            stdout=self.log,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
            env={**{k: v for k, v in os.environ.items() if not k.startswith("HEKA_RAVEN")}, **(env or {})},
            start_new_session=True,
        )

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def text(self) -> str:
        self.log.flush()
        return self.log_path.read_text(errors="replace")

    def wait_ready(self) -> Server:
        wait_for(lambda: self._answers() or self.process.poll() is not None, lambda: f"uWSGI to answer\n{self.text()}")
        assert self.process.poll() is None, self.text()
        return self

    def _answers(self) -> bool:
        try:
            return self.get("/")[0] == 200
        except OSError:
            return False

    def get(self, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        try:
            connection.request(method, path, headers=headers or {})
            reply = connection.getresponse()
            return reply.status, reply.read().decode()
        except http.client.HTTPException as error:
            return 0, str(error)
        finally:
            connection.close()

    def crash(self, path: str) -> None:
        """A request whose worker dies: no answer is an answer."""
        with contextlib.suppress(OSError):
            self.get(path)

    def pids(self) -> list[int]:
        """Every process of this server that is alive; they share its session."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError, IndexError):
                    fields = Path(f"/proc/{entry}/stat").read_text().rpartition(") ")[2].split()
                    if int(fields[3]) == self.process.pid and fields[0] != "Z":
                        found.append(int(entry))
        return found

    def sender_pid(self) -> int:
        lock = self.spool / "state" / "sender.lock"

        def holder() -> int:
            with contextlib.suppress(OSError, ValueError):
                pid = int(lock.read_text())
                return pid if pid in self.pids() else 0
            return 0

        # The master says so once it knows the sender's pid: a reload before that would leave it behind.
        wait_for(lambda: "spawned uWSGI sentry sender" in self.text(), "uWSGI to know its sender")
        return wait_for(holder, "a sender that holds the lock")

    def waiting(self) -> int:
        try:
            return len(os.listdir(self.spool / "new"))
        except OSError:
            return 0

    def stop(self, signum: int = signal.SIGINT, patience_s: float = 20) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signum)
            try:
                self.process.wait(patience_s)
            except subprocess.TimeoutExpired:
                pass
        for pid in self.pids():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)
        self.log.close()


def ledger_at_rest(server: Server) -> dict[str, int]:
    """Its ledger, once it is balanced: a file is gone a moment before its end is counted."""
    from heka_raven.spool.ledger import read_snapshot

    def balanced():
        found = read_snapshot(str(server.spool))
        return (found.missing, found.pending) == (0, server.waiting()) and found

    return dict(wait_for(balanced, lambda: f"a balanced ledger: {ledger(server.spool)}").counts)


def ledger(spool: Path) -> dict[str, int]:
    """The sum of every ledger of a spool, by the Python half: both count in the same format."""
    from heka_raven.spool.ledger import read_snapshot

    return dict(read_snapshot(str(spool)).counts)
