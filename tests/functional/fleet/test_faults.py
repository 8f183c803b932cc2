"""10,000 events each through a real RabbitMQ while something dies: none is lost, and all is accounted for."""

import os
import random
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest

from heka_raven.fleet.publisher import WINDOW
from heka_raven.formats.envelope import encode_spool_envelope
from heka_raven.spool.ledger import read_snapshot
from heka_raven.spool.spool import Spool
from support.fleet import COMMAND, broker_state, event_json, spool_ids, spool_names, start_relay, stop
from support.rabbit import Cluster, needs_rabbit, running_cluster
from support.waiting import still, wait_for

pytestmark = [pytest.mark.full, needs_rabbit, pytest.mark.timeout(900)]

EVENTS = 10_000
PREFETCH = 100
DSN = "http://key@sentry.example.com/1"
RELAY = ("--dsn", "http://*@sentry.example.com/*", "--heartbeat", "3", "--prefetch", str(PREFETCH))
DONE_S = 240


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    with running_cluster(tmp_path_factory.mktemp("single")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def triple(tmp_path_factory):
    with running_cluster(tmp_path_factory.mktemp("triple"), 3) as cluster:
        yield cluster


class Fleet:
    """A host that publishes, relays that consume, and the kills so far."""

    def __init__(self, directory, urls, queue, prefix=()):
        self.host = str(directory / "host")
        self.relay_paths = [str(directory / f"relay{n}") for n in (1, 2)]
        self.urls = urls
        self.queue = queue
        self.prefix = list(prefix)
        self.publisher = None
        self.relays = []
        self.publisher_kills = self.relay_kills = self.cuts = 0

    def fill(self):
        spool = Spool(self.host)
        for number in range(EVENTS):
            envelope = encode_spool_envelope(f"{number:032x}", DSN, "event", event_json(number).encode())
            spool.ledger.add("captured")
            assert spool.put(f"{number:032x}", envelope)
        spool.ledger.close()

    def start_publisher(self):
        command = [*self.prefix, *COMMAND, "send", "--spool", self.host, "--queue", self.queue, "--heartbeat", "3"]
        for url in self.urls:
            command += ["--to", url]
        self.publisher = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def start_relay(self, number, urls=None):
        options = [part for url in urls or self.urls for part in ("--from", url)]
        relay = start_relay(
            self.relay_paths[number], *options, "--queue", self.queue, *RELAY, listen=(), stderr=subprocess.DEVNULL
        )
        self.relays.append(relay)
        return relay

    def published(self):
        return EVENTS - len(spool_names(self.host))

    def taken(self):
        return [event_id for path in self.relay_paths if os.path.isdir(path) for event_id in spool_ids(path)]

    def wait_done(self):
        wait_for(lambda: not spool_names(self.host), "the last confirmation", DONE_S)
        wait_for(lambda: len(set(self.taken())) == EVENTS, "the last event", DONE_S)

    def stop(self):
        for process in [self.publisher, *(relay.process for relay in self.relays)]:
            if process is not None:
                stop(process)

    def check(self, node):
        """Lost 0, duplicates by redelivery only, ledgers exact but for one of each killed process."""
        taken = self.taken()
        assert {f"{number:032x}" for number in range(EVENTS)} == set(taken)
        troubles = self.publisher_kills + self.relay_kills + self.cuts
        assert len(taken) - EVENTS <= troubles * (WINDOW + len(self.relay_paths) * PREFETCH)
        host = read_snapshot(self.host)
        assert abs(host.missing) <= self.publisher_kills
        assert EVENTS - host["delivered"] <= self.publisher_kills
        captured = 0
        for path in self.relay_paths:
            if os.path.isdir(path):
                ledger = read_snapshot(path)
                assert abs(ledger.missing) <= self.relay_kills
                assert 0 == sum(ledger.discarded.values())
                captured += ledger["captured"]
        assert abs(captured - len(taken)) <= self.relay_kills
        wait_for(lambda: 0 == node.depth(self.queue), what="the end of the queue")
        assert 0 == node.depth(self.queue + ".dead")


@contextmanager
def running_fleet(directory, urls, queue, **more):
    fleet = Fleet(directory, urls, queue, **more)
    try:
        fleet.fill()
        yield fleet
    finally:
        fleet.stop()


def test_the_publisher_is_killed(tmp_path, single):
    """SIGKILL at random moments, five times: what was confirmed is gone from the spool, the rest goes again."""
    node, dice = single.nodes[0], random.Random(1)
    with running_fleet(tmp_path, [node.url], "publisher") as fleet:
        fleet.start_relay(0)
        for _ in range(5):
            before = fleet.published()
            fleet.start_publisher()
            wait_for(lambda: fleet.published() > min(before + 100, EVENTS - 1), limit_s=DONE_S)
            time.sleep(dice.random() * 0.3)
            stop(fleet.publisher, signal.SIGKILL)
            fleet.publisher_kills += 1
        fleet.start_publisher()
        fleet.wait_done()
        fleet.check(node)


def test_a_relay_is_killed(tmp_path, single):
    """SIGKILL to one of two relays, five times: what it held and had not acknowledged comes again."""
    node, dice = single.nodes[0], random.Random(2)
    with running_fleet(tmp_path, [node.url], "relay") as fleet:
        fleet.start_publisher()
        fleet.start_relay(0)
        for _ in range(5):
            before = len(spool_names(fleet.relay_paths[1])) if os.path.isdir(fleet.relay_paths[1]) else 0
            victim = fleet.start_relay(1)
            wait_for(
                lambda: len(spool_names(fleet.relay_paths[1])) > before + 50 or len(set(fleet.taken())) == EVENTS,
                limit_s=DONE_S,
            )
            time.sleep(dice.random() * 0.3)
            stop(victim.process, signal.SIGKILL)
            fleet.relay_kills += 1
        fleet.wait_done()
        fleet.check(node)


def test_the_only_node_is_killed(tmp_path, single):
    """The broker dies and comes back: both sides connect again, and nothing that it had confirmed is lost."""
    node = single.nodes[0]
    with running_fleet(tmp_path, [node.url], "node") as fleet:
        fleet.start_publisher()
        fleet.start_relay(0)
        wait_for(lambda: fleet.published() > 2000, "what the publisher publishes", DONE_S)
        node.settle()
        node.kill()
        fleet.cuts += 1
        time.sleep(1)  # both sides try again meanwhile, in vain
        node.start().wait_ready()
        fleet.wait_done()
        fleet.check(node)


def test_the_disk_of_the_broker_is_full(tmp_path, single):
    """Under the disk alarm the broker blocks publishers: events wait in the spool, status says so, later all goes."""
    node = single.nodes[0]
    with running_fleet(tmp_path, [node.url], "disk") as fleet:
        fleet.start_relay(0)
        node.ctl("set_disk_free_limit", "100000000000000")
        try:
            fleet.start_publisher()
            wait_for(lambda: "blocked" in broker_state(fleet.host, "send").get("state", ""))
            waiting = len(spool_names(fleet.host))
            assert waiting == len(still(lambda: spool_names(fleet.host))) > EVENTS - 2 * WINDOW
        finally:
            node.ctl("set_disk_free_limit", "10000000")
        fleet.wait_done()
        fleet.check(node)


needs_namespaces = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a network namespace")


@needs_namespaces
def test_the_network_is_cut(tmp_path):
    """The publisher's host, a namespace of its own, loses its network twice: silence, not a closed connection."""
    tag = f"hk{os.getpid() % 100_000}"
    net = f"10.213.{os.getpid() % 256}"  # two runs on one host do not meet
    address = f"{net}.1"
    ip = ["ip", "netns", "exec", tag, "ip"]
    subprocess.run(["ip", "netns", "add", tag], check=True)
    cluster = Cluster(tmp_path / "rabbit", 1)
    try:
        for command in (
            ["ip", "link", "add", f"{tag}a", "type", "veth", "peer", "name", f"{tag}b", "netns", tag],
            ["ip", "addr", "add", f"{address}/30", "dev", f"{tag}a"],
            ["ip", "link", "set", f"{tag}a", "up"],
            [*ip, "addr", "add", f"{net}.2/30", "dev", f"{tag}b"],
            [*ip, "link", "set", f"{tag}b", "up"],
            [*ip, "link", "set", "lo", "up"],  # pika wakes its own loop through it
        ):
            subprocess.run(command, check=True)
        node = cluster.nodes[0]
        node.config_lines += [f"listeners.tcp.2 = {address}:{node.port}"]
        cluster.start()
        node.ctl("add_user", "fleet", "pw")
        node.ctl("set_permissions", "fleet", ".*", ".*", ".*")
        prefix = ["ip", "netns", "exec", tag]
        with running_fleet(tmp_path, [f"amqp://fleet:pw@{address}:{node.port}/"], "cut", prefix=prefix) as fleet:
            fleet.start_relay(0, [node.url])
            fleet.start_publisher()
            for enough in (1000, 5000):
                wait_for(lambda: fleet.published() > enough, "what the publisher publishes", DONE_S)
                subprocess.run([*ip, "link", "set", f"{tag}b", "down"], check=True)
                fleet.cuts += 1
                wait_for(lambda: broker_state(fleet.host, "send").get("state") in ("not connected", "connecting"))
                subprocess.run([*ip, "link", "set", f"{tag}b", "up"], check=True)
            fleet.wait_done()
            fleet.check(node)
    finally:
        cluster.stop()
        subprocess.run(["ip", "netns", "del", tag], check=True)


def leader(cluster, queue):
    """The index of the node that leads the queue."""
    text = cluster.nodes[0].ctl("list_queues", "name", "pid") or ""
    line = next(line for line in text.splitlines() if line.split("\t")[0] == queue)
    return next(i for i, node in enumerate(cluster.nodes) if f"<{node.name}." in line)


@pytest.mark.parametrize("victim", ["leader", "follower"])
def test_a_node_of_three_is_killed(tmp_path, triple, victim):
    """The leader of the queue or another node dies under load: the other two go on with all that was confirmed."""
    urls = [node.url for node in triple.nodes]
    with running_fleet(tmp_path, urls, f"three-{victim}") as fleet:
        fleet.start_publisher()
        fleet.start_relay(0)
        fleet.start_relay(1, urls[::-1])
        wait_for(lambda: fleet.published() > 1500, "what the publisher publishes", DONE_S)
        number = leader(triple, fleet.queue)
        killed = triple.nodes[number if victim == "leader" else (number + 1) % 3]
        killed.kill()
        fleet.cuts += 3  # the publisher's connection and both relays' may have been there
        survivor = next(node for node in triple.nodes if node is not killed)
        fleet.wait_done()
        fleet.check(survivor)
        killed.start().wait_ready()
