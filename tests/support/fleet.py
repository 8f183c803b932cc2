"""What the fleet's tests share: a real relay, a real kent, and records to send."""

import glob
import json
import os
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from contextlib import contextmanager

from heka.client import HekaClient
from heka.encoders import ProtobufEncoder
from heka.fields import add_fields
from heka.message import Message
from heka.streams import DebugCaptureStream
from heka_raven.formats.envelope import encode_spool_envelope
from heka_raven.spool.ledger import read_snapshot
from heka_raven.spool.spool import Spool, parse_name
from support.ports import free_port
from support.waiting import wait_for

COMMAND = [sys.executable, "-m", "heka_raven.cli.main"]
START_LIMIT_S = 30
DSN = "http://key:private@sentry.example.com/1"
KEY = {"signer": "ops", "key_version": 1, "hash_function": "SHA1", "key": "fleet-secret"}


def stop(process, number=signal.SIGTERM, limit_s=20):
    """End a process that a test started, by its pid; returns its exit code."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        code = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    return code


def encode(payload, dsn, *, kind="sentry", hmac=None, **fields):
    """One framed record, as a client of the fleet writes it."""
    message = Message(
        uuid=os.urandom(16),
        timestamp=time.time_ns(),
        type=kind,
        logger="fleet",
        severity=3,
        payload=payload,
        env_version="0.8",
        pid=os.getpid(),
        hostname="web1",
    )
    if dsn is not None:
        fields["dsn"] = dsn
    add_fields(message, fields)
    return ProtobufEncoder(hmac).encode(message)


def event_json(number=0, size=0, **more):
    """A v7 event as text; *size* pads it with text that does not compress well."""
    event = {
        "event_id": f"{number:032x}",
        "platform": "python",
        "level": "error",
        "logentry": {"formatted": f"n{number}"},
    }
    if size:
        event["extra"] = {"blob": os.urandom(size // 2).hex()}
    return json.dumps({**event, **more})


def readdress(record, dsn, hmac=None):
    """A golden record with another DSN in it; everything else as it was."""
    message = ProtobufEncoder().decode(record)
    for field in message.fields:
        if field.name == "dsn":
            field.value_string[0] = dsn
    return ProtobufEncoder(hmac).encode(message)


class Relay:
    """A relay process and where it listens."""

    def __init__(self, process, spool, addresses):
        self.process = process
        self.spool = spool
        self.addresses = addresses

    def port(self, scheme):
        return next(int(a.rsplit(":", 1)[1]) for a in self.addresses if a.startswith(scheme + ":"))

    def tcp(self):
        return socket.create_connection(("127.0.0.1", self.port("tcp")), timeout=60)

    def send_tcp(self, data):
        with self.tcp() as sock:
            sock.sendall(data)

    def send_udp(self, data):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(data, ("127.0.0.1", self.port("udp")))

    def status(self):
        done = subprocess.run(
            [*COMMAND, "status", "--json", "--spool", self.spool], capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    def counts(self):
        """What it told in its state file last."""
        return fleet_state(self.spool).get("counts", {})

    def ledger(self):
        return read_snapshot(self.spool)

    def names(self):
        return spool_names(self.spool)

    def rss_bytes(self):
        return rss_bytes(self.process.pid)

    def peak_rss_bytes(self):
        """The most it ever had; of this process alone, so it must still run."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii", errors="replace") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))


def fleet_state(spool, role="relay"):
    """The newest state file of a role; empty while there is none."""
    found = glob.glob(os.path.join(glob.escape(str(spool)), "state", f"fleet-{role}-*.json"))
    if not found:
        return {}
    with open(max(found, key=os.path.getmtime), encoding="utf-8") as file:
        return json.load(file)


def broker_state(spool, role="relay"):
    """What it tells of its broker; empty while it tells nothing."""
    return fleet_state(spool, role).get("broker") or {}


def spool_names(spool):
    try:
        return sorted(name for name in os.listdir(os.path.join(spool, "new")) if parse_name(name))
    except FileNotFoundError:
        return []


def spool_ids(spool):
    return [parse_name(name).event_id for name in spool_names(spool)]


def rss_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def start_relay(spool, *options, listen=("tcp", "udp"), sender="off", env=None, stderr=None):
    """A relay that is ready; the caller stops it."""
    command = [*COMMAND, "relay", "--spool", str(spool), "--sender", sender]
    for scheme in listen:
        command += ["--listen", scheme if "://" in scheme else f"{scheme}://127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=stderr, env={**os.environ, **(env or {})}
    )
    told = b""
    until = time.monotonic() + START_LIMIT_S
    while told.count(b"\n") < len(listen):
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, until - time.monotonic()))
        part = os.read(process.stdout.fileno(), 4096) if ready else b""
        if not part:
            stop(process)
            raise AssertionError(f"the relay did not start: exit code {process.returncode}")
        told += part
    addresses = [line.split()[1] for line in told.decode().splitlines()]
    return Relay(process, str(spool), addresses)


@contextmanager
def running_relay(spool, *options, **more):
    relay = start_relay(spool, *options, **more)
    try:
        yield relay
    finally:
        code = stop(relay.process)
    assert 0 == code, "the relay did not end well"


class Kent:
    """A kent process."""

    def __init__(self, process, port):
        self.process = process
        self.port = port

    def dsn(self, project=1, public="key"):
        return f"http://{public}@127.0.0.1:{self.port}/{project}"

    def _get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            return json.load(answer)

    def bodies(self):
        """The payload of every event it has."""
        found = [self._get(f"/api/event/{row['event_id']}") for row in self._get("/api/eventlist/")["events"]]
        return [event["payload"]["body"] for event in found]

    def count(self):
        return len(self._get("/api/eventlist/")["events"])


@contextmanager
def running_kent():
    port = free_port()
    process = subprocess.Popen(
        [os.path.join(sysconfig.get_path("scripts"), "kent-server"), "run", "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def answers():
        assert process.poll() is None, "kent ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    try:
        wait_for(answers, what="kent")
        yield Kent(process, port)
    finally:
        stop(process)


def signing_client(hmac=KEY):
    return HekaClient(DebugCaptureStream(), "fleet", hmc=hmac)


def fill(path, count, first=0, dsn=DSN, size=0, **hk):
    """Events in a spool, captured as an application captures them."""
    spool = Spool(str(path))
    for number in range(first, first + count):
        envelope = encode_spool_envelope(f"{number:032x}", dsn, "event", event_json(number, size).encode(), hk)
        spool.ledger.add("captured")
        assert spool.put(f"{number:032x}", envelope)
    return str(path)


def publish_once(path, node, queue, *options):
    return subprocess.run(
        [*COMMAND, "send", "--once", "--spool", path, "--to", node.url, "--queue", queue, *options],
        capture_output=True,
        text=True,
        timeout=120,
    )


def start_publisher(path, urls, queue, *options, command=COMMAND):
    command = [*command, "send", "--spool", path, "--queue", queue, *options]
    for url in urls:
        command += ["--to", url]
    return subprocess.Popen(command)


def exact(path):
    ledger = read_snapshot(str(path))
    return ledger.missing == 0 and ledger.pending == len(spool_names(str(path)))
