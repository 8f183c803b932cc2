"""The options that several subcommands share, and becoming the owner of a spool."""

from __future__ import annotations

import argparse
import os
import pwd

from heka_raven.sender.options import OPTIONS, SenderOptions
from heka_raven.spool.directory import SpoolError, check_directory, resolve_spool_path


def add_spool(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--spool", metavar="DIR", help="default: $HEKA_RAVEN_SPOOL, /var/spool/heka-raven/UID or /tmp/heka-raven-UID"
    )


def add_sender(parser: argparse.ArgumentParser, *names: str) -> None:
    """Options of :class:`SenderOptions`, with the names given or all."""
    metavars = {
        "connections": "N",
        "connect_timeout_s": "S",
        "timeout_s": "S",
        "max_age_s": "S",
        "rate_limit": "hold|discard",
        "compress": "none|gzip",
        "proxy": "URL",
        "ca_file": "FILE",
    }
    defaults = SenderOptions()
    for name in names or metavars:
        metavar, option = metavars[name], OPTIONS[name]
        text = f"{option.unit} {option.meaning}".strip() if option.unit else option.meaning
        default = getattr(defaults, name)
        shown = (
            ""
            if default is None
            else f" (default {default:g})"
            if isinstance(default, float)
            else f" (default {default})"
        )
        parser.add_argument(option_of(name), dest=name, metavar=metavar, help=text + shown)


def option_of(name: str) -> str:
    """The command's name for an option of the stream."""
    return "--" + name.removesuffix("_s").replace("_", "-")


def read_sender(arguments: argparse.Namespace) -> SenderOptions:
    """What the command line, or the configuration file, says of delivery.

    Raises:
        ConfigError: naming the option that is wrong.
    """
    given = {name: value for name in OPTIONS if (value := getattr(arguments, name, None)) is not None}
    return SenderOptions(**{name: OPTIONS[name].convert(option_of(name), value) for name, value in given.items()})


def become_owner(path: str) -> None:
    """As root, become the owner of the spool for the rest of the process; what we write must be readable to them.

    Raises:
        SpoolError: when the directory must not be trusted.
    """
    if os.geteuid() != 0 or not os.path.lexists(path):
        return
    info = check_directory(path, any_owner=True)
    if info.st_uid == 0:
        return
    try:
        user = pwd.getpwuid(info.st_uid)
        os.initgroups(user.pw_name, user.pw_gid)
        os.setgid(user.pw_gid)
    except KeyError:  # a uid without a name: a container's, as a rule
        os.setgroups([])
        os.setgid(info.st_gid)
    os.setuid(info.st_uid)


def open_as_owner(explicit: str | None) -> str:
    """The spool's path, after having become its owner if we are root."""
    path, _ = resolve_spool_path(explicit)
    become_owner(path)
    return path


def existing_spool(explicit: str | None) -> tuple[str, str]:
    """The path and why; for commands that only look.

    Raises:
        SpoolError: when there is none, or it must not be trusted.
    """
    path, reason = resolve_spool_path(explicit)
    if not os.path.lexists(path):
        raise SpoolError(
            f"spool {path} ({reason}): does not exist; nothing was spooled there yet, or name another with --spool"
        )
    check_directory(path, any_owner=os.geteuid() == 0)
    return path, reason
