"""Fixtures of the tests that start real processes: the directory of their spool, a real uWSGI with the plugin."""

import os
import tempfile
from pathlib import Path

import pytest

from support.receiver import Receiver
from support.uwsgi import Server, find_uwsgi, shared_plugin

UWSGI = find_uwsgi()


@pytest.fixture
def spool(tmp_path):
    """Where the spool is to be; nothing is there yet."""
    return tmp_path / "spool"


@pytest.fixture
def passable():
    """A directory that another user can pass through and write to, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="hk-passable-") as where:
        os.chmod(where, 0o777)
        yield Path(where)


@pytest.fixture
def receiver():
    """A server that takes what Sentry takes, and shows it."""
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def serve(receiver, tmp_path, passable):  # passable: a folder goes only after the servers that write to it
    """Start one server with these lines of ini; it is stopped at the end."""
    servers = []

    def start(lines, *, dsn=receiver.dsn, ready=True, uwsgi=UWSGI, where=tmp_path, **keywords):
        server = Server(uwsgi, shared_plugin(uwsgi), where, lines, dsn=dsn, **keywords)
        servers.append(server)
        return server.wait_ready() if ready else server

    yield start
    for server in servers:
        server.stop(patience_s=5)  # what it had to say is read; a worker may hang, as it was told to
