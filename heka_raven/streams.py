"""The heka stream that writes events into the spool.

The raven plugin hands the finished event over directly (`write_event`): no protobuf on this path. What a request pays
is one file and three counters; delivery is somebody else's work: the uWSGI plugin's gateway, `heka-raven send`, or
the thread that starts here at the first event of a process.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from functools import partial
from types import ModuleType
from typing import Any

from heka.convert import Option, convert_options, to_choice, to_int, to_size
from heka_raven.formats.envelope import encode_spool_head
from heka_raven.sender.options import sender_options
from heka_raven.sender.thread import SenderThread
from heka_raven.spool.ledger import Ledger
from heka_raven.spool.spool import DEFAULT_MAX_BYTES, DEFAULT_MAX_COUNT, DURABILITIES, Spool

SENDER_ENVIRONMENT = "HEKA_RAVEN_SENDER"
CA_ENVIRONMENT = "HEKA_RAVEN_CA"
PROXY_ENVIRONMENT = "HEKA_RAVEN_PROXY"
SENDERS = ("auto", "thread", "off")
MAX_CAP = 1 << 50

OPTIONS: Mapping[str, Option] = {
    "path": Option(lambda key, value: value, "directory", "", "of the spool; default: see Environment below"),
    "sender": Option(
        partial(to_choice, choices=SENDERS),
        "auto, thread, off",
        "",
        "auto: a thread, unless uWSGI runs with the plugin; off: others deliver",
    ),
    "durability": Option(partial(to_choice, choices=DURABILITIES), "process, power", "", "power: fsync each event"),
    "max_bytes": Option(
        partial(to_size, low=1, high=MAX_CAP),
        "size; K, M, G",
        "bytes",
        "cap of the spool; over it new events are counted and dropped",
    ),
    "max_count": Option(partial(to_int, low=1, high=MAX_CAP), "number", "events", "likewise"),
}

logger = logging.getLogger("heka_raven")


class SpoolStream:
    """Events to the spool. In INI every keyword is a key ``stream_<keyword>`` and may be text."""

    def __init__(
        self,
        path: str | None = None,
        sender: str = "auto",
        durability: str = "process",
        max_bytes: int | str = DEFAULT_MAX_BYTES,
        max_count: int | str = DEFAULT_MAX_COUNT,
        **options: Any,
    ) -> None:
        """Check the options; the spool itself is opened by the first event.

        Args:
            path: default: ``$HEKA_RAVEN_SPOOL``, ``/var/spool/heka-raven/UID`` or ``/tmp/heka-raven-UID``.
            sender: ``thread`` delivers from a thread of this process, ``off`` leaves it to others, ``auto`` is a thread
                unless uWSGI runs with the plugin. ``$HEKA_RAVEN_SENDER`` speaks where this says ``auto``.
            durability: ``process`` or ``power`` (fsync).
            max_bytes, max_count: the spool's caps; text may end in K, M, G.
            options: see :class:`heka_raven.sender.options.SenderOptions`.

        Raises:
            ConfigError: naming the option that is wrong. A directory that cannot be used is none: what decides is
                who has an event. A server may load its application as root and answer requests as another user.
        """
        given = {"sender": sender, "durability": durability, "max_bytes": max_bytes, "max_count": max_count}
        own = convert_options(OPTIONS, given, "stream_")
        self.sender: str = own.pop("sender")
        if self.sender == "auto" and os.environ.get(SENDER_ENVIRONMENT):
            self.sender = OPTIONS["sender"].convert(f"${SENDER_ENVIRONMENT}", os.environ[SENDER_ENVIRONMENT])
        self.options = sender_options(options, prefix="stream_", others=tuple(OPTIONS))
        # The sender may be another process's, with other settings: each event says how its server is reached. Under
        # uWSGI, what the plugin was told holds for the application's events too.
        ca_file = self.options.ca_file or os.environ.get(CA_ENVIRONMENT)
        proxy = self.options.proxy or os.environ.get(PROXY_ENVIRONMENT) or ""
        self._way = {"ca": os.path.abspath(ca_file) if ca_file else "", "proxy": proxy}
        self.spool = Spool(path, later=True, **own)
        self.ledger: Ledger = self.spool.ledger
        self._thread: SenderThread | None = None
        self._sends = self.sender != "off"

    def write_event(
        self,
        event_id: str,
        dsn_text: str,
        payload: bytes,
        item_type: str = "event",
        hk: Mapping[str, Any] | None = None,
    ) -> bool:
        """Take one finished event. Never raises.

        Args:
            dsn_text: the full DSN, with its secret if it has one.
            item_type: ``event`` (v7 JSON) or ``raven`` (v3: base64 of zlib of JSON).
            hk: what the sender must know: ``no_verify timeout_s debug api``; ``ca`` and ``proxy`` are ours.

        Returns:
            True once the event is in the spool. The caller counted it as ``captured`` before.
        """
        try:
            head = encode_spool_head(
                event_id, dsn_text, item_type, len(payload), self._way if hk is None else {**self._way, **hk}
            )
            if not isinstance(payload, bytes):
                raise TypeError(f"the payload is a {type(payload).__name__}, not bytes")
        except Exception as error:
            self.ledger.add("discarded.internal_sdk_error")
            self.spool.log_sparingly("encode", "an event could not be put into an envelope: %s", error)
            return False
        stored = self.spool.put(event_id, head, payload, b"\n")
        if self._sends and stored:
            try:
                self._start_sender()
            except Exception as error:
                self.spool.log_sparingly("start", "the sender did not start, events wait in the spool: %s", error)
        return stored

    def write(self, data: bytes) -> None:
        """Refuse a heka record: the spool carries events only. Counted by the client, told once a minute."""
        self.spool.log_sparingly(
            "record",
            "SpoolStream carries error events only: a heka message of another type (%d bytes) was refused",
            len(data),
        )

    def flush(self) -> None:
        """Nothing is buffered here."""

    def close(self, wait_s: float | None = None) -> None:
        """End the thread of this process, waiting (default: the option ``exit_wait_s``) for what is in flight."""
        if self._thread is not None:
            self._thread.stop(self.options.exit_wait_s if wait_s is None else wait_s)
        self.ledger.write_missing()

    def _start_sender(self) -> None:
        thread = self._thread
        if thread is not None and thread.running():
            return
        uwsgi = sys.modules.get("uwsgi")
        if uwsgi is not None:
            if self.sender == "auto" and not self._threads_deliver(uwsgi):
                self._sends = False
                return
            if uwsgi.masterpid() == os.getpid():
                return  # the app was loaded before the fork: the workers' own threads will send
        if thread is None:
            thread = self._thread = SenderThread(self.spool, self.options)
        thread.start()

    def _threads_deliver(self, uwsgi: ModuleType) -> bool:
        """Whether ``auto`` means a thread under this uWSGI."""
        from heka_raven import uwsgi_bridge

        plugin = uwsgi_bridge.plugin_loaded()
        device, inode, sent = uwsgi_bridge.plugin_spool() if plugin else (0, 0, "")
        try:
            mine = os.stat(self.spool.path)
        except OSError:
            return False  # deleted just now: the next event finds out
        if sent and (device, inode) == (mine.st_dev, mine.st_ino):
            return False
        if threads_run(uwsgi.opt):
            return True
        if not plugin:
            logger.warning(
                "uWSGI runs without enable-threads and without the plugin: nothing delivers from %s. Either load "
                "the plugin (heka-raven build-plugin; plugin = sentry) or set enable-threads = true; `heka-raven send` "
                "delivers as well",
                self.spool.path,
            )
        else:
            logger.warning(
                "nothing delivers from %s: uWSGI's plugin %s. Either let both name one directory (stream_path here, "
                "sentry-spool in uWSGI's ini; without stream_path it is the plugin's), or set enable-threads = true: "
                "then a thread of the worker delivers; `heka-raven send` does as well",
                self.spool.path,
                f"delivers from {sent}" if sent else "has no spool, which a line at uWSGI's start explains",
            )
        return False


def threads_run(opt: Mapping[Any, Any]) -> bool:
    """Whether uWSGI lets Python threads run: ``enable-threads``, or what switches it on: ``threads``, ``gevent``."""
    for name, least in (("enable-threads", None), ("threads", 2), ("gevent", 1)):
        value = opt.get(name, opt.get(name.encode()))
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if least is None:
            if value is not None and text.strip().lower() not in ("0", "false", "no", "off"):
                return True
        elif text.strip().isdigit() and int(text) >= least:
            return True
    return False
