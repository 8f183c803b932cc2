"""Turns any Python value into a small tree of exact built-in types."""

# Rule 1: no code of the application runs. A value's type is type(x), never x.__class__; attributes are read through
#         the built-in types' own descriptors, containers through the built-in types' own methods; types are looked up
#         by id, because a metaclass may define __hash__.
# Rule 2: everything is bounded: items, characters, depth, the whole event's characters, and time.
# Rule 3: what is masked is decided by the guard that is passed in (scrub.py); it is asked for every name and text when
#         that is shown, so that no second walk over the variables is needed.

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from heka_raven.capture.containers import CUT, MAX_DEPTH, MAX_KEY, fill, show_items, show_pairs
from heka_raven.capture.fit import Fitter
from heka_raven.capture.guard import Guard
from heka_raven.capture.handlers import HANDLERS, Handler, handler_of, register
from heka_raven.capture.instances import SHOWN_BY
from heka_raven.capture.scalars import LONG_BELOW, SHORT, show_bytes, show_float, show_int, show_str
from heka_raven.formats.text import clean, cut

ROOM = 512 * 1024  # characters of all variables of one event
TICKS = 16  # containers between two looks at the clock; one container takes some microseconds
BRIEF = 256  # bytes of a variable that a frame further in has shown, where not all find room
TIME_BUDGET_S = 0.02  # of all variables of one event

Known = tuple[Any, Any, int]


class Walker:
    """Shows the values of one event.

    Args:
        clock: seconds, monotonic; only differences count. CPU time of the thread, so that on a busy machine events
            show as much as on an idle one; of the wall if *call_repr*.
        guard: masks private values by their names, while they are shown.
        legacy: strings quoted and containers cut without a mark, as raven 3.4 showed them.
        call_repr: ask classes of the application for their own ``__repr__`` and ``__str__``.
        is_library: tells whether a file belongs to the standard library or an installed package; their exceptions'
            ``__str__`` is called when all of its state is plain.
        show_locals: whether frames show their local variables.
        budget_s: how long all the variables of the event may take.
    """

    __slots__ = (
        "_before", "_flat", "_memo", "_open", "call_repr", "clock", "deadline", "fitter", "guard", "hidden_fields",
        "is_library", "legacy", "max_depth", "plain", "room", "show_locals", "texts", "ticks",
    )  # fmt: skip

    def __init__(
        self,
        clock: Callable[[], float],
        guard: Guard,
        *,
        legacy: bool = False,
        call_repr: bool = False,
        is_library: Callable[[str], bool] | None = None,
        show_locals: bool = True,
        budget_s: float = TIME_BUDGET_S,
    ) -> None:
        self.clock = clock
        self.guard = guard
        self.hidden_fields: set[str] = set()  # of the request's form: what a framework's decorators call sensitive
        self.deadline = clock() + budget_s
        self.room = ROOM
        self.ticks = TICKS
        self.legacy = legacy
        self.call_repr = call_repr
        self.is_library = is_library
        self.show_locals = show_locals
        self.max_depth = MAX_DEPTH + 1 if legacy else MAX_DEPTH
        # One object is shown once at each depth, however many frames hold it: itself (so that its id stays its own),
        # what is shown of it, and the room that takes.
        self._memo: list[dict[int, Known]] = [{} for _ in range(self.max_depth)]
        self._flat: dict[int, Known] = {}  # of plain fields: shown the same at every depth
        # What variables are shown as: those of frames of libraries, those of the application's.
        self._before: tuple[dict[int, Known], dict[int, Known]] = ({}, {})
        self.plain: Collection[int] = () if legacy else guard.plain_hashes  # of texts that are shown as they are
        self.texts: dict[str, tuple[str, int]] = {}  # how texts are shown, and the room that takes
        self.fitter: Fitter | None = None  # made for the first frame that is too large
        self._open: set[int] = set()  # ids of the objects whose fields are being shown

    def exhausted(self) -> bool:
        """Whether the budget of the event is used up."""
        self.ticks -= 1
        if self.ticks <= 0:
            self.ticks = TICKS
            if self.clock() > self.deadline:
                self.room = 0
        return self.room <= 0

    def show(self, value: Any, depth: int = 0) -> Any:
        """*value* as None, bool, int, float, str, list or dict, nested at most :data:`MAX_DEPTH` deep."""
        kind = type(value)
        return (HANDLERS.get(id(kind)) or handler_of(kind))(self, value, depth)

    def text(self, value: Any) -> str:
        """*value* on one line, as Python would write it."""
        shown = self.show(value, 1)
        return shown if type(shown) is str and type(value) is not str else repr(shown)

    def show_names(self, pairs: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
        """Values under plain names: local variables, keyword arguments. At most :data:`MAX_ITEMS` of them."""
        out: dict[str, Any] = {}
        fill(self, out, pairs, 0)
        return out

    def show_variables(self, pairs: Iterable[tuple[str, Any]], in_app: bool) -> dict[str, Any]:
        """As :meth:`show_names`, for the variables of a function, most of which hold what its caller's hold.

        What a frame further in has shown is shown in brief: a frame of the application, if this is one (*in_app*),
        because the others are folded away where events are read.
        """
        out: dict[str, Any] = {}
        before = self._before[in_app]
        get, known_of = HANDLERS.get, before.get
        safe = self.guard.safe_names
        unsafe: list[str] = []
        for name, item in pairs:
            if name not in safe:
                name = self.key(name, False)
                unsafe.append(name)
            kind = type(item)
            if kind is int and LONG_BELOW < item < SHORT:
                out[name] = item
                continue
            known = known_of(id(item))
            if known is None:
                room = self.room
                out[name] = shown = (get(id(kind)) or handler_of(kind))(self, item, 0)
                before[id(item)] = (item, shown, room - self.room)
                continue
            if known[2] > BRIEF:
                known = before[id(item)] = self._in_brief(known)
            self.room -= known[2]
            out[name] = known[1] if self.room > 0 else CUT
        if unsafe:
            self.guard.mask_names(out, unsafe)
        return out

    def _in_brief(self, known: Known) -> Known:
        if self.legacy:
            return known
        self.fitter = self.fitter or Fitter()
        return known[0], self.fitter.fit(known[1], BRIEF), BRIEF

    def key(self, key: Any, quoted: bool) -> str:
        """The text of a dict's key."""
        kind = type(key)
        if kind is str:
            text = self.guard.clean_text(clean(key[:MAX_KEY]))
        elif kind is bytes:
            text = self.guard.clean_text(key[:MAX_KEY].decode("latin-1"))
        else:
            return cut(self.text(key), MAX_KEY)
        return repr(text) if quoted else text


def _as_it_is(walker: Walker, value: Any, depth: int) -> Any:
    return value


_PLAIN: dict[type, Handler] = {
    int: show_int,
    str: show_str,
    float: show_float,
    bool: _as_it_is,
    type(None): _as_it_is,
    bytes: show_bytes,
    bytearray: show_bytes,
}
register({**_PLAIN, list: show_items, tuple: show_items, dict: show_pairs}, tuple(_PLAIN), SHOWN_BY)
