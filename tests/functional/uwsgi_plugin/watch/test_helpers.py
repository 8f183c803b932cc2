"""The deaths of uWSGI's other processes: mules, spoolers, attached daemons; each one event that says which it was."""

import os
import signal

import pytest

from support.waiting import wait_for
from support.watch import APP, EVERY_UWSGI, functions, kinds, native

# What a mule and a spooler do is asked for by a file: the test says when.
DIES = """
import ctypes, os, time

here = os.getcwd()  # a spooler changes it

def crash():
    ctypes.string_at(0)

def die_as_told(name):
    name = os.path.join(here, name)
    while not os.access(name, os.F_OK):
        time.sleep(0.05)
    with open(name) as file:
        how = file.read().strip()
    os.unlink(name)
    if how == "segfault":
        crash()
    os._exit(int(how))
"""
SPOOLS = """
def spooler(arguments):
    die_as_told("spooler.die")
    return uwsgi.SPOOL_OK

uwsgi.spooler = spooler
answer_others = application

def application(env, start):
    if env["PATH_INFO"] == "/spool":
        uwsgi.spool({b"name": b"value"})
    return answer_others(env, start)
"""
ONE = "sentry-watch = true\nprocesses = 1\n"


def tell(server, name, how):
    (server.tmp_path / "new.die").write_text(how)
    os.rename(server.tmp_path / "new.die", server.tmp_path / name)


def figures(event):
    return event["contexts"]["uwsgi"]


@pytest.fixture
def mule(tmp_path):
    path = tmp_path / "jobs.py"
    path.write_text(f"{DIES}\ndie_as_told('mule.die')\n")
    return path


@pytest.mark.parametrize("uwsgi", EVERY_UWSGI)
def test_a_mule(serve, receiver, mule, uwsgi):
    """A crash has the mule, its script, the signal and the Python stack; os._exit its status; a SIGKILL its signal."""
    server = serve(f"{ONE}mule = {mule}\n", app=APP, uwsgi=uwsgi)
    tell(server, "mule.die", "segfault")
    wait_for(lambda: ["segfault"] == kinds(receiver), server.text)
    (event,) = receiver.events
    assert event["logentry"]["formatted"].startswith(f"uWSGI's mule 1 ({mule}) died of SIGSEGV")
    assert ("mule", int(signal.SIGSEGV)) == (event["tags"]["uwsgi.process"], figures(event)["signal"])
    assert "crash" in functions(event) and "libc.so.6" == native(event)[-1][1]
    tell(server, "mule.die", "7")
    wait_for(lambda: 2 == len(receiver.events), server.text)
    assert ("exit", 7) == (kinds(receiver)[1], figures(receiver.events[1])["exit_status"])
    assert "stacktrace" not in receiver.events[1]["exception"]["values"][0]


def test_a_mule_is_killed_and_a_reload_is_none(serve, receiver, mule):
    """Who sends SIGKILL to a mule is told as for a worker; a reload and a stop are no event."""
    server = serve(f"{ONE}mule = {mule}\n", app=APP)

    def spawned(who, times):
        wait_for(lambda: times == server.text().count(f"spawned uWSGI {who} 1 "), server.text)

    spawned("mule", 1)
    pid = int(server.text().split("spawned uWSGI mule 1 (pid: ")[1].split(")")[0])
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: ["killed"] == kinds(receiver), server.text)
    assert pid == figures(receiver.events[0])["pid"]
    spawned("mule", 2)
    os.kill(server.process.pid, signal.SIGHUP)
    spawned("worker", 2)
    spawned("mule", 3)
    server.stop()
    assert ["killed"] == kinds(receiver)


def test_a_spooler(serve, receiver, tmp_path):
    """A spooler that dies names its directory, and the task where it is the only one."""
    (tmp_path / "tasks").mkdir()
    server = serve(f"{ONE}spooler = {tmp_path}/tasks\n", app=APP + DIES + SPOOLS)
    assert "200" in str(server.get("/spool"))
    tell(server, "spooler.die", "segfault")
    wait_for(lambda: kinds(receiver)[:1] == ["segfault"], server.text)
    event = receiver.events[0]
    assert event["logentry"]["formatted"].startswith(f"uWSGI's spooler 1 ({tmp_path}/tasks), task uwsgi_spoolfile_")
    assert "spooler" == event["tags"]["uwsgi.process"] and "crash" in functions(event)
    assert "spoolfile" not in str(event["fingerprint"])


def test_a_daemon(serve, receiver):
    """A daemon's death has its command, without what is private in it."""
    server = serve(
        f"{ONE}attach-daemon = /bin/sleep 600 --password hunter2\nattach-daemon = exec /bin/sleep 601\n",
        app=APP,
    )
    wait_for(lambda: 1 <= len(receiver.events), server.text)  # sleep refuses the option
    assert "hunter2" not in str(receiver.events)
    event = receiver.events[0]
    said = event["logentry"]["formatted"]
    assert said.startswith("uWSGI's daemon 1 (/bin/sleep 600 --password [Filtered]) exited with status ")
    assert 1 == figures(event)["exit_status"]
