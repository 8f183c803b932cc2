"""A setting that is wrong is named, with the section it stands in, and changes nothing."""

import pytest

from heka.config import (
    client_from_dict_config,
    client_from_text_config,
)
from heka.exceptions import ConfigError
from heka.streams import FileStream

CAPTURE = "heka.streams.DebugCaptureStream"


def broken_provider(config):
    return 5


HMAC = {"signer": "s", "key": "SECRET", "key_version": 1, "hash_function": "MD5"}


BAD = {
    "no stream": ({}, ["stream_class", "missing"]),
    "no such class": ({"stream_class": "heka.streams.NoStream"}, ["stream_class", "'heka.streams.NoStream'"]),
    "no such module": ({"stream_class": "no_module.X"}, ["stream_class", "'no_module.X'"]),
    "not a class": ({"stream_class": "heka.message.UUID_SIZE"}, ["stream_class", "callable"]),
    "wrong option": (
        {"stream_class": "heka.streams.UdpStream", "stream_hots": "x"},
        ["UdpStream", "given: stream_hots", "allowed: stream_host, stream_port, stream_max_record_size"],
    ),
    "no port": (
        {"stream_class": "heka.streams.UdpStream", "stream_host": "x"},
        ["UdpStream", "'port'", "allowed: stream_host, stream_port"],
    ),
    "no stream made": ({"stream_class": "builtins.dict", "stream_x": 1}, ["stream_class", "builtins.dict", "write()"]),
    "option of a class in C": ({"stream_class": "builtins.int", "stream_x": 1}, ["stream_class", "stream_x"]),
    "bad port": (
        {"stream_class": "heka.streams.UdpStream", "stream_host": "x", "stream_port": "abc"},
        ["stream_port", "'abc'", "65535"],
    ),
    "port 0": (
        {"stream_class": "heka.streams.TcpStream", "stream_host": "x", "stream_port": 0},
        ["stream_port", "0", "65535"],
    ),
    "bad host": (
        {"stream_class": "heka.streams.TcpStream", "stream_host": [""], "stream_port": 1},
        ["stream_host", "''"],
    ),
    "bad timeout": (
        {"stream_class": "heka.streams.TcpStream", "stream_host": "h", "stream_port": 1, "stream_timeout_s": "soon"},
        ["stream_timeout_s", "'soon'", "60"],
    ),
    "bad size": (
        {"stream_class": "heka.streams.UdpStream", "stream_host": "h", "stream_port": 1, "stream_max_record_size": 1e9},
        ["stream_max_record_size", "65507"],
    ),
    "not a dict": ("x", ["configuration", "str", "dict"]),
    "stream is text, with options": ({"stream": "x", "stream_y": 1}, ["stream", "str", "dict"]),
    "stream args": ({"stream": {"class": CAPTURE, "args": 5}}, ["stream_args", "5", "list"]),
    "class is no name": ({"stream_class": 5}, ["stream_class", "5", "dotted name"]),
    "two plugins of one name": (
        {"stream_class": CAPTURE, "plugins": {n: ("heka.tests.plugin:config_plugin", {}) for n in "ab"}},
        ["plugins", "[dummy]"],
    ),
    "stream is text": ({"stream": "x"}, ["stream", "str", "dict"]),
    "severity": ({"stream_class": CAPTURE, "severity": "high"}, ["severity", "'high'", "0 to 7"]),
    "severity 8": ({"stream_class": CAPTURE, "severity": 8}, ["severity", "8", "0 to 7"]),
    "logger": ({"stream_class": CAPTURE, "logger": ["a", "b"]}, ["logger", "['a', 'b']"]),
    "timers": ({"stream_class": CAPTURE, "disabled_timers": {"a": 1}}, ["disabled_timers", "list"]),
    "encoder": ({"stream_class": CAPTURE, "encoder": "nope.Nope"}, ["encoder", "'nope.Nope'"]),
    "encoder is a number": ({"stream_class": CAPTURE, "encoder": 5}, ["encoder", "5", "dotted name"]),
    "encoder takes nothing": (
        {"stream_class": CAPTURE, "encoder": "heka.streams.StdOutStream"},
        ["encoder", "'heka.streams.StdOutStream'", "hmac"],
    ),
    "encoder is none": (
        {"stream_class": CAPTURE, "encoder": "builtins.dict"},
        ["encoder", "'builtins.dict'", "encode()"],
    ),
    "filters": ({"stream_class": CAPTURE, "filters": "x"}, ["filters", "str", "list"]),
    "filter spec": ({"stream_class": CAPTURE, "filters": [("x",)]}, ["filters", "provider"]),
    "filter provider": ({"stream_class": CAPTURE, "filters": [("no.x", {})]}, ["filters", "provider", "'no.x'"]),
    "filter option": (
        {"stream_class": CAPTURE, "filters": [("heka.filters.severity_max_provider", {"severitty": 1})]},
        ["filters", "severity_max_provider", "severitty", "allowed: severity"],
    ),
    "filter value": (
        {"stream_class": CAPTURE, "filters": [("heka.filters.severity_max_provider", {"severity": "x"})]},
        ["filters: heka.filters.severity_max_provider: severity", "'x'", "integer"],
    ),
    "filter value is no integer": (
        {"stream_class": CAPTURE, "filters": [("heka.filters.severity_max_provider", {"severity": 4.5})]},
        ["severity", "4.5", "integer"],
    ),
    "filter types": (
        {"stream_class": CAPTURE, "filters": [("heka.filters.type_severity_max_provider", {"types": ["a"]})]},
        ["types", "['a']"],
    ),
    "filter list": (
        {"stream_class": CAPTURE, "filters": [("heka.filters.type_blacklist_provider", {"types": 1.5})]},
        ["types", "1.5"],
    ),
    "filter made nothing": ({"stream_class": CAPTURE, "filters": [("builtins.dict", {})]}, ["filters", "dict"]),
    "plugins": ({"stream_class": CAPTURE, "plugins": [1]}, ["plugins", "list", "dict"]),
    "plugin provider": ({"stream_class": CAPTURE, "plugins": {"p": ("no.p", {})}}, ["plugins", "p", "'no.p'"]),
    "plugin options": (
        {"stream_class": CAPTURE, "plugins": {"p": ("x", "SECRET")}},
        ["plugins", "p", "dict of options"],
    ),
    "plugin made nothing": (
        {"stream_class": CAPTURE, "plugins": {"p": (broken_provider, {})}},
        ["plugins", "p", "int"],
    ),
    "plugin without a name": ({"stream_class": CAPTURE, "plugins": {"p": (lambda c: len, {})}}, ["p", "heka_name"]),
    "plugin option": (
        {"stream_class": CAPTURE, "plugins": {"p": ("heka_raven.raven_plugin:config_plugin", {"severity": 12})}},
        ["plugins: p: severity", "12", "0 to 7"],
    ),
    "override": (
        {"stream_class": CAPTURE, "plugins": {"p": ("heka.tests.plugin:config_plugin", {"override": 7})}},
        ["plugins", "p", "override", "7"],
    ),
    "hmac": ({"stream_class": CAPTURE, "hmac": 5}, ["hmac", "int", "dict"]),
    "hmac key_version": (
        {"stream_class": CAPTURE, "hmac": {**HMAC, "key_version": "x"}},
        ["hmac", "key_version", "'x'"],
    ),
    "hmac negative": ({"stream_class": CAPTURE, "hmac": {**HMAC, "key_version": -1}}, ["hmac", "key_version", "-1"]),
    "hmac hash": ({"stream_class": CAPTURE, "hmac": {**HMAC, "hash_function": "x"}}, ["hash_function", "MD5 or SHA1"]),
    "hmac key": ({"stream_class": CAPTURE, "hmac": {**HMAC, "key": 5}}, ["hmac", "key", "int"]),
    "hmac signer": ({"stream_class": CAPTURE, "hmac": {**HMAC, "signer": None}}, ["hmac", "signer", "None"]),
    "hmac signer text": ({"stream_class": CAPTURE, "hmac": {**HMAC, "signer": "\ud800"}}, ["hmac", "signer", "UTF-8"]),
    "hmac signer size": ({"stream_class": CAPTURE, "hmac": {**HMAC, "signer": "s" * 300}}, ["hmac", "signer", "300"]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_setting_is_named_and_changes_nothing(name):
    """Each wrong value gives one ConfigError with the key and the value, never a secret; the client stays as it was."""
    config, parts = BAD[name]
    client = client_from_dict_config({"stream_class": CAPTURE, "logger": "before"})
    stream = client.stream
    with pytest.raises(ConfigError) as caught:
        client_from_dict_config(config, client)
    text = str(caught.value)
    for part in parts:
        assert part in text
    assert "SECRET" not in text
    assert (client.stream, client.logger) == (stream, "before")
    assert client.heka("still works") is True


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[other]\nx = 1\n", ["[heka]", "[other]"]),
        ("", ["[heka]", "none"]),
        ("no section\n", ["INI", "line 1", "[section]"]),
        ("[heka]\nx = 1\nkey SECRET\n", ["INI", "line 3", "key = value"]),
        (
            "[heka]\nstream_class = heka.streams.FileStream\nstream_filepath = /no/such/folder\n",
            ["[heka] stream_filepath", "/no/such/folder", "No such file", "append"],
        ),
        (f"[heka]\nstream_class = {CAPTURE}\n[heka_filter_x]\ny = 1\n", ["[heka_filter_x]", "provider"]),
        (f"[heka]\nstream_class = {CAPTURE}\n[heka_plugin_x]\ny = 1\n", ["[heka_plugin_x]", "provider"]),
        (f"[heka]\nstream_class = {CAPTURE}\n[heka_hmac]\nsigner = 1\n", ["[heka_hmac]", "key_version", "missing"]),
        (f"[heka]\nstream_class = {CAPTURE}\n[heka_hmac]\n", ["[heka_hmac]", "signer", "missing"]),
        (f"[heka]\nstream_class = {CAPTURE}\nseverity = 9\n", ["[heka] severity", "9", "0 to 7"]),
        (
            "[heka]\nstream_class = heka.streams.UdpStream\nstream_host = h\nstream_port = 0\n",
            ["[heka] stream_port", "0", "65535"],
        ),
        ("[heka]\nstream_class = heka.streams.UdpStream\n", ["[heka] stream_class", "UdpStream", "host"]),
        (
            f"[heka]\nstream_class = {CAPTURE}\n[heka_filter_x]\nprovider = heka.filters:severity_max_provider\n"
            "[heka_filter_y]\nprovider = heka.filters:severity_max_provider\nseverity = x\n",
            ["[heka_filter_x]", "severity_max_provider"],
        ),
        (
            f"[heka]\nstream_class = {CAPTURE}\n[heka_filter_y]\nprovider = heka.filters:severity_max_provider\n"
            "severity = x\n",
            ["[heka_filter_y] severity", "'x'"],
        ),
        (
            f"[heka]\nstream_class = {CAPTURE}\n[heka_plugin_r]\nprovider = heka_raven.raven_plugin:config_plugin\n"
            "no_such_option = 1\n",
            ["[heka_plugin_r]", "no_such_option"],
        ),
        (
            f"[heka]\nstream_class = {CAPTURE}\n[heka_plugin_d]\nprovider = heka.tests.plugin:config_plugin\n"
            "override = 7\n",
            ["[heka_plugin_d]", "override", "7"],
        ),
        (
            f"[heka]\nstream_class = {CAPTURE}\n[heka_plugin_a]\nprovider = heka.tests.plugin:config_plugin\n"
            "[heka_plugin_b]\nprovider = heka.tests.plugin:config_plugin\n",
            ["[heka_plugin_b]", "dummy", "override"],
        ),
    ],
)
def test_a_bad_ini_file_names_the_section(text, parts):
    """What is wrong with the file itself is a ConfigError too."""
    with pytest.raises(ConfigError) as caught:
        client_from_text_config(text, "heka")
    for part in parts:
        assert part in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_opened_is_an_oserror_too():
    """Who catches heka-py's IOError of a FileStream catches the ConfigError."""
    with pytest.raises(OSError, match="stream_filepath"):
        FileStream("/no/such/folder")


def test_the_raven_plugins_error_is_a_runtimeerror_too():
    """Who catches heka-py-raven's InvalidArgumentError, or the RuntimeError it was, catches the ConfigError."""
    config = {"stream_class": CAPTURE, "plugins": {"r": ("heka_raven.raven_plugin:config_plugin", {"bogus": 1})}}
    with pytest.raises(ConfigError, match=r"plugins: r: .*bogus") as caught:
        client_from_dict_config(config)
    assert isinstance(caught.value, RuntimeError)


def test_a_plugins_own_error_comes_out_as_it_is():
    """A provider that refuses its options is heard, with its own exception."""

    class InvalidArgumentError(Exception):
        pass

    def provider(config):
        raise InvalidArgumentError("unknown option")

    with pytest.raises(InvalidArgumentError):
        client_from_dict_config({"stream_class": CAPTURE, "plugins": {"p": (provider, {})}})
