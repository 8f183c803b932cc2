"""The client: builds messages, asks the filters, encodes, and hands the record to the stream.

A call raises only for a mistake in the call itself (a wrong type). Whatever fails behind it, a filter, the encoder, the
stream, a record too big, is counted in ``client.losses`` and logged once a minute.
"""

import datetime
import os
import random
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from types import MethodType
from typing import TYPE_CHECKING, Any

from heka.encoders import ProtobufEncoder
from heka.exceptions import ConfigError, MethodNameTakenError
from heka.fields import add_fields, as_severity, as_timestamp_ns
from heka.losses import Losses
from heka.message import MAX_MESSAGE_SIZE, Message
from heka.path import resolve_name
from heka.severity import SEVERITY
from heka.text import as_text, format_message, format_traceback
from heka.timers import AnyTimer, NoOpTimer, Timer

__all__ = ["SEVERITY", "HekaClient"]

Filter = Callable[[Message], object]
Shrink = Callable[[int], "str | None"]
Fields = Mapping[str, Any]

_NO_OP_TIMER = NoOpTimer()


class HekaClient:
    """Sends messages to one stream, with defaults of its own.

    Args:
        stream: an object with ``write(data)``, or the dotted name of its class; None: not active yet.
        logger: default ``logger`` of a message, usually the application's name.
        severity: default severity, 0 to 7.
        disabled_timers: names of timers that do nothing; ``*`` means all.
        filters: callables that take a Message; a false result stops it.
        encoder: a class that is called with ``hmc``, its dotted name, or an object with ``encode``.
        hmc: signature configuration: ``signer``, ``key_version``, ``hash_function``, ``key``.

    Attributes:
        losses: what was not delivered, by reason: ``no_stream``, ``encode_failed``, ``too_big``, ``stream_failed``;
            and ``filter_failed``, ``bad_call``, where something else went wrong.
    """

    env_version = "0.8"  # changes only with the message format

    if TYPE_CHECKING:
        # The methods that plugins add, ``client.raven`` for one.
        def __getattr__(self, name: str) -> Callable[..., Any]: ...

    def __init__(
        self,
        stream: Any,
        logger: str,
        severity: int = SEVERITY.INFORMATIONAL,
        disabled_timers: str | Iterable[str] | None = None,
        filters: Iterable[Filter] | None = None,
        encoder: Any = ProtobufEncoder,
        hmc: Mapping[str, Any] | None = None,
    ) -> None:
        self.hostname = socket.gethostname()
        self.losses = Losses()
        self._config = "{}"  # JSON of the configuration, for debugging; heka.config sets it
        self._pid: int | None = None
        self._dynamic_methods: dict[str, Callable[..., Any]] = {}
        self._configured_methods: tuple[str, ...] = ()  # those that the last configuration added
        self.setup(stream, encoder, hmc, logger, severity, disabled_timers, filters)

    def setup(
        self,
        stream: Any,
        encoder: Any,
        hmc: Mapping[str, Any] | None,
        logger: str = "",
        severity: int = SEVERITY.INFORMATIONAL,
        disabled_timers: str | Iterable[str] | None = None,
        filters: Iterable[Filter] | None = None,
    ) -> None:
        """Configure anew, in place; arguments as for the class. Nothing changes if one of them is wrong."""
        if isinstance(stream, str):
            stream = resolve_name(stream)()
        if isinstance(encoder, str):
            encoder = resolve_name(encoder)
        if isinstance(encoder, type) or not hasattr(encoder, "encode"):
            encoder = encoder(hmc)
        if isinstance(disabled_timers, str):
            disabled_timers = [disabled_timers]
        timers, checks = set(disabled_timers or ()), list(filters or ())
        self.filters: list[Filter] = checks
        self._failed_filters: set[int] = set()
        self._disabled_timers = timers
        self.logger = "" if logger is None else logger
        self.severity = severity
        self.encoder = encoder
        self.stream = stream

    @property
    def is_active(self) -> bool:
        """Whether there is a stream to write to."""
        return self.stream is not None

    @property
    def pid(self) -> int:
        """The process id that messages carry: this process's, also after a fork, unless it was set."""
        return os.getpid() if self._pid is None else self._pid

    @pid.setter
    def pid(self, value: int | None) -> None:
        self._pid = value

    def heka(
        self,
        type: str,
        logger: str | None = None,
        severity: int | None = None,
        payload: str = "",
        fields: Fields | None = None,
        timestamp: float | datetime.datetime | None = None,
        *,
        shrink: Shrink | None = None,
    ) -> bool:
        """Send one message.

        Args:
            type: what kind of message it is.
            logger: who says it; None: the client's.
            severity: 0 to 7; None: the client's.
            payload: the text; bytes are read as UTF-8.
            fields: str, bytes, int, float, bool, or dicts of them, which become dotted names.
            timestamp: seconds since the epoch or a datetime; None or 0: now.
            shrink: see :meth:`send_message`.

        Returns:
            Whether the record was handed to the stream.

        Raises:
            TypeError, ValueError: for an argument no message can carry; the text names it.
        """
        msg = Message()
        msg.uuid = os.urandom(16)
        msg.timestamp = as_timestamp_ns(timestamp) if timestamp else int(time.time() * 1000000000)
        logger = self.logger if logger is None else logger
        severity = self.severity if severity is None else severity
        try:
            msg.type = type
            msg.logger = logger
            msg.severity = severity
            msg.payload = payload
            msg.hostname = self.hostname
        except (TypeError, ValueError):
            msg.type = as_text("type", type)
            msg.logger = as_text("logger", logger)
            msg.severity = as_severity(severity)
            msg.payload = as_text("payload", payload)
            msg.hostname = as_text("hostname", self.hostname)
        msg.env_version = self.env_version
        msg.pid = self._pid or os.getpid()
        if fields:
            if fields.__class__ is not dict:
                _check_fields(fields)
            add_fields(msg, fields)
        return self.send_message(msg, shrink)

    def passes_filters(self, msg: Message) -> bool:
        """Whether every filter lets *msg* pass. One that raises is logged once and lets everything pass."""
        for filter_fn in self.filters:
            try:
                if not filter_fn(msg):
                    return False
            except Exception as exc:
                self.losses.count("filter_failed")
                if id(filter_fn) not in self._failed_filters:
                    self._failed_filters.add(id(filter_fn))
                    self.losses.log("filter %r fails, what it fails on passes: %r", filter_fn, exc)
        return True

    def send_message(self, msg: Message, shrink: Shrink | None = None) -> bool:
        """Filter, encode and write *msg*.

        A record over the stream's ``max_record_size``, or a Message over 65,536 bytes, is given to *shrink*: called
        with the number of bytes the payload may have, it returns a shorter payload, or None to give up.

        Returns:
            Whether the record was handed to the stream.
        """
        stream = self.stream
        if stream is None:
            self.losses.add("no_stream", "client %r has no stream, its messages are lost", self.logger)
            return False
        if self.filters and not self.passes_filters(msg):
            return False
        try:
            data = self.encoder.encode(msg)
            limit = getattr(stream, "max_record_size", None)
            if limit.__class__ is not int:  # none, or something that only looks like a stream
                limit = sys.maxsize
            size = len(data) if data.__class__ is bytes else _size(data)
            if size > limit or size > MAX_MESSAGE_SIZE:
                data = self._fit(msg, data, limit, shrink)
                if data is None:
                    return False
        except Exception as exc:
            self.losses.add("encode_failed", "message lost, it cannot be encoded: %r", exc)
            return False
        try:
            stream.write(data)
            flush = getattr(stream, "flush", None)
            if flush is not None:
                flush()
        except Exception as exc:
            self.losses.add("stream_failed", "message lost, %s failed: %r", stream.__class__.__name__, exc)
            return False
        return True

    def _excess(self, msg: Message, data: Any, limit: int) -> int:
        """How many bytes *data* is over the record's or the Message's limit; 0 or less: it fits."""
        max_message = getattr(self.encoder, "max_message_size", None) or sys.maxsize
        return max(_size(data) - limit, msg.ByteSize() - max_message)

    def _fit(self, msg: Message, data: Any, limit: int, shrink: Shrink | None) -> Any:
        """*data*, or what the shrunk *msg* encodes to; None if it does not fit. *msg* keeps its payload then."""
        excess = self._excess(msg, data, limit)
        if excess <= 0:
            return data
        room = len(msg.payload.encode("utf-8")) - excess
        if shrink is not None and room >= 0:
            payload = shrink(room)
            if payload is not None:
                smaller = Message()
                smaller.CopyFrom(msg)
                smaller.payload = as_text("payload", payload)
                data = self.encoder.encode(smaller)
                excess = self._excess(smaller, data, limit)
                if excess <= 0:
                    return data
        self.losses.add("too_big", "message of type %r lost, it is %d bytes too big", msg.type, excess)
        return None

    def add_method(self, function: Callable[..., Any], override: bool | str = False) -> None:
        """Make *function* a method of this client, called ``function.heka_name``.

        Args:
            function: is called with the client as its first argument.
            override: True: the name may be taken; a str: this is the name, and it may be taken.

        Raises:
            SyntaxError: if the name is taken and *override* is False.
        """
        name = self.method_name(function, override)
        if override is False and hasattr(self, name):
            raise MethodNameTakenError(f"The name [{name}] is already in use, and override is not set")
        self._dynamic_methods[name] = function
        setattr(self, name, MethodType(function, self))

    def _replace_configured_methods(self, methods: Iterable[tuple[Callable[..., Any], bool | str]]) -> None:
        """Take away the methods of the configuration before, add these. Their names have been checked."""
        added = []
        for function, override in methods:
            name = self.method_name(function, override)
            self.add_method(function, override=name)
            added.append(name)
        # Last: a thread that is using the client finds each method that stays, at any moment.
        for name in set(self._configured_methods).difference(added):
            if self._dynamic_methods.pop(name, None) is not None:
                self.__dict__.pop(name, None)
        self._configured_methods = tuple(added)

    @staticmethod
    def method_name(function: Callable[..., Any], override: bool | str = False) -> str:
        """The name :meth:`add_method` gives *function*.

        Raises:
            ConfigError: if it has none.
            TypeError: if it cannot be called.
        """
        if not callable(function):
            raise TypeError(f"{function!r} is not callable, so it cannot be a method of the client")
        name = override if isinstance(override, str) else getattr(function, "heka_name", None)
        if not isinstance(name, str):
            raise ConfigError(f"{function!r} has no heka_name, the name of the method it is to become")
        return name

    def timer(
        self,
        name: str,
        logger: str | None = None,
        severity: int | None = None,
        fields: Fields | None = None,
        rate: float = 1.0,
    ) -> AnyTimer:
        """A context manager and decorator that sends a ``timer`` message; *rate* 0.5: half of them do nothing."""
        disabled = self._disabled_timers
        if disabled and (name in disabled or "*" in disabled):
            return _NO_OP_TIMER
        if rate < 1.0 and random.random() >= rate:  # noqa: S311 - a sample, not a secret
            return _NO_OP_TIMER
        return Timer(self, name, {"logger": logger, "severity": severity, "fields": fields, "rate": rate})

    def timer_send(
        self,
        name: str,
        elapsed: float,
        logger: str | None = None,
        severity: int | None = None,
        fields: Fields | None = None,
        rate: float = 1.0,
    ) -> bool:
        """Send *elapsed* ms as a ``timer`` message; *rate* is only told, not applied."""
        return self.heka("timer", logger, severity, str(elapsed), _named(name, rate, fields))

    def incr(
        self,
        name: str,
        count: int = 1,
        logger: str | None = None,
        severity: int | None = None,
        fields: Fields | None = None,
        rate: float = 1.0,
    ) -> bool:
        """Send a ``counter`` message: *name* went up by *count*. *rate* 0.5: half of them are not sent."""
        if rate < 1 and random.random() >= rate:  # noqa: S311 - a sample, not a secret
            return False
        return self.heka("counter", logger, severity, str(count), _named(name, rate, fields))

    def gauge(
        self,
        name: str,
        value: float,
        logger: str | None = None,
        severity: int | None = None,
        fields: Fields | None = None,
        rate: float = 1.0,
    ) -> bool:
        """Send a ``gauge`` message: *name* is *value* now. *rate* 0.5: half of them are not sent."""
        if rate < 1 and random.random() >= rate:  # noqa: S311 - a sample, not a secret
            return False
        return self.heka("gauge", logger, severity, str(value), _named(name, rate, fields))

    def debug(self, msg: object, *args: Any, exc_info: Any = False) -> bool:
        """Log at severity 7, as ``logging.Logger.debug`` does."""
        return self._oldstyle(SEVERITY.DEBUG, msg, args, exc_info)

    def info(self, msg: object, *args: Any, exc_info: Any = False) -> bool:
        """Log at severity 6."""
        return self._oldstyle(SEVERITY.INFORMATIONAL, msg, args, exc_info)

    def warn(self, msg: object, *args: Any, exc_info: Any = False) -> bool:
        """Log at severity 4."""
        return self._oldstyle(SEVERITY.WARNING, msg, args, exc_info)

    def error(self, msg: object, *args: Any, exc_info: Any = False) -> bool:
        """Log at severity 3."""
        return self._oldstyle(SEVERITY.ERROR, msg, args, exc_info)

    def critical(self, msg: object, *args: Any, exc_info: Any = False) -> bool:
        """Log at severity 2."""
        return self._oldstyle(SEVERITY.CRITICAL, msg, args, exc_info)

    def exception(self, msg: object, exc_info: Any = True, *args: Any) -> bool:
        """Log at severity 1, with the traceback of *exc_info* or of the exception being handled."""
        if exc_info is not None and not isinstance(exc_info, (bool, tuple, BaseException)):
            args, exc_info = (exc_info, *args), True  # exception('%s broke', name), as with the logging module
        return self._oldstyle(SEVERITY.ALERT, msg, args, exc_info)

    def _oldstyle(self, severity: int, msg: object, args: tuple[Any, ...], exc_info: Any) -> bool:
        text = format_message(msg, args)
        if exc_info:
            text = text + ("" if text.endswith("\n") else "\n") + format_traceback(exc_info)
        return self.heka("oldstyle", severity=severity, payload=text)


def _check_fields(fields: object) -> None:
    if not isinstance(fields, Mapping):
        raise TypeError(f"fields: a {fields.__class__.__name__} is not a mapping of names to values")


def _size(data: Any) -> int:
    """Bytes of a record; NullEncoder's is a Message, and an encoder of the user's own may make anything."""
    if isinstance(data, Message):
        return int(data.ByteSize())
    return len(data) if hasattr(data, "__len__") else 0


def _named(name: str, rate: float, fields: Fields | None) -> dict[str, Any]:
    """``rate``, ``name``, then the caller's fields, in the order of the original's bytes. *fields* is not changed."""
    named: dict[str, Any] = {"rate": rate, "name": name}
    if fields:
        _check_fields(fields)
        for key, value in fields.items():
            named.setdefault(key, value)
    return named
