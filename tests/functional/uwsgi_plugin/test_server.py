"""The plugin as part of a server: users, mistakes, versions, metrics, and how it is built."""

import http.client
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT
from support.ports import free_port
from support.users import launch_readable
from support.uwsgi import build_plugin, find_uwsgi, ledger, shared_plugin
from support.waiting import wait_for

UWSGI = find_uwsgi()
pytestmark = pytest.mark.skipif(UWSGI is None, reason="no uWSGI: ./run test installs one")
ROUTE = "route-if = equal:${REQUEST_METHOD};PUT sentry:message=m"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to change the user")
@pytest.mark.parametrize("user", ["nobody", str(pwd.getpwnam("nobody").pw_uid)])
@pytest.mark.parametrize("more", ["", "master-as-root = true", "drop-after-apps = true"])
def test_hook_asap_as_root_writes_for_the_later_user(serve, receiver, passable, user, more):
    """An event written as root before the user is dropped belongs to the later user, whose sender delivers it."""
    receiver.status = 503
    lines = f"uid = {user}\nhook-asap = sentry:message=asap\n{more}\n{ROUTE}"
    server = serve(lines, where=passable, launch=launch_readable(passable))
    server.get("/", "PUT")
    wait_for(lambda: server.waiting() == 2, lambda: f"both in the spool\n{server.text()}")
    nobody, sender = pwd.getpwnam("nobody").pw_uid, server.sender_pid()
    for path in [server.spool, *server.spool.rglob("*")]:
        assert path.stat().st_uid == nobody, path
    with open(f"/proc/{sender}/status") as f:
        assert int(re.search(r"^Uid:\s+(\d+)", f.read(), re.MULTILINE)[1]) == nobody
    receiver.status = 200
    wait_for(lambda: sorted(receiver.texts()) == ["asap", "m"], "delivery", 60)


@pytest.mark.parametrize(
    "lines, words",
    [
        ("alarm = a sentry:dsn=http://topsecret@/1", "alarm: dsn: the host is missing; this handler is off"),
        ("hook-asap = sentry:dsn=ftp://topsecret@h/1", "hook: dsn: the scheme is not http://, https:// or udp://"),
        ("sentry-watch = slow,harakri", "sentry-watch: 'slow,harakri' is not true, nor a list of harakiri, segfault"),
        ("exception-handler = sentry:colour=red", "exception-handler: colour: unknown option; this handler is off"),
        ("route = .* sentry:dsn=http://k@h/1,level=loud", "route: level: not one of fatal, error, warning,"),
        ("alarm = a sentry:", "alarm: dsn: missing (set it here, or sentry-dsn for all handlers)"),
    ],
)
def test_mistakes_are_one_line_and_the_server_runs(serve, lines, words):
    """A wrong handler is off after one line that names plugin and option, never the key; the server is up."""
    server = serve(lines, dsn=None)
    server.get("/")
    said = [line for line in server.text().splitlines() if "[sentry]" in line and "off" in line]
    assert len(said) == 1 and words in said[0]
    assert "topsecret" not in said[0]
    assert server.waiting() == 0


@pytest.mark.parametrize("size, bytes_read", [("512M", 512), ("lots", 0)])
def test_a_size_that_uwsgi_misreads_drops_nothing(serve, size, bytes_read):
    """uWSGI reads digits only, so 512M is 512 bytes: said in one line, and the default is used."""
    server = serve(f"sentry-no-sender = true\nsentry-spool-size = {size}\n" + ROUTE)
    assert server.get("/", "PUT")[0] == 200
    said = [line for line in server.text().splitlines() if "sentry-spool-size:" in line]
    assert len(said) == 1 and f"sentry-spool-size: {bytes_read} bytes cannot hold an event" in said[0]
    wait_for(lambda: server.waiting() == 1, "the event")


def test_unusable_spool_is_said_once_and_the_server_runs(serve, tmp_path):
    """A spool that lets others in is refused with what to do; the server serves on."""
    (tmp_path / "spool").mkdir(mode=0o755)
    server = serve(ROUTE)
    assert server.get("/", "PUT")[0] == 200
    said = [line for line in server.text().splitlines() if "sentry-spool:" in line]
    assert len(said) == 1 and "chmod 700" in said[0] and "nothing will be reported" in said[0]


def test_no_sender_leaves_delivery_to_the_command(serve, receiver):
    """With sentry-no-sender no process sends; the Python sender takes the same spool."""
    server = serve("sentry-no-sender = true\n" + ROUTE)
    server.get("/", "PUT")
    wait_for(lambda: server.waiting() == 1, "the event in the spool")
    assert "uWSGI sentry sender" not in server.text()
    command = [sys.executable, "-m", "heka_raven.cli.main", "send", "--once", "--spool", str(server.spool)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert receiver.texts() == ["m"]


def test_metrics_in_the_stats_server(serve, receiver, tmp_path):
    """uWSGI's stats server shows what was captured, delivered, discarded by reason, and what waits."""
    port = free_port()
    server = serve(f"enable-metrics = true\nstats = 127.0.0.1:{port}\n" + ROUTE)
    server.get("/", "PUT")
    wait_for(lambda: receiver.events, "the event")

    def metrics():
        with socket.create_connection(("127.0.0.1", port), 5) as s:
            text = b""
            while part := s.recv(65536):
                text += part
        return {k: m["value"] for k, m in json.loads(text)["metrics"].items() if k.startswith("sentry.")}

    # uWSGI asks for one after the other, once a second.
    expected = {"sentry.captured": 1, "sentry.delivered": 1, "sentry.pending": 0}
    wait_for(lambda: expected.items() <= metrics().items(), lambda: f"the counters, {metrics()}")
    seen = metrics()
    assert seen["sentry.discarded.send_error"] == 0 and seen["sentry.discarded.event_processor"] == 0
    assert len(seen) == 3 + 11


def test_debug_masks_key_and_secret(serve, receiver):
    """debug logs the request that is sent, without key and secret."""
    server = serve(ROUTE + ",debug=1")
    server.get("/", "PUT")
    wait_for(lambda: "HTTP status 200" in server.text(), lambda: f"the debug lines\n{server.text()}")
    lines = [line for line in server.text().splitlines() if "[sentry] debug" in line]
    assert len(lines) == 2 and "key and secret masked" in lines[0]
    assert "secretkey" not in "".join(lines) and "publickey" not in "".join(lines)
    assert all(f"http://127.0.0.1:{receiver.port}/api/1/envelope/" in line for line in lines)


def test_middleware_finds_the_spool_and_starts_no_thread(serve, receiver):
    """RavenMiddleware(app, dsn=...) under uWSGI writes to sentry-spool; and its report is the only one."""
    app = """
import sys, threading
sys.path.insert(0, {root!r})
from heka_raven.middleware import RavenMiddleware

def app(env, start):
    if env["PATH_INFO"] == "/boom":
        raise ValueError("seen by the middleware")
    start("200 OK", [("Content-Type", "text/plain")])
    return [",".join(t.name for t in threading.enumerate()).encode()]

application = RavenMiddleware(app, dsn=DSN)
"""
    server = serve(
        "processes = 1\nexception-handler = sentry:logger=t.exception",
        app=app.replace("DSN", repr(receiver.dsn)),
        home=True,
    )
    server.get("/boom")
    event = wait_for(lambda: receiver.events, lambda: f"the event\n{server.text()}")[0]
    assert event["exception"]["values"][-1]["value"] == "seen by the middleware"
    assert "," not in server.get("/")[1]  # one thread, uWSGI's own
    wait_for(lambda: ledger(server.spool)["discarded.event_processor"] == 1, "the double to be dropped")
    assert len(receiver.events) == 1


def test_only_the_plugin_struct_is_exported():
    """uWSGI loads plugins with RTLD_GLOBAL: no name of ours may meet another's."""
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("no nm on this machine")
    command = [nm, "-D", "--defined-only", str(shared_plugin(UWSGI))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["sentry_plugin"]


@pytest.mark.full
def test_built_for_another_uwsgi_is_refused(tmp_path):
    """A plugin built for another version ends the start with one line that names it and both versions."""
    source = tmp_path / "uwsgi_plugin"
    shutil.copytree(ROOT / "uwsgi_plugin", source)
    check = source / "glue" / "plugin.c"
    before = "static void check_version(void)\n"
    other = '#undef UWSGI_VERSION\n#define UWSGI_VERSION "1.9.99"\n'
    text = check.read_text()
    assert before in text
    check.write_text(text.replace(before, other + before))
    built = build_plugin(UWSGI, tmp_path / "build", source)
    done = subprocess.run(
        [UWSGI, "--plugin", str(built), "--http-socket", "127.0.0.1:0"],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    said = [line for line in (done.stdout + done.stderr).splitlines() if "[sentry]" in line]
    assert len(said) == 1
    assert re.search(r"sentry_plugin\.so was built for uWSGI 1\.9\.99, this is uWSGI 2\.0\.\d+", said[0])


@pytest.mark.full
def test_built_for_other_flags_is_refused(tmp_path):
    """Nor may it meet another build of the same version, whose structs may differ: one line, no crash."""
    source = tmp_path / "uwsgi_plugin"
    shutil.copytree(ROOT / "uwsgi_plugin", source)
    build_plugin(UWSGI, tmp_path / "build", source)  # leaves uWSGI's own builder there
    flags = subprocess.run([UWSGI, "--cflags"], capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    subprocess.run(
        [sys.executable, ".uwsgi_plugins_builder/uwsgiconfig.py", "--extra-plugin", str(source)],
        cwd=tmp_path / "build", env={**os.environ, "UWSGI_PLUGINS_BUILDER_CFLAGS": flags + " -DUWSGI_OTHER=1"},
        capture_output=True, check=True,
    )  # fmt: skip
    done = subprocess.run(
        [UWSGI, "--plugin", str(tmp_path / "build" / "sentry_plugin.so"), "--http-socket", "127.0.0.1:0"],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    said = [line for line in (done.stdout + done.stderr).splitlines() if "[sentry]" in line]
    assert len(said) == 1
    assert "was built for another build of uWSGI 2.0." in said[0]


@pytest.mark.full
@pytest.mark.skipif(shutil.which("git") is None, reason="no git on this machine")
def test_builds_from_a_git_url(tmp_path):
    """The original's one line, uwsgi --build-plugin GIT-URL, works with a clone of this project."""
    origin = tmp_path / "served" / "heka-raven"
    origin.mkdir(parents=True)
    shutil.copytree(ROOT / "uwsgi_plugin", origin / "uwsgi_plugin")
    shutil.copy(ROOT / "uwsgiplugin.py", origin)
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", *command], cwd=origin, check=True, capture_output=True)
    port = free_port()
    daemon = subprocess.Popen(
        ["git", "daemon", "--export-all", f"--base-path={origin.parent}", "--listen=127.0.0.1", f"--port={port}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: _listens(port), "git to serve")
        build_plugin(UWSGI, tmp_path / "build", f"git://127.0.0.1:{port}/heka-raven")
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(10)


def _listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.full
def test_tls_needs_a_certificate_that_is_trusted(serve, receiver, tmp_path):
    """A server with an unknown certificate gets nothing, unless sentry-ca trusts it or the handler says no_verify."""
    import ssl

    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on this machine")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    # A client that stops in mid-handshake must not hold the thread that accepts.
    receiver.server.socket = context.wrap_socket(
        receiver.server.socket, server_side=True, do_handshake_on_connect=False
    )
    dsn = f"https://publickey@localhost:{receiver.port}/1"
    server = serve(ROUTE, dsn=dsn)
    server.get("/", "PUT")
    wait_for(lambda: "certificate" in server.text(), lambda: f"the refusal in the log\n{server.text()}")
    assert receiver.requests == [] and server.waiting() == 1
    server.stop()
    server = serve(f"sentry-ca = {certificate}\n" + ROUTE, dsn=dsn)
    wait_for(lambda: len(receiver.events) == 1, lambda: f"delivery of what waited\n{server.text()}", 60)
    wait_for(lambda: server.waiting() == 0, "an empty spool")  # or the next sender would try it once more, verifying
    server.stop()
    server = serve(ROUTE + ",no_verify=1", dsn=dsn)
    server.get("/", "PUT")
    wait_for(lambda: len(receiver.events) == 2, lambda: f"delivery without verification\n{server.text()}")


def test_no_connection_outside_the_sender(serve):
    """libcurl is linked, but master and workers never open a connection: without a sender there is none at all."""
    hits = []
    with socket.socket() as trap:
        trap.bind(("127.0.0.1", 0))
        trap.listen(16)
        trap.settimeout(0.5)
        dsn = f"http://k@127.0.0.1:{trap.getsockname()[1]}/1"
        lines = "sentry-no-sender = true\nexception-handler = sentry:\nhook-asap = sentry:message=x\n"
        server = serve(lines + "alarm = direct sentry:\n" + ROUTE, dsn=dsn)
        server.get("/", "PUT")
        server.get("/boom")
        server.get("/alarms?3")
        wait_for(lambda: server.waiting() >= 4, lambda: f"events in the spool\n{server.text()}")
        try:
            hits.append(trap.accept())
        except TimeoutError:
            pass
    assert hits == []


def test_route_request_is_private(serve, receiver):
    """Cookies, authorization and secret parameters of the request never leave."""
    server = serve(ROUTE)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request(
        "PUT", "/p?token=hide1&a=1",
        headers={"Cookie": "sid=hide2", "Authorization": "Bearer hide3", "X-Api-Key": "hide4", "X-Shown": "shown"},
    )  # fmt: skip
    connection.getresponse().read()
    connection.close()
    event = wait_for(lambda: receiver.events, "the event")[0]
    assert "hide" not in json.dumps(event)
    assert event["request"]["headers"]["X-Shown"] == "shown"
    assert event["request"]["method"] == "PUT" and event["request"]["query_string"] == "token=[Filtered]&a=1"
    assert event["request"]["env"]["REMOTE_ADDR"] == "127.0.0.1"
    assert Path(server.spool / "new").is_dir()
