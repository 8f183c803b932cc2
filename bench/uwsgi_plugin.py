"""What the uWSGI plugin costs and what it loses, beside the figures of uwsgi-sentry (2015, same kind of machine).

Run: .venv/bin/python bench/uwsgi_plugin.py [--quick]. Needs uWSGI beside the Python; nginx for the rate of the sender.
"""

from __future__ import annotations

import argparse
import http.client
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from uwsgi_support import Receiver, Server, build_plugin, find_uwsgi, free_port, ledger, wait_for

ROUTE = "route-if = equal:${REQUEST_METHOD};PUT sentry:message=PUT ${REQUEST_URI}"


def rss(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def fds(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def say(what: str, here: str, original: str, wanted: str) -> None:
    print(f"{what:<58} {here:>16}   original {original:<22} wanted {wanted}", flush=True)


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


def alarms(uwsgi: str, plugin: Path, tmp: Path, n: int, rate: str, status: int, original: str) -> None:
    receiver = Receiver()
    receiver.status = status
    lines = "processes = 1\nalarm = direct sentry:\nalarm-freq = 0"
    with Server(uwsgi, plugin, tmp, lines, dsn=receiver.dsn) as server:
        server.wait_ready()
        server.get(f"/alarms?{n},{rate}" if rate else f"/alarms?{n}")
        time.sleep(1)
        refused = server.text().count("uwsgi_alarm_trigger()/writev()")
        counts = ledger(server.spool)
        lost = counts["captured"] - counts["delivered"] - counts["spooled.count"] + counts["removed.count"]
        paced = f"{rate} a second" if rate else "burst"
        state = "server down" if status != 200 else "server up"
        what = f"alarms: {n} ({paced}, {state}): refused by uWSGI / lost"
        say(what, f"{refused} / {lost}", original, "lost 0; paced: refused 0")
        assert counts["captured"] + refused == n


def memory(uwsgi: str, plugin: Path, tmp: Path, n: int) -> None:
    receiver = Receiver()
    lines = "processes = 1\nalarm = direct sentry:\nalarm-freq = 0"
    with Server(uwsgi, plugin, tmp, lines, dsn=receiver.dsn) as server:
        server.wait_ready()

        def run(count: int) -> None:
            while count > 0:
                server.get("/alarms?1000,1500")
                count -= 1000
                receiver.requests.clear()
            wait_for(lambda: server.waiting() == 0, "delivery", 120)

        run(2000)
        pids = [server.process.pid, server.sender_pid()]
        before, open_before = [rss(p) for p in pids], [fds(p) for p in pids]
        run(n)
        grown = [(rss(p) - b) // 1024 for p, b in zip(pids, before, strict=True)]
        opened = [fds(p) - b for p, b in zip(pids, open_before, strict=True)]
    say(f"memory: growth over {n} events, master / sender", f"{grown[0]} / {grown[1]} KiB", "+206 MB", "< 1 MB each")
    say("open files: change, master / sender", f"{opened[0]} / {opened[1]}", "-", "constant")


@contextmanager
def nginx(tmp: Path) -> Iterator[int]:
    port = free_port()
    conf = tmp / "nginx.conf"
    conf.write_text(
        f"daemon off; pid {tmp}/nginx.pid; error_log {tmp}/nginx.err; events {{}}\n"
        f"http {{ access_log off; keepalive_requests 1000000; client_body_temp_path {tmp}/body;\n"
        f"proxy_temp_path {tmp}/p; fastcgi_temp_path {tmp}/f; uwsgi_temp_path {tmp}/u; scgi_temp_path {tmp}/s;\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{{}}'; }} }} }}\n"
    )
    process = subprocess.Popen(["nginx", "-c", str(conf), "-p", str(tmp)], stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def fill(spool: Path, dsn: str, n: int) -> None:
    from heka_raven.envelope import encode_spool_envelope
    from heka_raven.spool import Spool

    target = Spool(str(spool), max_count=10**6, max_bytes=10**9)
    payload = b'{"message":"x","extra":{"k":"' + b"v" * 1000 + b'"}}'
    for i in range(n):
        event_id = f"{i:032x}"
        target.ledger.add("captured")
        target.put(event_id, encode_spool_envelope(event_id, dsn, "event", payload))


def sender(uwsgi: str, plugin: Path, tmp: Path, n: int, dsn: str) -> float:
    fill(tmp / "spool", dsn, n)
    with Server(uwsgi, plugin, tmp, "processes = 1", dsn=dsn) as server:
        server.wait_ready()
        began_at, began = server.waiting(), time.perf_counter()
        wait_for(lambda: server.waiting() == 0, "the spool to empty", 300)
        return began_at / (time.perf_counter() - began)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="a tenth of the events")
    part = 10 if arguments.parse_args().quick else 1
    uwsgi = find_uwsgi()
    if uwsgi is None:
        raise SystemExit("bench/uwsgi_plugin.py: no uWSGI beside this Python; ./run demo installs one")
    with tempfile.TemporaryDirectory(prefix="hk-bench-") as directory:
        root = Path(directory)
        plugin = build_plugin(uwsgi, root / "plugin")

        def fresh(name: str) -> Path:
            (root / name).mkdir()
            return root / name

        route(uwsgi, plugin, fresh("route"), 2000 // part)
        alarms(uwsgi, plugin, fresh("burst"), 5000 // part, "", 503, "4,721 lost")
        alarms(uwsgi, plugin, fresh("paced"), 2000 // part, "1000", 503, "1,683 lost")
        slow = Receiver()
        slow.delay_s = 0.1
        rate = sender(uwsgi, plugin, fresh("slow"), 2000 // part, slow.dsn)
        say("sender: events a second, server takes 100 ms", f"{rate:,.0f}", "10", ">= 100")
        if shutil.which("nginx"):
            with nginx(fresh("nginx")) as port:
                rate = sender(uwsgi, plugin, fresh("fast"), 20000 // part, f"http://k@127.0.0.1:{port}/1")
            say("sender: events a second, nginx on loopback", f"{rate:,.0f}", "5,100 (250 alarms)", ">= 3 x original")
        memory(uwsgi, plugin, fresh("memory"), 50000 // part)


if __name__ == "__main__":
    main()
