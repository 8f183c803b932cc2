"""A client is made from an INI file, a dict or keywords; the holder makes each once."""

import configparser
import io
import json

import pytest

from heka.client import HekaClient
from heka.config import (
    client_from_dict_config,
    client_from_stream_config,
    client_from_text_config,
    dict_from_stream_config,
    nest_prefixes,
)
from heka.encoders import NullEncoder, ProtobufEncoder
from heka.exceptions import ConfigError, EnvironmentNotFoundError, MethodNotFoundError
from heka.holder import CLIENT_HOLDER, HekaClientHolder, get_client
from heka.message import Message
from heka.path import DottedNameResolver, resolve_name
from heka.streams import DebugCaptureStream, FileStream, StdLibLoggingStream, StdOutStream, TcpStream, UdpStream

CAPTURE = "heka.streams.DebugCaptureStream"


class OptionStream:
    """A stream that keeps the options it was made with."""

    def __init__(self, *args, **options):
        self.args, self.options, self.is_closed = args, options, False

    def write(self, data):
        raise AssertionError("nothing is sent in these tests")


def options_of(text):
    """What an INI section of stream options becomes."""
    head = f"[heka]\nstream_class = {__name__}.OptionStream\n"
    return client_from_text_config(head + text, "heka").stream.options


def test_the_smallest_ini_file_makes_a_client():
    """Only ``stream_class`` is required; the section may have any name."""
    client = client_from_text_config(f"[any_name]\nstream_class = {CAPTURE}\n", "any_name")
    assert type(client) is HekaClient
    assert isinstance(client.stream, DebugCaptureStream)
    assert (client.logger, client.severity, client.filters) == ("", 6, [])
    assert isinstance(client.encoder, ProtobufEncoder)


def test_ini_values_become_numbers_bools_and_lists():
    """Ints, the words for true and false in any case, and several lines as a list, are converted."""
    assert {
        "integer": 123,
        "negative": -5,
        "number_like": "10.0.0.1",
        "t1": True,
        "t2": True,
        "t3": True,
        "t4": True,
        "f1": False,
        "f2": False,
        "f3": False,
        "f4": False,
        "multi": ["foo", "bar", 7, True],
        "empty": "",
        "text": "yes and no",
    } == options_of(
        """stream_integer = 123
stream_negative = -5
stream_number_like = 10.0.0.1
stream_t1 = True
stream_t2 = t
stream_t3 = Yes
stream_t4 = on
stream_f1 = false
stream_f2 = F
stream_f3 = no
stream_f4 = OFF
stream_multi = foo
    bar
    7

    true
stream_empty =
stream_text = yes and no   ; a comment
"""
    )


def test_environment_variables(monkeypatch):
    """``${NAME}`` is the variable's value, also for the stream class, a provider and the signature's key."""
    monkeypatch.setenv("HEKA_TEST_CLASS", CAPTURE)
    monkeypatch.setenv("HEKA_TEST_KEY", "4711")
    client = client_from_text_config(
        """
        [s]
        stream_class = ${HEKA_TEST_CLASS}
        [s_hmac]
        signer = me
        key_version = 1
        hash_function = md5
        key = ${HEKA_TEST_KEY}
        """,
        "s",
    )
    assert isinstance(client.stream, DebugCaptureStream)
    assert {"signer": "me", "key_version": 1, "hash_function": "MD5", "key": "4711"} == client.encoder.hmc


def test_a_missing_environment_variable_is_named():
    """The error is the documented old one, and says where the variable is used."""
    with pytest.raises(EnvironmentNotFoundError) as caught:
        client_from_text_config("[s]\nstream_class = ${HEKA_NO_SUCH_VARIABLE}\n", "s")
    assert isinstance(caught.value, ConfigError)
    assert isinstance(caught.value, configparser.Error)
    assert caught.value.varname == "HEKA_NO_SUCH_VARIABLE"
    for part in ("[s]", "stream_class", "HEKA_NO_SUCH_VARIABLE"):
        assert part in str(caught.value)
    assert issubclass(MethodNotFoundError, configparser.Error)


def test_filters_of_an_ini_file():
    """Filter sections become filters, in their order; one value or several."""
    client = client_from_text_config(
        f"""
        [heka]
        stream_class = {CAPTURE}
        [heka_filter_sev_max]
        provider = heka.filters.severity_max_provider
        severity = 6
        [heka_filter_type_whitelist]
        provider = heka.filters.type_whitelist_provider
        types = foo
                bar
        """,
        "heka",
    )
    severity_max, type_whitelist = client.filters
    assert (severity_max.__name__, type_whitelist.__name__) == ("severity_max", "type_whitelist")
    assert severity_max(Message(severity=6)) and not severity_max(Message(severity=7))
    assert type_whitelist(Message(type="bar")) and not type_whitelist(Message(type="bawlp"))


def test_sections_need_no_underscore_as_in_heka_py():
    """``[heka_filter1]`` and ``[heka_plugin1]`` are a filter and a plugin, not silently nothing."""
    client = client_from_text_config(
        f"""
        [heka]
        stream_class = {CAPTURE}
        [heka_filter1]
        provider = heka.filters.severity_max_provider
        severity = 6
        [heka_plugin1]
        provider = heka.tests.plugin:config_plugin
        verbose = true
        """,
        "heka",
    )
    assert ["severity_max"] == [check.__name__ for check in client.filters]
    assert {} == client.dummy(verbose=True)


def test_plugins_of_an_ini_file():
    """A plugin section becomes a method of the name that the plugin gives; ``provider`` is not one of its options."""
    client = client_from_text_config(
        f"""
        [heka]
        stream_class = {CAPTURE}
        [heka_plugin_anything]
        provider=heka.tests.plugin:config_plugin
        verbose=True
        foo=bar
        some_list = dog
                    cat
        port=8080
        """,
        "heka",
    )
    assert {"foo": "bar", "some_list": ["dog", "cat"], "port": 8080} == client.dummy(verbose=True)
    assert client.dummy.heka_name == "dummy"
    assert client.dummy() is None


def taking_exception(config):
    def exception(self):
        return "mine"

    exception.heka_name = "exception"
    return exception


def test_a_taken_method_name_needs_override():
    """A plugin may take the name of a method only if it says so; the error is a SyntaxError, as documented."""
    config = {"stream_class": CAPTURE, "plugins": {"exception": (taking_exception, {})}}
    with pytest.raises(SyntaxError) as caught:
        client_from_dict_config(config)
    assert isinstance(caught.value, ConfigError)
    assert "exception" in str(caught.value) and "override" in str(caught.value)
    config["plugins"]["exception"][1]["override"] = True
    assert client_from_dict_config(config).exception() == "mine"
    config["plugins"]["exception"][1]["override"] = "other_name"
    client = client_from_dict_config(config)
    assert client.other_name() == "mine"
    client_from_dict_config({"stream_class": CAPTURE}, client)
    assert client.exception("the client's own again") is True


def test_dict_and_stream_forms_agree():
    """``stream`` with a class, and ``stream_*`` keys, mean the same; the latter win."""
    config = {
        "logger": "a",
        "stream": {"class": f"{__name__}.OptionStream", "args": [1, 2], "x": 1, "y": 1},
        "stream_y": 2,
    }
    client = client_from_dict_config(config)
    assert (client.stream.args, client.stream.options) == ((1, 2), {"x": 1, "y": 2})
    assert {"a": {"b": 1, "c": 2}, "a_b": 1} == nest_prefixes({"a": {"b": 0, "c": 2}, "a_b": 1}, ["a"])
    assert {"a-b": 1, "a": {"b": 1}} == nest_prefixes({"a-b": 1}, ["a"], "-")


# Every option of heka-py's streams: as text of an INI file, as keys of a dict, and what the stream then is.
STREAM_OPTIONS = {
    "udp": (
        "stream_class = heka.streams.UdpStream\nstream_host = localhost\nstream_port = 5565\n",
        {"stream_class": "heka.streams.UdpStream", "stream_host": "localhost", "stream_port": 5565},
        lambda stream: isinstance(stream, UdpStream) and stream._destinations == [("localhost", 5565)],
    ),
    "udp to several": (
        "stream_class = heka.streams.UdpStream\nstream_host = a\n  b\n  c\nstream_port = 1\n  2\n",
        {"stream_class": "heka.streams.UdpStream", "stream_host": ["a", "b", "c"], "stream_port": [1, 2]},
        lambda stream: stream._destinations == [("a", 1), ("b", 2), ("c", 2)],
    ),
    "tcp": (
        "stream_class = heka.streams.tcp.TcpStream\nstream_host = 192.168.20.2\nstream_port = 5566\n",
        {"stream": {"class": "heka.streams:TcpStream", "host": "192.168.20.2", "port": "5566"}},
        lambda stream: isinstance(stream, TcpStream) and stream._destinations == [("192.168.20.2", 5566)],
    ),
    "tcp by position": (
        "stream_class = heka.streams.TcpStream\nstream_args = a\n  5566\n",
        {"stream": {"class": "heka.streams.TcpStream", "args": ["a", 5566]}},
        lambda stream: stream._destinations == [("a", 5566)],
    ),
    "file": (
        "stream_class = heka.streams.FileStream\nstream_filepath = /dev/null\n",
        {"stream_class": "heka.streams.FileStream", "stream_filepath": "/dev/null"},
        lambda stream: isinstance(stream, FileStream) and stream.filepath == "/dev/null",
    ),
    "logging": (
        "stream_class = heka.streams.StdLibLoggingStream\nstream_logger_name = HekaLogger\n"
        "encoder = heka.encoders.StdlibPayloadEncoder\n",
        {
            "stream": {"class": StdLibLoggingStream, "logger_name": "HekaLogger"},
            "encoder": "heka.encoders.StdlibPayloadEncoder",
        },
        lambda stream: isinstance(stream, StdLibLoggingStream) and stream.logger.name == "HekaLogger",
    ),
    "stdout": (
        "stream_class = heka.streams.StdOutStream\n",
        {"stream": {"class": "heka.streams.StdOutStream"}},
        lambda stream: isinstance(stream, StdOutStream),
    ),
    "capture": (
        f"stream_class = {CAPTURE}\nstream_anything = 1\n",
        {"stream_class": CAPTURE, "stream_anything": 1},
        lambda stream: isinstance(stream, DebugCaptureStream) and stream.msgs.maxlen == 100,
    ),
}


@pytest.mark.parametrize("name", STREAM_OPTIONS)
def test_every_stream_takes_its_options_from_ini_and_from_dict(name):
    """Each option of heka-py's streams works in both forms, in the spelling it had."""
    text, config, is_right = STREAM_OPTIONS[name]
    for client in (client_from_text_config("[heka]\n" + text, "heka"), client_from_dict_config(config)):
        assert is_right(client.stream)
        if hasattr(client.stream, "close"):
            client.stream.close()


def test_the_client_shows_its_configuration_without_the_key():
    """``client._config`` is the configuration as JSON; the key of the signature is not in it."""
    config = {
        "logger": "addons",
        "stream": {"class": "heka.streams.UdpStream", "host": ["logstash1", "logstash2"], "port": "5566"},
    }
    client = client_from_dict_config(config)
    assert json.dumps(config) == client._config
    assert isinstance(client.stream, UdpStream)
    config["hmac"] = {"signer": "s", "key": "SECRET", "key_version": 1, "hash_function": "MD5"}
    config["stream"] = {"class": OptionStream, "lock": object()}
    assert "SECRET" not in client_from_dict_config(config)._config


def test_ini_from_a_file_of_text_or_bytes(tmp_path):
    """A file opened as text or binary is read; keys of a DEFAULT section count."""
    path = tmp_path / "heka.ini"
    path.write_text(f"[DEFAULT]\nlogger = grüße\n[heka]\nstream_class = {CAPTURE}\n", encoding="utf-8")
    for mode, encoding in (("r", "utf-8"), ("rb", None)):
        with open(path, mode, encoding=encoding) as stream:
            assert client_from_stream_config(stream, "heka").logger == "grüße"
    assert {"plugins": {}, "filters": [], "hmac": {}} == {
        key: value
        for key, value in dict_from_stream_config(io.StringIO("[x]\nlogger=1\n"), "x").items()
        if key != "logger"
    }


def test_settings_of_the_client_reach_it():
    """Logger, severity, disabled timers and encoder are taken from the configuration, also as INI text."""
    client = client_from_text_config(
        f"""
        [heka]
        logger = 42
        severity = 4
        disabled_timers = foo
                          5
        encoder = heka.encoders.NullEncoder
        stream_class = {CAPTURE}
        """,
        "heka",
    )
    assert (client.logger, client.severity) == ("42", 4)
    assert isinstance(client.encoder, NullEncoder)
    client.heka("t")
    assert isinstance(client.stream.msgs[0], Message)
    for name in ("foo", "5"):
        with client.timer(name) as timer:
            pass
        assert timer.result is None
    assert isinstance(client_from_dict_config({"stream_class": CAPTURE, "encoder": NullEncoder()}).encoder, NullEncoder)


@pytest.fixture
def holder():
    """A holder of its own."""
    return HekaClientHolder()


def test_holder_makes_each_client_once(holder):
    """The same name gives the same client; the first one is the default until another is named."""
    first = holder.get_client("a")
    assert first is holder.get_client("a")
    assert first is holder.default_client
    assert not first.is_active
    second = holder.get_client("b")
    assert first is holder.default_client
    holder.set_default_client_name("b")
    assert second is holder.default_client
    holder.delete_client("b")
    assert holder.default_client is None
    holder.delete_client("never there")
    assert holder.get_client(None) is None


def test_holder_takes_clients_made_elsewhere(holder):
    """The first one set is the default."""
    client = HekaClient(DebugCaptureStream(), "x")
    holder.set_client("x", client)
    holder.set_client("y", HekaClient(DebugCaptureStream(), "y"))
    assert client is holder.get_client("x") is holder.default_client


def test_get_client_configures():
    """``get_client`` with a configuration gives an active client whose logger is its name."""
    name = "test_get_client_configures"
    try:
        client = get_client(name, {"stream_class": CAPTURE})
        assert client is get_client(name) is get_client(name, config_dict={"stream_class": CAPTURE})
        assert (client.logger, client.is_active) == (name, True)
        with pytest.raises(ValueError, match="logger"):
            get_client(name, {"stream_class": CAPTURE, "logger": "other"})
        with pytest.raises(ConfigError, match="str is not allowed: a dict"):
            get_client(name, "stream_class")
        default = CLIENT_HOLDER._default_clientname
        CLIENT_HOLDER.set_default_client_name(name)
        assert client is get_client()
        CLIENT_HOLDER.set_default_client_name(None)
        with pytest.raises(ConfigError):
            get_client()
        CLIENT_HOLDER.set_default_client_name(default)
    finally:
        CLIENT_HOLDER.delete_client(name)


def test_dotted_names():
    """Both forms of a dotted name are resolved, relative ones with a package; anything else is refused clearly."""
    import heka.streams
    import heka.streams.udp

    assert UdpStream is resolve_name("heka.streams.UdpStream") is resolve_name("heka.streams:UdpStream")
    assert resolve_name("heka.streams.udp") is heka.streams.udp
    assert resolve_name("heka.streams:UdpStream.write") is UdpStream.write
    resolver = DottedNameResolver(heka.streams)
    assert resolver.resolve(".udp.UdpStream") is resolver.resolve(":UdpStream") is UdpStream
    assert DottedNameResolver("heka").resolve(".streams:UdpStream") is UdpStream
    assert resolver.maybe_resolve(5) == 5
    for bad in ("", ".", "a..b", ".relative", 5):
        with pytest.raises(ValueError):
            resolve_name(bad)
    for missing in ("heka.nothing_here", "heka:nothing_here", "no_such_module_anywhere"):
        with pytest.raises(ImportError):
            resolve_name(missing)


def test_an_import_error_inside_a_module_is_not_hidden(tmp_path, monkeypatch):
    """A module that exists but imports one that does not is named by what is missing, not taken for absent."""
    (tmp_path / "heka_test_broken.py").write_text("import no_such_module_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match="no_such_module_anywhere"):
        resolve_name("heka_test_broken.thing")


@pytest.mark.parametrize(
    "config",
    [
        {"plugins": {"raven": ("heka.filters.severity_max_provider", {"dsn": "https://k:hunter2@h/1"})}},
        {"plugins": {"raven": ("heka.filters.type_blacklist_provider", {"dsn": "https://k:hunter2@h/1"})}},
        {"plugins": {"raven": ("heka.filters.type_severity_max_provider", {"dsn": "https://k:hunter2@h/1"})}},
        {"plugins": {"raven": ("https://k:hunter2@h/1", {})}},
        {"stream_class": "https://k:hunter2@h/1"},
    ],
)
def test_a_secret_in_the_wrong_place_is_not_quoted(config):
    """Options of one provider given to another, and a DSN where a name belongs, are refused without their text."""
    with pytest.raises(ConfigError) as caught:
        client_from_dict_config({"stream_class": CAPTURE, **config})
    assert "hunter2" not in str(caught.value)
