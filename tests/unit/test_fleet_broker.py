"""The broker's URL and options, and what of an event travels."""

import argparse
import os
import subprocess
import sys

import orjson
import pytest
from fleet_support import COMMAND

from heka.exceptions import ConfigError
from heka_raven.amqp.options import add_broker, parse_url, read_broker
from heka_raven.amqp.publisher import travel_form
from heka_raven.envelope import EnvelopeError, encode_spool_envelope, parse_envelope


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("amqp://h", ("amqp", "h", 5672, "/", "guest", "guest")),
        ("amqps://u:p@h", ("amqps", "h", 5671, "/", "u", "p")),
        ("amqps://u:p%40%2F@h:1234/events", ("amqps", "h", 1234, "events", "u", "p@/")),
        ("amqps://u:p@h/%2Fa", ("amqps", "h", 5671, "/a", "u", "p")),
        ("amqp://[::1]:7/", ("amqp", "::1", 7, "/", "guest", "guest")),
    ],
)
def test_a_url(text, expected):
    """Scheme, host, port, vhost, user and password; its text form shows neither of the last two."""
    url = parse_url("to", text)
    assert expected == (url.scheme, url.host, url.port, url.vhost, url.user, url.password)
    assert "@" not in f"{url} {url!r}".replace("p@/", "")
    assert url.password == "guest" or url.password not in f"{url}".removeprefix("amqp")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h",
        "http://u:s3cret@h",
        "amqps://",
        "amqps://u:s3cret@h:x/",
        "amqps://u:s3cret@h/a/b",
        "amqps://u:s3cret@h/?a=1",
        "amqps://u:s3cret@[h",
    ],
)
def test_a_wrong_url_names_the_option_and_quotes_nothing(text):
    """The text holds a password."""
    with pytest.raises(ConfigError, match=r"^to: ") as caught:
        parse_url("to", text)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--queue", "amq.x"], "queue: 'amq.x'"),
        (["--queue", "x" * 251], "queue: .* longer than 250 bytes"),
        (["--heartbeat", "0.1"], "heartbeat: 0.1 s is outside"),
        (["--amqp-ca-file", "/nowhere"], "amqp_ca_file: /nowhere does not exist"),
    ],
)
def test_wrong_options(options, words):
    """Key, value, what is allowed."""
    parser = argparse.ArgumentParser()
    add_broker(parser)
    with pytest.raises(ConfigError, match=words):
        read_broker("to", ["amqp://127.0.0.1"], parser.parse_args(options))


def test_without_the_library_the_error_says_what_to_install(tmp_path):
    """No traceback: one line, exit code 2."""
    (tmp_path / "pika.py").write_text("raise ImportError('none')")
    done = subprocess.run(
        [*COMMAND, "send", "--once", "--spool", str(tmp_path / "s"), "--to", "amqp://127.0.0.1"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert 2 == done.returncode
    assert "pip install 'heka-raven[amqp]'" in done.stderr
    assert 1 == done.stderr.count("\n")


@pytest.mark.parametrize("dsn", ["https://k:private@h/1", "https://k@h/1"])
def test_the_secret_stays_at_home(dsn):
    """Only the header's DSN changes, and only if it has a secret; --send-secret leaves it."""
    data = encode_spool_envelope("a" * 32, dsn, "event", b'{"a":1}', {"api": "store"})
    header, items = parse_envelope(travel_form(data, send_secret=False))
    assert {"event_id": "a" * 32, "dsn": "https://k@h/1", "hk": {"api": "store"}} == header
    assert b'{"a":1}' == items[0].payload
    assert data == travel_form(data, send_secret=True)


@pytest.mark.parametrize("header", [{}, {"dsn": 1}, {"dsn": "nonsense"}])
def test_a_file_that_is_no_event_does_not_travel(header):
    """It is refused here, so that it ends in dead/ of the host that wrote it."""
    with pytest.raises((EnvelopeError, ConfigError)):
        travel_form(orjson.dumps(header) + b"\n", send_secret=False)
