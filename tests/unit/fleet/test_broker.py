"""The broker's URL and options, and what of an event travels."""

import argparse
import base64
import os
import random
import subprocess
import sys
import zlib

import orjson
import pytest

from heka.exceptions import ConfigError
from heka_raven.cli.send import main as send
from heka_raven.fleet import intake as intake_module
from heka_raven.fleet.allow import AllowList
from heka_raven.fleet.broker import add_broker, parse_url, read_broker
from heka_raven.fleet.intake import Intake
from heka_raven.fleet.publisher import travel_form
from heka_raven.fleet.records import MAX_ENVELOPE_SIZE, Refused
from heka_raven.fleet.signers import Signers
from heka_raven.formats.envelope import EnvelopeError, encode_spool_envelope, parse_envelope
from heka_raven.sender.request import build_request
from heka_raven.spool.ledger import read_snapshot
from heka_raven.spool.spool import Spool
from support.fleet import COMMAND


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
        (["--heartbeat", "0.1"], "heartbeat: '0.1' is not allowed: a number of seconds"),
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


@pytest.mark.parametrize(
    "data",
    [
        *(orjson.dumps(header) + b"\n" for header in ({}, {"dsn": 1}, {"dsn": "nonsense"})),
        encode_spool_envelope("a" * 32, "https://k@h/1", "event", b" " * MAX_ENVELOPE_SIZE),
    ],
)
def test_a_file_that_is_no_event_does_not_travel(data):
    """It is refused here, so that it ends in dead/ of the host that wrote it; so is what no relay would take."""
    with pytest.raises((EnvelopeError, ConfigError)):
        travel_form(data, send_secret=False)


@pytest.fixture
def intake(tmp_path):
    return Intake(Spool(str(tmp_path / "spool")), AllowList(["https://*@h/*"]), Signers({}))


ENVELOPE = encode_spool_envelope("a" * 32, "https://k@h/1", "event", b"{}")


def test_what_cannot_be_written_stays_with_the_broker(intake):
    """It is neither captured nor discarded here: it is not lost. Once the disk takes it, it counts once."""
    tmp = os.path.join(intake.spool.path, "tmp")
    os.rmdir(tmp)
    with open(tmp, "w", encoding="ascii"):
        pass  # for root, too, no file can be made below this
    for _ in range(3):
        assert not intake.take_envelope(ENVELOPE, "amqp://h")
    ledger = read_snapshot(intake.spool.path)
    assert (0, 0, 0) == (ledger["captured"], sum(ledger.discarded.values()), ledger.pending)
    os.unlink(tmp)
    assert intake.take_envelope(ENVELOPE, "amqp://h")
    ledger = read_snapshot(intake.spool.path)
    assert (1, 1, 0) == (ledger["captured"], ledger.pending, ledger.missing)


def test_an_envelope_on_which_the_relay_fails_is_refused(intake, monkeypatch):
    """Else the broker would give it out again and again, and each time it would end a relay."""

    def fail(*_):
        raise RuntimeError("a defect of ours")

    monkeypatch.setattr(intake_module, "read_envelope", fail)
    with pytest.raises(Refused):
        intake.take_envelope(ENVELOPE, "amqp://h")
    assert {"refused.internal": 1} == intake.counts.snapshot()


def test_mutated_envelopes_are_refused_or_taken(intake):
    """Whatever a broker hands out: the relay takes it or refuses it, and what it took can be delivered."""
    dice = random.Random(12)
    seeds = [
        encode_spool_envelope("a" * 32, "https://k:s@h/1", "event", b'{"a":{"b":[1,2.5,null]}}', {"timeout_s": 3}),
        encode_spool_envelope("b" * 32, "https://k@h/1", "raven", base64.b64encode(zlib.compress(b'{"a":1}'))),
    ]
    for _ in range(3_000):
        data = bytearray(dice.choice(seeds))
        for _ in range(dice.randint(1, 6)):
            at = dice.randrange(len(data))
            kind = dice.randrange(3)
            if kind == 0:
                data[at] = dice.randrange(256)
            elif kind == 1:
                data[at:at] = dice.choice((b"\n", b"{", b'"', b"[" * 2000, b"9" * 400, b"\\ud800", b"\x00", b"null"))
            else:
                del data[at : at + dice.randint(1, 20)]
        try:
            assert intake.take_envelope(bytes(data), "amqp://h")
        except Refused as refused:
            assert "refused.internal" != refused.counter
    names = intake.spool.names()
    assert names
    for name in names:
        assert build_request(intake.spool.read(name), 0.0).dsn.host == "h"
    assert 0 == read_snapshot(intake.spool.path).missing


def test_every_option_of_send_is_a_key(tmp_path):
    """The section [send] takes each; a value that is wrong is refused, so none is parsed and forgotten."""
    path = tmp_path / "heka-raven.toml"
    for key, value, words in [
        ("connections", "0", "connections"),
        ("connect_timeout", "0", "connect.timeout"),
        ("connect_timeout_s", "0", "connect.timeout"),
        ("timeout", "'x'", "timeout"),
        ("timeout = 1\ntimeout_s", "1", "twice"),
        ("max_age", "-1", "max.age"),
        ("rate_limit", "'x'", "rate.limit"),
        ("compress", "'x'", "compress"),
        ("proxy", "'x'", "proxy"),
        ("ca_file", "'/nowhere'", "ca.file"),
        ("to", "'http://h'", "to: "),
        ("queue", "'amq.x'", "queue"),
        ("declare", "'x'", "declare"),
        ("heartbeat", "0", "heartbeat"),
        ("amqp_ca_file", "'/nowhere'", "amqp_ca_file"),
        ("amqp_cert_file", "'/nowhere'", "amqp_cert_file"),
        ("send_secret", "'x'", "send_secret"),
    ]:
        to = "" if key == "to" else "to = 'amqp://127.0.0.1:1'\n"
        path.write_text(f"[send]\n{to}{key} = {value}\n")
        path.chmod(0o640)
        with pytest.raises(ConfigError, match=words):
            send(["--once", "--config", str(path), "--spool", str(tmp_path / "s")])
