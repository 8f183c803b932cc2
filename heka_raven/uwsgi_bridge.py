"""What the worker and the uWSGI plugin tell each other, by in-process calls (0.2 µs).

Outside uWSGI, and in a uWSGI without the plugin, every function is a no-op: callers need not ask first. Importing it
changes nothing, unless it is uWSGI's own ``import = heka_raven.uwsgi_bridge``: that calls :func:`show_stacks`. It needs
the standard library only: an ini may import it without a middleware.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from threading import get_native_id
from types import FrameType
from typing import Any, NoReturn

from heka_raven.scope import current_environ, describe_current

# The plugin compares this much of an exception's message (HK_RING_MAX_TEXT in core/ring.h): uWSGI may cut the rest.
MAX_MESSAGE = 4096  # bytes
REPORTED = b"sentry_reported"
REQUEST = b"sentry_request"
ROOTS = b"sentry_roots"
MAX_ROOTS = 4096  # bytes; HK_ROOTS_MAX in core/roots.h
MAX_TEXT = 200  # characters
MAX_USER = 1024  # bytes; HK_NOTE_MAX in core/note.h
VALUES = b"sentry_values"
RULES = b"sentry_rules"
MAX_PIECE = 60000  # bytes; one argument of uwsgi.call has at most 65535
_USER_KEYS = ("id", "email", "username", "name", "ip_address")


def _uwsgi() -> Any:
    """The module that uWSGI makes inside its workers; None elsewhere, also beside a package of that name."""
    module: Any = sys.modules.get("uwsgi")
    if module is None:
        try:
            import uwsgi
        except ImportError:
            return None
        module = uwsgi
    return module if hasattr(module, "call") and hasattr(module, "masterpid") else None


def in_uwsgi() -> bool:
    """Whether this process is one of uWSGI's."""
    return _uwsgi() is not None


def worker_number() -> int:
    """The number of this worker of uWSGI, from 1 on; 0 in its master, its mules, and outside uWSGI."""
    module = _uwsgi()
    try:
        return int(module.worker_id()) if module is not None else 0
    except Exception:
        return 0


def plugin_loaded() -> bool:
    """Whether uWSGI runs with the ``sentry`` plugin, whose sender then delivers."""
    return _has(_uwsgi(), REPORTED)


def _has(module: Any, function: bytes) -> bool:
    try:
        return module is not None and function in tuple(_to_bytes(name) for name in module.rpc_list())
    except Exception:
        return False


def plugin_spool() -> tuple[int, int, str]:
    """Device, inode and path of the spool that the plugin's sender delivers; ``(0, 0, "")`` where it has none."""
    module = _uwsgi()
    try:
        if _may_call(module):
            device, inode, path = os.fsdecode(module.call(b"sentry_spool")).split(" ", 2)
            return int(device), int(inode), path
        path = os.environ["HEKA_RAVEN_SPOOL"]  # where the plugin says it to the processes
        info = os.stat(path)
        return info.st_dev, info.st_ino, path
    except Exception:
        return 0, 0, ""


def _may_call(module: Any) -> bool:
    """Whether ``uwsgi.call`` does no harm.

    Beside a loop engine (gevent, asyncio) all requests run in the main thread, and uWSGI may not be called from
    another: it gives the interpreter up in a way that takes the caller's thread state with it, and the worker crashes.
    """
    return not getattr(module, "loop", None) or get_native_id() == os.getpid()


def _call(module: Any, *arguments: bytes) -> None:
    if _may_call(module):
        module.call(*arguments)


def tell_reported(
    event_id: str, exception_class: str, message: str | None, environ: Mapping[str, Any] | None = None
) -> None:
    """Tell the plugin that this exception was reported, so that uWSGI's exception handler drops it.

    Args:
        exception_class: its name, with or without the module.
        message: ``str(exception)``; None when that cannot be told.
        environ: of the request it happened in, whose log variable ``sentry_event_id`` is set then.
    """
    module = _uwsgi()
    if module is None:
        return
    core = b"" if environ is None else _core(environ)
    arguments = [_to_bytes(event_id), _to_bytes(exception_class), core]
    try:
        if message is not None:
            # As uWSGI reads it: up to a NUL, and not at all when it is no UTF-8 (lone surrogates).
            arguments.append(message.encode("utf-8").partition(b"\0")[0][:MAX_MESSAGE])
    except UnicodeEncodeError:
        pass  # then the class alone is compared, on both sides
    try:
        _call(module, REPORTED, *arguments)
    except Exception:
        pass  # a plugin that does not answer costs a double report, never the request


def tells_requests() -> bool:
    """Whether ``sentry-watch`` is on, and :func:`tell_request` reaches somebody."""
    return _has(_uwsgi(), REQUEST)


def tell_request(environ: Mapping[str, Any], *, transaction: str | None = None, user: Any = None) -> None:
    """Tell ``sentry-watch`` what only the application knows of a request, before it can take its worker along.

    Args:
        environ: of the request that is running.
        transaction: its name, ``METHOD route``; at most 200 characters are kept.
        user: an id, or a dict with ``id``, ``email``, ``username``, ``name``, ``ip_address``; other keys are left out.
    """
    module = _uwsgi()
    if module is None:
        return
    try:
        name = b"" if transaction is None else transaction[:MAX_TEXT].encode("utf-8", "replace")
        _call(module, REQUEST, _core(environ), name, _user(user))
    except Exception:
        pass  # an event that knows less is better than a request that fails


_roots: dict[bytes, None] = {}  # of all middlewares of this process


def tell_roots(roots: Iterable[tuple[bool, str]]) -> None:
    """Tell ``sentry-watch`` whose code a stack shows, once at start.

    Args:
        roots: beginnings of paths, and whether they are the application's: the first that fits decides. What does not
            fit into 4096 bytes is left out.
    """
    module = _uwsgi()
    try:
        if not _has(module, ROOTS):
            return
        for ours, path in roots:
            line = path.encode("ascii", "backslashreplace")  # as faulthandler writes it
            if b"\n" not in line and sum(map(len, _roots)) + len(line) + 2 <= MAX_ROOTS:
                _roots[(b"+" if ours else b"-") + line + b"\n"] = None
        _call(module, ROOTS, b"".join(_roots))
    except Exception:
        pass  # then paths alone decide


# A stack with its values, masked: of the thread with this number, else of the frame that was interrupted.
Look = Callable[[int, "FrameType | None"], bytes]
_look: Look | None = None
_os_exit = os._exit


def _exit(status: int) -> NoReturn:
    """``os._exit``, whose stack nobody could see afterwards."""
    try:
        module = _uwsgi()
        # Only the worker itself is heard, not a child of the application's own; it is asked for values then.
        asked = bytes(module.call(b"sentry_exit") or b"") if _may_call(module) else b""
        if asked and _look is not None:
            _tell_values(module, asked, sys._getframe(1))
    except Exception:
        pass
    finally:
        _os_exit(status)


def answer_for_requests() -> bool:
    """Let ``sentry-watch`` ask this process about its request: its route and user, which nobody told in advance.

    The plugin asks with a signal, before it kills a worker for its time or when a request is slow. The answer is given
    by the main thread as soon as Python runs in it; while C code does, there is none.
    """
    module = _uwsgi()
    if module is None:
        return False
    try:
        signal.signal(signal.SIGRTMIN + 6, _answer)
        module.call(b"sentry_ready", b"answer")
    except Exception:
        return False  # not the main thread: the events know less
    return True


def answer_with_values(look: Look, rules: bytes) -> None:
    """Let the answers of this process show the values of its stack.

    Args:
        look: shows a stack; it takes no lock.
        rules: lines that tell a reader of another process what is private.
    """
    global _look
    module = _uwsgi()
    try:
        if _has(module, RULES):
            _call(module, RULES, rules)
            _look = look
    except Exception:
        pass  # then events have no values


def _answer(signum: int, frame: FrameType | None) -> None:
    """Runs between two instructions of the application: reads, and lets nothing out."""
    try:
        module = _uwsgi()
        asked = bytes(module.call(VALUES) or b"") if _look is not None else b""  # which the master waits for then
        environ, facts = current_environ(), describe_current()
        if environ is not None and facts is not None:
            tell_request(environ, transaction=facts.transaction, user=facts.user)
        if asked:
            _tell_values(module, asked, frame)
    except BaseException:
        pass


def _tell_values(module: Any, asked: bytes, frame: FrameType | None) -> None:
    """Answer question *asked*, ``number thread``; an empty answer says that there is none."""
    number, _, thread = asked.partition(b" ")
    shown = b""
    try:
        if _look is not None:
            shown = _look(int(thread or 0), frame)
    finally:
        pieces = [shown[at : at + MAX_PIECE] for at in range(0, len(shown), MAX_PIECE)]
        module.call(VALUES, number, *pieces)


def _core(environ: Mapping[str, Any]) -> bytes:
    """The core that a request runs on; uWSGI names it where a worker has more than one."""
    core = environ.get("uwsgi.core", 0)
    return b"%d" % core if type(core) is int else b""


def _user(user: Any) -> bytes:
    if user is None or user == "":
        return b""
    given = user if isinstance(user, Mapping) else {"id": user}
    known = {}
    for key in _USER_KEYS:
        value = given.get(key)
        if type(value) in (str, int) and value != "":
            known[key] = str(value)[:MAX_TEXT].encode("utf-8", "replace").decode("utf-8")  # without lone surrogates
    if not known:
        return b""
    text = json.dumps(known).encode("ascii")
    return text if len(text) <= MAX_USER else b""


def _to_bytes(text: object) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode("utf-8", "replace")


def show_stacks() -> bool:
    """Let ``sentry-watch`` see this process's Python stacks: at a crash, in ``os._exit``, and when the master asks.

    Registers faulthandler on SIGRTMIN+5 and replaces ``os._exit``. The middleware calls it, and the ini line ``import =
    heka_raven.uwsgi_bridge``; more calls than one change nothing. What is registered before a fork holds for the
    workers too: the plugin puts each worker's own memory file under the one number that faulthandler knows.
    """
    module = _uwsgi()
    if module is None or not _may_call(module):
        return False
    try:
        answer = module.call(b"sentry_stack_fd")
        if not answer:
            return False
        descriptor = int(answer)
        # Only this signal: faulthandler.enable() is the application's own. After a crash, the plugin's handler sends
        # itself the signal.
        faulthandler.register(signal.SIGRTMIN + 5, file=descriptor, all_threads=True, chain=False)
        module.call(b"sentry_ready", b"stack")
        if os._exit is _os_exit:
            os._exit = _exit
    except Exception:
        return False  # an event without a stack is better than an application that does not start
    return True


def _is_in_the_ini() -> bool:
    """Whether an option of uWSGI's names this module: ``import`` and the like (``pyimport``, ``shared-import`` …)."""
    options = getattr(_uwsgi(), "opt", None)
    if not isinstance(options, Mapping):
        return False
    for name, value in options.items():
        if _to_bytes(name).endswith(b"import"):
            for module in value if isinstance(value, (list, tuple)) else (value,):
                if _to_bytes(module).strip() == __name__.encode():
                    return True
    return False


if _is_in_the_ini():
    show_stacks()
