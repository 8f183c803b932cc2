"""Which DSNs from the network a relay uses.

Pure. A relay must not become a way to make its host call others: a DSN that came in a message is used only if a rule
of the operator names its server and project. Each part of the DSN is matched alone, so no pattern reaches over into
the next.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from heka.exceptions import ConfigError
from heka_raven.formats.dsn import DEFAULT_PORTS, Dsn, DsnError, parse_dsn

ARROW = "->"
MAX_CACHE = 1024  # DSN texts whose verdict is kept
MAX_CACHED_TEXT = 512  # bytes; a longer text is judged each time
DEFAULT_SCHEME = "https"

_RULE = re.compile(
    r"(?:(?P<scheme>https?|udp|\*)://)?(?:(?P<key>[^@:/\s]+)(?::(?P<secret>[^@/\s]+))?@)?"
    r"(?P<host>\[[^\]/\s]+\]|[^@:/\[\]\s]+)(?::(?P<port>[0-9]{1,5}|\*))?(?P<path>/[^@\s]+)",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the allow-list: patterns for a DSN's parts, and where such an event goes instead, if anywhere."""

    scheme: str
    key: str
    secret: str | None
    host: str
    port: str
    path: str  # with the project behind the last slash
    target: Dsn | None

    def __repr__(self) -> str:
        return f"<Rule {self.scheme}://…@{self.host}:{self.port}{self.path}>"

    def matches(self, dsn: Dsn) -> bool:
        return (
            self.scheme in ("*", dsn.scheme)
            and fnmatchcase(dsn.public, self.key)
            and fnmatchcase(dsn.host.lower(), self.host)
            and self._port_matches(dsn)
            and self._path_matches(f"{dsn.path}/{dsn.project}")
        )

    def _port_matches(self, dsn: Dsn) -> bool:
        default = str(DEFAULT_PORTS[dsn.scheme])
        return self.port in ("*", str(dsn.address()[1])) or (not self.port and str(dsn.address()[1]) == default)

    def _path_matches(self, path: str) -> bool:
        mine, theirs = self.path.split("/"), path.split("/")
        return len(mine) == len(theirs) and all(map(fnmatchcase, theirs, mine))

    def apply(self, dsn: Dsn) -> Dsn:
        """The DSN to send to: the target, or *dsn* itself, with the rule's secret when the message brought none."""
        if self.target is not None:
            return self.target
        return replace(dsn, secret=self.secret) if dsn.secret is None and self.secret else dsn


def parse_rule(text: str) -> Rule:
    """Read ``[SCHEME://][KEY[:SECRET]@]HOST[:PORT][/PATH]/PROJECT [-> DSN]``.

    ``*`` and ``?`` stand for any characters of one part. Without a scheme: https. Without a key: any. Without a port:
    the scheme's own.

    Raises:
        ConfigError: naming the rule that was broken; it quotes neither key nor secret.
    """
    pattern, arrow, target_text = (part.strip() for part in text.partition(ARROW))
    found = _RULE.fullmatch(pattern)
    if found is None:
        raise ConfigError(
            "dsn: a rule is [SCHEME://][KEY@]HOST[:PORT][/PATH]/PROJECT, with * and ?, as in https://*@sentry.example.com/*"
        )
    target = None
    if arrow:
        try:
            target = parse_dsn(target_text)
        except DsnError as error:
            raise ConfigError(f"dsn: behind {ARROW}: {error}") from None
    return Rule(
        found["scheme"] or DEFAULT_SCHEME,
        found["key"] or "*",
        found["secret"],
        found["host"].strip("[]").lower(),
        found["port"] or "",
        found["path"],
        target,
    )


class AllowList:
    """The rules, in order: the first that matches decides."""

    def __init__(self, rules: Iterable[str]) -> None:
        """Read the rules.

        Raises:
            ConfigError: when one is wrong, or there is none.
        """
        self.rules = [parse_rule(text) for text in rules]
        if not self.rules:
            raise ConfigError(
                "dsn: no rule: name the servers and projects that events may go to, as in --dsn 'https://*@sentry.example.com/*'"
            )
        self._known: OrderedDict[str, Dsn | None] = OrderedDict()

    def resolve(self, text: str) -> Dsn | None:
        """The DSN to send to for the DSN *text* of a message; None when it is not allowed.

        Raises:
            DsnError: when it is no DSN.
        """
        try:
            return self._known[text]  # one step: the broker's thread judges too, and may take it out
        except KeyError:
            pass
        dsn = parse_dsn(text)
        target = next((rule.apply(dsn) for rule in self.rules if rule.matches(dsn)), None)
        if len(text) <= MAX_CACHED_TEXT:
            self._known[text] = target
            while len(self._known) > MAX_CACHE:
                self._known.popitem(last=False)
        return target
