"""Logging, a legacy server over UDP, a Heka router, nginx and systemd: the examples do what their comments say."""

import contextlib
import http.client
import os
import shutil
import socket
import subprocess

import pytest

from support.examples import command, copy_out, environment, inbox, python, running
from support.paths import EXAMPLES
from support.ports import free_port
from support.uwsgi import find_uwsgi, shared_plugin
from support.waiting import wait_for

UWSGI = find_uwsgi()


def get(port, path, headers=None):
    """Status and body; (0, b"") where there is no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers=headers or {})
        reply = connection.getresponse()
        return reply.status, reply.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def test_logging(tmp_path):
    """An error record is an event with what was logged before it; what logging reported the middleware does not."""
    port = free_port()
    copy_out("logging_app.py", tmp_path, {})
    with inbox(tmp_path) as box:
        env = environment(tmp_path / "spool", HEKA_RAVEN_DSN=box.dsn)
        serve = python("-m", "waitress", f"--listen=127.0.0.1:{port}", "logging_app:application")
        with running(serve, tmp_path, env) as process:
            wait_for(lambda: get(port, "/")[0] == 200, process.log, process=process)
            get(port, "/order")
            order = box.one()
            assert "order 4711 was not paid" == order["logentry"]["formatted"]
            assert ("shop", "payment", 12.5) == (order["logger"], order["tags"]["part"], order["extra"]["amount"])
            said = [crumb["message"] for crumb in order["breadcrumbs"]["values"]]
            assert ["request of /order", "the cache is cold"] == said
            assert order["request"]["url"].endswith("/order")
            get(port, "/handled")
            get(port, "/fail")
            events = wait_for(lambda: found if len(found := box.events()) >= 3 else None, process.log)
            assert {"ZeroDivisionError", "KeyError"} == {
                event["exception"]["values"][-1]["type"] for event in events if "exception" in event
            }
        assert 3 == len(box.events())


def test_legacy_over_udp(tmp_path):
    """A v3 event in a datagram arrives; the process waits at its end until it has left."""
    script = copy_out("legacy_udp.py", tmp_path, {})
    udp = free_port()
    with inbox(tmp_path, "--udp", f"127.0.0.1:{udp}") as box:
        done = subprocess.run(
            python(str(script), f"udp://public:secret@127.0.0.1:{udp}/1"),
            env=environment(tmp_path / "spool"),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert 0 == done.returncode, done.stderr
        event = box.one()
        assert done.stdout.strip() == event["event_id"]
        assert "'counting fruit'" == event["extra"]["msg"]  # as raven always wrote it


def test_a_heka_router(tmp_path):
    """The event goes through a router into the inbox; the counter does not become an event."""
    udp = free_port()
    with inbox(tmp_path) as box:
        script = copy_out("heka_router.py", tmp_path, {"127.0.0.1:9000": f"127.0.0.1:{box.port}"})
        relay = command("relay", "--listen", f"udp://127.0.0.1:{udp}", "--dsn", f"http://127.0.0.1:{box.port}/*")
        env = environment(tmp_path / "spool")
        with running(relay, tmp_path, env) as process:
            wait_for(lambda: str(udp) in process.log(), process.log, process=process)
            done = subprocess.run(python(str(script), str(udp)), env=env, capture_output=True, text=True, timeout=60)
            assert "True\nTrue\n" == done.stdout, done.stderr
            assert "reading the amount" == box.one()["extra"]["msg"]


@pytest.mark.full
@pytest.mark.skipif(UWSGI is None, reason="no uWSGI")
def test_nginx_in_front(tmp_path):
    """The event has the client's own address, not the one it claims, and the request id of nginx's log."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        pytest.skip("no nginx: ./run test full installs it")
    port = free_port()
    folder = copy_out("nginx", tmp_path, {"8080": str(port), "8081": str(free_port())})
    shutil.copy(shared_plugin(UWSGI), folder)
    with inbox(tmp_path) as box:
        env = environment(tmp_path / "spool", HEKA_RAVEN_DSN=box.dsn)
        with (
            running([UWSGI, "--ini", "app.ini"], folder, env) as uwsgi,
            running([nginx, "-p", str(folder), "-c", "nginx.conf"], folder, env) as front,
        ):
            wait_for(lambda: get(port, "/")[0] == 200, lambda: uwsgi.log() + front.log(), process=front)
            assert 502 == get(port, "/fail", {"X-Forwarded-For": "203.0.113.99"})[0]
            event = box.one()
            assert "127.0.0.1" == event["request"]["env"]["REMOTE_ADDR"]
            headers = {name.lower(): value for name, value in dict(event["request"]["headers"]).items()}
            assert headers["x-request-id"] in (folder / "access.log").read_text()


@pytest.mark.full
@pytest.mark.skipif(UWSGI is None, reason="no uWSGI")
def test_the_systemd_unit_of_uwsgi(tmp_path):
    """What the unit starts says when it is ready, and ends on TERM; systemd has nothing to say against the unit."""
    port = free_port()
    folder = copy_out("uwsgi", tmp_path, {"8080": str(port)})
    (folder / "uwsgi.ini").write_text((folder / "prefork.ini").read_text())
    shutil.copy(shared_plugin(UWSGI), folder)
    changes = {"/srv/myapp/venv/bin/uwsgi": UWSGI, "/srv/myapp": str(folder), "User=myapp": "User=root"}
    unit = copy_out("systemd/myapp-uwsgi.service", tmp_path, changes)
    lines = dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line and line[0] != "#")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        address = str(tmp_path / "notify")
        notified.bind(address)
        notified.settimeout(20)
        env = environment(tmp_path / "spool", NOTIFY_SOCKET=address)
        with running(lines["ExecStart"].split(), folder, env) as process:
            told = b""
            while b"READY=1" not in told:
                told = notified.recv(4096)
            # uWSGI says so, and serves, a moment before its master minds signals: one that comes too early is lost.
            wait_for(lambda: get(port, "/")[0] == 200, process.log, process=process)

            def ended():
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(2)
                return process.poll() is not None

            wait_for(ended, process.log)
    analyze = shutil.which("systemd-analyze")
    if analyze is not None:
        done = subprocess.run([analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60)
        assert (0, "") == (done.returncode, done.stderr.strip())


def test_every_example_has_a_test():
    """Nothing lies in examples/ that no test names, or that docs/examples.rst does not list."""
    tests = EXAMPLES.parent / "tests"
    text = "".join(path.read_text() for path in tests.rglob("*.py"))
    page = (EXAMPLES.parent / "docs" / "examples.rst").read_text()
    for path in EXAMPLES.iterdir():
        if path.name != "__pycache__":
            assert f"``{path.name}{'/' if path.is_dir() else ''}" in page, f"{path.name} is not in docs/examples.rst"
            assert path.name in text or path.stem.removesuffix("_app") in text, path.name
