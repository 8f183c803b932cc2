"""The stack of one request for `heka-raven top`, with its local variables where the server tells them, masked."""

from __future__ import annotations

import time
from typing import Any

import orjson

from heka_raven.formats.text import cut, printable
from heka_raven.gunicorn.kinds import read_stacks
from heka_raven.spool.in_flight import Wanted, ask, read_told

ANSWER_S = 6.0  # uWSGI's master looks once a second, and a reader of values has three
MAX_VALUE = 300  # characters of one variable's line


def stack_lines(path: str, row: dict[str, Any], request: str) -> list[str]:
    """The Python stack of a request, innermost line last; and where its values are from, or why there are none."""
    head = [f"worker {row['worker']}, pid {row['pid']}: {printable(request)}", ""]
    told = _ask(path, row)
    if told is None:
        return [*head, "  the server did not answer"]
    if told.get("start") != row["start"]:
        return [*head, "  that request has ended"]
    shown = _with_values(told.get("frames")) or _without(str(told.get("text") or ""), row)
    values = str(told.get("values") or "none")
    if values.startswith("none"):
        values = f"no local variables{values.removeprefix('none')}"
    else:
        values = f"local variables: {values}, masked"
    return [*head, *(shown or ["  the worker did not answer"]), "", printable(values)]


def _ask(path: str, row: dict[str, Any]) -> dict[str, Any] | None:
    wanted = Wanted(row["worker"], row["core"], row["server_pid"], row["pid_namespace"])
    until = time.time() + ANSWER_S
    while time.time() < until:
        ask(path, wanted)
        for told in read_told(path, time.time()):
            stack = told.get("stack")
            if not isinstance(stack, dict):
                continue
            named = stack.get("worker"), stack.get("core"), told.get("pid"), told.get("pid_namespace")
            if named == wanted:
                return stack
        time.sleep(0.1)
    return None


def _with_values(frames: Any) -> list[str]:
    lines = []
    for frame in frames if isinstance(frames, list) else ():
        if isinstance(frame, dict):
            lines.append(_frame(frame.get("abs_path"), frame.get("lineno"), frame.get("function")))
            values = frame.get("vars")
            for name, value in values.items() if isinstance(values, dict) else ():
                text = value if isinstance(value, str) else orjson.dumps(value).decode()
                lines.append("      " + cut(printable(f"{name} = {text}"), MAX_VALUE))
    return lines


def _without(text: str, row: dict[str, Any]) -> list[str]:
    stacks, _ = read_stacks(text)
    frames = stacks.get(row.get("thread", 0)) or next(iter(stacks.values()), [])
    return [_frame(frame.file, frame.line, frame.function) for frame in frames]


def _frame(file: Any, line: Any, function: Any) -> str:
    return printable(f"  {file}:{line} in {function}")
