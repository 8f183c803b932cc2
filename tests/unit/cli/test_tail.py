"""`heka-raven tail` and `heka-raven mcp`: an inbox and a spool without a browser."""

import asyncio
import json
import sys
import threading
import time

import pytest

from heka_raven.cli.tail import line_of
from support.delivery import command, fill, run_app, run_command
from support.inbox import running_inbox
from support.waiting import wait_for

AUTH = {"X-Sentry-Auth": "Sentry sentry_version=7, sentry_key=a"}


@pytest.fixture
def inbox(tmp_path):
    with running_inbox(tmp_path / "inbox.db") as found:
        found.db = tmp_path / "inbox.db"
        yield found


def send(inbox, number, **event):
    body = json.dumps({"event_id": f"{number:032x}", "timestamp": time.time(), **event}).encode()
    assert 200 == inbox.request("/api/1/store/", body, AUTH).status


def test_tail_of_an_inbox(inbox):
    """A line an event with time, level, title, place and link; what comes later follows."""
    send(inbox, 1, exception={"values": [{"type": "KeyError", "value": "'GBP'"}]}, transaction="POST /pay")
    process = command("tail", inbox.url)
    lines = []
    threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")), daemon=True).start()

    def heard(text):
        return text in "".join(lines)

    try:
        wait_for(lambda: heard("KeyError: 'GBP' — POST /pay"))
        assert f"{inbox.url}/event/{1:032x}\n" in lines[0] and " error   " in lines[0]
        send(inbox, 2, message="harakiri: worker 3", level="fatal", tags={"uwsgi.event": "harakiri"})
        wait_for(lambda: heard("fatal   harakiri: worker 3"))
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()
        process.stderr.close()


def test_tail_chooses(inbox):
    """By level and by a regular expression; as JSON for programs."""
    for number, (level, message) in enumerate([("info", "one"), ("warning", "two"), ("error", "three")]):
        send(inbox, number + 1, level=level, message=message)
    for options, expected in (
        (["--level", "warning"], ["two", "three"]),
        (["--grep", "^..:..:.. .*T[wh]"], ["two", "three"]),
        (["--level", "error", "--grep", "two"], []),
    ):
        code, out, err = run_command("tail", inbox.url, "--once", "--json", *options)
        assert (0, "", expected) == (code, err, [json.loads(line)["title"] for line in out.splitlines()])


@pytest.mark.parametrize("protocol", [7, 3])
def test_tail_of_a_spool(tmp_path, protocol):
    """What waits on its way to a server, of both protocols."""
    spool = tmp_path / "spool"
    fill(spool, "http://a@127.0.0.1:1/1", 1)
    if protocol == 3:
        code = (
            "from heka_raven.formats.raven_payload import encode_raven\n"
            "stream = SpoolStream(path=path, sender='off')\nstream.ledger.add('captured')\n"
            "stream.write_event('7' * 32, dsn, encode_raven(b'{\"message\": \"old\", \"level\": 20}'), 'raven')\n"
        )
        run_app(spool, "http://a@127.0.0.1:1/1", code)
    code, out, err = run_command("tail", "--spool", spool, "--once")
    assert (0, "", 2 if protocol == 3 else 1) == (code, err, len(out.splitlines()))
    assert ("info    old" in out) == (protocol == 3)


def test_tail_says_what_is_wrong(tmp_path):
    """One line: no inbox there, no such spool, no regular expression."""
    for arguments, words in (
        (["http://127.0.0.1:1"], "no inbox answers there"),
        (["file:///etc/passwd"], "begins with http:// or https://"),
        (["--spool", str(tmp_path / "no")], "does not exist"),
        (["--grep", "("], "--grep"),
    ):
        code, _, err = run_command("tail", "--once", *arguments)
        assert (2, 1, True) == (code, err.count("\n"), words in err), err


def test_tail_needs_the_token(tmp_path):
    """From the environment, or by the option."""
    token = "a token of some length"
    with running_inbox(tmp_path / "inbox.db", "--token", token) as inbox:
        assert "--token" in run_command("tail", "--once", inbox.url)[2]
        assert 0 == run_command("tail", "--once", inbox.url, env={"HEKA_RAVEN_INBOX_TOKEN": token})[0]


def test_no_event_moves_the_cursor():
    """What a program wrote is shown, never obeyed."""
    row = {"level": "error", "happened": 0.0, "title": "a\x1b[2Jb\nc", "culprit": "\x07", "link": ""}
    assert line_of(row).isprintable()
    assert line_of(row, colour=True).count("\x1b") == 2


@pytest.mark.full
def test_mcp(inbox):
    """search, issue, event, in_flight and running, over a real client and a real process; nothing can be changed."""
    mcp = pytest.importorskip("mcp")
    in_flight = {"suspect": {"method": "POST", "url": "/checkout", "age_s": 60.0, "worker": 3, "core": 0, "pid": 77}}
    send(inbox, 1, message="harakiri: worker 3", tags={"uwsgi.event": "harakiri"}, contexts={"uwsgi": in_flight})
    send(inbox, 2, exception={"values": [{"type": "KeyError", "value": "[Filtered]"}]})

    async def ask():
        parameters = mcp.StdioServerParameters(
            command=sys.executable, args=["-m", "heka_raven.cli.main", "mcp", "--db", str(inbox.db)]
        )
        async with mcp.Client(parameters) as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
            found = [
                (await client.call_tool(name, arguments)).structured_content
                for name, arguments in (
                    ("search", {"query": "keyerror"}),
                    ("issue", {"number": 1}),
                    ("event", {"event_id": f"{2:032x}"}),
                    ("in_flight", {"event_id": f"{1:032x}"}),
                )
            ]
            wrong = await client.call_tool("event", {"event_id": "f" * 32})
            return tools, found, wrong.is_error

    tools, (search, issue, event, flight), wrong = asyncio.run(ask())
    assert {"search", "issue", "event", "in_flight", "running"} == tools
    assert ["KeyError: [Filtered]"] == [row["title"] for row in search["result"]]
    assert ("harakiri: worker 3", [f"{1:032x}"]) == (issue["title"], [e["event_id"] for e in issue["events"]])
    assert "KeyError: [Filtered]" in event["result"]
    assert [("suspect", "POST", "/checkout")] == [(r["role"], r["method"], r["url"]) for r in flight["result"]]
    assert wrong


def test_mcp_says_what_is_wrong(tmp_path):
    """No database; a file that is none."""
    assert "there is none" in run_command("mcp", "--db", tmp_path / "no.db")[2]
    (tmp_path / "x.db").write_text("no database")
    code, _, err = run_command("mcp", "--db", tmp_path / "x.db")
    assert (True, 1) == (code in (1, 2), err.count("\n")), err
