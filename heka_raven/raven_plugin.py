"""The historic front door: the names that heka-py-raven had, on the new engine.

raven itself is imported only when RavenClient is asked for: it costs 155 ms.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from heka.client import HekaClient
from heka.limited_log import TROUBLES
from heka_raven.capture.classes import is_one_of
from heka_raven.capture.values import Walker
from heka_raven.reporting.clients import build_client, find_client
from heka_raven.reporting.options import InvalidArgumentError, parse_options
from heka_raven.reporting.report import Report, resolve_exc_info
from heka_raven.reporting.reporter import Reporter

__all__ = [  # noqa: F822 - RavenClient comes through __getattr__
    "InvalidArgumentError",
    "RavenClient",
    "build_client",
    "capture_stack",
    "config_plugin",
]

# Keywords of client.raven() that reach the event; every other one becomes a field of the heka message.
_EVENT_KEYWORDS = ("level", "tags", "extra", "user", "fingerprint", "contexts", "mechanism")


def __getattr__(name: str) -> Any:
    if name == "RavenClient":
        from heka_raven.raven_client import RavenClient

        return RavenClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def config_plugin(config: Mapping[str, Any]) -> Callable[..., str | None]:
    """The plugin's provider: ``{"plugins": {"raven": ("heka_raven.raven_plugin:config_plugin", {...})}}``.

    Args:
        config: the options, see docs/raven_plugin.rst.

    Returns:
        The function that becomes ``client.raven``.

    Raises:
        InvalidArgumentError: naming the option that is unknown or wrong.
    """
    reporter = Reporter(parse_options(config))

    def raven(
        client: HekaClient,
        msg: str = "",
        exc_info: Any = True,
        logger: str | None = None,
        severity: int | None = None,
        payload: str | bytes | None = None,
        **fields: Any,
    ) -> str | None:
        """Report the exception in flight, or the one given. Never raises.

        Args:
            msg: what the caller has to say; ``extra.msg`` of the event.
            exc_info: True, an exception, or a tuple as of ``sys.exc_info()``.
            logger, severity: of this event, instead of the plugin's.
            payload: send this, as it is, instead of making an event.
            fields: ``level tags extra user fingerprint contexts mechanism`` reach the event; every other keyword
                becomes a field of the heka message.

        Returns:
            The event id; ``None`` when nothing was sent.
        """
        try:
            report = Report(
                msg=_as_text(msg, reporter),
                logger=None if logger is None else _as_text(logger, reporter),
                severity=severity if type(severity) is int and 0 <= severity <= 7 else None,
            )
            for name in _EVENT_KEYWORDS:
                if name in fields:
                    setattr(report, name, fields.pop(name))
            report.fields = fields
            if payload is not None:
                return reporter.send_payload(client, payload, report) if is_one_of(payload, str, bytes) else None
            report.exc_info = resolve_exc_info(exc_info)
            return None if report.exc_info is None else reporter.report(client, report)
        except Exception:
            return None  # too deep a recursion even to count it

    raven.heka_name = "raven"  # type: ignore[attr-defined]
    raven.reporter = reporter  # type: ignore[attr-defined]
    return raven


def _as_text(value: Any, reporter: Reporter) -> str:
    if type(value) is str:
        return value
    return "" if value is None else Walker(lambda: 0.0, reporter.scrubber).text(value)


# -- capture_stack -----------------------------------------------------------------------------------------------------

_told_no_client: set[str] = set()

F = TypeVar("F", bound="Callable[..., Any] | staticmethod[..., Any] | classmethod[Any, ..., Any]")


@overload
def capture_stack(
    function: None = None, /, *, client: HekaClient | None = None, client_name: str = "", **report: Any
) -> Callable[[F], F]: ...


@overload
def capture_stack(function: F, /, *, client: HekaClient | None = None, client_name: str = "", **report: Any) -> F: ...


def capture_stack(
    function: Any = None, /, *, client: HekaClient | None = None, client_name: str = "", **report: Any
) -> Any:
    """Report what *function* raises, and raise it again.

    Works bare and called, on functions, methods, static and class methods, properties' functions, generators,
    coroutines and asynchronous generators; name, documentation and signature stay.

    Args:
        client: the client to report with; else the one called *client_name*; else the default one, as of each call.
        report: more arguments for ``client.raven()``, such as ``severity``.
    """
    if function is None:
        return functools.partial(capture_stack, client=client, client_name=client_name, **report)
    if isinstance(function, (staticmethod, classmethod)):
        wrapped = capture_stack(function.__func__, client=client, client_name=client_name, **report)
        return type(function)(wrapped)
    if not callable(function):
        raise TypeError(f"capture_stack: a {type(function).__name__} cannot be called; its options have names")

    def failed() -> None:
        _report_failure(client, client_name, report)

    return _wrap(function, failed)


def _wrap(function: Callable[..., Any], failed: Callable[[], None]) -> Callable[..., Any]:
    # Of an object with a __call__, that one says whether it is a generator or a coroutine.
    kind: Any = function
    while isinstance(kind, functools.partial):
        kind = kind.func
    call = getattr(type(kind), "__call__", None)  # noqa: B004
    kind = call if isinstance(call, types.FunctionType) else kind
    if inspect.isasyncgenfunction(kind):
        return _wrap_async_generator(function, failed)
    if inspect.iscoroutinefunction(kind):
        return _wrap_coroutine(function, failed)
    if inspect.isgeneratorfunction(kind):
        return _wrap_generator(function, failed)
    return _wrap_function(function, failed)


def _wrap_function(function: Callable[..., Any], failed: Callable[[], None]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception:
            try:
                failed()
            except RecursionError:
                pass  # no room even for that call; a layer further up has it
            raise

    return wrapper


def _wrap_generator(function: Callable[..., Any], failed: Callable[[], None]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return (yield from function(*args, **kwargs))
        except Exception:
            try:
                failed()
            except RecursionError:
                pass  # no room even for that call; a layer further up has it
            raise

    return wrapper


def _wrap_coroutine(function: Callable[..., Any], failed: Callable[[], None]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return await function(*args, **kwargs)
        except Exception:
            try:
                failed()
            except RecursionError:
                pass  # no room even for that call; a layer further up has it
            raise

    return wrapper


def _wrap_async_generator(function: Callable[..., Any], failed: Callable[[], None]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        inner = function(*args, **kwargs)
        try:
            sent, value = None, await inner.__anext__()
            while True:
                try:
                    sent = yield value
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as thrown:
                    value = await inner.athrow(thrown)
                else:
                    value = await inner.asend(sent)
        except StopAsyncIteration:
            return
        except Exception:
            try:
                failed()
            except RecursionError:
                pass  # no room even for that call; a layer further up has it
            raise

    return wrapper


def _report_failure(client: HekaClient | None, client_name: str, report: dict[str, Any]) -> None:
    """Report the exception in flight; whatever is missing, the app's own exception is all that is seen."""
    try:
        found = find_client(client, client_name)
        raven = None if found is None else getattr(found, "raven", None)
        if raven is None:
            missing = "the raven plugin" if found is not None else "a client"
            if missing not in _told_no_client:
                _told_no_client.add(missing)
                text = "capture_stack: there is no %s, so nothing is reported"
                TROUBLES.tell(f"no {missing}", logging.WARNING, text, missing.split(" ", 1)[1])
            return
        kind, exc, traceback = sys.exc_info()
        if traceback is not None and traceback.tb_next is not None:
            traceback = traceback.tb_next  # without the frame of the wrapper
        keywords = {"mechanism": {"type": "capture_stack", "handled": False}, **report}
        raven(keywords.pop("msg", ""), exc_info=(kind, exc, traceback), **keywords)
    except Exception:
        TROUBLES.tell("capture_stack", logging.WARNING, "capture_stack: the error could not be reported", exc_info=True)
