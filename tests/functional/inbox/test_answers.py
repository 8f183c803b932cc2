"""What the inbox answers to clients that are wrong, hostile or told to wait, and to its own command line."""

import gzip
import json
import os
import signal
import socket
import subprocess
import zlib

import pytest

from support.inbox import AUTH, COMMAND, envelope, running_inbox

EVENT = {"event_id": "d" * 32, "message": "hello"}
BODY = json.dumps(EVENT).encode()


@pytest.fixture(scope="module")
def inbox(tmp_path_factory):
    with running_inbox(
        tmp_path_factory.mktemp("inbox") / "inbox.db", "--key", "abc", "--max-event", "50000"
    ) as running:
        yield running


KEYLESS = {"X-Sentry-Auth": "Sentry sentry_version=7"}


@pytest.mark.parametrize("kind", ["store", "envelope"])
@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({}, 401, "missing authorization information"),
        (KEYLESS, 401, "missing authorization information"),
        ({"X-Sentry-Auth": "Sentry sentry_version=7, sentry_key=abd"}, 403, "invalid api key"),
        ({"X-Sentry-Auth": "Sentry sentry_version=1, sentry_key=abc"}, 400, "unsupported protocol version"),
        ({**AUTH, "Content-Encoding": "zstd"}, 400, "content encoding not supported"),
        ({**AUTH, "Content-Encoding": "gzip"}, 400, "the compressed body is damaged"),
    ],
)
def test_wrong_requests_get_the_status_and_the_reason(inbox, kind, headers, status, reason):
    """As Sentry does: JSON with ``detail``, and the header that old clients log."""
    reply = inbox.request(f"/api/1/{kind}/", BODY if kind == "store" else envelope(EVENT), headers)
    assert status == reply.status
    assert reply.json["detail"].startswith(reason)
    assert reply.json["detail"] == reply.headers["X-Sentry-Error"]


@pytest.mark.parametrize(
    ("kind", "body", "status", "reason"),
    [
        ("store", b"", 400, "the event is neither JSON nor base64 of zlib"),
        ("store", b"[1]", 400, "the event is neither JSON nor base64 of zlib"),
        ("store", b'{"a":', 400, "the event is not valid JSON"),
        ("store", b'{"a":"%s"}' % (b"x" * 50_000), 413, "event larger than 50,000 bytes"),
        ("store", b"eNq" + b"A" * 400, 400, "the event is neither"),
        ("envelope", b"", 400, "bad envelope"),
        ("envelope", b"no json\n{}", 400, "bad envelope"),
        ("envelope", b'{}\n{"type":"event","length":99}\n{}', 400, "bad envelope"),
        ("envelope", envelope(b"[]"), 400, "the event is not a JSON object"),
        ("envelope", envelope(b'{"a":"%s"}' % (b"x" * 50_000)), 413, "event larger than 50,000 bytes"),
        ("envelope", b"{}\n" + b"{}\n\n" * 500_000, 413, "envelope of too many items"),
    ],
)
def test_wrong_bodies_get_the_status_and_the_reason(inbox, kind, body, status, reason):
    """The reason names the rule, never what was sent."""
    reply = inbox.request(f"/api/1/{kind}/", body, AUTH)
    assert (status, True) == (reply.status, reply.json["detail"].startswith(reason)), reply.json


def peak_kb(process):
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def test_bombs_are_refused_without_unpacking_them(inbox):
    """200 MB in 1 MB, once and twice packed, and in a blob: 413, and the memory does not grow by it."""
    zeros = zlib.compressobj(1, zlib.DEFLATED, 31)
    bomb = b"".join(zeros.compress(bytes(10_000_000)) for _ in range(20)) + zeros.flush()
    before = peak_kb(inbox.process)
    for kind in ("store", "envelope"):
        assert 413 == inbox.request(f"/api/1/{kind}/", bomb, {**AUTH, "Content-Encoding": "gzip"}).status
    twice = gzip.compress(bomb)
    assert 413 == inbox.request("/api/1/store/", twice, {**AUTH, "Content-Encoding": "gzip, gzip"}).status
    blob = zlib.compress(b'{"a":"' + bytes(100_000_000) + b'"}', 1)
    assert 413 == inbox.request("/api/1/store/", blob, AUTH).status
    assert peak_kb(inbox.process) - before < 60_000


def test_a_body_over_the_wire_limit_is_refused(inbox):
    """4 MiB at most, with and without a length that says so."""
    assert 413 == inbox.request("/api/1/store/", bytes(4 * 1024 * 1024 + 1), AUTH).status


def test_browsers_may_report(inbox):
    """A page of another origin may send events, as to Sentry; it may read nothing."""
    reply = inbox.request("/api/1/envelope/", headers={"Origin": "http://app"}, method="OPTIONS")
    assert (200, "*") == (reply.status, reply.headers["Access-Control-Allow-Origin"])
    assert inbox.request("/api/events").headers["Access-Control-Allow-Origin"] is None
    assert 405 == inbox.request("/api/1/store/").status


def test_a_rate_limit_answers_as_sentry_does(tmp_path):
    """``--rate-limit 1``: the second event in a second gets 429, and how long to wait, in both headers."""
    with running_inbox(tmp_path / "inbox.db", "--rate-limit", "0.01") as running:
        assert 200 == running.request("/api/1/store/", BODY, AUTH).status
        reply = running.request("/api/1/store/", BODY, AUTH)
        assert 429 == reply.status
        assert 1 <= int(reply.headers["Retry-After"]) <= 60
        assert f"{reply.headers['Retry-After']}::organization" == reply.headers["X-Sentry-Rate-Limits"]


def test_udp(tmp_path):
    """``--udp`` takes the packets of old clients: the header, an empty line, the event; rubbish is survived."""
    with running_inbox(tmp_path / "inbox.db", "--udp", "0") as running:
        running.process.stdout.readline()  # dsn:
        port = int(running.process.stdout.readline().rsplit(":", 1)[1])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for packet in (b"", b"\n\n", b"rubbish", b"Sentry sentry_key=a\n\n{", b"\xff" * 60_000):
                client.sendto(packet, ("127.0.0.1", port))
            head = b"Sentry sentry_timestamp=1, sentry_client=x/1, sentry_version=2.0, sentry_key=abc\n\n"
            client.sendto(head + zlib.compress(BODY), ("127.0.0.1", port))
        [event] = running.wait_for_events(1)
        assert ("hello", "udp") == (event["message"], event["project"])


def test_a_token_guards_reading_and_makes_the_key(tmp_path):
    """With ``--token`` nothing is read without it, and clients need the key that is printed."""
    token = "sixteen characters"
    with running_inbox(tmp_path / "inbox.db", "--token", token) as running:
        dsn = running.process.stdout.readline()
        key = dsn.partition("//")[2].partition("@")[0]
        assert token not in dsn
        assert 401 == running.request("/api/events").status
        assert 200 == running.request("/api/events", headers={"Authorization": f"Bearer {token}"}).status
        assert 403 == running.request("/api/1/store/", BODY, AUTH).status
        assert 200 == running.request(f"/api/1/store/?sentry_key={key}", BODY).status
        assert "Log in" in running.request("/").text
        assert 401 == running.request(f"/event/{'d' * 32}").status


def test_the_dsn_of_an_inbox_on_every_address(tmp_path):
    """What is printed to be configured in a client is a host that one can call, not 0.0.0.0."""
    with running_inbox(tmp_path / "inbox.db", "--listen", "0.0.0.0:0", "--token", "sixteen characters") as running:
        host = running.process.stdout.readline().partition("@")[2].partition(":")[0]
        assert socket.gethostname() == host


def run(*options, **environ):
    return subprocess.run(
        [*COMMAND, *options], capture_output=True, text=True, timeout=60, env={**os.environ, **environ}, check=False
    )


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--listen", "0.0.0.0:0"], 2, "--listen: 0.0.0.0 can be reached from other machines; that needs --token"),
        (["--listen", "127.0.0.1:0", "--udp", "0.0.0.0:0"], 2, "--udp: 0.0.0.0 can be reached"),
        (["--key", ""], 2, "--key: want 1 to 100 letters, digits, - or _"),
        (["--import", "a", "--export", "b"], 2, "--import and --export: one at a time"),
        (["--token", "short"], 2, "--token: 5 characters; at least 16 are needed"),
        (["--listen", "nowhere", "--keep", "many"], 2, "--keep: 'many' is no age"),
        (["--rate-limit", "-1"], 2, "--rate-limit: -1 is outside 0..1000000"),
        (["--max-event", "5"], 2, "--max-event: 5 is outside 1000..8000000"),
        (["--listen", "nowhere"], 1, "--listen 'nowhere': want HOST:PORT"),
        (["--listen", "192.0.2.1:0", "--token", "x" * 16], 1, "cannot listen on 192.0.2.1:0: "),
    ],
)
def test_wrong_options_are_one_line(tmp_path, options, code, says):
    """It says what is wrong and what to do; nothing is left half-started."""
    done = run("--db", str(tmp_path / "inbox.db"), *options)
    assert (code, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith(f"heka-raven inbox: {says}")
    assert 1 == done.stderr.count("\n")
    assert not (tmp_path / "inbox.db").exists()


def test_a_port_in_use_is_one_line(inbox, tmp_path):
    """It names the port, and no database is made."""
    done = run("--listen", f"127.0.0.1:{inbox.port}", "--db", str(tmp_path / "inbox.db"))
    assert 1 == done.returncode
    assert f"cannot listen on 127.0.0.1:{inbox.port}: Address already in use; choose another" in done.stderr
    assert not (tmp_path / "inbox.db").exists()


@pytest.mark.parametrize("path", ["/proc/none/inbox.db", "/dev/null/x.db", "/"])
def test_a_database_that_cannot_be_is_one_line(path):
    """It names the file and the system's reason."""
    done = run("--listen", "127.0.0.1:0", "--db", path)
    assert 1 == done.returncode
    assert done.stderr.startswith(f"heka-raven inbox: database {path}: ")
    assert 1 == done.stderr.count("\n")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_well(tmp_path, signum):
    """Code 0, nothing on stderr, and the events are there after a new start."""
    with running_inbox(tmp_path / "inbox.db") as running:
        running.request("/api/1/store/", BODY, AUTH)
        running.process.send_signal(signum)
        assert 0 == running.process.wait(timeout=60)
        assert "" == running.process.stderr.read()
    with running_inbox(tmp_path / "inbox.db") as running:
        assert ["hello"] == [event["message"] for event in running.events()]


def test_events_survive_sigkill(tmp_path):
    """What was answered with 200 is in the database."""
    with running_inbox(tmp_path / "inbox.db") as running:
        for number in range(20):
            event = json.dumps({"event_id": f"{number:032x}"}).encode()
            assert 200 == running.request("/api/1/store/", event, AUTH).status
        running.process.kill()
        running.process.wait(timeout=60)
    with running_inbox(tmp_path / "inbox.db") as running:
        assert 20 == len(running.events())


def test_export_and_import(tmp_path):
    """An archive of one inbox fills another, by the command line and by the page; what is there stays once."""
    with running_inbox(tmp_path / "one.db") as running:
        for number in range(5):
            event = {"event_id": f"{number:032x}", "message": f"m {number}"}
            running.request("/api/1/store/", json.dumps(event).encode(), AUTH)
        archive = running.request("/data/export").body
        (tmp_path / "page.tar.gz").write_bytes(archive)
        done = run("--db", str(tmp_path / "one.db"), "--export", str(tmp_path / "all.tar.gz"))
        said = f"5 events of {tmp_path / 'one.db'} exported to {tmp_path / 'all.tar.gz'}\n"
        assert (0, "", said) == (done.returncode, done.stdout, done.stderr)
    done = run("--db", str(tmp_path / "two.db"), "--import", str(tmp_path / "all.tar.gz"))
    assert (0, "5 events imported, 0 refused\n") == (done.returncode, done.stdout)
    done = run("--db", str(tmp_path / "two.db"), "--import", str(tmp_path / "page.tar.gz"))
    assert 0 == done.returncode
    with running_inbox(tmp_path / "two.db") as running:
        assert {f"m {number}" for number in range(5)} == {event["message"] for event in running.events()}
        envelope_text = running.request(f"/event/{3:032x}/envelope").body
        (tmp_path / "one.env").write_bytes(envelope_text)
    assert 0 == run("--db", str(tmp_path / "three.db"), "--import", str(tmp_path / "one.env")).returncode
    (tmp_path / "rubbish").write_bytes(b"rubbish" * 1_000)
    done = run("--db", str(tmp_path / "three.db"), "--import", str(tmp_path / "rubbish"))
    assert 1 == done.returncode
    assert "neither an envelope nor a whole tar of envelopes" in done.stderr
    done = run("--db", str(tmp_path / "four.db"), "--import", str(tmp_path / "missing"))
    assert (1, False) == (done.returncode, (tmp_path / "four.db").exists())


def test_an_export_that_fails_says_what_and_spoils_nothing(tmp_path):
    """A wrong name of the database is no empty inbox, and a full disk costs no older archive."""
    database, archive = tmp_path / "one.db", tmp_path / "all.tar.gz"
    done = run("--db", str(database), "--export", str(archive))
    assert (1, f"heka-raven inbox: database {database}: No such file or directory\n") == (done.returncode, done.stderr)
    assert not database.exists()
    with running_inbox(database) as running:
        for number in range(100):
            event = {"event_id": f"{number:032x}", "message": os.urandom(4_000).hex()}
            running.request("/api/1/store/", json.dumps(event).encode(), AUTH)
    done = run("--db", str(database), "--export", "/dev/full")
    assert (1, "heka-raven inbox: /dev/full: No space left on device\n") == (done.returncode, done.stderr)
    archive.write_bytes(b"older")
    limited = ["/bin/sh", "-c", 'trap "" XFSZ; ulimit -f 600; exec "$@"', "sh", *COMMAND]
    done = subprocess.run(
        [*limited, "--db", database, "--export", archive], capture_output=True, text=True, timeout=60, check=False
    )
    assert (1, f"heka-raven inbox: {archive}: File too large\n") == (done.returncode, done.stderr)
    assert {"one.db", "all.tar.gz"} == {entry.name for entry in tmp_path.iterdir() if "-" not in entry.name}
    assert b"older" == archive.read_bytes()
    # Nor has an import room then: a line, no traceback.
    assert 0 == run("--db", str(database), "--export", str(archive)).returncode
    done = subprocess.run(
        [*limited, "--db", tmp_path / "two.db", "--import", archive],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 1 == done.returncode
    assert done.stderr.startswith(f"heka-raven inbox: database {tmp_path / 'two.db'}: ")
    assert 1 == done.stderr.count("\n")


def test_an_import_says_what_is_too_old_to_stay(tmp_path):
    """An event older than --keep would be gone half a minute later: it is told at once."""
    old = envelope({"event_id": "a" * 32, "message": "old"}, sent_at="2020-01-01T00:00:00Z")
    (tmp_path / "old.env").write_bytes(old)
    done = run("--db", str(tmp_path / "one.db"), "--import", str(tmp_path / "old.env"))
    assert (0, "1 events imported, 0 refused, 1 of the oldest deleted: --keep\n") == (done.returncode, done.stdout)


def test_the_page_shows_the_key_that_is_taken(inbox):
    """The DSN on the page is one that works."""
    page = inbox.request("/").body.decode()
    assert f"http://abc@127.0.0.1:{inbox.port}/1" in page
