"""What is not code: the generated message types, the wrong names, the import paths, the types."""

import importlib
import re
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import pytest

import heka
from heka import message_pb2
from heka.client import HekaClient
from heka.config import client_from_text_config
from heka.holder import CLIENT_HOLDER
from heka.message import Field, Header, Message
from heka.signing import Signer, signer_from_config, verify
from heka.streams import StdOutStream
from heka.testing import capture_client, decode_message
from heka.wire import split

PROTO = Path(heka.__file__).with_name("message.proto")


def parse_proto(text):
    """(messages, enums) of a proto file: {name: {(label, type, field, number, options)}}, {name: {(value, number)}}."""
    text = re.sub(r"//[^\n]*", "", text)
    messages, enums, path = {}, {}, []
    token = re.compile(
        r"(message|enum)\s+(\w+)\s*\{|(optional|required|repeated)\s+(\w+)\s+(\w+)\s*=\s*(\d+)\s*(?:\[([^]]*)\])?;"
        r"|(\w+)\s*=\s*(\d+)\s*;|(\})"
    )
    for kind, name, label, type_name, field, number, options, value, value_number, end in token.findall(text):
        if kind:
            path.append(name)
            (messages if kind == "message" else enums)[".".join(path)] = set()
        elif label:
            messages[".".join(path)].add((label, type_name, field, int(number), re.sub(r"\s", "", options)))
        elif value:
            enums[".".join(path)].add((value, int(value_number)))
        elif end:
            path.pop()
    return messages, enums


def describe_pb2():
    """The same of the generated module."""
    from google.protobuf import descriptor_pb2 as pb

    file = pb.FileDescriptorProto()
    message_pb2.DESCRIPTOR.CopyToProto(file)
    messages, enums = {}, {}
    for message in file.message_type:
        fields = messages[message.name] = set()
        for field in message.field:
            label = pb.FieldDescriptorProto.Label.Name(field.label).removeprefix("LABEL_").lower()
            kind = pb.FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
            kind = field.type_name.rsplit(".", 1)[-1] if field.type_name else kind
            options = f"default={field.default_value}" if field.default_value else ""
            options = "packed=true" if field.options.packed else options
            fields.add((label, kind, field.name, field.number, options))
        for enum in message.enum_type:
            enums[f"{message.name}.{enum.name}"] = {(value.name, value.number) for value in enum.value}
    return messages, enums


def test_the_proto_file_and_the_generated_module_agree():
    """Every message, field, number, type, option and enum value of the one is in the other."""
    assert parse_proto(PROTO.read_text(encoding="utf-8")) == describe_pb2()


def test_the_generated_module_is_registered_under_a_name_of_its_own():
    """The file and the package have names that no other message.proto of the process can clash with."""
    assert message_pb2.DESCRIPTOR.name == "heka/message.proto"
    assert message_pb2.DESCRIPTOR.package == "heka_client"
    source = Path(message_pb2.__file__).read_text(encoding="utf-8")
    assert "# Protobuf Python Version: 4.25." in source


@pytest.mark.full
@pytest.mark.skipif(sys.version_info >= (3, 13), reason="this Python is too new for protoc 25")
def test_protoc_generates_what_is_committed(tmp_path):
    """protoc 25 makes message_pb2.py and message_pb2.pyi from the proto file, byte for byte."""
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True, timeout=100)
    install = [python, "-m", "pip", "install", "-q", "--no-deps", "--only-binary=:all:", "grpcio-tools==1.62.3"]
    subprocess.run(install, check=True, timeout=100)
    options = [f"-I{PROTO.parents[1]}", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", "heka/message.proto"]
    arguments = [option.encode() for option in ["protoc", *options]]
    code = f"from grpc_tools import _protoc_compiler; raise SystemExit(_protoc_compiler.run_main({arguments!r}))"
    subprocess.run([python, "-c", code], check=True, timeout=60)
    for name in ("message_pb2.py", "message_pb2.pyi"):
        assert (tmp_path / "heka" / name).read_text() == PROTO.with_name(name).read_text()


IMPORT_PATHS = """
    heka.client: HekaClient SEVERITY
    heka.holder: get_client CLIENT_HOLDER
    heka.config: client_from_dict_config client_from_stream_config client_from_text_config
    heka.config: dict_from_stream_config nest_prefixes
    heka.decorators: timeit incr_count
    heka.decorators.base: HekaDecorator
    heka.encoders: ProtobufEncoder StdlibPayloadEncoder NullEncoder RECORD_SEPARATOR UNIT_SEPARATOR
    heka.message: Message Field Header first_value InvalidMessage MAX_HEADER_SIZE MAX_MESSAGE_SIZE
    heka.streams: StdOutStream FileStream DebugCaptureStream StdLibLoggingStream UdpStream TcpStream
    heka.filters: severity_max_provider type_blacklist_provider type_whitelist_provider type_severity_max_provider
    heka.logging: HekaHandler hook_logger
    heka.exceptions: EnvironmentNotFoundError MethodNotFoundError ConfigError
    heka.path: resolve_name DottedNameResolver
    heka.tests.helpers: decode_message
    heka.testing: decode_message
"""


@pytest.mark.parametrize("line", [line.strip() for line in IMPORT_PATHS.strip().splitlines()])
def test_every_import_path_of_heka_py_works(line):
    """What users of heka-py import is there, under the same names."""
    module, _, names = line.partition(": ")
    found = importlib.import_module(module)
    assert [name for name in names.split() if not hasattr(found, name)] == []


def test_limits_are_those_of_hekad():
    """255 bytes of header, 65,536 of message."""
    from heka.message import MAX_HEADER_SIZE, MAX_MESSAGE_SIZE

    assert (MAX_HEADER_SIZE, MAX_MESSAGE_SIZE) == (255, 65536)


@pytest.mark.parametrize("name", ["StdOutStream", "FileStream", "UdpStream", "TcpStream", "DebugCaptureStream"])
def test_wrong_name_heka_senders(name):
    """``heka.senders.*`` is ``heka.streams.*``, with a DeprecationWarning that says so."""
    with pytest.warns(DeprecationWarning, match=f"heka.senders.{name} is called heka.streams.{name}"):
        found = getattr(importlib.import_module("heka.senders"), name)
    assert found is getattr(importlib.import_module("heka.streams"), name)


def test_wrong_name_in_an_ini_file():
    """The snippet of the original's documentation runs."""
    with pytest.warns(DeprecationWarning):
        client = client_from_text_config("[heka]\nstream_class = heka.senders.StdOutStream\n", "heka")
    assert isinstance(client.stream, StdOutStream)


@pytest.mark.parametrize("wrong", ["heka.raven_plugin", "metlog_raven.raven_plugin"])
def test_wrong_names_of_the_raven_plugin(wrong):
    """Both wrong names of the plugin's provider resolve to the right one, with a DeprecationWarning."""
    from heka.path import resolve_name

    with pytest.warns(DeprecationWarning, match=r"is called heka_raven\.raven_plugin\.config_plugin"):
        found = resolve_name(f"{wrong}:config_plugin")
    assert found is resolve_name("heka_raven.raven_plugin:config_plugin")
    with pytest.raises(ImportError):
        resolve_name(f"{wrong}:no_such_name")


def test_wrong_names_hide_nothing():
    """A name that is nowhere is an AttributeError; looking for dunder names warns of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        senders = importlib.import_module("heka.senders")
        assert not hasattr(senders, "NoSuchStream")
        assert not hasattr(senders, "__path__")


def test_importing_heka_imports_nothing_of_sentry():
    """The package knows nothing of Sentry or WSGI, the wrong names included."""
    code = (
        "import sys, heka.holder, heka.testing, heka.decorators, heka.wire, heka.raven_plugin, heka.senders\n"
        "import metlog_raven.raven_plugin\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('raven', 'webob', 'heka_raven', 'urllib3')])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_snippets_of_the_documentation_run(monkeypatch):
    """The first example and the INI file of docs/heka.rst work as they stand there."""
    text = (PROTO.parents[1] / "docs" / "heka.rst").read_text(encoding="utf-8")
    blocks = [textwrap.dedent(block) for block in re.findall(r"(?<=\n\n)(?: {4}[^\n]*\n|\n)+", text)]
    (ini,) = [block for block in blocks if block.startswith("[heka]")]
    (program,) = [block for block in blocks if block.startswith("from heka.holder")]
    monkeypatch.setenv("HEKA_KEY", "secret")
    client = client_from_text_config(ini, "heka")
    assert (client.logger, client.severity, client.encoder.hmc["key"]) == ("myapp", 4, "secret")
    assert client.raven() is None
    try:
        names = {}
        exec(compile(program, "docs/heka.rst", "exec"), names)
        assert names["client"].losses.as_dict() == {}
        names["client"].stream.close()
    finally:
        CLIENT_HOLDER.delete_client("myapp")


def test_the_package_is_typed():
    """``py.typed`` is there, so a program's type checker reads the hints."""
    assert PROTO.with_name("py.typed").exists()
    assert HekaClient.heka.__annotations__["return"] is bool


@pytest.mark.parametrize("hash_function", ["MD5", "SHA1", "md5"])
@pytest.mark.parametrize("source", ["dict", "ini"])
def test_signatures_verify_from_dict_and_from_ini(hash_function, source):
    """MD5 and SHA1 signatures verify under the key and no other, whichever way they were configured."""
    hmc = {"signer": "vic", "key_version": "7", "hash_function": hash_function, "key": "some_kéy"}
    if source == "dict":
        client = capture_client(hmc={**hmc, "key_version": 7, "key": hmc["key"].encode("utf-8")})
    else:
        lines = "".join(f"{key} = {value}\n" for key, value in hmc.items())
        client = client_from_text_config(
            f"[heka]\nstream_class = heka.streams.DebugCaptureStream\n[heka_hmac]\n{lines}", "heka"
        )
    client.heka("t", payload="signed")
    (data,) = client.stream.msgs
    header, _ = decode_message(data)
    payload = split(data)[1]
    assert (header.hmac_signer, header.hmac_key_version) == ("vic", 7)
    assert Header.HmacHashFunction.Name(header.hmac_hash_function) == hash_function.upper()
    key = hmc["key"].encode("utf-8")
    assert payload == client.encoder.msg_to_payload(decode_message(data)[1])
    assert verify(header, payload, key)
    assert not verify(header, payload, b"other key")
    assert not verify(header, payload + b"x", key)


def test_an_unsigned_header_does_not_verify():
    """No signature is not a good one; nor does a signer show its key."""
    assert not verify(Header(message_length=1), b"", b"")
    signer = signer_from_config({"signer": "s", "key_version": 1, "hash_function": "MD5", "key": "SECRET"})
    assert isinstance(signer, Signer)
    assert "SECRET" not in repr(signer)
    assert signer_from_config({}) is signer_from_config(None) is None


def test_messages_have_the_fields_of_the_protocol():
    """The classes that programs use are the generated ones."""
    msg = Message(uuid=b"u" * 16, timestamp=1, fields=[Field(name="x", value_type=Field.BOOL, value_bool=[True])])
    assert Message.FromString(msg.SerializeToString()) == msg
