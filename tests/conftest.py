"""What every test may rely on: support modules beside this file import by their plain name."""

import gc
import os
import re
import signal
import sys
import warnings
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

with warnings.catch_warnings():
    # WebOb imports the standard library's deprecated cgi where that still exists; tests treat warnings as errors.
    warnings.simplefilter("ignore", DeprecationWarning)
    import webob  # noqa: F401

# A run in the background (nohup, or `&` in a script) begins with some of these ignored, and so would every program
# that a test starts and then ends as a terminal does.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)

# On a busy machine any example can take longer than hypothesis' 200 ms; the tests' own time limit stays.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


# Files that take minutes in the full run. They begin first, so that no process ends alone with one of them. The first
# keeps the processors busy, so that those which mostly wait come next.
LONG = (
    "functional/project/test_together.py",
    "functional/uwsgi_plugin/watch/test_values.py",
    "functional/uwsgi_plugin/watch/test_native.py",
    "functional/uwsgi_plugin/watch/test_top.py",
    "functional/uwsgi_plugin/watch/test_deaths.py",
    "functional/gunicorn/test_watch.py",
    "functional/project/test_faults.py",
    "functional/uwsgi_plugin/test_users.py",
    "functional/spool/test_machine.py",
    "functional/uwsgi_plugin/test_sender.py",
    "functional/fleet/test_faults.py",
    "functional/sender/test_processes.py",
    "functional/uwsgi_plugin/watch/test_pressure.py",
    "functional/uwsgi_plugin/watch/test_reading_cost.py",
    "unit/uwsgi_plugin/test_c_units.py",
    "functional/gunicorn/test_values.py",
    "functional/inbox/test_peers.py",
    "functional/project/test_bad_bytes.py",
    "functional/uwsgi_plugin/test_entry_points.py",
    "functional/middleware/test_django_versions.py",
    "functional/uwsgi_plugin/watch/test_operators.py",
    "functional/uwsgi_plugin/test_server.py",
    "functional/jobs/test_celery.py",
    "functional/spool/test_model.py",
    "functional/uwsgi_plugin/test_sender_names.py",
    "test_packaging.py",
    "functional/uwsgi_plugin/watch/test_helpers.py",
    "functional/events/test_servers.py",
    "functional/anyserver/test_celery.py",
    "unit/gunicorn/test_asking.py",
    "functional/fleet/test_fuzz.py",
    "functional/gunicorn/test_versions.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """The order in which `./run` gives files to processes: the long ones; then unit tests, which compute, and the rest,
    which mostly wait, side by side."""
    tests = Path(__file__).parent
    place = {tests / name: (0.0, rank) for rank, name in enumerate(LONG)}
    files = Counter(item.path for item in items if item.path not in place)
    for computes in (True, False):
        kind = [path for path, _ in files.most_common() if (tests / "unit" in path.parents) == computes]
        place.update({path: (1.0, rank / len(kind)) for rank, path in enumerate(kind)})
    items.sort(key=lambda item: place[item.path])


def pytest_collection_finish():
    """Leave what is imported out of the garbage collector's rounds: one of them takes a third of a second here.

    Where it falls into a capture, that has used up its 20 ms, and the event lacks its variables.
    """
    gc.collect()
    gc.freeze()


# A skip may say what a machine cannot give. Packages are there: `./run` has installed them.
MAY_SKIP = re.compile(r"(Skipped: )?(this machine|this Python|needs root|.* of Python 3\.)")
STRICT = "RUN_TESTS" in os.environ  # `./run` says so


def _judge_skip(report):
    """Make a failure of a skip for want of a package."""
    if STRICT and report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
        path, line, reason = report.longrepr
        if not MAY_SKIP.match(reason):
            report.outcome = "failed"
            report.longrepr = f"{path}:{line}: {reason}: ./run installs what tests need, so this skip hides a gap"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Let nothing be skipped for want of a package where `./run` started the tests."""
    return _judge_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    """Likewise where a whole file would be skipped."""
    return _judge_skip((yield))


@pytest.fixture(autouse=True)
def _every_trouble_is_new():
    """What an earlier test had logged within the last minute is logged again."""
    from heka.limited_log import TROUBLES

    TROUBLES._logged_at.clear()
