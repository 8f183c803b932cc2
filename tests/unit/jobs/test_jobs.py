"""What is known of a job and of a program, the options of init(), and the hook of imports."""

import subprocess
import sys
import textwrap

import pytest

from heka.exceptions import ConfigError
from heka_raven.jobs.command import Ending, LastLines
from heka_raven.jobs.job import begin_job, end_job, in_job, named_arguments
from heka_raven.jobs.options import LIBRARIES, parse_options
from heka_raven.jobs.program import name_of
from heka_raven.scope import current_environ, describe_current


def pay(user, password, *more, token=None, **rest):
    pass


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "expected"),
    [
        (pay, ["bob", "x"], {}, {"user": "bob", "password": "x"}),
        (pay, ["bob"], {"token": 1, "b": 2}, {"user": "bob", "token": 1, "rest": {"b": 2}}),
        (pay, ["bob", "x", 3], {}, {"user": "bob", "password": "x", "more": (3,)}),
        (None, ["bob", "x"], {"token": 1}, {"<2 by position>": None, "token": 1}),
        (lambda: 0, ["bob"], {}, {"<1 by position>": None}),
    ],
)
def test_arguments_have_the_names_of_parameters(function, args, kwargs, expected):
    """By its parameter's name an argument is masked; where there is none, a value by position is not shown."""
    assert expected == named_arguments(function, args, kwargs)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["/srv/bin/backup.sh", "--all"], "backup.sh"),
        (["/srv/app/manage.py", "import_orders", "--all"], "manage.py import_orders"),
        (["manage.py", "--help"], "manage.py"),
        (["python3.11", "-u", "/srv/jobs/nightly.py", "x"], "nightly.py"),
        (["/usr/bin/python3", "manage.py", "import_orders"], "manage.py import_orders"),
        (["python", "-m", "shop.nightly", "x"], "shop.nightly"),
        (["python", "-m", "django", "import_orders"], "django import_orders"),
        (["python", "-m"], "python"),
        (["sh", "-c", "rm x"], "sh"),
        (["bash", "/srv/backup.sh"], "backup.sh"),
        (["sh"], "sh"),
        ([], "python"),
    ],
)
def test_the_name_of_a_call(words, expected):
    """The program, or what an interpreter was to run, and the command of Django's programs."""
    assert expected == name_of(words)


def test_jobs_in_jobs():
    """While a job runs, the context is its own; a job inside it has its own, and what was before comes back."""
    from heka_raven.jobs.job import Job

    assert not in_job()
    begin_job(lambda: Job("celery", "outer"))
    outer = current_environ()
    begin_job(lambda: Job("celery", "inner", queue="q"))
    facts = describe_current()
    assert ("inner", {"job": "celery", "queue": "q"}) == (facts.transaction, facts.tags)
    end_job()
    assert outer is current_environ()
    assert "outer" == describe_current().transaction
    end_job()
    end_job()
    assert not in_job()
    assert None is current_environ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"excepthok": 1},
            "init: unknown option excepthok; known are excepthook, threads, asyncio, unraisable, logging",
        ),
        ({"threads": "maybe"}, "threads: 'maybe' is not allowed: true or false"),
        ({"logging": "loud"}, "logging: 'loud' is not allowed: true, false, or a level of the logging module"),
        ({"libraries": "cellery"}, "libraries: 'cellery' is not allowed: auto, off, or names of celery, rq, dramatiq"),
    ],
)
def test_wrong_options(given, message):
    """One line that says the option, the value and what is allowed."""
    with pytest.raises(ConfigError) as caught:
        parse_options(given)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, 40), ("on", 40), (False, None), ("warning", 30), (30, 30), ("ERROR", 40), (None, None), ("0", None)],
)
def test_the_level_of_logging(value, expected):
    """true means from error on; a level may be a name or a number."""
    assert expected == parse_options({"logging": value})[0].logging


@pytest.mark.parametrize(
    ("value", "expected"),
    [("auto", LIBRARIES), ("off", ()), ("rq", ("rq",)), (["rq", "celery"], ("rq", "celery")), (False, ())],
)
def test_which_libraries(value, expected):
    """auto, off, or names."""
    assert expected == parse_options({"libraries": value})[0].libraries


def test_last_lines():
    """The last lines, whole or not, however they come; a progress bar as it was last seen; nothing grows."""
    tail = LastLines(3)
    for data in (b"a\nb", b"b\nc\r\n", b"10%\r20%\r30%\n", b"x" * 5000, b"y"):
        tail.add(data)
    assert ["c", "30%", "x" * 2048] == tail.lines()
    assert [] == LastLines(3).lines()
    assert ["�"] == (one := LastLines(1), one.add(b"\xff"), one.lines())[2]


@pytest.mark.parametrize(
    ("status", "signals", "expected"),
    [
        (-15, {15}, True),
        (143, {15}, True),
        (1, {15}, False),
        (-9, {15}, False),
        (None, {15}, False),
        (-15, set(), False),
    ],
)
def test_told_to_end(status, signals, expected):
    """A command that ends by the signal which somebody sent did not fail."""
    assert expected == Ending(status=status, signals=signals).told_to_end


def python(folder, code):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout.split("\n")[:-1]


def test_when_imported(tmp_path):
    """The action has the module as soon as it is imported, which is as it were without; an import that fails fails."""
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "__init__.py").write_text("from late import part\nDONE = True\n")
    (tmp_path / "late" / "part.py").write_text("")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    lines = python(
        tmp_path,
        """
        import json, sys
        from heka_raven.jobs.imports import when_imported
        when_imported("json", lambda module: print("now", module.__name__))
        when_imported("late", lambda module: print("then", module.DONE, type(module.__loader__).__name__))
        when_imported("late.part", lambda module: print("part"))
        when_imported("broken", lambda module: print("never"))
        when_imported("missing", lambda module: print("never"))
        print("late" in sys.modules)
        import late, importlib
        print(late.__spec__.loader is late.__loader__, importlib.reload(late) is late)
        for name in ("broken", "missing"):
            try:
                importlib.import_module(name)
            except Exception as error:
                print(type(error).__name__)
        """,
    )
    assert ["now json", "False", "part", "then True SourceFileLoader", "True True"] == lines[:5]
    assert ["ZeroDivisionError", "ModuleNotFoundError"] == lines[5:]


def test_an_action_that_fails(tmp_path):
    """The import goes on; one warning says which library's errors are not reported."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from heka_raven.jobs.imports import when_imported as w; w('colorsys', lambda m: 1 / 0); import colorsys",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert 0 == done.returncode
    assert "colorsys: its errors are not reported by themselves" in done.stderr


def test_init_imports_no_library():
    """init() leaves out the libraries, asyncio, and what only a sender needs."""
    lines = python(
        None,
        """
        import sys, heka_raven
        heka_raven.init("http://k@127.0.0.1:9/1", stream_sender="off")
        print(sorted({"celery", "rq", "dramatiq", "asyncio", "urllib3", "raven"} & set(sys.modules)))
        """,
    )
    assert ["[]"] == lines
