"""How fast the Python sender delivers: `./run bench sender`, or `python bench/sender.py`.

`heka-raven send --once` as a process of its own, over 5 KB events: against a server that takes 100 ms for each, against
nginx on loopback, and 100,000 waiting events. Rates are of the sending itself: the start of Python and its imports are
measured alone and taken off.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from heka_raven.streams import SpoolStream

SIZE = 5_000  # bytes
LIMIT_SLOW = 100.0  # events/s
LIMIT_NGINX = 1500.0  # events/s
LIMIT_RSS_MB = 80.0
LINEAR = 1.35  # 100,000 events may take so much longer, per event, than 20,000

NGINX = """
daemon off; pid {folder}/pid; error_log stderr crit; worker_processes 1;
events {{ worker_connections 256; }}
http {{
    access_log off; keepalive_requests 10000000; client_max_body_size 10m; client_body_buffer_size 64k;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{{}}'; }} }}
}}
"""

SLOW = """
import asyncio, sys
class Slow(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.data = transport, bytearray()
    def data_received(self, data):
        self.data += data
        while (end := self.data.find(b"\\r\\n\\r\\n")) >= 0:
            head = bytes(self.data[:end]).lower()
            length = int(head.split(b"content-length:")[1].split(b"\\r\\n")[0])
            if len(self.data) < end + 4 + length:
                return
            del self.data[:end + 4 + length]
            asyncio.get_running_loop().call_later(0.1, self.answer)
    def answer(self):
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{}")
async def main():
    server = await asyncio.get_running_loop().create_server(Slow, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(86400)
asyncio.run(main())
"""


def send(folder, port, count):
    """(seconds, MB, seconds of processor time) for *count* events."""
    path = f"{folder}/spool-{count}"
    stream = SpoolStream(path=path, sender="off", max_count=10_000_000, max_bytes=1 << 40)
    payload = b'{"x":"' + b"y" * (SIZE - 8) + b'"}'
    for i in range(count):
        stream.ledger.add("captured")
        stream.write_event(f"{i:032x}", f"http://public@127.0.0.1:{port}/1", payload)
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "heka_raven.cli.main", "send", "--once", "--spool", path], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"bench/sender.py: send --once ended with {process.returncode}")
    shutil.rmtree(path)
    return seconds, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def start_nginx(folder):
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        return None, 0
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    # Root's nginx drops to nobody, who must pass through to its folders.
    os.chmod(folder, 0o755)
    Path(folder, "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    process = subprocess.Popen([nginx, "-c", f"{folder}/nginx.conf"])
    time.sleep(0.5)
    return process, port


def verdict(met):
    return "met" if met else "MISSED"


def main():
    missed = 0
    folder = tempfile.mkdtemp(prefix="heka-raven-bench-")
    processes = []
    try:
        slow = subprocess.Popen([sys.executable, "-c", SLOW], stdout=subprocess.PIPE, text=True)
        processes.append(slow)
        port = int(slow.stdout.readline())
        starts = [send(folder, port, 1) for _ in range(3)]
        start_s = min(seconds for seconds, _, _ in starts) - 0.1
        start_cpu_s = min(cpu_s for _, _, cpu_s in starts)
        print(f"start of the process and its first request: {start_s:.2f} s, taken off below")
        seconds, _, _ = send(folder, port, 600)
        rate = 600 / (seconds - start_s)
        missed += rate < LIMIT_SLOW
        print(f"server that takes 100 ms: {rate:8.0f} events/s   limit {LIMIT_SLOW:g}: {verdict(rate >= LIMIT_SLOW)}")
        nginx, port = start_nginx(folder)
        if nginx is None:
            print("nginx is not installed (apt-get install nginx-light): its figures are left out")
            return 1
        processes.append(nginx)
        rates = {}
        for count in (20_000, 100_000):
            seconds, rss, cpu_s = send(folder, port, count)
            rates[count] = rate = count / (seconds - start_s)
            missed += rss > LIMIT_RSS_MB
            print(
                f"nginx, {count:>7,} waiting:  {rate:8.0f} events/s   limit {LIMIT_NGINX:g}: "
                f"{verdict(rate >= LIMIT_NGINX)}"
                f"   RSS {rss:.0f} MB   limit {LIMIT_RSS_MB:g}: {verdict(rss <= LIMIT_RSS_MB)}"
                f"   processor {(cpu_s - start_cpu_s) / count * 1e6:.0f} µs an event"
            )
        missed += max(rates.values()) < LIMIT_NGINX
        linear = rates[20_000] / rates[100_000]
        missed += linear > LINEAR
        print(f"time per event, 100,000 against 20,000: x {linear:.2f}   linear: {verdict(linear <= LINEAR)}")
        return 1 if missed else 0
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
            process.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
