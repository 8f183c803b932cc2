"""Real programs that end badly, with heka_raven.init() in front."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from support.sentry_server import Reply, Server
from support.spools import spooled

DSN = "http://key@127.0.0.1:9/1"


def run(folder, code, *words, init="", dsn=DSN, sender="off", name="job.py", **more):
    """A program that begins with init(); how it ended."""
    first = f'import heka_raven; heka_raven.init("{dsn}", stream_path="spool", stream_sender="{sender}", {init})\n'
    (folder / name).write_text(first + textwrap.dedent(code))
    return execute(folder, name, *words, **more)


def execute(folder, *words, **more):
    return subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=60, **{"check": False, **more}
    )


def only(folder):
    [event] = spooled(folder / "spool")
    return event


def kind_of(event):
    value = event["exception"]["values"][-1]
    return value["type"], value["mechanism"]["type"], value["mechanism"]["handled"]


ENDINGS = {
    "an exception": "def f(x):\n    return 1 / x\nf(0)\n",
    "a chain": "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise KeyError('x') from error\n",
    "exit": "import sys\nsys.exit(3)\n",
    "a text": "raise SystemExit('told')\n",
    "a thread": "import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start()\nt.join()\n",
    "asyncio": (
        "import asyncio\nasync def bad():\n    raise KeyError('x')\nasync def main():\n"
        "    task = asyncio.ensure_future(bad())\n    await asyncio.sleep(0.01)\n    del task\nasyncio.run(main())\n"
    ),
    "a finalizer": "class D:\n    def __del__(self):\n        raise ValueError('x')\nD()\n",
    "interrupted": "raise KeyboardInterrupt\n",
}


@pytest.mark.parametrize("code", ENDINGS.values(), ids=ENDINGS)
def test_the_program_ends_as_without(tmp_path, code):
    """Exit status, output and standard error are those of the same program without us."""
    done = run(tmp_path, code, init="unraisable=True, logging=True")
    (tmp_path / "job.py").write_text("pass\n" + code)
    plain = execute(tmp_path, "job.py")
    without_addresses = [re.sub(r"0x[0-9a-f]+|Thread-\d+", "", each.stderr) for each in (plain, done)]
    assert without_addresses[0] == without_addresses[1]
    assert (plain.returncode, plain.stdout) == (done.returncode, done.stdout)


@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        ("an exception", ("ZeroDivisionError", "excepthook", False)),
        ("a chain", ("KeyError", "excepthook", False)),
        ("a thread", ("ZeroDivisionError", "threading", False)),
        ("asyncio", ("KeyError", "asyncio", False)),
        ("a finalizer", ("ValueError", "unraisable", False)),
        ("exit", None),
        ("a text", None),
        ("interrupted", None),
    ],
)
def test_what_is_an_event(tmp_path, ending, kind):
    """What nobody caught is one event; an exit with a status and Ctrl-C are none."""
    run(tmp_path, ENDINGS[ending], init="unraisable=True, logging=True")
    assert [kind] if kind else [] == [kind_of(event) for event in spooled(tmp_path / "spool")]


def test_what_is_off_by_default_or_by_option(tmp_path):
    """Finalizers and log records are asked for; the rest can be switched off."""
    run(tmp_path, ENDINGS["a finalizer"] + "import logging\nlogging.error('x')\n")
    assert [] == spooled(tmp_path / "spool")
    for ending in ("an exception", "a thread", "asyncio"):
        run(tmp_path, ENDINGS[ending], init="excepthook=False, threads=False, asyncio=False")
    assert [] == spooled(tmp_path / "spool")


def test_the_program_and_its_words(tmp_path):
    """The event says which program it was and with which words it was called, private ones masked."""
    run(tmp_path, ENDINGS["an exception"], "--all", "--password", "hunter2", "--token=planted", "mysql://u:pw1@h/d")
    event = only(tmp_path)
    assert ("job.py", "job.py", "fatal") == (event["transaction"], event["culprit"], event["level"])
    words = ["--all", "--password", "[Filtered]", "--token=[Filtered]", "mysql://[Filtered]@h/d"]
    assert {"name": "job.py", "arguments": words} == event["extra"]["job"]
    assert "hunter2" not in str(event)


def test_a_program_by_its_module(tmp_path):
    """python -m is known by the module, and what it lies in is the application."""
    (tmp_path / "shop").mkdir()
    run(tmp_path, ENDINGS["an exception"], name="shop/__main__.py")
    for path in (tmp_path / "spool" / "new").glob("*.env"):
        path.unlink()
    execute(tmp_path, "-m", "shop")
    event = only(tmp_path)
    assert "shop" == event["transaction"]
    assert all(frame["in_app"] for frame in event["exception"]["values"][0]["stacktrace"]["frames"][-2:])


def test_a_management_command(tmp_path):
    """A command of Django that fails is known by its name; what it says itself (CommandError) is no event."""
    pytest.importorskip("django")
    commands = tmp_path / "shop" / "management" / "commands"
    commands.mkdir(parents=True)
    for folder in (tmp_path / "shop", commands.parent, commands):
        (folder / "__init__.py").write_text("")
    (tmp_path / "settings.py").write_text("INSTALLED_APPS = ['shop']\nSECRET_KEY = 'x'\nDATABASES = {}\n")
    (commands / "orders.py").write_text(
        "from django.core.management.base import BaseCommand, CommandError\n"
        "class Command(BaseCommand):\n"
        "    def add_arguments(self, parser):\n"
        "        parser.add_argument('--password')\n"
        "        parser.add_argument('--say', action='store_true')\n"
        "    def handle(self, *args, password=None, say=False, **options):\n"
        "        if say:\n"
        "            raise CommandError('no such shop')\n"
        "        raise KeyError('orders')\n"
    )
    manage = (
        "import os\nos.environ['DJANGO_SETTINGS_MODULE'] = 'settings'\n"
        "from django.core.management import execute_from_command_line\n"
        "import sys\nexecute_from_command_line(sys.argv)\n"
    )
    run(tmp_path, manage, "orders", "--say", name="manage.py")
    assert [] == spooled(tmp_path / "spool")
    run(tmp_path, manage, "orders", "--password", "hunter2", name="manage.py")
    event = only(tmp_path)
    assert "manage.py orders" == event["transaction"]
    assert ["orders", "--password", "[Filtered]"] == event["extra"]["job"]["arguments"]
    assert "hunter2" not in str(event)


def test_earlier_hooks_are_called(tmp_path):
    """What stood in the place of the hooks is called as before, also if the report fails."""
    code = """
        import sys, threading
        import heka_raven.jobs.interpreter as ours
        def broken(*args, **more):
            raise OSError("broken")
        ours.report_job = broken
        t = threading.Thread(target=lambda: 1 / 0)
        t.start()
        t.join()
        class D:
            def __del__(self):
                raise ValueError
        D()
        1 / 0
        """
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, threading\n"
        "sys.excepthook = lambda *a: print('program', a[0].__name__)\n"
        "threading.excepthook = lambda a: print('thread', a.exc_type.__name__)\n"
        "sys.unraisablehook = lambda a: print('finalizer', a.exc_type.__name__)\n"
    )
    done = run(tmp_path, code, init="unraisable=True", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    lines = [line for line in done.stdout.splitlines() if "OSError" not in line]
    assert ["thread ZeroDivisionError", "finalizer ValueError", "program ZeroDivisionError"] == lines


def test_init_twice(tmp_path):
    """A second init() puts another client in place of the first; nothing is reported twice."""
    code = """
        import logging
        heka_raven.init("http://other@127.0.0.1:9/2", stream_path="other", stream_sender="off", logging=True)
        logging.error("once")
        1 / 0
        """
    run(tmp_path, code, init="logging=True")
    assert 2 == len(spooled(tmp_path / "other"))
    assert [] == spooled(tmp_path / "spool")


def test_logging_goes_on_as_without(tmp_path):
    """basicConfig() works after init(), and records go where they went; loggers that do not propagate are seen too."""
    code = """
        import logging
        log = logging.getLogger("shop")
        log.error("first")
        logging.basicConfig(format="SEEN %(message)s")
        log.error("second")
        own = logging.getLogger("own")
        own.propagate = False
        own.addHandler(logging.StreamHandler())
        own.error("third")
        own.disabled = True
        own.error("fourth")
        """
    done = run(tmp_path, code, init="logging=True")
    assert ["first", "SEEN second", "third"] == done.stderr.splitlines()
    seen = [event["logentry"]["formatted"] for event in spooled(tmp_path / "spool")]
    assert ["first", "second", "third"] == seen


def test_what_was_reported_is_not_reported_again(tmp_path):
    """An error that the program reported or logged on its way out is one event."""
    code = """
        import logging
        def f():
            try:
                1 / 0
            except ZeroDivisionError:
                logging.exception("oh")
                raise
        f()
        """
    run(tmp_path, code, init="logging=True")
    assert "oh" == only(tmp_path)["logentry"]["formatted"]


def test_loops_with_a_handler_of_their_own(tmp_path):
    """What an application's own handler of a loop takes is its business."""
    code = ENDINGS["asyncio"].replace(
        "    task =",
        "    asyncio.get_running_loop().set_exception_handler(lambda loop, context: print('own'))\n    task =",
    )
    done = run(tmp_path, code)
    assert "own\n" == done.stdout
    assert [] == spooled(tmp_path / "spool")


def test_it_is_delivered_before_the_end(tmp_path):
    """The program ends when its event has arrived."""
    with Server() as server:
        wait = "stream_exit_wait_s=40"
        done = run(tmp_path, ENDINGS["an exception"], init=wait, dsn=server.dsn, sender="thread")
        assert 1 == len(server.events)
    assert 1 == done.returncode
    assert [] == spooled(tmp_path / "spool")


def test_a_server_that_does_not_answer(tmp_path):
    """The end waits for stream_exit_wait_s, no longer; the event stays in the spool."""
    with Server(lambda request: Reply(hang=True)) as server:
        began = time.monotonic()
        run(tmp_path, ENDINGS["an exception"], init="stream_exit_wait_s=0.2", dsn=server.dsn, sender="thread")
        assert time.monotonic() - began < 20
    assert 1 == len(spooled(tmp_path / "spool"))


def test_no_spool(tmp_path):
    """Where the spool cannot be used the program runs; one warning says what is wrong with it."""
    (tmp_path / "spool").write_text("a file")
    done = run(tmp_path, "print('runs')\n1 / 0\n")
    assert "runs\n" == done.stdout
    assert "an event could not be written and is lost: spool" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_dsn_from_the_environment(tmp_path):
    """Without a dsn, $SENTRY_DSN and $HEKA_RAVEN_DSN say where to; without any, one warning."""
    code = "import heka_raven\nheka_raven.init(stream_path='spool', stream_sender='off')\n1 / 0\n"
    plain = {name: value for name, value in os.environ.items() if not name.endswith("_DSN")}
    done = execute(tmp_path, "-c", code, env=plain)
    assert 1 == done.stderr.count("the raven plugin has no dsn: nothing is reported")
    execute(tmp_path, "-c", code, env={**plain, "HEKA_RAVEN_DSN": DSN})
    assert "python -c" == only(tmp_path)["transaction"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("dsn='nonsense'", "dsn"),
        ("locale='off'", "init: unknown option locale"),
        ("client='http://k@h/1'", "init: a text is no client"),
        ("client=heka.client.HekaClient(None, 'x')", "init: the client has no raven plugin"),
    ],
)
def test_bad_input(tmp_path, arguments, message):
    """A wrong call fails where it stands, in one line that says what is wrong."""
    done = execute(tmp_path, "-c", f"import heka.client, heka_raven\nheka_raven.init({arguments})")
    last = done.stderr.splitlines()[-1]
    assert 1 == done.returncode
    assert message in last


def test_somebody_at_the_prompt(tmp_path):
    """What somebody types wrong into an interpreter is no event."""
    (tmp_path / "start.py").write_text(
        f'import heka_raven; heka_raven.init("{DSN}", stream_path="spool", stream_sender="off")\n'
    )
    done = execute(tmp_path, "-i", "start.py", input="1 / 0\n")
    assert "ZeroDivisionError" in done.stderr
    assert [] == spooled(tmp_path / "spool")


def test_a_signal_ends_it_as_ever(tmp_path):
    """No signal is handled by us."""
    done = run(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n")
    assert -signal.SIGTERM == done.returncode
