"""Raven 6.10's Client with our engine behind it.

raven's own event builder takes 30 ms an event and its transports open connections in the request: neither is used.
Importing this module imports raven (155 ms), so heka_raven.raven_plugin does it only when RavenClient is asked for.
"""

from __future__ import annotations

import calendar
import datetime
import logging
import os
import re
import sys
import types
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from heka.client import HekaClient
from heka.limited_log import TROUBLES
from heka_raven.capture.classes import plain_dict
from heka_raven.formats.dsn import parse_dsn
from heka_raven.formats.raven_payload import decode_raven, encode_raven
from heka_raven.reporting.clients import build_client, find_client, reporter_of
from heka_raven.reporting.dedupe import pass_on
from heka_raven.reporting.options import PluginOptions
from heka_raven.reporting.raven_options import read_raven_options
from heka_raven.reporting.report import Report, caller_frame, resolve_exc_info
from heka_raven.reporting.reporter import Reporter
from heka_raven.scope import current_environ

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what a library of 2018 says on today's Python is no news to the app
    import raven.base
    import raven.handlers.logging
    from raven.conf.remote import RemoteConfig
    from raven.utils import json as raven_json

__all__ = ["DjangoRavenClient", "RavenClient"]  # noqa: F822 - made by __getattr__


_POSITIONAL = (
    "raise_send_errors", "transport", "install_sys_hook", "install_logging_hook", "hook_libraries",
    "enable_breadcrumbs", "_random_seed",
)  # fmt: skip


class _NaiveUtc(datetime.datetime):
    """``datetime`` for raven's logging handler: utcfromtimestamp is deprecated from Python 3.12 on."""

    @classmethod
    def utcfromtimestamp(cls, seconds: float, /) -> Any:
        return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).replace(tzinfo=None)


if sys.version_info >= (3, 12):
    raven.handlers.logging.datetime = types.SimpleNamespace(datetime=_NaiveUtc)


class RavenClient(raven.base.Client):  # type: ignore[misc]
    """A ``raven.Client`` that delivers through a heka client.

    Args:
        dsn: where to report to; without one, the DSN of the heka client's raven plugin.
        heka_client: whose stream carries the events; else the one called *client_name*; else, with a dsn, a client of
            its own that writes into the spool; else the default client, as of each event.
        options: as raven's: each is honoured, or an error that says what is here in its place; docs/migration.rst has
            the table. No hook is installed unless it is asked for: ``install_sys_hook``,
            ``install_logging_hook``, ``hook_libraries``.
    """

    def __init__(
        self,
        dsn: str | None = None,
        *args: Any,
        heka_client: HekaClient | None = None,
        client_name: str = "",
        **options: Any,
    ) -> None:
        self._heka_client = heka_client
        self._client_name = client_name
        self._own_client: HekaClient | None = None
        self._reporter: tuple[Reporter | None, Reporter] | None = None  # by the plugin's reporter that it differs from
        self._dsn: Any = None
        self._options = read_raven_options({**options, **dict(zip(_POSITIONAL, args, strict=False))})
        if len(args) < 3:
            options.setdefault("install_sys_hook", False)
        if len(args) < 4:
            options.setdefault("install_logging_hook", False)
        if len(args) < 5:
            options.setdefault("hook_libraries", [])
        super().__init__(dsn, *args, **options)

    # -- where events go -------------------------------------------------------------------------------------------

    def set_dsn(self, dsn: str | None = None, transport: Any = None) -> None:
        """Report to *dsn* from now on. Any DSN that this package knows is taken: without a secret, or ``udp://``.

        Without one, ``$SENTRY_DSN`` is read, unless there is a heka client to report with.
        """
        self._reporter = self._own_client = None
        if not dsn and find_client(self._heka_client, self._client_name) is None and not self._client_name:
            dsn = os.environ.get("SENTRY_DSN")
        if not dsn:
            self._dsn = None
            self.remote = RemoteConfig(transport=transport)
            return
        self._dsn = parsed = parse_dsn(dsn)
        self.remote = RemoteConfig(
            base_url=f"{parsed.scheme}://{parsed.netloc()}{parsed.path}",
            project=parsed.project,
            public_key=parsed.public,
            secret_key=parsed.secret,
            transport=transport,
        )

    def is_enabled(self) -> bool:
        """Whether there is somewhere to report to."""
        return self._dsn is not None or self._reporter_of(self._find_client()) is not None

    def _find_client(self) -> HekaClient | None:
        if self._dsn is None or self._heka_client is not None or self._client_name:
            return find_client(self._heka_client, self._client_name)
        if self._own_client is None:
            self._own_client = build_client(self._dsn.with_secret())
        return self._own_client

    def _reporter_of(self, client: HekaClient | None) -> Reporter | None:
        """The reporter of the plugin of *client*, or one that differs from it by what raven's options say."""
        base = reporter_of(client)
        if client is None or (base is None and self._dsn is None):
            return None
        if self._reporter is None or self._reporter[0] is not base:
            self._reporter = base, self._make_reporter(base)
        return self._reporter[1]

    def _make_reporter(self, base: Reporter | None) -> Reporter:
        under = PluginOptions() if base is None else base.options
        changed = self._options.over(under)
        if self._dsn is not None:
            changed["dsn"] = self._dsn
        before_send = self._options.before_send(self, under.before_send)
        if before_send is not under.before_send:
            changed["before_send"] = before_send
        if base is not None and not changed and self._options.include_modules:
            return base
        paths = {"in_app_include", "in_app_exclude"}
        reporter = Reporter(
            replace(under, **changed), None if base is None or not paths.isdisjoint(changed) else base.app_code
        )
        if not self._options.include_modules:
            del reporter.static["modules"]
        return reporter

    # -- capturing ---------------------------------------------------------------------------------------------------

    def capture(
        self,
        event_type: str,
        data: Mapping[str, Any] | None = None,
        date: Any = None,
        time_spent: Any = None,
        extra: Mapping[str, Any] | None = None,
        stack: Any = None,
        tags: Mapping[str, Any] | None = None,
        sample_rate: float | None = None,
        **kwargs: Any,
    ) -> str | None:
        """Capture an event; arguments as raven's. Never raises.

        Returns:
            The event id; ``None`` when nothing was sent.
        """
        try:
            client = self._find_client()
            reporter = self._reporter_of(client)
            if client is None or reporter is None:
                return None
            exc_info = resolve_exc_info(kwargs.get("exc_info")) if kwargs.get("exc_info") is not None else None
            if event_type.endswith("Exception") and exc_info is None:
                return None
            if exc_info is not None and not self.should_capture(exc_info):
                pass_on(exc_info[1], exc_info[2], current_environ())
                return None
            report = self._report_of(event_type, plain_dict(data), kwargs)
            report.exc_info = exc_info
            report.timestamp = _seconds(date) or report.timestamp
            report.sample_rate = self.sample_rate if sample_rate is None else sample_rate
            report.extra = {**self.extra, **report.extra, **plain_dict(extra)}
            report.tags = {**self.tags, **report.tags, **plain_dict(tags)}
            if self._options.site:
                report.tags.setdefault("site", self._options.site)
            if time_spent is not None:
                report.extra["time_spent"] = time_spent
            if (stack is not None and stack is not False) or (self.auto_log_stacks and exc_info is None):
                report.stack = caller_frame(stack)
            event_id = reporter.report(client, report)
        except Exception as error:
            if not isinstance(error, RecursionError):  # then there is no room to log
                text = "RavenClient lost an event: %s"
                TROUBLES.tell("RavenClient", logging.WARNING, text, type(error).__name__, exc_info=True)
            return None
        self._local_state.last_event_id = event_id
        return event_id

    def _report_of(self, event_type: str, data: dict[str, Any], kwargs: Mapping[str, Any]) -> Report:
        """What raven's context, *data* and the keywords of the call say of the event."""
        context = self.context.data
        report = Report(mechanism={"type": "raven", "handled": True})
        merged = {**context, **{name: value for name, value in data.items() if value is not None}}
        for name in ("tags", "extra"):
            merged[name] = {**plain_dict(context.get(name)), **plain_dict(data.get(name))}
        report.request = merged.get("request", merged.get("sentry.interfaces.Http"))
        report.user = merged.get("user", merged.get("sentry.interfaces.User"))
        report.tags, report.extra = merged["tags"], merged["extra"]
        report.level = kwargs.get("level", merged.get("level"))
        report.logger = _text_in(merged, "logger")
        report.fingerprint = kwargs.get("fingerprint", merged.get("fingerprint"))
        report.contexts = merged.get("contexts")
        report.culprit = _text_in(merged, "culprit")
        report.transaction = _text_in(merged, "transaction")
        if report.transaction is None and report.culprit is None:
            report.transaction = self.transaction.peek()
        report.logentry = _logentry(event_type, merged, kwargs)
        report.hint = {"raven": merged}
        _add_given(report, merged)
        if event_type.endswith("Query"):
            asked = {name: kwargs[name] for name in ("engine", "params") if kwargs.get(name)}
            report.extra = {**asked, **report.extra}
        try:
            crumbs = self.context.breadcrumbs.get_buffer() if self.enable_breadcrumbs else None
            report.breadcrumbs = _breadcrumbs_in(merged.get("breadcrumbs")) or crumbs
        except Exception:
            report.breadcrumbs = None  # a breadcrumb's own processor failed
        return report

    # -- sending -------------------------------------------------------------------------------------------------------

    def send(self, auth_header: Any = None, **data: Any) -> str | None:
        """Deliver a finished event, scrubbed."""
        client = self._find_client()
        reporter = self._reporter_of(client)
        if client is None or reporter is None:
            return None
        event = raven_json.loads(raven_json.dumps(data))  # plain values only
        return reporter.send_payload(client, self.encode(reporter.scrubbed(event)), Report())

    def send_encoded(self, message: str | bytes, auth_header: Any = None, **kwargs: Any) -> str | None:
        """Deliver a payload as :meth:`encode` makes it, as it is."""
        client = self._find_client()
        reporter = self._reporter_of(client)
        if client is None or reporter is None:
            return None
        return reporter.send_payload(client, message, Report())

    def encode(self, data: Mapping[str, Any]) -> bytes:
        """base64 of zlib of JSON, as heka-py-raven's; raven 6's own has no base64."""
        return encode_raven(raven_json.dumps(data).encode("utf-8"))

    def decode(self, data: str | bytes) -> dict[str, Any]:
        """What :meth:`encode` made, from text or bytes."""
        return decode_raven(data)

    def get_ident(self, result: str | None) -> str | None:
        """*result*: the event id has been the result of capture since raven 5."""
        return result

    def get_module_versions(self) -> dict[str, str]:
        """What is installed."""
        reporter = self._reporter_of(self._find_client())
        return dict(reporter.static["modules"]) if reporter is not None and self.include_versions else {}


# Keys of capture(data=...), by the names that they have in an event; sentry.interfaces.X are raven's older ones.
_TAKEN = frozenset({
    "request", "user", "tags", "extra", "level", "logger", "fingerprint", "contexts", "culprit", "transaction",
    "message", "logentry", "breadcrumbs", "event_id", "site", "checksum", "time_spent", "timestamp", "project",
})  # fmt: skip
_GIVEN = ("exception", "stacktrace", "template", "server_name", "release", "environment", "platform", "modules")
_INTERFACES = {
    "sentry.interfaces.Exception": "exception",
    "sentry.interfaces.Stacktrace": "stacktrace",
    "sentry.interfaces.Template": "template",
    "sentry.interfaces.Query": "query",
    "sentry.interfaces.Http": "request",
    "sentry.interfaces.User": "user",
    "sentry.interfaces.Message": "logentry",
}
_EVENT_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


def _add_given(report: Report, merged: Mapping[str, Any]) -> None:
    """What *data* says of the event itself; a key that no event has goes into ``extra``: nothing is dropped."""
    named = {_INTERFACES.get(name, name): value for name, value in merged.items() if type(name) is str}
    report.given = {name: named[name] for name in _GIVEN if named.get(name) is not None}
    rest = {name: value for name, value in named.items() if name not in _TAKEN and name not in _GIVEN}
    event_id = str(named.get("event_id") or "").replace("-", "").lower()
    if _EVENT_ID.fullmatch(event_id):
        report.event_id = event_id
    elif event_id:
        rest["event_id"] = named["event_id"]
    if named.get("checksum") is not None and report.fingerprint is None:
        report.fingerprint = [named["checksum"]]  # what servers of today group by
    if named.get("site") is not None:
        report.tags = {"site": named["site"], **report.tags}
    if named.get("time_spent") is not None:
        rest["time_spent"] = named["time_spent"]
    if isinstance(named.get("timestamp"), datetime.datetime):
        report.timestamp = _seconds(named["timestamp"])
    report.extra = {**rest, **report.extra}


def _breadcrumbs_in(given: Any) -> list[Any] | None:
    crumbs = plain_dict(given).get("values", given)
    return list(crumbs) if isinstance(crumbs, (list, tuple)) else None


def _text_in(found: Mapping[str, Any], name: str) -> str | None:
    value = found.get(name)
    return value if type(value) is str else None


def _logentry(event_type: str, merged: Mapping[str, Any], kwargs: Mapping[str, Any]) -> tuple[Any, Any, Any] | None:
    """Template, parameters and text of the message, if there is one."""
    found = plain_dict(merged.get("sentry.interfaces.Message")) or plain_dict(merged.get("logentry"))
    if found:
        return found.get("message"), found.get("params"), found.get("formatted")
    if event_type.endswith("Query"):
        return kwargs.get("query"), None, None
    text = _text_in(merged, "message")
    if text is not None:
        return text, None, None  # as raven's: what data says wins over the argument
    if "message" in kwargs:
        return kwargs["message"], kwargs.get("params"), kwargs.get("formatted")
    return None


def _seconds(date: Any) -> float | None:
    """Seconds since the epoch of a datetime (naive: UTC, as raven's); ``None`` for anything else."""
    if not isinstance(date, datetime.datetime):
        return None
    if date.tzinfo is not None:
        return date.timestamp()
    return calendar.timegm(date.timetuple()) + date.microsecond / 1e6


def __getattr__(name: str) -> Any:
    if name != "DjangoRavenClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Django is imported only by those who ask for it.
    from raven.contrib.django.client import DjangoClient

    class DjangoRavenClient(DjangoClient, RavenClient):  # type: ignore[misc]
        """For Django's ``SENTRY_CLIENT``: raven's request and user facts, our engine."""

        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("install_sql_hook", None)
            RavenClient.__init__(self, *args, **options)

    DjangoRavenClient.__module__ = __name__
    DjangoRavenClient.__qualname__ = "DjangoRavenClient"
    globals()["DjangoRavenClient"] = DjangoRavenClient
    return DjangoRavenClient
