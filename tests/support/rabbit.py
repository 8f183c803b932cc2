"""A real RabbitMQ from Debian's packages: nodes of the test's own on free loopback ports, with their own epmd.

Nothing of the system's own RabbitMQ is used or touched: neither its ports nor its directories nor its cookie.
"""

import ctypes
import glob
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
from contextlib import contextmanager

import pika
import pytest

from support.fleet import stop
from support.ports import free_port
from support.waiting import wait_for

HOMES = sorted(glob.glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin"))
START_LIMIT_S = 240  # a node alone takes 5, and a minute where ten other things run

logging.getLogger("pika").setLevel(logging.CRITICAL)  # it logs each connection that is not there yet

needs_rabbit = pytest.mark.skipif(not HOMES or not shutil.which("epmd"), reason="needs Debian's rabbitmq-server")


def die_with_parent():
    """In a child: be killed when the tests are, so that no broker outlives them."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class Node:
    """One node: its processes, ports and directory."""

    def __init__(self, cluster, number):
        self.cluster = cluster
        self.name = f"{cluster.tag}n{number}@localhost"
        self.port = free_port()
        self.dist_port = free_port()
        self.directory = os.path.join(cluster.directory, f"n{number}")
        self.process = None
        os.makedirs(self.directory)
        self.config_lines = [f"listeners.tcp.1 = 127.0.0.1:{self.port}"]

    @property
    def url(self):
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def environment(self):
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith("RABBITMQ_")},
            "HOME": self.cluster.directory,
            "ERL_EPMD_PORT": str(self.cluster.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "RABBITMQ_BASE": self.directory,
            "RABBITMQ_MNESIA_BASE": os.path.join(self.directory, "mnesia"),
            "RABBITMQ_LOG_BASE": os.path.join(self.directory, "log"),
            "RABBITMQ_CONF_ENV_FILE": os.path.join(self.directory, "none-env.conf"),
            "RABBITMQ_CONFIG_FILE": os.path.join(self.directory, "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": os.path.join(self.directory, "none.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": os.path.join(self.directory, "enabled_plugins"),
            "RABBITMQ_PID_FILE": os.path.join(self.directory, "pid"),
            # Two cores and up to three nodes: one scheduler each, and none that spins.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none "
            "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CTL_ERL_ARGS": "+S 1:1 +sbwt none",
        }

    def start(self):
        with open(os.path.join(self.directory, "rabbitmq.conf"), "w", encoding="ascii") as file:
            lines = ["disk_free_limit.absolute = 10MB", "loopback_users.guest = true", "log.console = false"]
            file.write("\n".join([*lines, *self.config_lines]) + "\n")
        with open(os.path.join(self.directory, "out"), "ab") as out:
            self.process = subprocess.Popen(
                [os.path.join(HOMES[-1], "rabbitmq-server")],
                env=self.environment(),
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        return self

    def output(self):
        with open(os.path.join(self.directory, "out"), encoding="utf-8", errors="replace") as file:
            return file.read()[-3000:]

    def wait_ready(self):
        def answers():
            assert self.process.poll() is None, f"the node ended: {self.output()}"
            try:
                with pika.BlockingConnection(pika.URLParameters(self.url)):
                    return True
            except (pika.exceptions.AMQPError, OSError):
                return False

        wait_for(answers, "the RabbitMQ node", START_LIMIT_S)
        return self

    def kill(self):
        """SIGKILL to this node's own processes: the session that `start` made for it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def ctl(self, *arguments, check=True):
        done = subprocess.run(
            [os.path.join(HOMES[-1], "rabbitmqctl"), "--node", self.name, "--quiet", *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=START_LIMIT_S,
        )
        assert not check or 0 == done.returncode, done.stdout + done.stderr
        return done.stdout.strip()

    def settle(self):
        """Write to disk which queues there are.

        RabbitMQ 3.10.8 writes the name of a new quorum queue later: killed before, it comes back with the queue empty.
        """
        self.ctl("eval", "[dets:sync(Table) || Table <- dets:all()].")

    @contextmanager
    def channel(self):
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            yield connection.channel()

    def depth(self, queue):
        with self.channel() as channel:
            return channel.queue_declare(queue, passive=True).method.message_count


class Cluster:
    """Nodes that share a cookie and an epmd."""

    def __init__(self, directory, size):
        self.directory = str(directory)
        self.tag = f"hk{os.getpid()}{secrets.token_hex(2)}"
        self.epmd_port = free_port()
        os.makedirs(self.directory, exist_ok=True)
        cookie = os.path.join(self.directory, ".erlang.cookie")
        with open(os.open(cookie, os.O_WRONLY | os.O_CREAT, 0o400), "w") as file:
            file.write(secrets.token_hex(16))
        self.epmd = None
        self.nodes = [Node(self, number) for number in range(1, size + 1)]

    def start(self):
        self.epmd = subprocess.Popen(
            ["epmd", "-address", "127.0.0.1", "-port", str(self.epmd_port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )

        def epmd_answers():
            with socket.socket() as sock:
                return sock.connect_ex(("127.0.0.1", self.epmd_port)) == 0

        wait_for(epmd_answers, "epmd")
        if len(self.nodes) > 1:
            names = [f"cluster_formation.classic_config.nodes.{i} = {n.name}" for i, n in enumerate(self.nodes, 1)]
            for node in self.nodes:
                node.config_lines += ["cluster_formation.peer_discovery_backend = classic_config", *names]
        for node in self.nodes:
            node.start().wait_ready()
        if len(self.nodes) > 1:
            # A quorum queue's replicas go to the nodes that are members when it is declared.
            wait_for(lambda: self.running() == len(self.nodes), "the cluster", START_LIMIT_S)
        return self

    def running(self):
        text = self.nodes[0].ctl("eval", "length(rabbit_nodes:all_running()).")
        return int(text)

    def stop(self):
        for node in self.nodes:
            if node.process is not None and node.process.poll() is None:
                node.kill()
        if self.epmd is not None:
            stop(self.epmd)


@contextmanager
def running_cluster(directory, size=1):
    cluster = Cluster(directory, size)
    try:
        yield cluster.start()
    finally:
        cluster.stop()
