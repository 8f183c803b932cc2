"""The options of raven 6.10: each is honoured, or refused with what is here in its place. None is ignored.

docs/migration.rst has the table of all of them, which a test compares with raven's source.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from heka.exceptions import ConfigError
from heka.path import resolve_name
from heka_raven.reporting.options import OPTIONS, InvalidArgumentError, PluginOptions, convert_given

# raven's name and ours, where one is the other.
RENAMED = {
    "release": "release",
    "environment": "environment",
    "name": "server_name",
    "include_paths": "in_app_include",
    "exclude_paths": "in_app_exclude",
    "sanitize_keys": "scrub_keys",
}
# What raven itself reads, from what it was given, and RavenClient asks it for.
KEPT = frozenset({
    "dsn", "install_sys_hook", "install_logging_hook", "hook_libraries", "enable_breadcrumbs", "auto_log_stacks",
    "capture_locals", "context", "ignore_exceptions", "include_versions", "machine", "processors", "sample_rate",
    "site", "tags", "_random_seed",
})  # fmt: skip
# The values that say nothing, and what to do in the place of any other.
REFUSED: dict[str, tuple[tuple[Any, ...], str]] = {
    "raise_send_errors": ((False,), "nothing is sent within the call; `heka-raven status` tells what was refused"),
    "transport": ((), "the spool and its sender deliver; stream_* options of build_client() say how"),
    "timeout": ((), "stream_timeout_s of the heka client, or of build_client(), limits a request"),
    "string_max_length": ((400,), "the limits of an event are fixed, see docs/events.rst"),
    "list_max_length": ((50,), "the limits of an event are fixed, see docs/events.rst"),
    "repos": (({}, ()), "no server of today reads it; release= is what they take"),
}
ALWAYS_DONE = frozenset({"raven.processors.SanitizePasswordsProcessor", "raven.processors.Processor"})

BeforeSend = Callable[[dict[str, Any], dict[str, Any]], Any]


@dataclass(slots=True)
class RavenOptions:
    """What raven's options are here.

    Attributes:
        plugin: options of the raven plugin that were given, by our names; they win over the heka client's.
        under: the same from the environment; the heka client's win over them.
        processors: classes whose ``process(event)`` runs over the finished event, with the client.
        drop_body: no request bodies (RemovePostDataProcessor).
        include_modules: whether an event lists what is installed.
        site: a tag.
    """

    plugin: dict[str, Any] = field(default_factory=dict)
    under: dict[str, Any] = field(default_factory=dict)
    processors: tuple[type, ...] = ()
    drop_body: bool = False
    include_modules: bool = True
    site: str | None = None

    def over(self, base: PluginOptions) -> dict[str, Any]:
        """The options that differ from *base*, those of the heka client's plugin."""
        changed = {name: value for name, value in self.under.items() if getattr(base, name) in (None, (), "")}
        changed |= self.plugin
        for name in ("scrub_keys", "in_app_include", "in_app_exclude"):
            if name in changed:
                changed[name] = (*getattr(base, name), *changed[name])
        return changed

    def before_send(self, client: Any, inner: BeforeSend | None) -> BeforeSend | None:
        """raven's processors over an event, then the plugin's own before_send; ``None`` if there is neither."""
        if not self.processors and not self.drop_body:
            return inner
        processors = [made(client) for made in self.processors]

        def run(event: dict[str, Any], hint: dict[str, Any]) -> Any:
            if self.drop_body and isinstance(event.get("request"), dict):
                event["request"].pop("data", None)
            for processor in processors:
                event.update(processor.process(event))
            return event if inner is None else inner(event, hint)

        return run


def read_raven_options(given: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> RavenOptions:
    """Check raven's options.

    Args:
        given: as keywords of ``raven.Client``; None is as if it were not given.

    Raises:
        InvalidArgumentError: for an option that raven has not, that has no meaning here, or has a wrong value.
    """
    set_ones = {name: value for name, value in given.items() if value is not None}
    for name, value in set_ones.items():
        if name in REFUSED:
            nothing, instead = REFUSED[name]
            if not any(value == harmless and type(value) is type(harmless) for harmless in nothing):
                raise InvalidArgumentError(f"RavenClient: {name}: raven's option has no place here: {instead}")
        elif name not in RENAMED and name not in KEPT:
            known = ", ".join(sorted({*RENAMED, *KEPT} - {"_random_seed"}))
            raise InvalidArgumentError(f"RavenClient: unknown option {name}; known are {known}")
    found = RavenOptions()
    if not set_ones.get("name") and set_ones.get("machine"):
        set_ones["name"] = set_ones["machine"]
    for name, ours in RENAMED.items():
        value = _as_ours(set_ones.get(name))
        if value not in (None, "", ()):
            found.plugin[ours] = _converted(name, ours, value)
    found.under = _from_environment(environ)
    if set_ones.get("capture_locals") is not None and not set_ones["capture_locals"]:
        found.plugin["locals"] = "off"
    for name in ("tags", "sample_rate"):
        if name in set_ones:
            _converted(name, name, set_ones[name])
    found.include_modules = bool(set_ones.get("include_versions", True))
    found.site = None if set_ones.get("site") is None else str(set_ones["site"])
    _read_processors(set_ones.get("processors"), set_ones.get("sanitize_keys"), found)
    return found


def _converted(name: str, ours: str, value: Any) -> Any:
    try:
        return OPTIONS[ours].convert(name, value)
    except ConfigError as error:
        raise InvalidArgumentError(str(error)) from None


def _as_ours(value: Any) -> Any:
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else value


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """What raven reads from the environment. A value that is not allowed there stops no program: it is left out."""
    read = {
        "server_name": environ.get("SENTRY_NAME"),
        "environment": environ.get("SENTRY_ENVIRONMENT"),
        "release": environ.get("SENTRY_RELEASE") or environ.get("HEROKU_SLUG_COMMIT"),
    }
    found: dict[str, Any] = {}
    for name, value in read.items():
        try:
            found |= convert_given(OPTIONS, {name: value or None})
        except InvalidArgumentError:
            continue
    return found


def _read_processors(names: Any, sanitize_keys: Any, found: RavenOptions) -> None:
    if names is None:
        return
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise InvalidArgumentError(f"processors: {names!r} is not allowed: a list of dotted names or classes")
    made: list[type] = []
    for name in names:
        dotted = f"{name.__module__}.{name.__qualname__}" if isinstance(name, type) else name
        if dotted in ALWAYS_DONE:
            continue
        if dotted == "raven.processors.SanitizeKeysProcessor":
            if sanitize_keys is None:
                raise InvalidArgumentError("sanitize_keys: missing: SanitizeKeysProcessor needs it")
        elif dotted == "raven.processors.RemoveStackLocalsProcessor":
            found.plugin["locals"] = "off"
        elif dotted == "raven.processors.RemovePostDataProcessor":
            found.drop_body = True
        else:
            made.append(_processor(name))
    found.processors = tuple(made)


def _processor(name: Any) -> type:
    try:
        kind = resolve_name(name) if isinstance(name, str) else name
    except (ImportError, AttributeError, ValueError, ConfigError) as error:
        raise InvalidArgumentError(f"processors: {name!r} cannot be imported: {error}") from None
    if not isinstance(kind, type) or not callable(getattr(kind, "process", None)):
        raise InvalidArgumentError(f"processors: {name!r} is not allowed: a class with a method process(data)")
    return kind
