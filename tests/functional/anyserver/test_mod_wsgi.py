"""`heka-raven watch` beside a real Apache with mod_wsgi, that root starts and whose daemons run as another user."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from support.anyserver import is_watched
from support.gunicorn import Gunicorn, functions
from support.paths import ROOT
from support.ports import free_port
from support.spools import spooled
from support.users import NOBODY, ROOT_ONLY, launch_readable
from support.waiting import still, wait_for

MODULES = Path("/usr/lib/apache2/modules")
MOD_WSGI = MODULES / f"mod_wsgi.so-{sys.version_info[0]}.{sys.version_info[1]}"
pytestmark = [
    pytest.mark.full,
    ROOT_ONLY,
    pytest.mark.skipif(not MOD_WSGI.exists(), reason="needs apache2 and libapache2-mod-wsgi-py3 of this Python"),
]
DSN = "http://key@127.0.0.1:9/1"
APP = """
import ctypes, os, signal, time
from heka_raven.middleware import RavenMiddleware

def view(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/slow":
        time.sleep(3)
    if path == "/segfault":
        ctypes.string_at(0)
    if path == "/exit":
        os._exit(7)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

application = RavenMiddleware(view, dsn="DSN", stream_path="FOLDER/spool", stream_sender="off", watch=True)
"""
CONF = """
ServerRoot FOLDER
ServerName localhost
Listen 127.0.0.1:PORT
PidFile FOLDER/pid
Mutex file:FOLDER
ErrorLog FOLDER/log
User #NOBODY
Group #NOBODY
LoadModule mpm_event_module MODULES/mod_mpm_event.so
LoadModule authz_core_module MODULES/mod_authz_core.so
LoadModule wsgi_module MOD_WSGI
WSGISocketPrefix FOLDER/wsgi
WSGIDaemonProcess shop processes=2 threads=4 python-path=PATHS
WSGIScriptAlias / FOLDER/app.wsgi process-group=shop application-group=%{GLOBAL}
<Directory FOLDER>
Require all granted
</Directory>
"""


class Apache:
    """An Apache, and the watch of it."""

    __enter__ = Gunicorn.__enter__
    __exit__ = Gunicorn.__exit__
    get = Gunicorn.get

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        (folder / "spool").mkdir(mode=0o700)
        os.chown(folder / "spool", NOBODY, NOBODY)
        (folder / "app.wsgi").write_text(APP.replace("DSN", DSN).replace("FOLDER", str(folder)))
        conf = CONF.replace("MOD_WSGI", str(MOD_WSGI)).replace("MODULES", str(MODULES)).replace("FOLDER", str(folder))
        conf = conf.replace("PATHS", f"{ROOT}:{sysconfig.get_path('purelib')}").replace("PORT", str(self.port))
        (folder / "httpd.conf").write_text(conf.replace("NOBODY", str(NOBODY)))
        self.log = (folder / "watch-log").open("wb")
        self.process = subprocess.Popen(
            [shutil.which("apache2") or "/usr/sbin/apache2", "-f", str(folder / "httpd.conf"), "-DFOREGROUND"],
            stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self.watch = None
        try:
            wait_for(lambda: self.get("/") == b"ok", what=self.said, process=self.process)
            self.watch = subprocess.Popen(
                [*launch_readable(folder), sys.executable, "-m", "heka_raven.cli.main", "watch", "--slow", "1", "--pid",
                 str(self.process.pid), "--spool", str(folder / "spool"), "--dsn", DSN],
                stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            wait_for(lambda: is_watched(folder / "spool"), what=self.said, process=self.watch)
        except BaseException:
            self.stop()
            raise

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=20)
        if self.watch is not None:
            try:
                self.watch.wait(timeout=10)  # it ends with what it watches
            except subprocess.TimeoutExpired:
                os.killpg(self.watch.pid, signal.SIGKILL)
                self.watch.wait()
        self.log.close()

    def said(self):
        return "".join((self.folder / name).read_text() for name in ("log", "watch-log"))

    def events(self, count):
        wait_for(lambda: len(spooled(self.folder / "spool")) >= count, what=self.said)
        return still(lambda: spooled(self.folder / "spool"))


def test_apache(passable):
    """A slow request, a crash and an exit are one event each, with their request; a graceful restart is none."""
    with Apache(passable) as server:
        assert b"ok" == server.get("/slow?token=planted")
        server.events(1)
        server.get("/segfault")
        server.events(2)
        server.get("/exit")
        events = server.events(3)
        server.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: server.said().count("resuming normal operations") == 2, what=server.said)
        wait_for(lambda: server.get("/") == b"ok", what=server.said)
        still(server.said, 3)  # the daemons of before take their time to end
    assert 3 == len(spooled(passable / "spool"))
    slow, crash, left = events
    assert ["slow", "segfault"] == [event["tags"]["server.event"] for event in (slow, crash)]
    assert left["tags"]["server.event"] in ("exit", "ended")  # from Linux 6.15 on others are told how it ended
    assert ["GET /slow", "GET /segfault", "GET /exit"] == [event["transaction"] for event in events]
    assert ("view", "string_at") == (functions(slow)[-1], functions(crash)[-1])
    assert "Apache's process" in slow["logentry"]["formatted"]
    assert "planted" not in str(events)
