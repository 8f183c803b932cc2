"""Many hosts, a real RabbitMQ, relays: what is published, taken, refused, and what status says of it."""

import os
import shutil
import signal
import socket
import subprocess
import sys

import pika
import pytest

from heka_raven.formats.envelope import parse_envelope
from heka_raven.sender.lock import SenderLock
from heka_raven.spool.ledger import read_snapshot
from support.fleet import (
    COMMAND,
    DSN,
    broker_state,
    exact,
    fill,
    publish_once,
    running_kent,
    running_relay,
    spool_ids,
    spool_names,
    start_publisher,
    start_relay,
    stop,
)
from support.rabbit import needs_rabbit, running_cluster
from support.waiting import still, wait_for

pytestmark = [pytest.mark.full, needs_rabbit, pytest.mark.timeout(600)]

RULE = "http://*@sentry.example.com/*"


IMPATIENT = [
    sys.executable,
    "-c",
    """
import sys
from heka_raven.cli.main import main
from heka_raven.fleet import publisher
publisher.STALL_S = 2.0
sys.exit(main(sys.argv[1:]))
""",
]  # a minute otherwise


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with running_cluster(tmp_path_factory.mktemp("rabbit")) as cluster:
        yield cluster.nodes[0]


@pytest.fixture
def queue(request, node):
    """A queue name of the test's own."""
    name = f"q-{request.node.name}"[:60]
    yield name
    with node.channel() as channel:
        for each in (name, name + ".dead"):
            channel.queue_delete(each)


def from_broker(path, node, queue, *options, **more):
    return running_relay(path, "--from", node.url, "--queue", queue, *options, listen=(), **more)


def test_host_to_broker_to_relay_to_kent(tmp_path, node, queue):
    """Every event crosses the broker once and reaches the server; nothing is left anywhere; all ledgers are exact."""
    with running_kent() as kent:
        path = fill(tmp_path / "host", 50, dsn=kent.dsn(2))
        done = publish_once(path, node, queue)
        assert (0, "50 published, 0 left") == (done.returncode, done.stdout.partition(" in ")[0])
        rule = f"http://*@127.0.0.1:{kent.port}/2"
        with from_broker(tmp_path / "relay", node, queue, "--dsn", rule, sender="thread") as relay:
            wait_for(lambda: kent.count() == 50)
            wait_for(lambda: relay.ledger()["delivered"] == 50)
        assert {f"n{number}" for number in range(50)} == {body["logentry"]["formatted"] for body in kent.bodies()}
    assert 0 == node.depth(queue)
    assert exact(path)
    assert exact(tmp_path / "relay")


def test_what_travels_and_what_does_not(tmp_path, node, queue):
    """The queue is a durable quorum queue, the message persistent; secret and no_verify stay at home."""
    path = fill(tmp_path / "host", 1, no_verify=True, api="store")
    assert 0 == publish_once(path, node, queue).returncode
    fill(path, 1, first=1)
    assert 0 == publish_once(path, node, queue, "--send-secret").returncode
    with node.channel() as channel:
        _, properties, body = channel.basic_get(queue, auto_ack=False)
        assert (2, f"{0:032x}", "application/x-sentry-envelope") == (
            properties.delivery_mode,
            properties.message_id,
            properties.content_type,
        )
        assert "http://key@sentry.example.com/1" == parse_envelope(body)[0]["dsn"]
        assert DSN == parse_envelope(channel.basic_get(queue, auto_ack=False)[2])[0]["dsn"]
    assert "quorum" in [
        line.split("\t")[1] for line in node.ctl("list_queues", "name", "type").splitlines() if queue in line
    ]
    with from_broker(tmp_path / "relay", node, queue, "--dsn", "http://key:filled@sentry.example.com/1") as relay:
        wait_for(lambda: len(relay.names()) == 2)
        header = parse_envelope((tmp_path / "relay" / "new" / relay.names()[0]).read_bytes())[0]
    assert {"event_id": f"{0:032x}", "dsn": "http://key:filled@sentry.example.com/1", "hk": {"api": "store"}} == header


def test_poison_goes_to_the_dead_letters(tmp_path, node, queue):
    """What can never be an event, or may not go to its server, is kept apart and counted; the rest passes."""
    path = fill(tmp_path / "host", 2)
    fill(path, 1, first=2, dsn="http://key@169.254.169.254/1")
    assert 0 == publish_once(path, node, queue).returncode
    with node.channel() as channel:
        for body in (b"garbage", b"", b"{}", os.urandom(1000)):
            channel.basic_publish("", queue, body)
    with from_broker(tmp_path / "relay", node, queue, "--dsn", RULE) as relay:
        wait_for(lambda: relay.counts().get("dead_letters") == 5)
        assert [f"{0:032x}", f"{1:032x}"] == sorted(spool_ids(relay.spool))
        wait_for(lambda: node.depth(queue + ".dead") == 5)
        assert (4, 1) == (relay.counts()["refused.envelope"], relay.counts()["refused.dsn"])
    assert 0 == node.depth(queue)


def test_a_message_is_acknowledged_only_when_it_is_in_the_spool(tmp_path, node, queue):
    """A relay whose spool is full holds what it has and leaves the rest in the queue; nothing is lost."""
    path = fill(tmp_path / "host", 100)
    assert 0 == publish_once(path, node, queue).returncode
    with from_broker(tmp_path / "small", node, queue, "--dsn", RULE, "--max-count", "30", "--prefetch", "20") as relay:
        wait_for(lambda: len(relay.names()) == 30)
        wait_for(lambda: "takes nothing" in broker_state(relay.spool).get("state", ""))
        assert 50 <= node.depth(queue) <= 70  # the rest, without the 20 that are held
    assert 0 == relay.ledger()["discarded.cache_overflow"]
    wait_for(lambda: node.depth(queue) == 70)
    with from_broker(tmp_path / "large", node, queue, "--dsn", RULE) as relay:
        wait_for(lambda: len(relay.names()) == 70)
    assert {f"{number:032x}" for number in range(100)} == {
        *spool_ids(tmp_path / "small"),
        *spool_ids(tmp_path / "large"),
    }
    assert 0 == node.depth(queue + ".dead")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a disk that fills up")
def test_the_disk_of_a_relay_is_full(tmp_path, node, queue):
    """What cannot be written stays with the broker and is not counted as lost; with room again everything comes."""
    path = fill(tmp_path / "host", 100, size=6_000)
    assert 0 == publish_once(path, node, queue).returncode
    disk = tmp_path / "relay"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k,mode=700", "none", disk], check=True)
    try:
        log = tmp_path / "log"
        with open(log, "wb") as said, from_broker(disk, node, queue, "--dsn", RULE, stderr=said) as relay:
            wait_for(lambda: "No space left on device" in log.read_text())
            assert 0 < len(relay.names()) < 100
            subprocess.run(["mount", "-o", "remount,size=50m", disk], check=True)
            wait_for(lambda: len(relay.names()) == 100)
        ledger = relay.ledger()
        assert (100, 100, 0) == (ledger["captured"], ledger.pending, ledger.missing)
        assert 0 == node.depth(queue + ".dead")
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_full_relay_is_cut_off_by_the_broker(tmp_path, node, queue):
    """RabbitMQ ends a channel that holds messages too long: another relay has them, none goes to the dead letters."""
    path = fill(tmp_path / "host", 40)
    assert 0 == publish_once(path, node, queue).returncode
    settings = (
        "application:set_env(rabbit, channel_tick_interval, {}), application:set_env(rabbit, consumer_timeout, {})."
    )
    node.ctl("eval", settings.format(500, 1000))
    try:
        options = ("--dsn", RULE, "--max-count", "10", "--prefetch", "20")
        with from_broker(tmp_path / "small", node, queue, *options) as small:
            wait_for(lambda: small.counts().get("redelivered", 0) >= 60, "the third time")
            assert 10 == len(small.names())
            with from_broker(tmp_path / "large", node, queue, "--dsn", RULE) as large:
                wait_for(lambda: len(large.names()) == 30)
    finally:
        node.ctl("eval", settings.format(60_000, 1_800_000))
    assert 40 == len({*spool_ids(tmp_path / "small"), *spool_ids(tmp_path / "large")})
    assert [0, 0] == [node.depth(queue), node.depth(queue + ".dead")]


def test_two_relays_share_the_queue(tmp_path, node, queue):
    """Both get a part; together they have each event once."""
    path = fill(tmp_path / "host", 2000)
    with (
        from_broker(tmp_path / "one", node, queue, "--dsn", RULE, "--prefetch", "20"),
        from_broker(tmp_path / "two", node, queue, "--dsn", RULE, "--prefetch", "20"),
    ):
        wait_for(lambda: all(broker_state(tmp_path / n).get("state") == "connected" for n in ("one", "two")))
        assert 0 == publish_once(path, node, queue).returncode
        wait_for(lambda: len(spool_names(str(tmp_path / "one"))) + len(spool_names(str(tmp_path / "two"))) == 2000)
    shares = [len(spool_names(str(tmp_path / name))) for name in ("one", "two")]
    assert min(shares) > 200
    assert 2000 == len({*spool_ids(tmp_path / "one"), *spool_ids(tmp_path / "two")})


def test_send_runs_as_a_service(tmp_path, node, queue):
    """It publishes what comes, waits without a broker or for the lock, tells status, and ends on SIGTERM with 0."""
    path = fill(tmp_path / "host", 10)
    lock = SenderLock(path)
    assert lock.acquire()
    assert 4 == publish_once(path, node, queue).returncode
    publisher = start_publisher(path, ["amqp://127.0.0.1:1/", node.url], queue)
    try:
        lock.release()
        wait_for(lambda: not spool_names(path))
        fill(path, 5, first=10)
        wait_for(lambda: not spool_names(path))
        wait_for(lambda: broker_state(path, "send").get("queues", {}).get(queue) == 15)
        shown = subprocess.run([*COMMAND, "status", "--spool", path], capture_output=True, text=True).stdout
        assert f"send queue {queue}: 15 waiting" in shown
        assert f"send broker: {node.url.replace('guest:guest@', '').rstrip('/')}: connected" in shown
        assert "guest" not in shown
    finally:
        assert 0 == stop(publisher)
    assert exact(path)


def test_the_spool_is_deleted_under_the_publisher(tmp_path, node, queue):
    """It goes on with the new one, and what it publishes leaves that one too: else it would look full one day."""
    path = fill(tmp_path / "host", 3)
    publisher = start_publisher(path, [node.url], queue)
    try:
        wait_for(lambda: not spool_names(path))
        shutil.rmtree(path)
        fill(path, 5, first=10)
        wait_for(lambda: not spool_names(path))
    finally:
        assert 0 == stop(publisher)
    snapshot = read_snapshot(path)
    assert (5, 5, 0) == (snapshot["captured"], snapshot["delivered"], snapshot.pending)


def test_without_a_broker_once_leaves_everything(tmp_path, node, queue):
    """Exit code 3, and the events wait."""
    path = fill(tmp_path / "host", 3)
    done = subprocess.run(
        [*COMMAND, "send", "--once", "--spool", path, "--to", "amqp://127.0.0.1:1/"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (3, 3) == (done.returncode, len(spool_names(path)))
    assert "guest" not in done.stdout + done.stderr


def test_nothing_to_publish_and_a_broker_that_says_nothing(tmp_path):
    """An empty spool is published at once, whatever the broker does while the connection begins."""
    path = fill(tmp_path / "host", 0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        to = f"amqp://guest:guest@127.0.0.1:{silent.getsockname()[1]}/"
        command = [*COMMAND, "send", "--once", "--spool", path, "--to", to]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert 0 == done.returncode and "Traceback" not in done.stderr, done.stderr


def test_once_does_not_wait_for_the_disk_of_the_broker(tmp_path, node, queue):
    """Under the disk alarm --once ends with 3, and the events wait; afterwards it publishes them."""
    path = fill(tmp_path / "host", 10)
    node.ctl("set_disk_free_limit", "100000000000000")
    try:
        assert 3 == publish_once(path, node, queue).returncode
        assert 10 == len(spool_names(path))
    finally:
        node.ctl("set_disk_free_limit", "10000000")
    assert 0 == publish_once(path, node, queue).returncode
    assert exact(path)


def test_a_full_queue_leaves_events_with_the_publisher(tmp_path, node, queue):
    """reject-publish: over its limit the queue refuses, status says so, the spool keeps, and later all goes."""
    path = fill(tmp_path / "host", 0)
    with from_broker(tmp_path / "relay", node, queue, "--dsn", RULE):  # declares the queues
        wait_for(lambda: broker_state(tmp_path / "relay").get("state") == "connected")
    node.ctl("set_policy", queue, f"^{queue}$", '{"max-length": 20}', "--apply-to", "queues")
    count = 50
    fill(path, count)
    publisher = start_publisher(path, [node.url], queue, command=IMPATIENT)

    def refused():
        # The broker heeds a new policy, and tells that a queue is full, a moment later: what comes before that passes.
        nonlocal count
        fill(path, 50, first=count)
        count += 50
        return still(lambda: spool_names(path))

    try:
        wait_for(lambda: node.depth(queue) >= 20)
        wait_for(refused)
        wait_for(lambda: "the queue refused all for 2 s" == broker_state(path, "send").get("error"))
        with from_broker(tmp_path / "relay", node, queue, "--dsn", RULE) as relay:
            wait_for(lambda: len(relay.names()) >= count)
            wait_for(lambda: not spool_names(path))
        wait_for(lambda: broker_state(path, "send").get("error") is None)
    finally:
        stop(publisher)
        node.ctl("clear_policy", queue)
    assert {f"{number:032x}" for number in range(count)} == set(spool_ids(tmp_path / "relay"))


def test_a_queue_that_is_deleted_comes_back(tmp_path, node, queue):
    """Both sides declare it anew; what was published before is gone with it, what comes after passes."""
    path = fill(tmp_path / "host", 1)
    publisher = start_publisher(path, [node.url], queue)
    try:
        with from_broker(tmp_path / "relay", node, queue, "--dsn", RULE) as relay:
            wait_for(lambda: len(relay.names()) == 1)
            with node.channel() as channel:
                channel.queue_delete(queue)
            fill(path, 10, first=1)
            wait_for(lambda: len(set(spool_ids(relay.spool))) == 11)
    finally:
        stop(publisher)


def test_a_queue_without_a_leader(tmp_path, node, queue):
    """It takes events and confirms none: they stay in the spool, status says so, and all go when it has one again."""
    path = fill(tmp_path / "host", 1)
    assert 0 == publish_once(path, node, queue).returncode
    node.ctl("eval", f"sys:suspend('%2F_{queue}').")
    fill(path, 10, first=1)
    publisher = start_publisher(path, [node.url], queue, command=IMPATIENT)
    try:
        stalled = {"state": "connected", "error": "nothing was confirmed for 2 s"}
        wait_for(lambda: broker_state(path, "send").items() >= stalled.items())  # it has connected anew, in vain
        assert 10 == len(spool_names(path))
        node.ctl("eval", f"sys:resume('%2F_{queue}').")
        wait_for(lambda: not spool_names(path))
        wait_for(lambda: broker_state(path, "send").get("error") is None)
    finally:
        stop(publisher)
    assert exact(path)


def test_wrong_credentials_are_said_and_not_quoted(tmp_path, node, queue):
    """The state names the broker's answer; no password shows anywhere."""
    url = node.url.replace("guest:guest", "guest:s3cret")
    relay = start_relay(
        tmp_path / "relay", "--from", url, "--queue", queue, "--dsn", RULE, listen=(), stderr=subprocess.PIPE
    )
    try:
        state = wait_for(lambda: broker_state(relay.spool).get("error") and broker_state(relay.spool))
        assert "ACCESS_REFUSED" in state["error"]
    finally:
        relay.process.send_signal(signal.SIGTERM)
        _, told = relay.process.communicate(timeout=60)
    assert b"s3cret" not in told
    assert "s3cret" not in str(state)
    assert 0 == relay.process.returncode


def test_pika_is_the_library(node):
    """The broker is a real one, of the version that this was built against or later."""
    with pika.BlockingConnection(pika.URLParameters(node.url)) as connection:
        version = connection._impl.server_properties["version"]
    assert (3, 10) <= tuple(map(int, version.split(".")[:2]))
