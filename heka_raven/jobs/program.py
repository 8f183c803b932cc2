"""The program that runs: its name, and the words it was called with."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence

from heka_raven.jobs.job import Job

RUN_ENVIRONMENT = "HEKA_RAVEN_RUN"  # the file in which a program under `heka-raven run` notes what it reported

# Programs whose first word is the command that runs.
_WITH_COMMANDS = frozenset({"manage.py", "django-admin", "django", "flask"})
_INTERPRETER = re.compile(r"(python|pypy)[\d.]*|(ba|da|k|z)?sh|perl|ruby|node|php")
_WORD = re.compile(r"[A-Za-z_][\w:-]{0,60}")


def name_of(words: Sequence[str]) -> str:
    """What a call is known by: the program, or what an interpreter runs; with the command of Django's and Flask's."""
    program = os.path.basename(words[0]) if words else ""
    if _INTERPRETER.fullmatch(program):
        for index, word in enumerate(words[1:], 1):
            if word == "-c" or (index + 1 == len(words) and word.startswith("-")):
                break
            if word == "-m":
                return name_of([words[index + 1].removesuffix(".__main__"), *words[index + 2 :]])
            if not word.startswith("-"):
                return name_of(words[index:])
    if program in _WITH_COMMANDS and len(words) > 1 and _WORD.fullmatch(words[1]):
        return f"{program} {words[1]}"
    return program or "python"


def this_program() -> Job:
    """This process as a job."""
    words = [word for word in getattr(sys, "argv", ()) if type(word) is str]
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    module = getattr(spec, "name", None)
    if type(module) is str and module:  # python -m
        words[:1] = [module.removesuffix(".__main__")]
    name = "python -c" if words[:1] == ["-c"] else name_of(words)
    return Job("python", name, arguments=words[1:] or None)


def note_for_run(event_id: str, status: int) -> None:
    """Tell `heka-raven run` around this program that the error is reported which ends it with *status*."""
    path = os.environ.get(RUN_ENVIRONMENT)
    if not path:
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return  # it is over: a program that outlived it
    try:
        os.write(descriptor, f"{os.getpid()} {time.time():.3f} {status} {event_id}\n".encode())
    except OSError:
        pass
    finally:
        os.close(descriptor)
