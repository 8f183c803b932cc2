"""The heka-raven command: words, exit codes, one line for every error."""

import base64
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import pytest

from heka_raven.cli.main import COMMANDS, main
from heka_raven.spool.ledger import Ledger
from support.delivery import fill, run_command, waiting
from support.ports import free_port
from support.sentry_server import Reply, Server, script

GOLDEN_RECORD = bytes.fromhex(
    "1e0208591f0a101f781a91b5fd5dad9bad99ee6b9ef0321080b2b595f6f0bb9d131a0874657374747970652206676f6c64656e2806320b6865"
    "6c6c6f20776f726c643a03302e384092214a12676f6c64656e2e6578616d706c652e636f6d"
)
GOLDEN_ROW = {
    "uuid": "1f781a91b5fd5dad9bad99ee6b9ef032",
    "timestamp": 1385683200124999936,
    "type": "testtype",
    "logger": "golden",
    "severity": 6,
    "payload": "hello world",
    "pid": 4242,
    "hostname": "golden.example.com",
    "fields": {},
}


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "spool"


def one_line(text):
    assert 1 == text.count("\n") and text.endswith("\n"), text
    return text


@pytest.mark.parametrize(
    ("reply", "code", "words"),
    [
        (Reply(), 0, "accepted, status 200"),
        (Reply(400, {"X-Sentry-Error": "bad data"}), 1, "refused, status 400"),
        (Reply(401), 1, "the key is not known there"),
        (Reply(404), 1, "no such project"),
        (Reply(413), 1, "too large"),
        (Reply(429, {"Retry-After": "30"}), 1, "30 s of quiet"),
        (Reply(503), 1, "a proxy answered for a server that is down"),
        (Reply(302, {"Location": "/x"}), 1, "a redirect that is not followed"),
        (Reply(close=True), 1, "ended without an answer"),
    ],
)
def test_test_says_what_happened(reply, code, words):
    """`heka-raven test` sends one event and tells the server's answer in words."""
    with Server(lambda request: reply) as server:
        found, out, err = run_command("test", server.dsn)
        assert (code, True) == (found, words in one_line(out + err))
        assert 1 == len(server.requests)
        assert "secret" not in out + err


@pytest.mark.parametrize("options", [["--protocol", "3"], ["--api", "store"], ["--compress", "gzip"], []])
def test_test_in_every_protocol(options):
    """The test event is a whole event in each of them."""
    with Server() as server:
        assert 0 == run_command("test", server.dsn, "--message", "hello there", *options)[0]
        (request,) = server.requests
        body = request.body if "--protocol" in options or "--api" in options else request.envelope[1][0].payload
        event = json.loads(zlib.decompress(base64.b64decode(body)) if "--protocol" in options else body)
        assert "hello there" in (event.get("message"), event.get("logentry", {}).get("formatted"))
        assert 32 == len(event["event_id"])


def test_test_follows_a_redirect():
    """308 on the same host is followed, as the sender does."""
    with Server(script(Reply(308, {"Location": "/new/"}))) as server:
        code, out, _ = run_command("test", server.dsn)
        assert 0 == code and "/new/" in out


def test_test_takes_the_dsn_from_the_environment():
    """$SENTRY_DSN will do."""
    with Server() as server:
        assert 0 == run_command("test", env={"SENTRY_DSN": server.dsn})[0]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["test"], 2, "no DSN"),
        (["test", "http://sentry.example/1"], 2, "public key"),
        (["test", "http://k@127.0.0.1:1/1"], 1, "no connection"),
        (["test", "http://k@does-not-exist.invalid/1"], 1, "cannot be resolved"),
        (["nonsense"], 2, "no command 'nonsense'"),
        (["send", "--once", "--spool", "/dev/null"], 2, "is not a directory"),
        (["send", "--connections", "0"], 2, "--connections: '0' is not allowed: a whole number from 1 to 256"),
        (["send", "--timeout", "soon"], 2, "--timeout: 'soon' is not allowed: a number of seconds from 0.01 to 300"),
        (["send", "--proxy", "ftp://x"], 2, "--proxy: a proxy is http://"),
        (["send", "--nonsense"], 2, "unrecognized arguments: --nonsense; see heka-raven send --help"),
        (["test", "http://k@h/1", "--protocol", "9"], 2, "invalid choice: '9'"),
        (["decode", "--format"], 2, "expected one argument"),
        (["status", "--watch", "0"], 2, "--watch: '0' is not allowed: a number of seconds"),
        (["retry-dead", "x"], 2, "unrecognized arguments: x"),
        (["build-plugin", "x"], 2, "unrecognized arguments: x"),
        (["status", "--spool", "/no-such-directory/spool"], 2, "does not exist"),
        (["retry-dead", "--spool", "/no-such-directory/spool"], 2, "does not exist"),
        (["decode", "/no-such-directory"], 2, "No such file"),
        (
            ["build-plugin", "--uwsgi", "/no-such-directory/uwsgi"],
            2,
            "--uwsgi /no-such-directory/uwsgi: there is no such program",
        ),
    ],
)
def test_every_error_is_one_line(arguments, code, words):
    """What went wrong and what to do, on one line of stderr; the exit code tells the kind."""
    found, out, err = run_command(*arguments, env={"SENTRY_DSN": "", "HEKA_RAVEN_DSN": ""})
    assert (code, "") == (found, out)
    assert words in one_line(err)


def test_help(capsys):
    """--help names every command, and every command of ours explains itself."""
    assert 0 == main(["--help"])
    told = capsys.readouterr().out
    assert all(f"  {name} " in told for name in COMMANDS)
    for name in ("test", "send", "status", "retry-dead", "decode", "build-plugin", "plugin-path"):
        with pytest.raises(SystemExit) as caught:
            main([name, "--help"])
        assert 0 == caught.value.code
    assert 2 == main([])


def test_exit_codes_of_send_once(spool):
    """0: nothing left; 3: something left; 4: another has the lock, named by pid."""
    from heka_raven.sender.lock import SenderLock

    with Server() as server:
        fill(spool, server.dsn, 2)
        assert 0 == run_command("send", "--once", "--spool", spool)[0]
    fill(spool, f"http://a@127.0.0.1:{free_port()}/1", 2)
    assert 3 == run_command("send", "--once", "--spool", spool)[0]
    lock = SenderLock(str(spool))
    assert lock.acquire()
    code, _, err = run_command("send", "--once", "--spool", spool)
    assert (4, True) == (code, f"pid {os.getpid()}" in one_line(err))
    lock.release()


def test_status(spool):
    """Backlog, oldest, sender, limits and ledger; as lines and as JSON."""
    fill(spool, "http://public:hidden@127.0.0.1:1/1", 3)
    code, out, _ = run_command("status", "--spool", spool, "--json")
    found = json.loads(out)
    assert (0, 3, 3, 0) == (code, found["waiting"], found["ledger"]["captured"], found["ledger"]["missing"])
    assert 0 <= found["oldest_s"] < 60
    assert found["waiting_bytes"] == sum(os.path.getsize(spool / "new" / name) for name in waiting(spool))
    assert found["sender_pid"] is None
    code, out, _ = run_command("status", "--spool", spool)
    assert "waiting: 3 events" in out and "captured: 3" in out and "hidden" not in out


def test_status_changes_nothing(spool):
    """Looking leaves the spool as it was, to the last file."""
    fill(spool, "http://a@127.0.0.1:1/1", 1)
    before = sorted(str(path) for path in Path(spool).rglob("*"))
    run_command("status", "--spool", spool)
    assert before == sorted(str(path) for path in Path(spool).rglob("*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_root_reads_any_spool_and_sends_as_its_owner():
    """As root: status reads another's spool; send becomes the owner, so that what it writes stays theirs."""
    with Server() as server, tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # not under pytest's own folders, which are root's alone
        spool = Path(folder) / "spool"
        fill(spool, server.dsn, 2)
        for path in (spool, *spool.rglob("*")):
            os.chown(path, 4711, 4712)
        code, out, err = run_command("status", "--spool", spool, "--json")
        assert (0, 2) == (code, json.loads(out)["waiting"]), err
        code, _, err = run_command("send", "--once", "--spool", spool)
        assert 0 == code, err
        assert {4711} == {path.stat().st_uid for path in spool.rglob("*")}
        assert 2 == len(server.events)


def decode(data, *options, **more):
    code, out, err = run_command("decode", *options, input=data.decode("latin-1"), encoding="latin-1", **more)
    return code, [json.loads(line.encode("latin-1")) for line in out.splitlines()], err


def test_decode_heka():
    """A record of the original client, key by key."""
    assert (0, [GOLDEN_ROW], "") == decode(GOLDEN_RECORD)


def test_decode_resynchronises():
    """Garbage before, between and behind costs nothing but a line on stderr."""
    garbage = b"\x00\xff{}\x1e\x05abc\x1f" + os.urandom(50).replace(b"\x1e", b"") + b"\x1e\x02"
    data = garbage + GOLDEN_RECORD + garbage + GOLDEN_RECORD * 2 + b"tail"
    code, rows, err = decode(data)
    assert (0, [GOLDEN_ROW] * 3) == (code, rows)
    assert "bytes between the records" in one_line(err)


@pytest.mark.parametrize("cut", [1, 20, 90])
def test_decode_tells_a_cut_end(cut):
    """A record that ends before its length: the whole ones are shown, exit code 1, one line."""
    code, rows, err = decode(GOLDEN_RECORD * 2 + GOLDEN_RECORD[:cut])
    assert (1, 2) == (code, len(rows))
    assert "cut off" in one_line(err)


def test_decode_fields():
    """Every type of field as JSON has it: bytes as text or base64, infinity as text, several values as a list."""
    from heka.message import Field, Header, Message
    from heka.wire import frame

    message = Message(uuid=b"0" * 16, timestamp=1, type="t")
    for name, kind, values in (
        ("s", Field.STRING, ["a", "b"]),
        ("b", Field.BYTES, [b"\xff\x00"]),
        ("i", Field.INTEGER, [-1]),
        ("d", Field.DOUBLE, [float("inf")]),
        ("z", Field.BOOL, [True]),
    ):
        field = message.fields.add(name=name, value_type=kind)
        {
            0: field.value_string,
            1: field.value_bytes,
            2: field.value_integer,
            3: field.value_double,
            4: field.value_bool,
        }[kind].extend(values)
    data = message.SerializeToString()
    code, (row,), _ = decode(frame(Header(message_length=len(data)).SerializeToString(), data))
    assert 0 == code
    assert {"s": ["a", "b"], "b": "/wA=", "i": -1, "d": "inf", "z": True} == row["fields"]
    assert (None, None) == (row["logger"], row["severity"])


EVENT = {"event_id": "0" * 32, "level": "error", "logger": "app", "server_name": "web1", "timestamp": 1.5}
BLOB = base64.b64encode(zlib.compress(json.dumps(EVENT).encode()))


DEEP = b'{"x":%b%b}' % (b"[" * 400, b"]" * 400)  # read, but not written, by the JSON library


def test_decode_of_what_is_nested_too_deeply():
    """One line, as for every other input that is none; inside a heka record the payload is shown as it came."""
    from heka.message import Header, Message
    from heka.wire import frame

    envelope = b'{"event_id":"%b","dsn":"http://a@b/1"}\n{"type":"event"}\n%b\n' % (b"0" * 32, DEEP)
    code, rows, err = decode(envelope)
    assert (1, []) == (code, rows) and "nested too deeply" in one_line(err)
    data = Message(uuid=b"0" * 16, timestamp=1, type="sentry", payload=DEEP.decode()).SerializeToString()
    record = frame(Header(message_length=len(data)).SerializeToString(), data)
    code, rows, err = decode(record + GOLDEN_RECORD, "--unpack")
    assert (0, [DEEP.decode(), "hello world"], "") == (code, [row["payload"] for row in rows], err)


@pytest.mark.parametrize("arguments", [["status", "--spool"], ["status", "--json", "--spool"], ["decode"]])
def test_a_full_disk_behind_standard_output(spool, tmp_path, arguments):
    """What cannot be written is one line on stderr and exit code 1."""
    fill(spool, "http://a@b/1", 1)
    subject = next((spool / "new").iterdir()) if arguments == ["decode"] else spool
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEKA_RAVEN")}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "heka_raven.cli.main", *arguments, str(subject)],
            stdout=full, stderr=subprocess.PIPE, text=True, env=environment, timeout=60, check=False,
        )  # fmt: skip
    assert (1, f"heka-raven {arguments[0]}: No space left on device\n") == (done.returncode, done.stderr)


def test_retry_dead_says_what_stays(spool):
    """A spool that cannot take an event back: exit code 1, the number, and where they are."""
    fill(spool, "http://a@b/1", 1)
    (name,) = waiting(spool)
    os.rename(spool / "new" / name, spool / "dead" / name)
    shutil.rmtree(spool / "tmp")
    (spool / "tmp").symlink_to(spool / "new")  # refused: make_spool wants a directory
    code, _, err = run_command("retry-dead", "--spool", spool)
    assert 2 == code and "symbolic link" in one_line(err)
    (spool / "tmp").unlink()
    (spool / "tmp").mkdir(0o700)
    ledger = Ledger(str(spool))
    ledger.add_many((("captured", 50_000), ("spooled.count", 50_000)))
    code, out, err = run_command("retry-dead", "--spool", spool)
    assert (1, f"0 of 1 put back into {spool}\n") == (code, out)
    assert "heka-raven retry-dead: 1 stay in dead/, the spool takes no more" in err


def test_decode_raven():
    """A raven payload, or several, one a line."""
    code, rows, _ = decode(BLOB + b"\n" + BLOB + b"\n")
    assert 0 == code
    assert [("0" * 32, "raven", "app", 3, "web1", EVENT)] * 2 == [
        tuple(row[key] for key in ("uuid", "type", "logger", "severity", "hostname", "payload")) for row in rows
    ]


def test_decode_envelope(tmp_path):
    """A spool file: its item, and its header without the DSN's secret; both kinds of items."""
    from heka_raven.formats.envelope import encode_spool_envelope

    for kind, payload in (("event", json.dumps(EVENT).encode()), ("raven", BLOB)):
        path = tmp_path / kind
        path.write_bytes(encode_spool_envelope("0" * 32, "http://k:hidden@h/1", kind, payload, {"timeout_s": 5}))
        code, out, _ = run_command("decode", path)
        row = json.loads(out)
        assert (0, kind, EVENT) == (code, row["type"], row["payload"])
        assert {"event_id": "0" * 32, "hk": {"timeout_s": 5}, "dsn": "http://k@h/1"} == row["fields"]


def test_decode_unpacks_a_sentry_message():
    """--unpack shows the event inside a heka message of type sentry."""
    from heka.message import Header, Message
    from heka.wire import frame

    data = Message(uuid=b"0" * 16, timestamp=1, type="sentry", payload=BLOB.decode()).SerializeToString()
    record = frame(Header(message_length=len(data)).SerializeToString(), data)
    assert BLOB.decode() == decode(record)[1][0]["payload"]
    assert EVENT == decode(record, "--unpack")[1][0]["payload"]


@pytest.mark.parametrize("data", [b"", b"hello", b"AAAA", b"{", base64.b64encode(zlib.compress(b"no json")), BLOB[:40]])
def test_decode_refuses(data):
    """What is none of the formats: exit code 1 and one line."""
    code, rows, err = decode(data)
    assert (1, []) == (code, rows)
    one_line(err)


def test_decode_bounds_a_bomb():
    """A payload that unpacks to more than any event is refused, not unpacked."""
    code, _, err = decode(base64.b64encode(zlib.compress(b"0" * (64 << 20))))
    assert 1 == code and "unpacks to more than" in one_line(err)


def test_decode_shows_a_record_when_it_arrives():
    """On a pipe that stays open a record is shown at once."""
    import subprocess

    with subprocess.Popen(
        [sys.executable, "-m", "heka_raven.cli.main", "decode"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdin.write(GOLDEN_RECORD)
        process.stdin.flush()
        assert GOLDEN_ROW == json.loads(process.stdout.readline())
        process.stdin.close()


def test_a_reader_that_goes_away_is_no_crash(tmp_path):
    """`heka-raven decode | head -1` says nothing on stderr."""
    import subprocess

    (tmp_path / "many").write_bytes(GOLDEN_RECORD * 5000)
    process = subprocess.Popen(
        [sys.executable, "-m", "heka_raven.cli.main", "decode", str(tmp_path / "many")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.readline()
    process.stdout.close()
    assert b"" == process.stderr.read()
    process.stderr.close()
    process.wait(timeout=60)


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs a C compiler")
def test_build_plugin_says_why_it_failed(tmp_path):
    """Sources that do not compile: the compiler's words, one line that says what is needed, and nothing half-built."""
    uwsgi = Path(sys.executable).parent / "uwsgi"
    if not uwsgi.exists():
        pytest.skip("uwsgi is not installed")
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "uwsgiplugin.py").write_text("NAME='sentry'\nCFLAGS=[]\nLDFLAGS=[]\nLIBS=[]\nGCC_LIST=['x']\n")
    (sources / "x.c").write_text("this is no C\n")
    out = tmp_path / "out"
    out.mkdir()
    code, _, err = run_command("build-plugin", "--uwsgi", uwsgi, "--sources", sources, "--output", out)
    assert 1 == code and "error:" in err
    needed = err.splitlines()[-1]
    assert "apt-get install gcc libcurl4-openssl-dev " in needed and "libpcre2-dev libssl-dev uuid-dev" in needed
    assert [] == os.listdir(out)
    assert ["uwsgiplugin.py", "x.c"] == sorted(os.listdir(sources))


def test_the_ledger_can_be_read_by_other_tools(spool):
    """The layout is what tests/data/ledger.tsv says, for anyone with struct.unpack."""
    fill(spool, "http://a@h/1", 3)
    (name,) = os.listdir(spool / "state" / "ledger")
    data = (spool / "state" / "ledger" / name).read_bytes()
    assert (b"HKLEDG01", 3, 3) == struct.unpack_from("<8sQ", data) + struct.unpack_from("<Q", data, 112)
