"""Whole hosts of a fleet: uWSGI with the plugin, the files of examples/fleet/, and a broker that asks for more."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from heka_raven.spool.ledger import read_snapshot
from support.fleet import (
    COMMAND,
    KEY,
    broker_state,
    encode,
    event_json,
    exact,
    fill,
    publish_once,
    running_kent,
    running_relay,
    spool_names,
    start_publisher,
    stop,
)
from support.ports import free_port
from support.rabbit import Cluster, needs_rabbit, running_cluster
from support.uwsgi import Server, find_uwsgi, shared_plugin
from support.waiting import wait_for

EXAMPLES = Path(__file__).parents[3] / "examples" / "fleet"
UWSGI = find_uwsgi()
RULE = "http://*@sentry.example.com/*"
pytestmark = [pytest.mark.full, needs_rabbit, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with running_cluster(tmp_path_factory.mktemp("rabbit")) as cluster:
        yield cluster.nodes[0]


@pytest.mark.skipif(UWSGI is None, reason="no uWSGI: ./run test installs one")
def test_a_host_with_uwsgi(tmp_path, node):
    """With sentry-no-sender the plugin's events go through `send --to` and a relay to the server."""
    with running_kent() as kent:
        lines = "sentry-no-sender = true\nhook-asap = sentry:message=the host\n"
        server = Server(UWSGI, shared_plugin(UWSGI), tmp_path, lines, dsn=kent.dsn(2))
        publisher = start_publisher(str(server.spool), [node.url], "uwsgi")
        try:
            server.wait_ready()
            options = ("--from", node.url, "--queue", "uwsgi", "--dsn", f"http://*@127.0.0.1:{kent.port}/2")
            with running_relay(tmp_path / "relay", *options, listen=(), sender="thread"):
                wait_for(lambda: kent.count() == 1, "the events at kent")
        finally:
            stop(publisher)
            server.stop()
        assert ["the host"] == [body["logentry"]["formatted"] for body in kent.bodies()]
    assert exact(server.spool)
    assert 1 == read_snapshot(str(server.spool))["delivered"]


def arguments_of(unit):
    """What the unit runs, without the program."""
    (line,) = [line for line in (EXAMPLES / unit).read_text().splitlines() if line.startswith("ExecStart=")]
    return line.partition("heka-raven ")[2].split()


def test_the_example_files(tmp_path, node):
    """One heka-raven.toml for publisher and relay, and the commands of the three units: all of it as it lies there."""
    with running_kent() as kent:
        signers = tmp_path / "signers"
        signers.write_text("ops_1=fleet-secret\n")
        signers.chmod(0o640)
        config = tmp_path / "heka-raven.toml"
        changes = {
            "amqps://events:PASSWORD@rabbit1.example.com/errors": "amqp://127.0.0.1:1/",  # one node is down
            "amqps://events:PASSWORD@rabbit2.example.com/errors": node.url,
            "amqps://events:PASSWORD@rabbit3.example.com/errors": node.url,
            "udp://0.0.0.0:5565": "udp://127.0.0.1:0",
            "tcp://0.0.0.0:5565": "tcp://127.0.0.1:0",
            "/run/heka-raven/": f"{tmp_path}/",
            "/etc/heka-raven": f"{tmp_path}/heka-raven",
            f"{tmp_path}/heka-raven.signers": str(signers),
            "/var/spool/heka-raven/": f"{tmp_path}/",
            "https://*@sentry.example.com/*": f"http://*@127.0.0.1:{kent.port}/*",
        }
        text = (EXAMPLES / "heka-raven.toml").read_text()
        for old, new in changes.items():
            assert old in text, old
            text = text.replace(old, new)
        config.write_text(text)
        config.chmod(0o640)
        fill(tmp_path / "33", 20, dsn=kent.dsn(2))
        processes = []
        for unit in ("heka-raven-publish.service", "heka-raven-relay.service", "heka-raven-relay-send.service"):
            arguments = [
                part.replace("/etc/heka-raven.toml", str(config)).replace("/var/spool/heka-raven/", f"{tmp_path}/")
                for part in arguments_of(unit)
            ]
            processes.append(subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.DEVNULL))
        try:
            wait_for(lambda: (tmp_path / "relay.sock").exists())
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(tmp_path / "relay.sock"))
                sock.sendall(encode(event_json(99), kent.dsn(2), hmac=KEY) + encode(event_json(98), kent.dsn(2)))
            wait_for(lambda: kent.count() == 21, "the events at kent")
        finally:
            codes = [stop(process) for process in processes]
        assert {f"n{number}" for number in (*range(20), 99)} == {b["logentry"]["formatted"] for b in kent.bodies()}
    assert [0, 0, 0] == codes
    assert exact(tmp_path / "33")
    assert exact(tmp_path / "relay")


def test_the_units_are_valid():
    """systemd reads all three without a word, except that this host has no such user or file."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("this machine has no systemd")
    units = [str(path) for path in sorted(EXAMPLES.glob("*.service"))]
    done = subprocess.run([analyze, "verify", "--man=no", *units], capture_output=True, text=True, timeout=60)
    assert (3, 0, "") == (len(units), done.returncode, done.stderr.strip())


def test_without_a_broker_events_grow_too_old(tmp_path):
    """As for the sender without a server: older than --max-age they are given up and counted; younger ones wait."""
    path = fill(tmp_path / "host", 5)
    for name in spool_names(path)[:3]:
        old = f"{int(name[:20]) - 10**15:020d}{name[20:]}"  # eleven days
        os.rename(os.path.join(path, "new", name), os.path.join(path, "new", old))
    publisher = start_publisher(path, ["amqp://127.0.0.1:1/"], "q", "--max-age", "864000")
    try:
        wait_for(lambda: read_snapshot(path)["discarded.network_error"] == 3)
        assert 2 == len(spool_names(path))
    finally:
        stop(publisher)
    assert exact(path)


def test_queues_of_somebody_else(tmp_path, node):
    """With --no-declare nothing is made: both sides wait, say so, and begin when the queue is there."""
    path = fill(tmp_path / "host", 3)
    assert 3 == publish_once(path, node, "theirs", "--no-declare").returncode
    publisher = start_publisher(path, [node.url], "theirs", "--no-declare")
    options = ("--from", node.url, "--queue", "theirs", "--no-declare", "--dsn", RULE)
    try:
        with running_relay(tmp_path / "relay", *options, listen=()) as relay:
            for spool, role in ((relay.spool, "relay"), (path, "send")):
                wait_for(lambda s=spool, r=role: "theirs" in str(broker_state(s, r).get("error")))
            with node.channel() as channel:
                channel.queue_declare("theirs", durable=True, arguments={"x-queue-type": "quorum"})
            wait_for(lambda: len(relay.names()) == 3)
    finally:
        assert 0 == stop(publisher)


def test_tls(tmp_path):
    """amqps:// with the CA of the broker and a certificate of ours; without either it is refused and events wait."""
    ca, server, ours = (str(tmp_path / name) for name in ("ca.pem", "server.pem", "ours.pem"))
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    for path, name, signed in ((ca, "fleet", ()), (server, "broker", ("-CA", ca)), (ours, "host", ("-CA", ca))):
        # Certificate and key in one file, as --amqp-cert-file takes them.
        command = [*request, *signed, "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
        done = subprocess.run([*command, "-keyout", path + ".key"], check=True, capture_output=True)
        with open(path + ".key", "rb") as key, open(path, "wb") as both:
            both.write(done.stdout + key.read())
    cluster = Cluster(tmp_path / "rabbit", 1)
    port = free_port()
    cluster.nodes[0].config_lines += [
        f"listeners.ssl.1 = 127.0.0.1:{port}",
        f"ssl_options.cacertfile = {ca}",
        f"ssl_options.certfile = {server}",
        f"ssl_options.keyfile = {server}.key",
        "ssl_options.versions.1 = tlsv1.2",
        "ssl_options.verify = verify_peer",
        "ssl_options.fail_if_no_peer_cert = true",
    ]
    try:
        node = cluster.start().nodes[0]
        path = fill(tmp_path / "host", 3)
        command = [*COMMAND, "send", "--once", "--spool", path, "--to", f"amqps://guest:guest@127.0.0.1:{port}/"]
        for options, words in (
            ((), "CERTIFICATE_VERIFY_FAILED"),
            (("--amqp-ca-file", ca), "HANDSHAKE_FAILURE"),
            (("--amqp-ca-file", ca, "--amqp-cert-file", ours), "3 published, 0 left"),
        ):
            done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60)
            assert words in done.stdout + done.stderr
            assert (0 if "published" in words else 3) == done.returncode
        options = ("--from", f"amqps://127.0.0.1:{port}/", "--amqp-ca-file", ca, "--amqp-cert-file", ours)
        with running_relay(tmp_path / "relay", *options, "--dsn", RULE, listen=()) as relay:
            wait_for(lambda: len(relay.names()) == 3)
        assert 0 == node.depth("heka-raven")
    finally:
        cluster.stop()
