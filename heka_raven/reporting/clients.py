"""The one place that finds the client to report with, or builds one."""

from __future__ import annotations

from types import FrameType
from typing import Any

from heka.client import HekaClient
from heka.config import client_from_dict_config
from heka.holder import CLIENT_HOLDER
from heka_raven.eyes.rules import Rules
from heka_raven.reporting.options import PluginOptions
from heka_raven.reporting.reporter import Reporter


def find_client(client: HekaClient | None = None, client_name: str = "") -> HekaClient | None:
    """*client*, if there is one; else the client called *client_name*; else, without a name, the default client.

    None is made: a name that no client has is ``None``.
    """
    if client is not None:
        return client
    return CLIENT_HOLDER.find_client(client_name) if client_name else CLIENT_HOLDER.default_client


def reporter_of(client: HekaClient | None) -> Reporter | None:
    """What the raven plugin of *client* reports with; ``None`` if it has no such plugin."""
    found = getattr(getattr(client, "raven", None), "reporter", None)
    return found if isinstance(found, Reporter) else None


def rules_of(options: PluginOptions) -> Rules:
    """What these options say of values that another part of the package shows."""
    return Rules(options.scrub_keys, options.scrub_allow, options.send_pii, options.locals != "off")


def tell_application(client: Any, app: Any, caller: FrameType | None = None) -> None:
    """Let the reporter of *client* know that *app* is the application, or that of *caller*. Never raises."""
    try:
        reporter = reporter_of(client)
        if reporter is not None:
            from heka_raven import uwsgi_bridge

            reporter.add_application(app, caller)
            uwsgi_bridge.tell_roots(reporter.app_code.signed_roots())
    except Exception:
        return  # then its frames are those of a library


def build_client(dsn: str | None = None, **options: Any) -> HekaClient:
    """A client of its own that reports to *dsn* through the spool.

    Args:
        dsn: where to report to.
        options: ``stream_*`` for :class:`heka_raven.streams.SpoolStream`, ``logger`` and the plugin's options.
    """
    stream = {name: options.pop(name) for name in list(options) if name.startswith("stream_")}
    return client_from_dict_config(
        {
            "logger": options.get("logger") or "",
            "stream_class": "heka_raven.streams.SpoolStream",
            **stream,
            "plugins": {"raven": ("heka_raven.raven_plugin:config_plugin", {"dsn": dsn, **options})},
        }
    )
