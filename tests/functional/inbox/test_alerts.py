"""Alerts of a real inbox: to a real web server, a real mail server, a real command; and what the page says of them."""

import json
import signal
import sqlite3
import stat
import sys
import time
from pathlib import Path

import pytest

from heka_raven.cli.inbox import main
from heka_raven.inbox.alerts import targets
from heka_raven.inbox.alerts.message import Names, make_test
from support.browser import chromium, shoot, violations
from support.inbox import AUTH, running_inbox
from support.mail_server import MailServer
from support.paths import DATA
from support.sentry_server import Reply, Server
from support.waiting import still, wait_for

HOUR = 3_600


def send(inbox, number=1, kind="KeyError", **event):
    body = {"event_id": f"{number:032x}", "exception": [{"type": kind, "value": "'GBP'"}], "release": "shop@1", **event}
    assert 200 == inbox.request("/api/1/store/", json.dumps(body).encode(), AUTH).status


def told(server):
    """The JSON of every webhook that arrived."""
    return [json.loads(request.body) for request in server.requests]


def page_of(inbox):
    return inbox.request("/data").text


def test_a_webhook_is_told(tmp_path):
    """A new issue is POSTed as JSON at once, with a link under which its page is; a second event tells nobody."""
    with Server() as server, running_inbox(
        tmp_path / "i.db", "--notify", f"http://127.0.0.1:{server.port}/hook/SECRET?k=v", "--project", "1=shop"
    ) as inbox:  # fmt: skip
        send(inbox)
        (document,) = wait_for(lambda: told(server))
        (request,) = server.requests
        assert ("POST", "/hook/SECRET?k=v") == (request.method, request.path)
        assert "application/json" == request.headers["content-type"]
        (alert,) = document["alerts"]
        assert ("new", "KeyError: 'GBP'", "shop") == (alert["reason"], alert["title"], alert["project"])
        assert document["text"].startswith("New: KeyError: 'GBP'")
        assert 200 == inbox.request(alert["link"].removeprefix(inbox.url)).status
        send(inbox, 2)
        assert 1 == len(still(lambda: server.requests, 1.5))
        wait_for(lambda: "never" not in page_of(inbox))
        assert "SECRET" not in page_of(inbox)


def test_a_webhook_over_tls_is_verified(tmp_path, monkeypatch):
    """A certificate for somebody else gets nothing; the right one the alert. A login in the URL goes in its header."""
    monkeypatch.setenv("SSL_CERT_FILE", str(DATA / "tls" / "ca.pem"))
    for certificate, arrives in (("wrong.pem", False), ("server.pem", True)):
        with Server(tls=certificate) as server, running_inbox(
            tmp_path / f"{certificate}.db", "--notify", f"https://me:SECRET@localhost:{server.port}/"
        ) as inbox:  # fmt: skip
            send(inbox)
            if arrives:
                (request,) = wait_for(lambda server=server: server.requests)
                assert "Basic bWU6U0VDUkVU" == request.headers["authorization"]
            else:
                wait_for(lambda inbox=inbox: "TLS failed" in page_of(inbox))
                assert [] == server.requests
            assert "SECRET" not in page_of(inbox)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(500), "status 500"),
        (Reply(404), "status 404"),
        (Reply(302, {"Location": "http://127.0.0.1:1/"}), "redirects are not followed"),
        (Reply(close=True), "the connection ended without an answer"),
    ],
)
def test_what_could_not_be_sent_is_told(tmp_path, reply, said):
    """On every page, on the Data page with its issue, and in the terminal; never with the secret."""
    with Server(lambda request: reply) as server, running_inbox(
        tmp_path / "i.db", "--notify", f"http://127.0.0.1:{server.port}/SECRET"
    ) as inbox:  # fmt: skip
        send(inbox)
        wait_for(lambda: said in inbox.request("/").text)
        page = page_of(inbox)
        assert said in page.partition("What became of it")[2]
        inbox.process.send_signal(signal.SIGTERM)
        logged = inbox.process.stderr.read()
        assert f"1 alert for http://127.0.0.1:{server.port}/…: " in logged
        assert said in logged
        assert "SECRET" not in page + logged


def test_a_target_that_hangs_holds_up_nothing(tmp_path):
    """Events are taken and other targets told while one never answers; the inbox stops in time."""
    with Server(lambda request: Reply(hang=True)) as dead, Server() as server, running_inbox(
        tmp_path / "i.db", "--notify", f"http://127.0.0.1:{dead.port}/", "--notify", f"http://127.0.0.1:{server.port}/"
    ) as inbox:  # fmt: skip
        send(inbox)
        wait_for(lambda: dead.requests and server.requests)
        for n in range(2, 52):
            send(inbox, n)
        assert 51 == len(inbox.events())


def test_a_mail_is_sent(tmp_path, monkeypatch):
    """Over TLS whose certificate is verified, with the login of the URL, to each address."""
    monkeypatch.setenv("SSL_CERT_FILE", str(DATA / "tls" / "ca.pem"))
    with MailServer(tls="server.pem", login=("me", "SECRET")) as server, running_inbox(
        tmp_path / "i.db", "--notify",
        f"smtps://me:SECRET@localhost:{server.port}/ops@example.com,dev@example.com?from=inbox@example.com",
    ) as inbox:  # fmt: skip
        send(inbox, kind="Zürich\nBcc: x@example.com")
        ((sender, to, mail, encrypted),) = wait_for(lambda: server.mails)
        assert ("inbox@example.com", ["ops@example.com", "dev@example.com"], True) == (sender, to, encrypted)
        assert "[heka-raven] New: Zürich Bcc: x@example.com: 'GBP'" == mail["Subject"]
        assert (None, "auto-generated") == (mail["Bcc"], mail["Auto-Submitted"])
        assert f"{inbox.url}/event/{1:032x}" in mail.get_content()
        wait_for(lambda: "never" not in page_of(inbox))
        assert "SECRET" not in page_of(inbox)


def test_a_mail_without_a_password_to_this_machine(tmp_path):
    """smtp:// to the mail server of this host needs neither TLS nor a login."""
    with MailServer() as server, running_inbox(
        tmp_path / "i.db", "--notify", f"smtp://127.0.0.1:{server.port}/root@localhost"
    ) as inbox:  # fmt: skip
        send(inbox)
        assert ["root@localhost"] == wait_for(lambda: server.mails)[0][1]


@pytest.mark.parametrize(
    ("options", "login", "said"),
    [
        ({"host": "127.0.0.2", "login": ("me", "SECRET")}, "me:SECRET@", "it offers no TLS, and the password is not"),
        ({"host": "127.0.0.2", "starttls": "server.pem"}, "", "TLS with the mail server failed"),
        ({"login": ("me", "other")}, "me:SECRET@", "the mail server refused the login"),
        ({"refuse": {"RCPT": "550 no such user"}}, "", "the mail server refused every address (550)"),
        ({"refuse": {"MAIL": "451 later"}}, "", "the mail server said 451: later"),
    ],
)
def test_a_mail_that_cannot_be_sent_is_told(tmp_path, options, login, said):
    """In words; a password goes over TLS that was verified, or nowhere."""
    with MailServer(**options) as server, running_inbox(
        tmp_path / "i.db", "--notify", f"smtp://{login}{options.get('host', '127.0.0.1')}:{server.port}/a@example.com"
    ) as inbox:  # fmt: skip
        send(inbox)
        page = wait_for(lambda: said in page_of(inbox) and page_of(inbox))
        assert [] == server.mails
        assert "SECRET" not in page
        if "host" in options:
            assert not any(line.startswith(("AUTH", "MAIL")) for line in server.lines), server.lines


def command(tmp_path, text):
    path = tmp_path / "tell"
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_command_gets_the_json_on_its_standard_input(tmp_path, monkeypatch):
    """As it stands, with its arguments, without a shell, without the inbox's token."""
    monkeypatch.setenv("HEKA_RAVEN_INBOX_TOKEN", "0123456789abcdefSECRET")
    text = "import json, os, sys\nout = [sys.argv[1:], json.load(sys.stdin), dict(os.environ)]\n"
    text += f"open({str(tmp_path / 'part')!r}, 'w').write(json.dumps(out))\n"
    text += f"os.rename({str(tmp_path / 'part')!r}, {str(tmp_path / 'out')!r})\n"
    tell = command(tmp_path, text)
    with running_inbox(tmp_path / "i.db", "--notify", f"{tell} 'a b' $(id);", "--key", "abc") as inbox:
        send(inbox, kind="$(touch x)`touch y`")
        wait_for((tmp_path / "out").exists)
    arguments, document, environment = json.loads((tmp_path / "out").read_text())
    assert ["a b", "$(id);"] == arguments
    assert "$(touch x)`touch y`: 'GBP'" == document["alerts"][0]["title"]
    assert "HEKA_RAVEN_INBOX_TOKEN" not in environment


@pytest.mark.parametrize(
    ("text", "said"),
    [("raise SystemExit(3)", "it ended with status 3"), ("import os\nos.kill(os.getpid(), 9)", "killed by signal 9")],
)
def test_a_command_that_fails_is_told(tmp_path, text, said):
    """With its status; it need not read what it gets."""
    with running_inbox(tmp_path / "i.db", "--notify", str(command(tmp_path, text))) as inbox:
        send(inbox)
        wait_for(lambda: said in page_of(inbox))


def test_a_command_that_does_not_end_is_ended(tmp_path, monkeypatch):
    """With what it started itself, and counted as a failed try."""
    monkeypatch.setattr(targets, "COMMAND_S", 1.0)
    text = f"import subprocess, time\nchild = subprocess.Popen(['sleep', '600'])\nopen({str(tmp_path / 'pid')!r}, 'w')"
    tell = command(tmp_path, f"{text}.write(str(child.pid))\ntime.sleep(600)\n")
    (target,) = targets.parse_targets([str(tell)])
    assert "it did not end within 1 s" == target.send(make_test(Names("http://localhost", {}))).error
    if pid := (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
        wait_for(lambda: not Path(f"/proc/{pid}").exists() or "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text())


def test_a_webhook_that_answers_too_slowly_is_cut(monkeypatch):
    """A byte now and then is no answer: the try has one limit as a whole."""
    monkeypatch.setattr(targets, "TIMEOUT_S", 1.0)
    with Server(lambda request: Reply(trickle_s=0.3)) as server:
        (target,) = targets.parse_targets([f"http://127.0.0.1:{server.port}/SECRET"])
        began = time.monotonic()
        assert "no answer in time" == target.send(make_test(Names("http://localhost", {}))).error
        assert time.monotonic() - began < 20


def test_a_restart_sends_what_waited(tmp_path):
    """The target was down, the inbox was stopped: after both are there again it is told, once."""
    with Server(lambda request: Reply(503)) as server:
        port = server.port
        with running_inbox(tmp_path / "i.db", "--notify", f"http://127.0.0.1:{port}/") as inbox:
            send(inbox)
            wait_for(lambda: "status 503" in page_of(inbox))
    with sqlite3.connect(tmp_path / "i.db") as db:  # a minute later
        assert 1 == db.execute("UPDATE alert SET due = due - 60 WHERE state = 'waiting'").rowcount
    db.close()
    with (
        Server(port=port) as server,
        running_inbox(tmp_path / "i.db", "--notify", f"http://127.0.0.1:{port}/") as inbox,
    ):
        assert ["new"] == [alert["reason"] for alert in wait_for(lambda: told(server))[0]["alerts"]]
        wait_for(lambda: "Alerts do not reach" not in inbox.request("/").text)
    assert 1 == len(server.requests)


def test_quiet_hours(tmp_path):
    """Nobody is told meanwhile, and the page says so."""
    now = time.localtime(time.time() - 600)
    later = time.localtime(time.time() + HOUR)
    hours = f"{now.tm_hour:02d}:{now.tm_min:02d}-{later.tm_hour:02d}:{later.tm_min:02d}"
    with Server() as server, running_inbox(
        tmp_path / "i.db", "--notify", f"http://127.0.0.1:{server.port}/", "--quiet-hours", hours
    ) as inbox:  # fmt: skip
        send(inbox)
        assert [] == still(lambda: server.requests, 1.5)
        assert f"quiet {hours}" in page_of(inbox)


def test_the_file_says_whom_to_tell(tmp_path):
    """[inbox] of the configuration file has the same options; the command line wins."""
    file = tmp_path / "heka-raven.toml"
    with Server() as server:
        file.write_text(
            f'[inbox]\nnotify = ["http://127.0.0.1:{server.port}/"]\nnotify_on = "2/5m"\nproject = "1=shop"\n'
            'keep = "1d"\nlisten = "127.0.0.1:1"\nrate_limit = 100\n'
        )
        file.chmod(0o600)
        with running_inbox(tmp_path / "i.db", "--config", str(file)) as inbox:
            send(inbox)
            send(inbox, 2)
            (document,) = wait_for(lambda: told(server))
            assert ("often", "shop") == (document["alerts"][0]["reason"], document["alerts"][0]["project"])
            assert "at most 24 hours" in page_of(inbox)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--notify", "ftp://host/SECRET"], "--notify: a target begins with http"),
        (["--notify", "no-such-command SECRET"], "--notify: no such command, or it may not be run"),
        (["--notify", "mailto:SECRET"], "--notify: want addresses after the host"),
        (["--notify-on", "old"], "--notify-on: 'old': want new, again"),
        (["--quiet-hours", "22-7"], "--quiet-hours: '22-7': want HH:MM-HH:MM"),
        (["--notify-test"], "--notify-test: there is no --notify"),
        (["--url", "inbox.example.com"], "--url: want http://HOST"),
        (["--notify-level", "loud"], "argument --notify-level: invalid choice"),
        (["--config", "/no/such/file"], "/no/such/file: No such file or directory"),
    ],
)
def test_a_wrong_option_is_one_line(options, said, tmp_path, capsys):
    """Exit code 2, the option, what would be right, no secret; and no database is made."""
    try:
        code = main(["--db", str(tmp_path / "i.db"), *options])
    except SystemExit as exit:
        code = exit.code
    out = capsys.readouterr().err
    assert 2 == code
    assert said in out
    assert 1 == len(out.splitlines())
    assert "SECRET" not in out
    assert not (tmp_path / "i.db").exists()


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ('[inbox]\nnotify = "https://host/SECRET"\n', 0o644, "it holds a password or a key and mode 0644"),
        ('[inbox]\nnotify = "ftp://host/SECRET"\n', 0o600, "--notify: a target begins with"),
        ("[inbox]\nmax_event = 'x'\n", 0o600, "[inbox] max_event: it must be a number"),
        ('[inbox]\nnotify_test = true\n', 0o600, "[inbox] notify_test: no such key"),
        ('[inbox]\nexport = "x"\n', 0o600, "[inbox] export: no such key"),
        ("[inbox]\nnotify = 3\n", 0o600, "[inbox] notify: it must be text or a list of texts"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_line(text, mode, said, tmp_path, capsys):
    """It names the file and the key, or the option."""
    file = tmp_path / "heka-raven.toml"
    file.write_text(text)
    file.chmod(mode)
    assert 2 == main(["--db", str(tmp_path / "i.db"), "--config", str(file)])
    out = capsys.readouterr().err
    assert said in out
    assert 1 == len(out.splitlines())
    assert "SECRET" not in out


def test_every_target_can_be_tried(tmp_path, capsys):
    """--notify-test tells each once, says what became of it, and fails if one did."""
    with Server() as good, Server(lambda request: Reply(403)) as bad:
        options = ["--notify", f"http://127.0.0.1:{good.port}/", "--notify", f"http://localhost:{bad.port}/SECRET"]
        assert 1 == main(["--db", str(tmp_path / "i.db"), "--notify-test", *options])
        assert [
            f"http://127.0.0.1:{good.port}: told",
            f"http://localhost:{bad.port}/…: it answered with status 403",
        ] == capsys.readouterr().out.splitlines()
        assert ["A test of the alerts of the inbox at http://127.0.0.1:9000/"] == [d["text"] for d in told(good)]
        assert 0 == main(["--notify-test", *options[:2]])
    assert not (tmp_path / "i.db").exists()


@pytest.mark.full
def test_the_page_of_alerts_in_a_browser(tmp_path):
    """Who is told of what, the trouble on top of each page with a link to it, on light and dark, axe-core content."""
    with Server(lambda request: Reply(503)) as server, Server() as good, running_inbox(
        tmp_path / "i.db", "--notify", f"http://127.0.0.1:{server.port}/SECRET", "--notify", f"http://127.0.0.1:{good.port}/",
        "--notify-on", "new,again,10/5m", "--quiet-hours", "03:00-03:01",
    ) as inbox:  # fmt: skip
        send(inbox)
        wait_for(lambda: "status 503" in page_of(inbox) and good.requests)
        for size, dark in (((1280, 900), False), ((390, 844), True)):
            with chromium(tmp_path / f"profile{dark}", size, dark=dark) as driver:
                driver.get(inbox.url)
                (notice,) = driver.find_elements("css selector", ".notice.bad")
                assert "Alerts do not reach http://127.0.0.1:" in notice.text
                shoot(driver, f"alerts-list-{size[0]}")
                assert [] == violations(driver)
                notice.find_element("link text", "More").click()
                card = driver.find_element("id", "alerts")
                told_of = (
                    "new issues, those that come back, 10 events in 5 min; from level warning on; quiet 03:00-03:01"
                )
                assert told_of in card.text
                assert "KeyError: 'GBP'" in card.text
                assert "sent" in card.text
                driver.execute_script("arguments[0].scrollIntoView()", card)
                shoot(driver, f"alerts-{size[0]}")
                assert [] == violations(driver)
