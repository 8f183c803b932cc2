from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Header(_message.Message):
    __slots__ = ("message_length", "hmac_hash_function", "hmac_signer", "hmac_key_version", "hmac")
    class HmacHashFunction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        MD5: _ClassVar[Header.HmacHashFunction]
        SHA1: _ClassVar[Header.HmacHashFunction]
    MD5: Header.HmacHashFunction
    SHA1: Header.HmacHashFunction
    MESSAGE_LENGTH_FIELD_NUMBER: _ClassVar[int]
    HMAC_HASH_FUNCTION_FIELD_NUMBER: _ClassVar[int]
    HMAC_SIGNER_FIELD_NUMBER: _ClassVar[int]
    HMAC_KEY_VERSION_FIELD_NUMBER: _ClassVar[int]
    HMAC_FIELD_NUMBER: _ClassVar[int]
    message_length: int
    hmac_hash_function: Header.HmacHashFunction
    hmac_signer: str
    hmac_key_version: int
    hmac: bytes
    def __init__(self, message_length: _Optional[int] = ..., hmac_hash_function: _Optional[_Union[Header.HmacHashFunction, str]] = ..., hmac_signer: _Optional[str] = ..., hmac_key_version: _Optional[int] = ..., hmac: _Optional[bytes] = ...) -> None: ...

class Field(_message.Message):
    __slots__ = ("name", "value_type", "representation", "value_string", "value_bytes", "value_integer", "value_double", "value_bool")
    class ValueType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STRING: _ClassVar[Field.ValueType]
        BYTES: _ClassVar[Field.ValueType]
        INTEGER: _ClassVar[Field.ValueType]
        DOUBLE: _ClassVar[Field.ValueType]
        BOOL: _ClassVar[Field.ValueType]
    STRING: Field.ValueType
    BYTES: Field.ValueType
    INTEGER: Field.ValueType
    DOUBLE: Field.ValueType
    BOOL: Field.ValueType
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_TYPE_FIELD_NUMBER: _ClassVar[int]
    REPRESENTATION_FIELD_NUMBER: _ClassVar[int]
    VALUE_STRING_FIELD_NUMBER: _ClassVar[int]
    VALUE_BYTES_FIELD_NUMBER: _ClassVar[int]
    VALUE_INTEGER_FIELD_NUMBER: _ClassVar[int]
    VALUE_DOUBLE_FIELD_NUMBER: _ClassVar[int]
    VALUE_BOOL_FIELD_NUMBER: _ClassVar[int]
    name: str
    value_type: Field.ValueType
    representation: str
    value_string: _containers.RepeatedScalarFieldContainer[str]
    value_bytes: _containers.RepeatedScalarFieldContainer[bytes]
    value_integer: _containers.RepeatedScalarFieldContainer[int]
    value_double: _containers.RepeatedScalarFieldContainer[float]
    value_bool: _containers.RepeatedScalarFieldContainer[bool]
    def __init__(self, name: _Optional[str] = ..., value_type: _Optional[_Union[Field.ValueType, str]] = ..., representation: _Optional[str] = ..., value_string: _Optional[_Iterable[str]] = ..., value_bytes: _Optional[_Iterable[bytes]] = ..., value_integer: _Optional[_Iterable[int]] = ..., value_double: _Optional[_Iterable[float]] = ..., value_bool: _Optional[_Iterable[bool]] = ...) -> None: ...

class Message(_message.Message):
    __slots__ = ("uuid", "timestamp", "type", "logger", "severity", "payload", "env_version", "pid", "hostname", "fields")
    UUID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    LOGGER_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    ENV_VERSION_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    uuid: bytes
    timestamp: int
    type: str
    logger: str
    severity: int
    payload: str
    env_version: str
    pid: int
    hostname: str
    fields: _containers.RepeatedCompositeFieldContainer[Field]
    def __init__(self, uuid: _Optional[bytes] = ..., timestamp: _Optional[int] = ..., type: _Optional[str] = ..., logger: _Optional[str] = ..., severity: _Optional[int] = ..., payload: _Optional[str] = ..., env_version: _Optional[str] = ..., pid: _Optional[int] = ..., hostname: _Optional[str] = ..., fields: _Optional[_Iterable[_Union[Field, _Mapping]]] = ...) -> None: ...
