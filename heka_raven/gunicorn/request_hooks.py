"""The hooks of gunicorn around a request, which write its slot."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from heka_raven.eyes.slots import BEGAN_AT, ROW_SIZE, SLOT_AS_WRITTEN, SLOT_SIZE, SLOTS, Slots, Thread


def make_request_hooks(
    slots: Slots, index: int, before: Callable[..., Any] | None, after: Callable[..., Any] | None
) -> tuple[Callable[..., None], Callable[..., None]]:
    """gunicorn's ``pre_request`` and ``post_request`` for the worker of row *index*, each before the hook given.

    Every request pays for them: what they need is at hand, and nothing is called that could be left out. A request that
    finds no free slot, or has another shape, is not seen.
    """
    base = index * ROW_SIZE + 4096
    memory, pack_into, thread = slots.memory, SLOT_AS_WRITTEN.pack_into, Thread()
    begins = memoryview(slots.memory)[BEGAN_AT:].cast("Q")
    # A list's methods hold for threads and greenlets without a lock. What was given back last is in the cache still.
    free = [base + slot * SLOT_SIZE for slot in range(SLOTS)]
    take, give = free.pop, free.append

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
            address = peer[0] if peer.__class__ is tuple else ""
            text = f"{req.method}\n{address}\n{req.scheme}\n\n{req.uri}\n{host}"
            pack_into(memory, at, thread.numbers, text.encode(), monotonic())
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
