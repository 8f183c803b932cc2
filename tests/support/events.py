"""For the tests of events: clients that keep what they send, readers of it, and errors of many kinds."""

import json
import time

from heka.config import client_from_dict_config
from heka.testing import fields_of, sent_messages
from heka_raven.capture.exceptions import Capturer
from heka_raven.capture.values import Walker
from heka_raven.formats.raven_payload import decode_raven
from heka_raven.reporting.app_code import AppCode
from heka_raven.reporting.source import SourceReader
from heka_raven.scrub.scrubber import Scrubber

DSN = "https://public:topsecret@sentry.example.com/2"


def make_walker(**options):
    options.setdefault("is_library", AppCode().is_library)
    return Walker(time.thread_time, options.pop("guard", None) or Scrubber(), **options)


def make_capturer():
    return Capturer(SourceReader(), AppCode().in_app, Scrubber().clean_source)


def router_client(dsn=DSN, logger="", **options):
    """A client on a DebugCaptureStream: what a router would get."""
    return client_from_dict_config(
        {
            "logger": logger,
            "stream_class": "heka.streams.DebugCaptureStream",
            "plugins": {"raven": ("heka_raven.raven_plugin:config_plugin", {"dsn": dsn, **options})},
        }
    )


def spool_client(path, dsn=DSN, **options):
    """A client that writes into a spool, which nobody empties."""
    return client_from_dict_config(
        {
            "logger": "",
            "stream_class": "heka_raven.streams.SpoolStream",
            "stream_path": str(path),
            "stream_sender": "off",
            "plugins": {"raven": ("heka_raven.raven_plugin:config_plugin", {"dsn": dsn, **options})},
        }
    )


def sent_events(client):
    """The events that a router's client sent, oldest first."""
    return [decode_raven(message.payload) for message in sent_messages(client)]


def last_event(client):
    return sent_events(client)[-1]


def last_fields(client):
    return fields_of(sent_messages(client)[-1])


def frames_of(event, index=-1):
    return event["exception"]["values"][index]["stacktrace"]["frames"]


def vars_of(event):
    """The local variables of the innermost frame."""
    return frames_of(event)[-1]["vars"]


def raised(function, *args):
    """The exception that *function* raises, as it was caught."""
    try:
        function(*args)
    except BaseException as exc:
        return exc
    raise AssertionError(f"{function} did not raise")


def exception_call2(a, b, c):
    return a + b + c / (a - b)


def exception_call1(x, y):
    return exception_call2(y, x, 42)


def report(client, *args, **kwargs):
    """Report a ZeroDivisionError two calls deep, with these arguments of client.raven()."""
    try:
        exception_call1(5, 5)
    except ZeroDivisionError:
        return client.raven(*args, **kwargs)


def remarks(event):
    """What the normaliser says of *event*: the paths it changed or cut, and its errors."""
    from sentry_relay.processing import StoreNormalizer

    normalizer = StoreNormalizer(project_id=1, protocol_version="7", remove_other=True, enable_trimming=True)
    found = normalizer.normalize_event(raw_event=json.dumps(event))
    if isinstance(found, str):
        found = json.loads(found)
    return list(_paths(found.get("_meta") or {})), found.get("errors") or []


def _paths(node, path=""):
    for name, value in node.items():
        if name == "":
            yield path
        elif isinstance(value, dict):
            yield from _paths(value, f"{path}.{name}")
