"""Processes that capture and deliver, and what a spool and its ledger must say afterwards."""

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import orjson

from heka_raven.spool.ledger import read_snapshot
from support.waiting import WAIT_S, wait_for

PROLOGUE = """
import os, signal, sys, threading, time, uuid
from heka_raven.streams import SpoolStream
path, dsn = sys.argv[1], sys.argv[2]
def capture(stream, n=1, size=200):
    for _ in range(n):
        stream.ledger.add("captured")
        event_id = uuid.uuid4().hex
        payload = b'{"event_id":"%s","platform":"python",' % event_id.encode()
        payload += b'"logentry":{"formatted":"%s"}}' % (b"x" * size)
        if stream.write_event(event_id, dsn, payload):
            os.write(1, event_id.encode() + b"\\n")
"""
COMMAND_S = 900  # one of them compiles
STREAM = "stream = SpoolStream(path=path)\n"  # what most of these begin with


def app(path, dsn, code, **options):
    """Start a process that runs *code* after PROLOGUE; it prints the id of each event whose capture returned."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEKA_RAVEN")}
    return subprocess.Popen(
        [sys.executable, "-c", PROLOGUE + code, str(path), dsn],
        stdout=subprocess.PIPE,
        stderr=options.pop("stderr", None),
        env={**environment, **options.pop("env", {})},
        **options,
    )


def run_app(path, dsn, code, **options):
    """Run such a process to its end; (its exit code, the ids it printed)."""
    process = app(path, dsn, code, **options)
    out, _ = process.communicate(timeout=COMMAND_S)
    return process.returncode, out.decode().split()


def command(*arguments, **options):
    """Start ``heka-raven`` in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEKA_RAVEN")}
    return subprocess.Popen(
        [sys.executable, "-m", "heka_raven.cli.main", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**environment, **options.pop("env", {})},
        text=True,
        **options,
    )


def run_command(*arguments, **options):
    """Run it to its end; (exit code, stdout, stderr)."""
    given = options.pop("input", None)
    if given is not None:
        options["stdin"] = subprocess.PIPE
    process = command(*arguments, **options)
    out, err = process.communicate(given, timeout=COMMAND_S)
    return process.returncode, out, err


def in_words(result):
    """Such an end, for an assertion's message."""
    return f"exit {result[0]}\n{result[1]}{result[2]}"


def send_once(path, *arguments):
    return run_command("send", "--once", "--spool", path, *arguments)


def end(process, number=signal.SIGTERM):
    """End a process of ours and reap it; its exit code."""
    if process.poll() is None:
        process.send_signal(number)
    process.communicate(timeout=WAIT_S)
    return process.returncode


def waiting(path):
    return sorted(os.listdir(Path(path) / "new"))


def fill(path, dsn, n, **options):
    """Capture *n* events here, without a sender; their ids."""
    from heka_raven.streams import SpoolStream

    stream = SpoolStream(path=str(path), sender="off", **options)
    ids = [f"{random.getrandbits(128):032x}" for _ in range(n)]
    for event_id in ids:
        stream.ledger.add("captured")
        payload = orjson.dumps({"event_id": event_id, "platform": "python", "logentry": {"formatted": "filled"}})
        assert stream.write_event(event_id, dsn, payload)
    stream.ledger.close()
    return ids


def wait_until_delivered(path, n):
    """Wait until the ledger says so, which is a moment after the last file went."""
    wait_for(lambda: read_snapshot(str(path))["delivered"] == n)


def assert_exact(path, off_by=0, **expected):
    """captured = delivered + pending + Σ discarded, pending is what lies in new/, and these counters are these."""
    snapshot = read_snapshot(str(path))
    counts = {name.rpartition(".")[2]: value for name, value in snapshot.counts.items()}
    assert expected == {name: counts[name] for name in expected}
    assert abs(snapshot.missing) <= off_by, snapshot.counts
    if not off_by:
        assert len(waiting(path)) == snapshot.pending


def assert_once(ids, server):
    """Every one of *ids* arrived, each once, and nothing else."""
    assert Counter(ids) == Counter(server.event_ids)
