"""heka-raven run: real commands, how they end, and what is told of it."""

import os
import pty
import signal
import subprocess
import sys

import pytest

from support.delivery import run_command
from support.paths import ROOT
from support.sentry_server import Server
from support.spools import spooled
from support.waiting import wait_for

DSN = "http://key@127.0.0.1:9/1"
HEKA_RAVEN = [sys.executable, "-m", "heka_raven.cli.main"]
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("HEKA_RAVEN", "SENTRY"))},
    "HEKA_RAVEN_SENDER": "off",
}


def start(folder, *words, options=("--dsn", DSN), **more):
    """`heka-raven run` on a spool in *folder*."""
    line = [*HEKA_RAVEN, "run", "--spool", folder / "spool", *options, "--", *words]
    more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": ENVIRONMENT, **more}
    return subprocess.Popen(line, cwd=folder, **more)


def run(folder, *words, **more):
    process = start(folder, *words, **more)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def only(folder):
    [event] = spooled(folder / "spool")
    return event


def test_a_command_that_fails(tmp_path):
    """One event: name, words, status, run time and the last lines of standard error, all masked; output as without."""
    script = "echo out; for i in 1 2 3 4; do echo line $i >&2; done; echo 'password=hunter2' >&2; sleep 0.2; exit 3"
    ended = run(tmp_path, "sh", "-c", script, "x", "--token", "planted", options=("--dsn", DSN, "--lines", "3"))
    assert (3, "out\n", "line 1\nline 2\nline 3\nline 4\npassword=hunter2\n") == ended
    event = only(tmp_path)
    assert ("sh", "sh exited with status 3") == (event["transaction"], event["logentry"]["formatted"])
    assert ["line 3", "line 4", "password=[Filtered]"] == event["extra"]["stderr"]
    job = event["extra"]["job"]
    assert ["--token", "[Filtered]"] == job["arguments"][-2:]
    assert ("sh", 3) == (job["name"], job["status"])
    assert 0.2 <= job["seconds"] < 20
    assert "hunter2" not in str(event)
    assert "planted" not in str(event)
    assert {"job": "run"} == event["tags"]


def test_a_command_that_works(tmp_path):
    """No event, standard input and output are the command's own."""
    (tmp_path / "input").write_text("in")
    with (tmp_path / "input").open() as given:
        assert (0, "in", "err\n") == run(tmp_path, "sh", "-c", "cat; echo err >&2", stdin=given)
    assert [] == spooled(tmp_path / "spool")


def test_a_command_ended_by_a_signal(tmp_path):
    """We end by the same signal, so that who called us sees what it would have seen."""
    assert -signal.SIGKILL == run(tmp_path, "sh", "-c", "kill -9 $$")[0]
    assert "sh was ended by SIGKILL" == only(tmp_path)["logentry"]["formatted"]


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["no-such-program", "x"], 127, "no-such-program could not be started: No such file or directory"),
        (["/etc/passwd"], 126, "passwd could not be started: Permission denied"),
    ],
)
def test_a_command_that_cannot_be_started(tmp_path, words, status, text):
    """The status of a shell, one line, one event."""
    code, _, err = run(tmp_path, *words)
    assert (status, 1) == (code, len(err.splitlines()))
    assert text == only(tmp_path)["logentry"]["formatted"]


TRAP = "trap 'echo got {0}; exit {1}' {0}; echo ready; while :; do sleep 0.05; done"


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "USR1", "QUIT"])
def test_signals_are_passed_on(tmp_path, name):
    """The command gets what we get, and ends as it likes."""
    process = start(tmp_path, "sh", "-c", TRAP.format(name, 5))
    assert "ready\n" == process.stdout.readline()
    process.send_signal(getattr(signal, f"SIG{name}"))
    assert f"got {name}\n" == process.communicate(timeout=60)[0]
    assert 5 == process.returncode
    assert "sh exited with status 5" == only(tmp_path)["logentry"]["formatted"]


def test_a_command_that_was_told_to_end(tmp_path):
    """Ended by the signal that somebody sent to us: no event."""
    process = start(tmp_path, "sh", "-c", "echo ready; exec sleep 60")
    process.stdout.readline()
    process.terminate()
    process.communicate(timeout=60)
    assert -signal.SIGTERM == process.returncode
    assert [] == spooled(tmp_path / "spool")


def test_ctrl_c_in_a_terminal(tmp_path):
    """The terminal sends SIGINT to the command as well: it gets one, not two, and that is no event."""
    script = (
        "n=0; trap 'n=$((n+1))' INT; echo ready; i=0; while [ $i -lt 20 ]; do sleep 0.05; i=$((i+1)); done; echo got $n"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        line = [*HEKA_RAVEN, "run", "--spool", "spool", "--dsn", DSN, "--", "sh", "-c", script]
        os.execvpe(line[0], line, {**ENVIRONMENT, "PYTHONPATH": str(ROOT)})
    seen = b""
    while b"ready" not in seen:
        seen += os.read(terminal, 1000)
    os.write(terminal, b"\x03")
    while b"got" not in seen:
        seen += os.read(terminal, 1000)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert b"got 1" in seen
    assert 0 == os.waitstatus_to_exitcode(status)


def test_what_it_leaves_in_the_background(tmp_path):
    """What the command started goes on, and its standard error still comes; we end with the command."""
    waits = "while [ ! -e go ]; do sleep 0.05; done"
    process = start(tmp_path, "sh", "-c", f"({waits}; echo late >&2; echo done > mark) & exit 4")
    assert 4 == process.wait(timeout=60)
    assert not (tmp_path / "mark").exists()
    (tmp_path / "go").touch()
    assert "late\n" == process.communicate(timeout=60)[1]
    wait_for((tmp_path / "mark").exists)


def test_much_output(tmp_path):
    """Megabytes on standard error, in one line or many, come whole and are not kept."""
    code = "import sys\nsys.stderr.write('x' * 5_000_000 + '\\n' + 'y\\n' * 500_000)\nsys.exit(1)"
    status, _, err = run(tmp_path, sys.executable, "-c", code)
    assert (1, 6_000_001) == (status, len(err))
    assert ["y"] * 20 == only(tmp_path)["extra"]["stderr"]


INIT = f"import heka_raven\nheka_raven.init({DSN!r}, stream_path='spool')\n"


@pytest.mark.parametrize("through", [[], ["sh", "-ec"]])
def test_a_python_program_that_reports_itself(tmp_path, through):
    """Where the program reported the error that ends it, nothing is told twice, also through a shell."""
    (tmp_path / "job.py").write_text(INIT + "1 / 0\n")
    words = [sys.executable, "job.py"]
    ended = run(tmp_path, *([*through, f"{' '.join(words)}; echo never"] if through else words))
    assert (1, "") == ended[:2]
    assert "ZeroDivisionError" == only(tmp_path)["exception"]["values"][0]["type"]


def test_a_python_program_that_ends_otherwise(tmp_path):
    """What init() does not see is told here: an exit with a status, a crash, an error before init()."""
    for code in ("import sys; sys.exit(2)", "import os; os.kill(os.getpid(), 11)", ""):
        (tmp_path / "job.py").write_text(INIT + code if code else "1 / 0\n" + INIT)
        run(tmp_path, sys.executable, "job.py")
    told = [event["logentry"]["formatted"] for event in spooled(tmp_path / "spool")]
    assert ["exited with status 2", "was ended by SIGSEGV", "exited with status 1"] == [
        text.removeprefix("job.py ") for text in told
    ]


def test_one_in_another(tmp_path):
    """A run inside a run that ends by the same failure is one event."""
    inner = [*map(str, HEKA_RAVEN), "run", "--spool", str(tmp_path / "spool"), "--dsn", DSN, "--", "sh", "-c", "exit 7"]
    assert 7 == run(tmp_path, *inner)[0]
    assert 1 == len(spooled(tmp_path / "spool"))


def test_nothing_is_left(tmp_path):
    """No file stays behind."""
    (tmp_path / "t").mkdir()
    run(tmp_path, "false", env={**ENVIRONMENT, "TMPDIR": str(tmp_path / "t")})
    assert [] == list((tmp_path / "t").iterdir())


def test_it_is_delivered(tmp_path):
    """The event has arrived when we end, whether or not another process sends."""
    with Server() as server:
        environment = {**ENVIRONMENT, "SENTRY_DSN": server.dsn}
        del environment["HEKA_RAVEN_SENDER"]
        run(tmp_path, "sh", "-c", "exit 1", options=("--name", "nightly", "--release", "r1"), env=environment)
        [request] = server.events
        assert b'"transaction":"nightly"' in request.plain
        assert b'"release":"r1"' in request.plain


@pytest.mark.parametrize(
    ("options", "words", "message"),
    [
        ((), [], "heka-raven run: no command; write: heka-raven run -- COMMAND"),
        (("--lines", "99"), ["true"], "argument --lines: '99' is not a number from 0 to 50"),
        (("--linse", "9"), ["true"], "unrecognized arguments: --linse"),
    ],
)
def test_a_wrong_call(tmp_path, options, words, message):
    """A wrong option ends it before the command runs, with one line."""
    code, _, err = run(tmp_path, *words, options=options)
    assert 2 == code
    assert message in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "heka-raven run: nothing will be reported: no DSN; give --dsn, or set $SENTRY_DSN"),
        (("--dsn", "nonsense"), "heka-raven run: nothing will be reported: dsn"),
        (("--dsn", DSN, "--spool", "/proc/1/x"), "an event could not be written and is lost: spool /proc/1/x"),
        (("--dsn", DSN, "--release", "a b"), "heka-raven run: nothing will be reported: release"),
    ],
)
def test_the_command_runs_in_any_case(tmp_path, options, message):
    """Where nothing can be reported, one line says so, and the command runs and ends as it does."""
    code, out, err = run(tmp_path, "sh", "-c", "echo runs; exit 3", options=options)
    assert (3, "runs\n") == (code, out)
    assert 1 == len(err.splitlines())
    assert message in err


def test_help():
    """The usage says where the command begins."""
    assert "heka-raven run [OPTION ...] -- COMMAND" in run_command("run", "--help")[1]
