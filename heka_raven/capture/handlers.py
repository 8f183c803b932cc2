"""What shows the values of a type: told for built-in types, found for a class when its first is met, and kept."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import TYPE_CHECKING, Any

from heka_raven.capture.plans import MAX_PLANS, TEXT, Plan, is_kept, plan_of

if TYPE_CHECKING:
    from heka_raven.capture.values import Walker

Handler = Callable[["Walker", Any, int], Any]

BUILT_IN: dict[int, Handler] = {}  # by the id of the type
BY_KIND: dict[str, Callable[[Plan, Walker, Any, int], Any]] = {}  # by the kind of a class's plan
HANDLERS: dict[int, Handler] = {}  # BUILT_IN, and classes; the plan keeps its class, so that its id stays its own
FLAT: set[int] = set()  # ids of the types whose values are shown the same at every depth


def register(
    built_in: dict[type, Handler], flat: tuple[type, ...], by_kind: dict[str, Callable[[Plan, Walker, Any, int], Any]]
) -> None:
    """Say what shows what; once, when all of it is imported."""
    BUILT_IN.update((id(kind), handler) for kind, handler in built_in.items())
    HANDLERS.update(BUILT_IN)
    FLAT.update(id(kind) for kind in flat)
    BY_KIND.update(by_kind)


def handler_of(cls: type) -> Handler:
    """What shows the values of a class that is no plain built-in type."""
    plan = plan_of(cls)
    handler = MethodType(BY_KIND[plan.kind], plan)
    if is_kept(plan):
        if len(HANDLERS) >= MAX_PLANS:
            HANDLERS.clear()
            HANDLERS.update(BUILT_IN)
            FLAT.intersection_update(BUILT_IN)
        HANDLERS[id(cls)] = handler
        if plan.kind == TEXT:
            FLAT.add(id(cls))
    return handler
