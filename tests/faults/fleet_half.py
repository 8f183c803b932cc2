"""The fleet under faults: a relay's intake, a publisher to RabbitMQ, a consumer from it."""

import contextlib
import os
import shutil
import signal
import socket
import tempfile
import time
from collections import Counter

from faults import watched
from faults.python_half import EVENTS, fill, new_id
from faults.scenario import Scenario
from faults.spools import event_bytes, judge, judge_waiting, send_clean, settle
from heka.exceptions import ConfigError
from heka_raven.cli import relay as _relay  # imported here, so that no child has to, under a fault
from heka_raven.cli.main import main as command
from heka_raven.fleet import consumer as _consumer
from heka_raven.fleet import publisher as _publisher
from heka_raven.fleet.address import parse_address
from heka_raven.fleet.allow import AllowList
from heka_raven.fleet.intake import Intake
from heka_raven.fleet.listener import Listener
from heka_raven.fleet.signers import Signers
from heka_raven.spool.spool import Spool
from support.fleet import encode
from support.rabbit import Cluster

TAKE_S = 5  # for records that were sent
GIVEN_BACK_S = 0.3  # for the broker, which hears that a connection is gone


class RelayIntake(Scenario):
    """A relay takes three records over a socket into its spool."""

    name = "relay-intake"

    def begin(self, number):
        self.token = f"{os.getpid()}r{number}"
        place = self.fresh(number)
        self.path, self.socket = os.path.join(place, "spool"), os.path.join(place, "s")
        self.ids = [new_id() for _ in range(EVENTS)]
        rules = [f"http://*@127.0.0.1:{self.server.port}/*/*/*"]
        path, address = self.path, parse_address("listen", f"unix://{self.socket}")

        def act(tell):
            class Told(Intake):
                def take_record(self, record, source):
                    taken = super().take_record(record, source)
                    tell(record.message.uuid.hex(), taken)
                    return taken

            try:
                spool = Spool(path)
                listener = Listener([address], Told(spool, AllowList(rules), Signers({}, allow_unsigned=True)))
            except (ConfigError, OSError):
                return  # said in one line, exit code 2 or 1
            signal.signal(signal.SIGTERM, lambda *_: listener.stop())
            listener.run()
            with contextlib.suppress(OSError):  # likewise
                listener.close()
            spool.ledger.close()

        return watched.fork(act)

    def drive(self, process):
        """A client: it sends all, and sends it again where the connection broke, as heka's own does."""
        dsn = self.server.dsn("ok", self.token)
        until = time.monotonic() + TAKE_S
        sent = 0
        while sent < EVENTS and time.monotonic() < until and not process.ended():
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
                sock.connect(self.socket)
                while sent < EVENTS:
                    event_id = self.ids[sent]
                    sock.sendall(encode(event_bytes(event_id).decode(), dsn))
                    sent += 1
            time.sleep(0.01)
        while len(process.notes.ids()) + len(process.notes.ids(taken=False)) < EVENTS and not process.ended():
            if time.monotonic() > until:
                break
            time.sleep(0.005)
        process.signal(signal.SIGTERM)

    def after(self, process, fault):
        wrong = []
        told = len(process.notes.ids())
        if fault is None and told != EVENTS:
            wrong.append(f"took {told} of {EVENTS} records")
        send_clean(self.path)
        _, taken = self.server.seen(self.token)
        kills = int(fault is not None and fault.kills)
        if len(taken) < told:
            wrong.append(f"{told} were taken and {len(taken)} came")
        off = EVENTS if fault is not None and fault.on else 0
        return wrong + judge(self.path, [], [], taken, kills=kills, may_arrive=self.ids, unwritten=off)


class Broker(Scenario):
    """What both sides of a broker need: one node for all workers, and a queue for each try."""

    cluster = None
    may_wait = True
    theirs = "site-packages/pika"
    leave_out = frozenset({"mmap"})  # threads, as for the Python sender

    @classmethod
    def prepare(cls):
        """Once, before the workers are forked."""
        if Broker.cluster is None:
            Broker.cluster = Cluster(tempfile.mkdtemp(prefix="hk-faults-rabbit-"), 1).start()

    @classmethod
    def end(cls):
        if Broker.cluster is not None:
            Broker.cluster.stop()
            shutil.rmtree(Broker.cluster.directory, ignore_errors=True)
            Broker.cluster = None

    @property
    def node(self):
        return Broker.cluster.nodes[0]

    def published(self):
        """Take everything out of the queue; the ids, in order."""
        found = []
        with self.node.channel() as channel:
            while True:
                method, _, body = channel.basic_get(self.queue, auto_ack=True)
                if method is None:
                    break
                found.append(Spooled(body).event_id)
            channel.queue_delete(self.queue)
            channel.queue_delete(f"{self.queue}.dead")
        return found


class Spooled:
    """An envelope in a broker."""

    def __init__(self, body):
        from heka_raven.formats.envelope import parse_envelope

        self.event_id = parse_envelope(body)[0]["event_id"]


class Publisher(Broker):
    """`heka-raven send --once --to amqp://…` with three events."""

    name = "amqp-publisher"

    def _publish(self):
        command(["send", "--once", "--spool", self.path, "--to", self.node.url, "--queue", self.queue])

    def begin(self, number):
        self.queue = f"p{os.getpid()}n{number}"
        self.path = os.path.join(self.fresh(number), "spool")
        self.ids = fill(self.path, "http://key@127.0.0.1:9/1", EVENTS)
        return watched.fork(lambda tell: self._publish())

    def after(self, process, fault):
        watched.run_here(lambda tell: self._publish())
        came = Counter(self.published())
        left = Spool(self.path)
        wrong = [f"still waits: {name}" for name in left.names()]
        left.ledger.close()
        wrong += [f"lost: {event_id}" for event_id in self.ids if not came[event_id]]
        may_repeat = fault is not None and (fault.kills or fault.network or fault.call.startswith("unlink"))
        if not may_repeat:
            wrong += [f"came {n} times: {event_id}" for event_id, n in came.items() if n > 1]
        kills = int(fault is not None and fault.kills)
        send_clean(self.path)
        off = EVENTS if fault is not None and fault.on else 0
        return wrong + judge(self.path, [], [], [], kills=kills, captured=EVENTS, unwritten=off)


class Consumer(Broker):
    """A relay takes three events from a queue into its spool."""

    name = "amqp-consumer"

    def _relay(self):
        rule = "http://*@127.0.0.1:9/*"
        options = ["--from", self.node.url, "--queue", self.queue, "--spool", self.path, "--sender", "off"]
        command(["relay", *options, "--dsn", rule])

    def begin(self, number):
        self.queue = f"c{os.getpid()}n{number}"
        place = self.fresh(number)
        self.path, host = os.path.join(place, "spool"), os.path.join(place, "host")
        self.ids = fill(host, "http://key@127.0.0.1:9/1", EVENTS)
        sent = ["send", "--once", "--spool", host, "--to", self.node.url, "--queue", self.queue]
        watched.run_here(lambda tell: command(sent))
        return watched.fork(lambda tell: self._relay())

    def _here(self):
        with contextlib.suppress(FileNotFoundError):
            return [name.split("-")[2][:32] for name in os.listdir(os.path.join(self.path, "new"))]
        return []

    def _all_here(self):
        return set(self.ids) <= set(self._here())

    def _wait(self, process, until, limit_s):
        end = time.monotonic() + limit_s
        while not until() and not process.ended() and time.monotonic() < end:
            time.sleep(0.02)
        process.signal(signal.SIGTERM)

    def drive(self, process):
        self._wait(process, self._all_here, TAKE_S)

    def after(self, process, fault):
        if fault is not None and (fault.network or fault.kills or fault.on):
            time.sleep(GIVEN_BACK_S)
        if self.node.depth(self.queue):
            clean = watched.fork(lambda tell: self._relay())
            clean.wait_ready()
            clean.go()
            # What was taken, and whose acknowledgement was lost, comes again.
            self._wait(clean, lambda: self._all_here() and not self.node.depth(self.queue), 20)
            clean.wait(20)
        came = Counter(self._here())
        wrong = [f"lost: {event_id}" for event_id in self.ids if not came[event_id]]
        wrong += [f"left in the queue: {len(left)}" for left in [self.published()] if left]
        if fault is None or not (fault.kills or fault.network or fault.on):
            wrong += [f"{n} times: {event_id}" for event_id, n in came.items() if n > 1]
        settle(self.path)
        kills = int(fault is not None and fault.kills)
        return wrong + judge_waiting(self.path, kills, EVENTS if fault is not None and fault.on else 0)


IMPORTED = (_relay, _consumer, _publisher)
SCENARIOS = [RelayIntake, Publisher, Consumer]
