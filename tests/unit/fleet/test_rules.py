"""What a relay lets in: DSNs, signatures, payloads, and what it is told in its file."""

import base64
import json
import os
import zlib

import pytest

from heka import wire
from heka.exceptions import ConfigError
from heka.wire import RecordReader
from heka_raven.cli.config_file import parse_with_config
from heka_raven.cli.relay import main, make_parser
from heka_raven.fleet.address import parse_address
from heka_raven.fleet.allow import AllowList, parse_rule
from heka_raven.fleet.records import MAX_EVENT_SIZE, Refused, read_envelope, read_message, unpack
from heka_raven.fleet.signers import Signers, parse_signers, read_signer_file
from heka_raven.fleet.state import FleetState, read_states, rows
from heka_raven.formats.envelope import encode_spool_envelope
from support.fleet import KEY, encode, event_json

ANY = AllowList(["http://*@sentry.example.com/*"])
DSN = "http://key@sentry.example.com/1"


def record(*args, **kwargs):
    (found,) = RecordReader().feed(encode(*args, **kwargs))
    return found


def blob(data):
    return base64.b64encode(zlib.compress(data.encode() if isinstance(data, str) else data)).decode()


@pytest.mark.parametrize(
    ("rule", "dsn", "allowed"),
    [
        ("sentry.example.com/1", "https://k@sentry.example.com/1", True),
        ("sentry.example.com/1", "https://k@SENTRY.example.com/1", True),
        ("sentry.example.com/1", "https://k@sentry.example.com:443/1", True),
        ("sentry.example.com/1", "http://k@sentry.example.com/1", False),  # no scheme means https
        ("sentry.example.com/1", "https://k@sentry.example.com:8443/1", False),  # no port means the scheme's own
        ("sentry.example.com/1", "https://k@sentry.example.com/2", False),
        ("sentry.example.com/*", "https://k@sentry.example.com/2", True),
        ("sentry.example.com/*", "https://k@sentry.example.com/deep/2", False),  # * stays inside its part
        ("sentry.example.com/deep/*", "https://k@sentry.example.com/deep/2", True),
        ("*.example.com/*", "https://k@a.b.example.com/2", True),
        ("*.example.com/*", "https://k@example.com/2", False),
        ("*.example.com/*", "https://k@evil.test/x.example.com", False),
        ("*.example.com/*", "https://x.example.com@evil.test/1", False),
        ("sentry.example.com/*", "https://k@sentry.example.com.evil.test/1", False),
        ("sentry.example.com/*", "https://k@sentry.example.com./1", False),
        ("*://*@sentry.example.com:*/*", "udp://k:s@sentry.example.com:9001/2", True),
        ("http://good@sentry.example.com/*", "http://bad@sentry.example.com/1", False),
        ("http://go*@sentry.example.com/*", "http://good@sentry.example.com/1", True),
        ("http://[::1]:9000/*", "http://k@[::1]:9000/1", True),
        ("http://127.0.0.1:9000/1", "http://k@127.0.0.1:9001/1", False),
        ("sentry.example.com/*", "https://k@169.254.169.254/1", False),
    ],
)
def test_a_dsn_is_used_only_if_a_rule_names_its_server_and_project(rule, dsn, allowed):
    """Each part of the DSN is matched alone, against the pattern for that part."""
    assert allowed == (AllowList([rule]).resolve(dsn) is not None)


def test_a_rule_may_add_the_secret_or_send_elsewhere():
    """Old servers want a secret that the network should not carry; and a fleet's old DSN may mean a new server."""
    rules = AllowList(
        ["http://key:private@old.example.com/1", "udp://*@gone.example.com:9001/2 -> https://new@sentry/5"]
    )
    assert "private" == rules.resolve("http://key@old.example.com/1").secret
    assert "theirs" == rules.resolve("http://key:theirs@old.example.com/1").secret
    assert "https://new@sentry/5" == rules.resolve("udp://u:p@gone.example.com:9001/2").with_secret()


@pytest.mark.parametrize(
    "rule", ["", "sentry.example.com", "/1", "ftp://h/1", "h/1 -> nonsense", "http://a b@h/1", "k:s3cret@/1"]
)
def test_a_wrong_rule_is_one_clear_error(rule):
    """The error says what a rule looks like and quotes no key."""
    with pytest.raises(ConfigError, match=r"^dsn: ") as caught:
        parse_rule(rule)
    assert "s3cret" not in str(caught.value)


def test_no_rule_at_all_is_refused():
    """A relay without an allow-list does not start."""
    with pytest.raises(ConfigError, match="no rule"):
        AllowList([])


def test_verdicts_of_hostile_dsns_do_not_pile_up():
    """A million different DSNs from the network leave a bounded memory of them."""
    rules = AllowList(["sentry.example.com/*"])
    for number in range(3000):
        rules.resolve(f"https://k{number}@sentry.example.com/1")
    assert len(rules._known) <= 1024


@pytest.mark.parametrize("function", ["MD5", "SHA1"])
def test_signatures(function):
    """Right: taken. Unsigned, signed by a stranger, or wrong: refused, each under its own counter."""
    key = {**KEY, "hash_function": function}
    signers = Signers(parse_signers(["ops_1=fleet-secret"], "signer"))
    right = record("x", DSN, hmac=key)
    assert signers.refusal(right.header, right.payload) is None
    assert "refused.signature" == signers.refusal(right.header, right.payload + b"x")
    for hmac, counter in [
        (None, "refused.unsigned"),
        ({**key, "key": "other"}, "refused.signature"),
        ({**key, "signer": "evil"}, "refused.signer"),
        ({**key, "key_version": 2}, "refused.signer"),
    ]:
        found = record("x", DSN, hmac=hmac)
        assert counter == signers.refusal(found.header, found.payload)


def test_allow_unsigned_lets_only_unsigned_in():
    """With --allow-unsigned a wrong signature is still wrong."""
    signers = Signers({("ops", 1): b"fleet-secret"}, allow_unsigned=True)
    for hmac, refusal in [(None, None), (KEY, None), ({**KEY, "key": "other"}, "refused.signature")]:
        found = record("x", DSN, hmac=hmac)
        assert refusal == signers.refusal(found.header, found.payload)


def test_taking_the_signature_off_does_not_help():
    """A header that names a signer but has no hmac, or an empty one, is refused."""
    signers = Signers({("ops", 1): b"fleet-secret"})
    found = record("x", DSN, hmac=KEY)
    found.header.hmac = b""
    assert "refused.signature" == signers.refusal(found.header, found.payload)
    found.header.ClearField("hmac")
    assert "refused.signature" == signers.refusal(found.header, found.payload)


def test_a_signer_file_is_private(tmp_path):
    """Keys come from a file that others cannot read; an error names the line, never the key."""
    path = tmp_path / "signers"
    path.write_text("# the fleet\n\nops_1=a=b_2=c\nweb_front_2=k\n")
    path.chmod(0o640)
    assert {("ops", 1): b"a=b_2=c", ("web_front", 2): b"k"} == read_signer_file(str(path))
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 640"):
        read_signer_file(str(path))
    with pytest.raises(ConfigError, match="entry 2") as caught:
        parse_signers(["ops_1=a", "s3cret-without-version"], "signer")
    assert "s3cret" not in str(caught.value)


def test_both_payloads_become_the_same_event():
    """JSON and base64 of zlib give one and the same spooled event, byte for byte."""
    text = event_json(7)
    plain = read_message(record(text, DSN).message, ANY)
    packed = read_message(record(blob(text), DSN).message, ANY)
    assert text.encode() == plain.payload == packed.payload
    assert f"{7:032x}" == plain.event_id == packed.event_id
    assert "event" == plain.item_type == packed.item_type


def test_protocol_3_goes_as_its_server_wants_it():
    """A v3 event is unpacked for servers of today, and stays the blob for --legacy raven and for UDP."""
    text = json.dumps({"event_id": "a" * 32, "sentry.interfaces.Exception": {"value": "v"}})
    allowed = AllowList(["http://*@h/*", "udp://*@h/*"])
    message = record(blob(text), "http://k@h/1").message
    assert ("event", text.encode()) == (
        read_message(message, allowed).item_type,
        read_message(message, allowed).payload,
    )
    as_blob = read_message(message, allowed, "raven")
    assert ("raven", message.payload.encode()) == (as_blob.item_type, as_blob.payload)
    assert "raven" == read_message(record(text, "udp://k:s@h/1").message, allowed).item_type


def test_an_event_without_an_id_has_that_of_its_message():
    """So a copy that comes again is seen to be the same event."""
    found = record("{}", DSN)
    assert found.message.uuid.hex() == read_message(found.message, ANY).event_id


def test_a_zlib_bomb_is_refused_at_one_mebibyte():
    """What would unpack to 40 MiB is given up at 1 MiB; what is exactly 1 MiB passes."""
    bomb = blob(b"{" + b" " * 40 * 1024 * 1024 + b"}")
    assert len(bomb) < 60_000
    with pytest.raises(Refused, match="more than 1048576") as caught:
        read_message(record(bomb, DSN).message, ANY)
    assert "refused.too_large" == caught.value.counter
    limit = b"{" + b" " * (MAX_EVENT_SIZE - 2) + b"}"
    assert limit == unpack(blob(limit).encode())


@pytest.mark.parametrize(
    "payload",
    ["", "some payload data", "[]", "{", "null", blob("[1]"), blob("{")[:-4], "{" * 60_000, '{"a":"\\ud800"}'],
)
def test_a_payload_that_is_no_event_is_refused(payload):
    """Neither JSON nor a raven blob of an object: refused, counted as such."""
    with pytest.raises(Refused) as caught:
        read_message(record(payload, DSN).message, ANY)
    assert "refused.payload" == caught.value.counter


@pytest.mark.parametrize(
    "dsn", [None, "", "nonsense", "http://key@elsewhere.example.com/1", b"http://key@sentry.example.com/1"]
)
def test_a_message_without_an_allowed_dsn_is_refused(dsn):
    """No dsn, no DSN, a foreign one, or one of the wrong field type."""
    with pytest.raises(Refused) as caught:
        read_message(record(event_json(), dsn).message, ANY)
    assert "refused.dsn" == caught.value.counter


def test_an_envelope_from_a_broker_is_judged_alike():
    """The DSN must be allowed, the event readable; no_verify does not travel, the API does."""
    hk = {"no_verify": True, "api": "store", "timeout_s": 3, "anything": 1}
    found = read_envelope(encode_spool_envelope("a" * 32, DSN, "event", b"{}", hk), ANY)
    assert {"api": "store", "timeout_s": 3} == found.hk
    for data, counter in [
        (b"garbage", "refused.envelope"),
        (b"{}\n", "refused.envelope"),
        (encode_spool_envelope("short", DSN, "event", b"{}"), "refused.envelope"),
        (encode_spool_envelope("a" * 32, DSN, "attachment", b"{}"), "refused.envelope"),
        (encode_spool_envelope("a" * 32, "http://k@evil.test/1", "event", b"{}"), "refused.dsn"),
        (encode_spool_envelope("a" * 32, DSN, "event", b"no"), "refused.payload"),
        (encode_spool_envelope("a" * 32, DSN, "raven", b"no"), "refused.payload"),
        (b" " * (2 * MAX_EVENT_SIZE + 1), "refused.envelope"),
    ]:
        with pytest.raises(Refused) as caught:
            read_envelope(data, ANY)
        assert counter == caught.value.counter


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("udp://127.0.0.1:5565", True),
        ("tcp://[::1]:5565", True),
        ("unix:///run/relay.sock", True),
        ("tcp://0.0.0.0:5565", False),
        ("tcp://relay.example.com:5565", False),
    ],
)
def test_addresses(text, local):
    """An address reads back as it was written, and says whether other hosts can reach it."""
    address = parse_address("listen", text)
    assert (text, local) == (str(address), address.is_local)


@pytest.mark.parametrize(
    "text", ["", "127.0.0.1:1", "udp://127.0.0.1", "udp://:1", "tcp://h:70000", "unix://relative", "http://h:1"]
)
def test_a_wrong_address_names_the_key(text):
    """One line: the key, the value, what is allowed."""
    with pytest.raises(ConfigError, match=r"^listen: "):
        parse_address("listen", text)


def config(tmp_path, text, mode=0o640):
    path = tmp_path / "heka-raven.toml"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_every_option_is_a_key_and_the_command_line_wins(tmp_path):
    """A file with every key of [relay] is taken; what argv says replaces what the file says."""
    path = config(
        tmp_path,
        """
        [relay]
        listen = ["udp://127.0.0.1:5565", "tcp://127.0.0.1:5565"]
        dsn = "sentry.example.com/*"
        signer = ["ops_1=k"]
        signer_file = "/etc/signers"
        allow_unsigned = true
        forward = "tcp://127.0.0.1:1"
        legacy = "raven"
        max_connections = 10
        max_record_time = 2.5
        spool = "/var/spool/x"
        durability = "power"
        max_bytes = "1G"
        max_count = 1000
        sender = "off"
        connections = 4
        connect_timeout_s = 1
        timeout_s = 2
        max_age_s = 60
        rate_limit = "discard"
        compress = "gzip"
        proxy = "http://p:1"
        ca_file = "/etc/ca"
        from = ["amqps://u:p@h1/v", "amqps://u:p@h2/v"]
        queue = "q"
        declare = false
        heartbeat = 5
        prefetch = 10
        amqp_ca_file = "/etc/ca"
        amqp_cert_file = "/etc/cert"
        [send]
        to = "amqps://u:p@h/v"
        """,
    )
    parser = make_parser()
    arguments = vars(
        parse_with_config(parser, ["--config", path, "--listen", "tcp://127.0.0.1:0", "--max-count", "5"], "relay")
    )
    assert ["tcp://127.0.0.1:0"] == arguments["listen"]
    assert "5" == arguments["max_count"]
    assert ["sentry.example.com/*"] == arguments["dsn"]
    assert (True, False) == (arguments["allow_unsigned"], arguments["declare"])
    assert "2.5" == arguments["max_record_time"]
    missing = [action.dest for action in parser._actions if action.dest != "help" and arguments[action.dest] is None]
    assert [] == missing


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ("[relay]\nlissten = 'x'", 0o640, r"\[relay\] lissten: no such key; known: .*listen"),
        ("[relays]", 0o640, "relays: no such section"),
        ("[relay", 0o640, "heka-raven.toml: "),
        ("[relay]\nallow_unsigned = 'yes'", 0o640, "neither true nor false"),
        ("[relay]\nlisten = [1]", 0o640, "list of texts"),
        ("[relay]\nqueue = ['a']", 0o640, "text or a number"),
        ("[relay]\nfrom = 'amqps://u:s3cret@h/v'", 0o644, "chmod 640"),
        ("[relay]\nlisten = 'tcp://h:1'\nsigner = ['ops_1=s3cret']", 0o644, "chmod 640"),
    ],
)
def test_a_wrong_file_names_file_section_and_key(tmp_path, text, mode, words):
    """Nothing in the file is ignored, and a password in it is not for everybody."""
    with pytest.raises(ConfigError, match=words) as caught:
        parse_with_config(make_parser(), ["--config", config(tmp_path, text, mode)], "relay")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--dsn", "h/1"], "nothing to take events from"),
        (["--listen", "tcp://127.0.0.1:0"], "no rule"),
        (["--listen", "tcp://0.0.0.0:0", "--dsn", "h/1"], "can be reached by other hosts"),
        (
            ["--listen", "tcp://127.0.0.1:0", "--dsn", "h/1", "--legacy", "x"],
            "legacy: 'x' is not allowed: event or",
        ),
        (["--listen", "tcp://127.0.0.1:0", "--dsn", "h/1", "--signer-file", "/nowhere"], "signer_file: /nowhere"),
        (["--listen", "tcp://127.0.0.1:0", "--dsn", "h/1", "--forward", "tcp://x"], "forward: "),
    ],
)
def test_a_relay_that_cannot_work_does_not_start(tmp_path, options, words):
    """One clear error before anything is opened or waits."""
    with pytest.raises(ConfigError, match=words):
        main(["--spool", str(tmp_path / "spool"), *options])


def test_status_shows_what_a_relay_told(tmp_path):
    """The file of a running process, and that of one that is gone."""
    os.mkdir(tmp_path / "state")
    broker = {"url": "amqps://h/v", "state": "connected", "error": None, "queues": {"q": 7}}
    FleetState(str(tmp_path), "relay").write(
        {"listen": ["tcp://h:1"], "connections": 2, "broker": broker, "counts": {"accepted": 3}}, now=True
    )
    (tmp_path / "state" / "fleet-send-1-1.json").write_text('{"role": "send", "pid": 1}')
    (tmp_path / "state" / "fleet-send-2-1.json").write_text("broken")
    told = dict(rows(read_states(str(tmp_path))))
    assert f"pid {os.getpid()}" == told["relay"]
    assert "tcp://h:1, 2 connections" == told["relay listens"]
    assert "amqps://h/v: connected" == told["relay broker"]
    assert ("7 waiting", "3") == (told["relay queue q"], told["relay accepted"])
    assert "pid 1, stopped" == told["send"]


def test_a_forged_length_does_not_reserve_memory():
    """A header that promises more than 65,536 bytes begins no record."""
    header = bytes.fromhex("08ffffffff0f")
    reader = RecordReader()
    assert [] == reader.feed(wire.frame(header, b"x") + encode(event_json(), DSN)[:10])
    assert reader.pending <= 10
