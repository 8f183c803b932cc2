"""A real PostgreSQL of its own, with a table that somebody has locked."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from support.ports import free_port
from support.users import NOBODY
from support.waiting import wait_for


def find_programs() -> str | None:
    """The directory of initdb and postgres; Debian puts them beside no other program."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    beside = shutil.which("initdb")
    return os.path.dirname(found[-1] if found else beside) if found or beside else None


@contextlib.contextmanager
def locked_table() -> Iterator[str]:
    """How to connect to a database whose table ``held`` is locked as long as this lasts."""
    programs = find_programs()
    assert programs is not None
    # postgres refuses to be root.
    who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="hk-postgres-", ignore_cleanup_errors=True) as where:
        os.chmod(where, 0o777)
        data, port = Path(where) / "data", free_port()
        made = subprocess.run(
            [f"{programs}/initdb", "-D", str(data), "-U", "shop", "-A", "trust", "-N", "--no-locale"],
            cwd=where, capture_output=True, text=True, check=False, timeout=120, **who,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        settings = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={where}", "fsync=off"]
        with open(Path(where) / "log", "wb") as log:
            server = subprocess.Popen(
                [f"{programs}/postgres", "-D", str(data), *(word for each in settings for word in ("-c", each))],
                cwd=where, stdout=log, stderr=log, **who,
            )  # fmt: skip
        try:
            yield from _with_lock(f"host=127.0.0.1 port={port} user=shop dbname=postgres", Path(where) / "log")
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(10)


def _with_lock(conninfo: str, log: Path) -> Iterator[str]:
    import psycopg

    def connect() -> psycopg.Connection | None:
        with contextlib.suppress(psycopg.OperationalError):
            return psycopg.connect(conninfo)
        return None

    with wait_for(connect, lambda: log.read_text(errors="replace")) as connection:
        connection.execute("CREATE TABLE held (id int)")
        connection.commit()
        connection.execute("LOCK TABLE held")
        yield conninfo
        connection.rollback()
