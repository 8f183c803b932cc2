"""The bytes are those that heka-py 0.30.3 wrote, except where the original had a bug."""

import logging
import time
from pathlib import Path

import pytest

import heka.client
from heka import wire
from heka.client import HekaClient
from heka.config import client_from_dict_config, client_from_text_config
from heka.encoders import ProtobufEncoder, StdlibPayloadEncoder
from heka.exceptions import ConfigError
from heka.logging import hook_logger
from heka.message import Header, InvalidMessage, field_values
from heka.streams import DebugCaptureStream
from heka.testing import decode_message, fields_of, sent_messages
from heka_raven.raven_plugin import capture_stack, config_plugin
from support.golden import GOLDEN, NOW, by_name, from_golden, golden_client, message_of, record_bytes

MESSAGES = by_name("messages")
ERRORS = by_name("errors")
STDLIB = by_name("stdlib_payload_encoder")
CALLS = [name for name, case in MESSAGES.items() if case["call"]["method"] not in ("raven", "logging")]

CAPTURE = "heka.streams.DebugCaptureStream"

# What leaves this client where heka-py wrote something else: each case that the golden file marks as a BUG, and two
# more that have one. The part of the record that differs, as it was and as it is.
CORRECTED = {
    # a bool is a BOOL, not an INTEGER (bug 3)
    "field_bool_true": ("520a0a016210021a00320101", "520a0a016210041a00420101"),
    "field_bool_false": ("520a0a016210021a00320100", "520a0a016210041a00420100"),
    "field_many": ("52100a07657073696c6f6e10021a00320101", "52100a07657073696c6f6e10041a00420101"),
    # the severity given to @capture_stack holds for the second call too (bug 5)
    "raven_capture_stack_severity_2nd": ("2206676f6c64656e280332", "2206676f6c64656e280232"),
    # a log record comes with its arguments and the name of its logger (bug 10)
    "hook_logger": ("2206676f6c64656e2806320876616c7565202573", "220a676f6c64656e2e6c6f672806320776616c75652078"),
}


@pytest.fixture
def frozen(monkeypatch):
    """Freeze the clock, the time zone and the uuid (set what it returns) to those of the golden messages."""

    class Frozen:
        uuid = bytes(16)

    monkeypatch.setattr(heka.client.time, "time", lambda: NOW)
    monkeypatch.setattr(heka.client.os, "urandom", lambda size: Frozen.uuid)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield Frozen
    monkeypatch.undo()
    time.tzset()


def expected_bytes(name: str) -> bytes:
    record = record_bytes(MESSAGES[name]["records"][0])
    if name in CORRECTED:
        wrong, right = (bytes.fromhex(text) for text in CORRECTED[name])
        assert wrong in record, "the list of corrected bytes does not fit the golden record"
        _, message = wire.split(record)
        message = message.replace(wrong, right, 1)
        record = wire.frame(Header(message_length=len(message)).SerializeToString(), message)
    return record


@pytest.mark.parametrize("name", CALLS)
def test_calls_write_the_bytes_of_the_original(name, frozen):
    """Each call writes the original's record, given its uuid and time."""
    case = MESSAGES[name]
    client = golden_client(case)
    frozen.uuid = bytes.fromhex(case["records"][0]["message"]["uuid"])
    kwargs = from_golden(case["call"]["kwargs"])
    if name == "field_many":  # Python 2 had an order of its own, which the record shows
        order = [field["name"] for field in case["records"][0]["message"]["fields"]]
        kwargs["fields"] = {key: kwargs["fields"][key] for key in order}
    sent = getattr(client, case["call"]["method"])(*from_golden(case["call"]["args"]), **kwargs)
    if name == "big_over_limit":  # heka-py sent what hekad then refused
        assert sent is False
        assert client.losses["too_big"] == 1
        assert list(client.stream.msgs) == []
        return
    assert sent is True
    assert [expected_bytes(name)] == list(client.stream.msgs)


def test_logging_hook_writes_the_corrected_bytes(frozen):
    """A hooked logger writes the original's record, with the arguments and the logger's name it used to drop."""
    case = MESSAGES["hook_logger"]
    client = golden_client(case)
    frozen.uuid = bytes.fromhex(case["records"][0]["message"]["uuid"])
    logger = logging.getLogger("golden.log")
    hook_logger("golden.log", client)
    try:
        logger.setLevel(logging.INFO)
        logger.info(*case["call"]["args"])
    finally:
        logger.handlers.clear()
    assert [expected_bytes("hook_logger")] == list(client.stream.msgs)


@pytest.mark.parametrize("name", [name for name, case in MESSAGES.items() if case["call"]["method"] == "raven"])
def test_the_raven_plugin_writes_the_records_of_the_original(name, frozen):
    """Around the same payload, the plugin sends what heka-py-raven sent, byte for byte, and two more fields behind it.

    The original sent the secret of the dsn, which is an option now. Payloads are compared by their content, in the
    tests of the events.
    """
    case = MESSAGES[name]
    content = case["records"][0]["message"]
    frozen.uuid = bytes.fromhex(content["uuid"])
    client = golden_client(case)
    client.add_method(config_plugin({**case["plugin_config"], "send_secret": True}))
    keywords = {field["name"]: from_golden(field["values"])[0] for field in content["fields"] if field["name"] != "dsn"}
    keywords["payload"] = from_golden(content["payload"])
    if name == "raven_kwargs":
        keywords.update(logger=content["logger"], severity=content["severity"])
    if name.startswith("raven_capture_stack"):
        if "severity" in name:
            keywords["severity"] = 2

        @capture_stack(client=client, **keywords)
        def divide(a, b):
            return a / b

        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                divide(1, 0)
    else:
        assert client.raven(**keywords) is not None
    messages = sent_messages(client)
    assert len(messages) == (2 if name.startswith("raven_capture_stack") else 1)
    for msg in messages:
        assert ["event_id", "culprit"] == [field.name for field in msg.fields[-2:]]
        del msg.fields[-2:]
        assert expected_bytes(name) == client.encoder.encode(msg)


def iter_records():
    for case in GOLDEN["messages"]:
        for record in case["records"]:
            yield pytest.param(case["hmac_config"], record, id=case["name"])
    for case in GOLDEN["encoder_vectors"]:
        yield pytest.param(case["hmac_config"], case, id="encoder_" + case["name"])


ALL_RECORDS = list(iter_records())


@pytest.mark.parametrize(("hmac_config", "record"), ALL_RECORDS)
def test_encoder_writes_the_bytes_of_the_original(hmac_config, record):
    """The same Message gives the same record, signed or not, also with parts unset and with several values."""
    assert record_bytes(record) == ProtobufEncoder(hmac_config).encode(message_of(record["message"]))


@pytest.mark.parametrize(("hmac_config", "record"), ALL_RECORDS)
def test_decoding_gives_the_content_hekad_reads(hmac_config, record):
    """A golden record decodes to what hekad's own decoder read in it."""
    data = record_bytes(record)
    header, msg = decode_message(data)
    content = record["message"]
    assert message_of(content) == msg == ProtobufEncoder().decode(data)
    for golden, field in zip(content["fields"], msg.fields, strict=True):
        assert from_golden(golden["values"]) == field_values(field)
    assert len(data) == record["framed_len"]
    assert data[1] == record["header_len"]
    expected = {key: value for key, value in record["header"].items() if not key.endswith("_set")}
    found = {key: getattr(header, key) for key in expected}
    if "hmac" in found:
        found["hmac"] = found["hmac"].hex()
        found["hmac_hash_function"] = Header.HmacHashFunction.Name(found["hmac_hash_function"])
    assert expected == found


def test_decode_takes_what_heka_py_decoded():
    """``decode`` takes the bare bytes of a Message too, as heka-py's did."""
    record = record_bytes(MESSAGES["full"]["records"][0])
    assert ProtobufEncoder().decode(wire.split(record)[1]) == ProtobufEncoder().decode(record)


def test_every_bug_of_the_golden_messages_has_its_corrected_bytes():
    """What the golden file marks as a bug of the original is in the list above."""
    marked = {name for name, case in MESSAGES.items() if "bug" in case["note"].lower()}
    assert len(marked) == 3
    assert marked | {"field_many", "hook_logger"} == set(CORRECTED)
    for name in CORRECTED:
        assert expected_bytes(name) != record_bytes(MESSAGES[name]["records"][0])


def test_decode_names_what_is_wrong():
    """Bytes that are neither raise InvalidMessage, a record that is cut between two fields or has a tail as well."""
    record = record_bytes(MESSAGES["full"]["records"][0])
    last_field = message_of(MESSAGES["full"]["records"][0]["message"]).fields[-1].ByteSize() + 2
    assert ProtobufEncoder().decode(wire.split(record)[1][:-last_field]).type == "bawlp"  # still a Message
    broken = (b"", b"\x1e", b"\x1e\x02\x08\x01", b"\x1e\x02\x08\x01\x1f\xff", b"\xff\xff")
    for data in (*broken, record[:-last_field], record + record, record + b"\x10\x01"):
        if data:
            with pytest.raises(InvalidMessage):
                ProtobufEncoder().decode(data)
            with pytest.raises(InvalidMessage):
                decode_message(data)


@pytest.mark.parametrize("name", STDLIB)
def test_stdlib_payloads_are_those_of_the_original(name):
    """The stdlib encoder writes the original's bytes; the severities it lost and a level over 255 are sent too."""
    case = STDLIB[name]
    client = HekaClient(DebugCaptureStream(), "golden", encoder=StdlibPayloadEncoder)
    client.heka(*from_golden(case["args"]), **from_golden(case["kwargs"]))
    mended = {
        "severity_1": b"\x32stdlog    this is some text",
        "severity_5": b"\x14stdlog    this is some text",
        "loglevel_field_big": b"\xffstdlog    x",
    }
    if name in mended:
        expected = mended[name]
    elif name == "unicode_payload":  # heka-py handed on unicode; here it is bytes, as always
        expected = case["written"][0]["value"].encode("utf-8")
    else:
        expected = bytes.fromhex(case["written"][0]["hex"])
    assert [expected] == list(client.stream.msgs)


def is_sent(**expected):
    """The case sends one message now; *expected* of its attributes."""

    def check(send):
        (msg,) = sent_messages(send())
        found = {key: fields_of(msg) if key == "fields" else getattr(msg, key) for key in expected}
        assert expected == found

    return check


def is_refused(error, *names):
    """The case raises *error*, with a text that has all of *names*."""

    def check(send):
        with pytest.raises(error) as caught:
            send()
        for name in names:
            assert name in str(caught.value)

    return check


def is_signed(hash_function, key_version=1, header_size=None):
    """The case sends one signed message now."""

    def check(send):
        (data,) = send().stream.msgs
        header, _ = decode_message(data)
        assert header_size is None or header_size == data[1]
        assert hash_function == Header.HmacHashFunction.Name(header.hmac_hash_function)
        assert key_version == header.hmac_key_version

    return check


# Each of the original's error cases, and what happens now. docs/heka.rst has the same list as a table.
NEW_BEHAVIOUR = {
    "utf8_bytes_payload": is_sent(payload="grüße"),
    "hmac_header_128": is_signed("MD5", header_size=128),
    "hmac_header_255": is_signed("MD5", header_size=255),
    "hmac_header_256": is_refused(ConfigError, "hmac", "signer", "255"),
    "hmac_key_version_str": is_signed("SHA1"),
    "hmac_from_ini": is_signed("SHA1", key_version=2),
    "hmac_bad_hash": is_refused(ConfigError, "hmac", "hash_function", "'SHA256'", "MD5 or SHA1"),
    "hmac_lowercase_hash": is_signed("SHA1"),
    "hmac_missing_keys": is_refused(ConfigError, "hmac", "key_version", "missing"),
    "err_none_field": is_refused(ValueError, "'x'", "None"),
    "err_long_field": is_sent(fields={"x": 5}),
    "err_list_field": is_refused(ValueError, "'x'", "list", "allowed"),
    "err_tuple_field": is_refused(ValueError, "'x'", "tuple", "allowed"),
    "err_datetime_field": is_refused(ValueError, "'x'", "datetime", "allowed"),
    "err_bytes_not_utf8": is_sent(payload="\ufffd\ufffd"),
    "err_field_bytes_not_utf8": is_sent(fields={"x": b"\xff"}),
    "err_payload_none": is_refused(TypeError, "payload", "NoneType"),
    "err_payload_int": is_refused(TypeError, "payload", "int"),
    "err_type_none": is_refused(TypeError, "type", "NoneType"),
    "err_severity_str": is_refused(TypeError, "severity", "'3'"),
    "err_severity_big": is_refused(ValueError, "severity", "2147483648"),
    "err_field_name_int": is_refused(TypeError, "field name", "int"),
    "err_fields_list": is_refused(TypeError, "fields", "list"),
    "err_timestamp_str": is_refused(ValueError, "timestamp", "'now'"),
}
PLUGIN = "heka_raven.raven_plugin:config_plugin"


@pytest.mark.parametrize("name", NEW_BEHAVIOUR)
def test_error_cases_have_their_documented_behaviour(name):
    """What raised, or was lost, or crashed in the original does what the table in the documentation says."""
    case = ERRORS[name]
    args, kwargs = from_golden(case["call"]["args"]), from_golden(case["call"]["kwargs"])
    if name == "err_tuple_field":
        kwargs["fields"]["x"] = tuple(kwargs["fields"]["x"])  # JSON knows no tuple
    if name == "err_field_name_int":
        kwargs["fields"] = {5: 1}  # nor a key that is an int

    def send():
        client = client_from_text_config(case["ini"], "heka") if "ini" in case else golden_client(case)
        client.heka(*args, **kwargs)
        return client

    NEW_BEHAVIOUR[name](send)


def test_error_cases_of_the_plugin_leave_the_applications_error_alone():
    """Without an exception or a dsn nothing is sent and nothing raised; a dead option is refused at configuration."""
    for name in ("raven_noexc", "raven_no_dsn"):
        config = {"stream_class": CAPTURE, "plugins": {"raven": (PLUGIN, ERRORS[name]["plugin_config"])}}
        client = client_from_dict_config(config)
        if name == "raven_noexc":
            assert client.raven("x") is None
        else:
            with pytest.raises(ZeroDivisionError):
                try:
                    1 / 0
                except ZeroDivisionError:
                    assert client.raven() is None
                    raise
        assert list(client.stream.msgs) == []
    config = {"stream_class": CAPTURE, "plugins": {"raven": (PLUGIN, ERRORS["raven_project_id"]["plugin_config"])}}
    with pytest.raises(ConfigError, match="sentry_project_id"):
        client_from_dict_config(config)


def test_every_error_case_is_in_the_table_of_the_documentation():
    """docs/heka.rst says of each error case what happens now."""
    text = (Path(__file__).parents[3] / "docs" / "heka.rst").read_text(encoding="utf-8")
    assert set(ERRORS) - set(NEW_BEHAVIOUR) == {"raven_noexc", "raven_no_dsn", "raven_project_id"}
    missing = [name for name in ERRORS if f"``{name}``" not in text]
    assert missing == []
