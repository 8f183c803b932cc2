"""What the uWSGI plugin costs and what it loses, beside uwsgi-sentry (2015).

Run: .venv/bin/python bench/uwsgi_plugin.py [--quick] [--original DIR] [NAME ...], NAMEs: route alarms rate memory.
Needs uWSGI beside the Python, and nginx. DIR is a clone of uwsgi-sentry, which is then built and its rate measured
beside; the other figures of it, and without DIR the rate, were measured earlier.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from sender import SLOW

from support.paths import ROOT
from support.ports import free_port
from support.receiver import Receiver
from support.uwsgi import APP, Server, build_plugin, find_uwsgi, ledger
from support.waiting import wait_for

ROUTE = "route-if = equal:${REQUEST_METHOD};PUT sentry:message=PUT ${REQUEST_URI}"
DIRECT = "processes = 1\nalarm = direct sentry:\nalarm-freq = 0\ndisable-logging = true"
BURST = 250  # what fits into the alarm socket of the original's uWSGI at once


def rss(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def fds(pid: int) -> int:
    """Files that stay open: the fewest of ten looks, since each process opens one for a moment now and then."""
    looks = []
    for _ in range(10):
        looks.append(len(os.listdir(f"/proc/{pid}/fd")))
        time.sleep(0.03)
    return min(looks)


def say(what: str, here: str, original: str, wanted: str) -> None:
    print(f"{what:<66} {here:>12}   original {original:<22} wanted {wanted}", flush=True)


def median_ms(server: Server, method: str, n: int) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    times = []
    for _ in range(n):
        began = time.perf_counter()
        connection.request(method, "/")
        connection.getresponse().read()
        times.append((time.perf_counter() - began) * 1000)
        connection.close()
    return statistics.median(times)


def route(uwsgi: str, plugin: Path, tmp: Path, n: int) -> None:
    receiver = Receiver()
    receiver.delay_s = 60  # a server that hangs
    with Server(uwsgi, plugin, tmp, "processes = 1\ndisable-logging = true\n" + ROUTE, dsn=receiver.dsn) as server:
        server.wait_ready()
        without = min(median_ms(server, "GET", n) for _ in range(3))
        with_route = min(median_ms(server, "PUT", n) for _ in range(3))
    say("route: added to a request, server hangs (median)", f"{with_route - without:.3f} ms", "4,010 ms", "<= 0.2 ms")


def alarms(uwsgi: str, plugin: Path, tmp: Path, n: int, rate: str, state: str, disturb: str, original: str) -> None:
    """Raise n alarms while the server is slow or down; disturb everything; let the next start deliver; compare."""
    receiver = Receiver()
    if state == "down":
        receiver.status = 503
    else:
        receiver.delay_s = 0.1
    with Server(uwsgi, plugin, tmp, DIRECT, dsn=receiver.dsn) as server:
        server.wait_ready()
        raised = threading.Thread(target=server.get, args=(f"/alarms?{n},{rate}" if rate else f"/alarms?{n}",))
        raised.start()
        if disturb == "SIGHUP":
            time.sleep(1)
            server.process.send_signal(signal.SIGHUP)
        raised.join()
        time.sleep(0.5)

        def handed_over() -> bool:
            return ledger(server.spool)["captured"] + server.text().count("uwsgi_alarm_trigger()/writev()") >= n

        if disturb != "SIGKILL":
            with contextlib.suppress(AssertionError):
                wait_for(handed_over, "uWSGI's own queue to be empty", 30)
        for pid in server.pids() if disturb == "SIGKILL" else []:
            os.kill(pid, signal.SIGKILL)
        if disturb == "SIGKILL":
            wait_for(lambda: server.pids() == [], "all to end")
        refused = server.text().count("uwsgi_alarm_trigger()/writev()")
        captured = ledger(server.spool)["captured"]
        receiver.status, receiver.delay_s = 200, 0.0
    with Server(uwsgi, plugin, tmp, DIRECT, dsn=receiver.dsn) as server:
        server.wait_ready()
        wait_for(lambda: server.waiting() == 0, "delivery of what waited", 120)
    lost = captured - len(set(receiver.texts()))
    receiver.close()
    paced = f"{rate} a second" if rate else "burst"
    what = f"{n} alarms, {paced}, server {state}{', ' + disturb if disturb else ''}: refused / lost"
    say(what, f"{refused} / {lost}", original, "lost 0" + ("; refused 0" if rate else ""))
    if captured + refused != n:
        print(f"  of {n} uWSGI handed over {captured} and refused {refused}")


def memory(uwsgi: str, plugin: Path, tmp: Path, n: int) -> None:
    with nginx(tmp) as (port, _), Server(uwsgi, plugin, tmp, DIRECT, dsn=f"http://k@127.0.0.1:{port}/1") as server:
        server.wait_ready()

        def run(count: int) -> None:
            wanted = ledger(server.spool)["delivered"] + count
            while ledger(server.spool)["delivered"] < wanted:  # uWSGI may refuse some on a busy machine
                server.get("/alarms?2000,2000")
            wait_for(lambda: server.waiting() == 0, "delivery", 120)

        run(2000)
        pids = [server.process.pid, server.sender_pid()]
        before, open_before = [rss(p) for p in pids], [fds(p) for p in pids]
        run(n)
        grown = [(rss(p) - b) // 1024 for p, b in zip(pids, before, strict=True)]
        opened = [fds(p) - b for p, b in zip(pids, open_before, strict=True)]
    say(f"memory: growth over {n:,} events, master / sender", f"{grown[0]} / {grown[1]} KiB", "+206 MB", "< 1 MB each")
    say("open files: change, master / sender", f"{opened[0]} / {opened[1]}", "-", "constant")


@contextmanager
def nginx(tmp: Path) -> Iterator[tuple[int, StatusPage]]:
    """A server that takes everything at once, and how many requests it took."""
    command = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if command is None:
        raise SystemExit("bench/uwsgi_plugin.py: nginx is not installed (apt-get install nginx-light)")
    port, conf = free_port(), tmp / "nginx.conf"
    conf.write_text(
        f"daemon off; pid {tmp}/nginx.pid; error_log {tmp}/nginx.err; worker_processes 1; events {{}}\n"
        f"http {{ access_log off; keepalive_requests 1000000; client_body_temp_path {tmp}/b;\n"
        f"proxy_temp_path {tmp}/p; fastcgi_temp_path {tmp}/f; uwsgi_temp_path {tmp}/u; scgi_temp_path {tmp}/s;\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{{}}'; }}\n"
        f"location /status {{ stub_status; }} }} }}\n"
    )
    process = subprocess.Popen([command, "-c", str(conf), "-p", str(tmp)], stderr=subprocess.DEVNULL)
    wait_for(lambda: answers(port), "nginx to answer")
    try:
        yield port, StatusPage(port)
    finally:
        process.terminate()
        process.wait(10)


class StatusPage:
    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port)
        self.asked = 0

    def requests(self) -> int:
        """How many requests the server took, its own page left out."""
        self.connection.request("GET", "/status")
        text = self.connection.getresponse().read().decode()
        self.asked += 1
        return int(text.splitlines()[2].split()[2]) - self.asked


@contextmanager
def slow_server() -> Iterator[int]:
    """A process that answers each request after 100 ms."""
    process = subprocess.Popen([sys.executable, "-c", SLOW], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)


def fill(spool: Path, dsn: str, n: int) -> None:
    from heka_raven.formats.envelope import encode_spool_envelope
    from heka_raven.spool.spool import Spool

    target = Spool(str(spool), max_count=10**6, max_bytes=10**9)
    payload = b'{"message":"x","extra":{"k":"' + b"v" * 1000 + b'"}}'
    for i in range(n):
        event_id = f"{i:032x}"
        target.ledger.add("captured")
        target.put(event_id, encode_spool_envelope(event_id, dsn, "event", payload))


def sender_rate(uwsgi: str, plugin: Path, tmp: Path, n: int, dsn: str) -> float:
    """Events a second that the sender takes out of a spool that holds n."""
    fill(tmp / "spool", dsn, n)
    with Server(uwsgi, plugin, tmp, "processes = 1", dsn=dsn) as server:
        server.wait_ready()
        # By the ledger: to list a directory of 20,000 files again and again would hold up who removes them.
        first, began = ledger(server.spool)["removed.count"], time.perf_counter()
        wait_for(lambda: ledger(server.spool)["removed.count"] == n, "the spool to empty", 300)
        rate = (n - first) / (time.perf_counter() - began)
    shutil.rmtree(tmp / "spool")
    return rate


@contextmanager
def original_server(uwsgi: str, plugin: Path, tmp: Path, dsn: str) -> Iterator[int]:
    """A uWSGI with the original plugin, which has none of our options; yields its port."""
    port = free_port()
    (tmp / "app.py").write_text(APP.replace("{root!r}", repr(str(ROOT))))
    ini = tmp / "original.ini"
    ini.write_text(
        f"[uwsgi]\nplugins-dir = {plugin.parent}\nplugin = sentry\nhttp-socket = 127.0.0.1:{port}\nmaster = true\n"
        f"wsgi-file = {tmp / 'app.py'}\nneed-app = true\n"
        + DIRECT.replace("sentry:", f"sentry:dsn={dsn},logger=uwsgi.sentry,culprit=bench")
    )
    with open(tmp / "original.log", "wb") as log:
        process = subprocess.Popen([uwsgi, "--ini", str(ini)], stdout=log, stderr=log)
    try:
        wait_for(lambda: answers(port), "the original's uWSGI to answer")
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def answers(port: int) -> bool:
    try:
        get(port, "/")
    except OSError:
        return False
    return True


def get(port: int, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    connection.getresponse().read()
    connection.close()


def original_rate(port: int, page: StatusPage) -> float:
    """Events a second of the original's alarm thread: as many alarms as its socket holds, until the server has them."""
    before, began = page.requests(), time.perf_counter()
    get(port, f"/alarms?{BURST}")
    while page.requests() - before < BURST:
        time.sleep(0.001)
    return BURST / (time.perf_counter() - began)


def rate(uwsgi: str, plugin: Path, original: Path | None, fresh: Fresh, part: int) -> None:
    with slow_server() as port:
        here = sender_rate(uwsgi, plugin, fresh("slow"), 2000 // part, f"http://k@127.0.0.1:{port}/1")
    say("sender: events a second, server takes 100 ms", f"{here:,.0f}", "10", ">= 100")
    tmp = fresh("fast")
    with nginx(tmp) as (port, page):
        dsn = f"http://public:secret@127.0.0.1:{port}/1"
        ours, theirs = [], []
        for _ in range(5):  # in turns: what else the machine does meets both
            ours.append(sender_rate(uwsgi, plugin, tmp, 20000 // part, dsn))
            if original is not None:
                with original_server(uwsgi, original, tmp, dsn) as original_port:
                    theirs += [original_rate(original_port, page) for _ in range(5)]
    here = statistics.median(ours)
    say(
        "sender: events a second, nginx on loopback",
        f"{here:,.0f}",
        f"{statistics.median(theirs):,.0f} (best {max(theirs):,.0f})" if theirs else "2,000",
        f">= 3 x original{f': x {here / statistics.median(theirs):.1f}' if theirs else ''}",
    )


class Fresh:
    """Directories of their own below one that goes away."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, name: str) -> Path:
        (self.root / name).mkdir()
        return self.root / name


ALARMS = (  # pace, server, what happens meanwhile, what the original lost
    ("", "slow", "", "4,721 lost"),
    ("", "down", "", "all lost"),
    ("1000", "slow", "", "1,683 of 2,000 lost"),
    ("1000", "down", "", "all lost"),
    ("1000", "down", "SIGHUP", "all lost"),
    ("1000", "down", "SIGKILL", "all lost"),
    ("", "down", "SIGKILL", "all lost"),
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("name", nargs="*", default=["route", "alarms", "rate", "memory"])
    arguments.add_argument("--quick", action="store_true", help="a tenth of the events")
    arguments.add_argument("--original", type=Path, help="a clone of uwsgi-sentry, to be measured beside")
    given = arguments.parse_args()
    part = 10 if given.quick else 1
    uwsgi = find_uwsgi()
    if uwsgi is None:
        raise SystemExit("bench/uwsgi_plugin.py: no uWSGI beside this Python; ./run demo installs one")
    with tempfile.TemporaryDirectory(prefix="hk-bench-") as directory:
        fresh = Fresh(Path(directory))
        fresh.root.chmod(0o755)  # root's nginx drops to nobody
        plugin = build_plugin(uwsgi, fresh("plugin"))
        original = build_plugin(uwsgi, fresh("original"), given.original.resolve()) if given.original else None
        if "route" in given.name:
            route(uwsgi, plugin, fresh("route"), 2000 // part)
        for number, (pace, state, disturb, theirs) in enumerate(ALARMS):
            if "alarms" in given.name:
                alarms(uwsgi, plugin, fresh(f"alarms{number}"), 5000 // part, pace, state, disturb, theirs)
        if "rate" in given.name:
            rate(uwsgi, plugin, original, fresh, part)
        if "memory" in given.name:
            memory(uwsgi, plugin, fresh("memory"), 50000 // part)


if __name__ == "__main__":
    main()
