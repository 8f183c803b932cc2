"""One event of the watch: the sentence on top, the suspect, the bystanders, the stack with its source lines."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from heka_raven.events.event import timestamp_text
from heka_raven.events.server import Place, Sentence, fingerprint, path_name, place_of, sentence
from heka_raven.eyes.slots import InFlight
from heka_raven.formats.text import clean, cut
from heka_raven.gunicorn.c_stack import NativeFrame
from heka_raven.gunicorn.c_stack import place_of as native_place
from heka_raven.gunicorn.kinds import LEVELS, Frame
from heka_raven.reporting.clients import reporter_of
from heka_raven.reporting.report import Report
from heka_raven.reporting.source import SourceReader

SERVER = "gunicorn"
MAX_BYSTANDERS = 32
CONTEXT_LINES = 5
MAX_TEXT = 200
MAX_LINE = 256
# Frames of ours stand below every request.
_OURS = ("/heka_raven/", "/middleware/wsgi.py", "/middleware/body.py", "/middleware/watch_slots.py")


class EventMaker:
    """Makes and spools the events of *client*: their tag is ``gunicorn.event``, or that of another *server*."""

    def __init__(self, client: Any, version: str, server: str = SERVER) -> None:
        self._client = client
        self._server = server
        reporter: Any = reporter_of(client)
        self._reporter = reporter
        self._version = version
        self._source = SourceReader()
        self.scrubber = reporter.scrubber
        spool = getattr(client.stream, "spool", None)
        self.spool_path: str | None = None if spool is None else spool.path

    def report(
        self,
        said: Sentence,
        *,
        worker: Mapping[str, Any],
        suspect: InFlight | None,
        bystanders: Sequence[Mapping[str, Any]],
        frames: Sequence[Frame],
        native: Sequence[NativeFrame],
        answer: bytes,
        now_ns: int,
    ) -> None:
        """Spool one event.

        Args:
            said: what is known of its sentence; the request and the place come from here.
            worker: its number, pid, and figures.
            suspect: the request that was running.
            bystanders: the others, on all workers.
            frames: the Python stack of the suspect's thread.
            native: the C stack inside its innermost frame.
            answer: what the worker said of its request when it was asked.
        """
        kind = said.kind
        job = suspect.job() if suspect is not None else {}
        known = job or _read_answer(answer)
        shown = request_of(suspect, now_ns) if suspect is not None else {}
        transaction = known.get("transaction") or (shown and f"{shown['method']} {path_name(shown['path'])}") or ""
        stack = [self._frame(frame) for frame in frames]
        said.place = place_of(stack)
        if "worker" in worker:
            said.who = f"worker {worker['worker']}"
        if shown:
            said.request, said.age_ms = f"{shown['method']} {shown['path']}", shown["age_ms"]
        level = LEVELS.get(kind, "error")
        title = sentence(said)
        value: dict[str, Any] = {
            "type": f"{said.server} {kind}",
            "value": title,
            "mechanism": {"type": f"{self._server}.watch", "handled": False},
        }
        if stack or native:
            value["stacktrace"] = {"frames": [*stack, *(frame.as_frame() for frame in native)]}
        version = {"version": self._version} if self._version else {}
        context = {**version, **worker, "bystanders": list(bystanders)[:MAX_BYSTANDERS]}
        if shown:
            context["suspect"] = {**shown, "transaction": transaction}
        event: dict[str, Any] = {
            "event_id": os.urandom(16).hex(),
            "timestamp": timestamp_text(time.time()),
            "level": level,
            "logger": f"{self._server}.watch",
            **self._reporter.static,
            "logentry": {"formatted": title},
            "exception": {"values": [value]},
            "contexts": {**self._reporter.static["contexts"], self._server: context},
            "tags": {**(self._reporter.static.get("tags") or {}), f"{self._server}.event": kind},
            "fingerprint": [*fingerprint(kind, transaction, said.place), *filter(None, [native_place(native)])],
            "culprit": cut(transaction or _where(said.place), MAX_TEXT),
        }
        if transaction:
            event["transaction"] = cut(transaction, MAX_TEXT)
        event |= _of_job(job, event["tags"]) if job else {"request": _request(shown)} if shown else {}
        user = known.get("user") or ({"ip_address": shown["remote_addr"]} if shown.get("remote_addr") else None)
        if isinstance(user, dict):
            event["user"] = user
        if isinstance(known.get("trace"), dict):
            event["contexts"]["trace"] = known["trace"]
        report = Report(logger=event["logger"], level=level, msg=" ".join(event["fingerprint"]))
        self._reporter.report_made(self._client, event, report)

    def _frame(self, frame: Frame) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "filename": "/".join(frame.file.split("/")[-2:]),
            "abs_path": frame.file,
            "function": frame.function,
            "lineno": frame.line,
            "in_app": self._reporter.app_code.in_app("", frame.file) and not any(o in frame.file for o in _OURS),
        }
        if frame.values:
            shown["vars"] = frame.values
        lines = self._source(frame.file, {})
        if lines and 0 < frame.line <= len(lines):
            begin = max(0, frame.line - 1 - CONTEXT_LINES)
            text = "\n".join(line.rstrip("\r\n") for line in lines[begin : frame.line + CONTEXT_LINES])
            masked = [cut(line, MAX_LINE) for line in self._reporter.scrubber.clean_source(text).split("\n")]
            at = frame.line - 1 - begin
            if at < len(masked):
                shown["pre_context"], shown["context_line"] = masked[:at], masked[at]
                shown["post_context"] = masked[at + 1 :]
        return shown


def _where(place: Place | None) -> str:
    return "-" if place is None else f"{place.function} in {place.file.rpartition('/')[2]}"


def request_of(request: InFlight, now_ns: int) -> dict[str, Any]:
    """One request as the context shows it."""
    method, uri, address, host = request.fields()
    path, _, query = clean(uri).partition("?")
    return {
        "method": method,
        "path": path,
        "query": query,
        "host": clean(host),
        "remote_addr": address,
        "age_ms": max(0, (now_ns - request.began_ns) // 1_000_000),
    }


def _of_job(job: Mapping[str, Any], tags: Mapping[str, Any]) -> dict[str, Any]:
    return {"extra": job.get("extra") or {}, "tags": {**(job.get("tags") or {}), **tags}}


def _request(shown: Mapping[str, Any]) -> dict[str, Any]:
    url = f"{shown['host']}{shown['path']}"  # http://shop.example/orders; of an HTTP/1.0 without a host, the path
    request = {"method": shown["method"], "url": url, "query_string": shown["query"]}
    if shown["remote_addr"]:
        request["env"] = {"REMOTE_ADDR": shown["remote_addr"]}
    return request


def _read_answer(answer: bytes) -> dict[str, Any]:
    try:
        found = json.loads(answer) if answer else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
