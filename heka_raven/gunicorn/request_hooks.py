"""The hooks of gunicorn around a request, which write its slot."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import get_ident, get_native_id
from time import monotonic_ns
from typing import Any

from heka_raven.eyes.slots import BEGAN_AT, ROW_SIZE, SLOT, SLOT_SIZE, SLOTS, Slots


def make_request_hooks(
    slots: Slots, index: int, before: Callable[..., Any] | None, after: Callable[..., Any] | None
) -> tuple[Callable[..., None], Callable[..., None]]:
    """gunicorn's ``pre_request`` and ``post_request`` for the worker of row *index*, each before the hook given.

    Every request pays for them: what they need is at hand, and nothing is called that could be left out. A request that
    finds no free slot, or has another shape, is not seen.
    """
    base = index * ROW_SIZE + 4096
    memory, pack_into = slots.memory, SLOT.pack_into
    begins = memoryview(slots.memory)[BEGAN_AT:].cast("Q")
    # deque's methods hold for threads and greenlets without a lock.
    free = deque(base + slot * SLOT_SIZE for slot in range(SLOTS))
    take, give = free.popleft, free.append

    def pre_request(worker: Any, req: Any) -> None:
        try:
            at = take()
            req._heka_raven = at
            peer = req.peer_addr
            host = ""
            for name, value in req.headers:
                if name == "HOST":
                    host = value
                    break
            # What is too long is cut: the host is the first that may be missing.
            text = (
                f"{req.method}\n{peer[0] if peer.__class__ is tuple else ''}\n{req.uri}\n{req.scheme}://{host}".encode()
            )
            pack_into(memory, at, get_ident(), get_native_id(), text, monotonic_ns())
        except Exception:
            pass
        if before is not None:
            before(worker, req)

    def post_request(worker: Any, req: Any, environ: Any, resp: Any) -> None:
        try:
            at = req._heka_raven
            begins[at >> 3] = 0
            give(at)
        except Exception:
            pass
        if after is not None:
            after(worker, req, environ, resp)

    return pre_request, post_request
