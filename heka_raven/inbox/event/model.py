"""An event as the pages and the store see it: typed and bounded, whatever the client sent."""

from dataclasses import dataclass, field

Pairs = list[tuple[str, str]]
JVM = (".java", ".kt", ".kts", ".scala", ".groovy", ".clj")  # whose frames name a file without its folder


@dataclass(slots=True)
class Node:
    """A named value: one line of text, and what is inside of it, if it is a container (kind ``{}`` or ``[]``)."""

    name: str
    text: str
    kind: str = ""
    size: int = 0
    children: list["Node"] = field(default_factory=list)


@dataclass(slots=True)
class Frame:
    """One call. ``carets`` are the failing columns of ``context_line``, 0-based, end excluded."""

    index: int
    filename: str
    abs_path: str
    function: str
    module: str
    lineno: int | None
    colno: int | None
    in_app: bool
    context_line: str
    pre_context: list[str]
    post_context: list[str]
    locals: list[Node]
    address: str = ""  # of a native frame, and the library it is in
    package: str = ""
    carets: tuple[int, int] | None = None

    @property
    def place(self) -> str:
        return self.filename or self.module or self.abs_path or self.package or "?"

    @property
    def name(self) -> str:
        """The function, with its class where files do not tell; without one, as in native code, where it is."""
        if self.function and self.module and self.filename.endswith(JVM):
            return f"{self.module}.{self.function}"
        return self.function or self.address or "?"


@dataclass(slots=True)
class Error:
    """One exception of a chain or group."""

    index: int
    type: str
    value: str
    module: str
    mechanism: str
    handled: bool | None
    frames: list[Frame]
    omitted: str
    exception_id: int | None
    parent_id: int | None
    source: str
    is_group: bool
    notes: list[str]
    facts: Pairs = field(default_factory=list)
    children: list["Error"] = field(default_factory=list)

    @property
    def title(self) -> str:
        return f"{self.type}: {self.value}" if self.value else self.type


@dataclass(slots=True)
class Request:
    method: str
    url: str
    query: Pairs
    headers: Pairs
    cookies: Pairs
    env: Pairs
    data: str


@dataclass(slots=True)
class Image:
    """A library or program that was loaded: what a native frame's address is looked up in."""

    name: str
    kind: str
    ident: str
    address: str
    size: int | None


@dataclass(slots=True)
class Crumb:
    timestamp: float | None
    category: str
    level: str
    message: str


@dataclass(slots=True)
class InFlight:
    """A request that ran when the server noticed something."""

    role: str
    method: str
    url: str
    age_s: float | None
    worker: str
    core: str
    pid: str
    transaction: str
    event_id: str
    trace_id: str
    facts: Pairs


# What uWSGI's own alarms say, without the plugin's watch -> the name that the watch has for it
UWSGI_SAYS = {"listen queue of socket": "listen-queue", "*** backtrace of ": "segfault"}


@dataclass(slots=True)
class Event:
    """One event, read from any protocol version."""

    event_id: str
    timestamp: float | None
    level: str
    platform: str
    logger: str
    transaction: str
    culprit: str
    server_name: str
    release: str
    environment: str
    message: str
    template: str
    errors: list[Error]
    threads: list[tuple[str, list[Frame]]]
    request: Request | None
    user: Pairs
    tags: Pairs
    extra: Pairs
    contexts: list[tuple[str, Pairs]]
    breadcrumbs: list[Crumb]
    fingerprint: list[str]
    sdk: str
    modules: Pairs
    images: list[Image]
    trace_id: str
    span_id: str
    request_ids: list[str]
    in_flight: list[InFlight]
    worker: str

    def tag(self, key: str) -> str:
        return next((value for name, value in self.tags if name == key), "")

    @property
    def server_event(self) -> str:
        """What a watch noticed (harakiri, timeout, segfault …; "uwsgi" for the plugin's alarms, hooks and exceptions).

        Empty for an event of the application.
        """
        found = self.tag("uwsgi.event") or self.tag("gunicorn.event") or self.tag("server.event")
        if not found and (self.sdk.startswith("heka-raven.uwsgi") or self.logger == "uwsgi.sentry"):
            said = self.message.lstrip()
            return next((name for start, name in UWSGI_SAYS.items() if said.startswith(start)), "uwsgi")
        return found
