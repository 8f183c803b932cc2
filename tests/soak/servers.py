"""The processes of a soak: the servers under test, and the one that events go to."""

import contextlib
import http.client
import mmap
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

from support.paths import EXAMPLES, ROOT, TESTS
from support.ports import free_port
from support.waiting import wait_for

REQUEST_S = 20


class Served:
    """One server, started from the command line in a session of its own, with everything that it starts."""

    def __init__(self, name, command, directory, environment, clock):
        self.name = name
        self.port = free_port()
        self.spool = os.path.join(directory, "disk", name)
        self._command = [part.format(port=self.port) for part in command]
        self._log = open(os.path.join(directory, f"{name}.log"), "ab")
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("HEKA_RAVEN")},
            **environment,
            "DEMO_LISTEN": f"127.0.0.1:{self.port}",
            "HEKA_RAVEN_SPOOL": self.spool,
            **clock,
        }
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=TESTS / "soak",
            start_new_session=True,
        )
        wait_for(lambda: self.get("/")[0] == 200, f"{self.name} to answer", 120, self.process)
        return self

    def get(self, path, method="GET", timeout=REQUEST_S):
        """(status, text); (0, why) where no answer came."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path)
            reply = connection.getresponse()
            status = reply.status
            return status, reply.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error)
        finally:
            connection.close()

    def pids(self):
        """All its processes, the first one first; they share its session."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError, IndexError):
                    fields = Path(f"/proc/{entry}/stat").read_text().rpartition(") ")[2].split()
                    if int(fields[3]) == self.process.pid and fields[0] != "Z":
                        found.append(int(entry))
        return sorted(found, key=lambda pid: (pid != self.process.pid, pid))

    def sender_pid(self):
        with contextlib.suppress(OSError, ValueError):
            pid = int(Path(self.spool, "state", "sender.lock").read_text())
            return pid if pid in self.pids() else None
        return None

    def levels(self):
        """(processes, descriptors, bytes of memory), of all its processes together."""
        pids, files, size = self.pids(), 0, 0
        for pid in pids:
            with contextlib.suppress(OSError):
                files += len(os.listdir(f"/proc/{pid}/fd"))
                size += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return len(pids), files, size

    def stop(self):
        """As an operator does; then what is left."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
        left = self.pids()
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(30)
        self._log.close()
        return left


def uwsgi(directory, dsn, clock):
    command = [str(Path(sys.executable).parent / "uwsgi"), "--ini", str(EXAMPLES / "demo" / "uwsgi.ini")]
    command += ["--home", sys.prefix, "--reload-mercy", "5", "--worker-reload-mercy", "5"]
    return Served("uwsgi", command, directory, {"SENTRY_DSN": dsn}, clock)


def gunicorn(directory, dsn, clock):
    command = [sys.executable, "-m", "gunicorn", "--workers", "2", "--bind", "127.0.0.1:{port}", "app:application"]
    environment = {"SENTRY_DSN": dsn, "PYTHONPATH": str(ROOT)}
    return Served("gunicorn", command, directory, environment, clock)


class Receiver:
    """The server that events go to: killed, begun again, told how to answer."""

    def __init__(self, directory):
        self.port = free_port()
        self.log = os.path.join(directory, "received")
        self._mode = os.path.join(directory, "mode")
        self.answer("ok")
        Path(self.log).touch()
        self.process = None
        self.start()

    @property
    def dsn(self):
        return f"http://public:secret@127.0.0.1:{self.port}/1"

    def start(self):
        if self.process is None:
            program = str(Path(__file__).with_name("receiver.py"))
            command = [sys.executable, "-S", program, str(self.port), self.log, self._mode]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
            assert self.process.stdout.readline() == b"ready\n"

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def answer(self, mode):
        temporary = f"{self._mode}.new"
        Path(temporary).write_text(mode)
        os.replace(temporary, self._mode)

    def lines(self):
        """(event id, query) of all that it took; the last line may be half, where it was killed."""
        text = Path(self.log).read_text(encoding="utf-8", errors="replace")
        return [tuple(line.split(" ", 1)) for line in text.split("\n")[:-1] if " " in line]


class Clock:
    """The clock of the servers under test (clock.c)."""

    def __init__(self, directory):
        path, library = os.path.join(directory, "clock"), os.path.join(directory, "clock.so")
        source = str(Path(__file__).with_name("clock.c"))
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-o", library, source], check=True)
        Path(path).write_bytes(bytes(8))
        with open(path, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 8)
        self.environment = {"LD_PRELOAD": library, "SOAK_CLOCK": path}

    def set(self, seconds):
        """How far it is from the real time."""
        struct.pack_into("<q", self._memory, 0, seconds)
