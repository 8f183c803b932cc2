"""What docs/generate.py writes is up to date and works: the configuration reference, the man page, the completion."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
COMPLETION = ROOT / "docs" / "command" / "heka-raven.bash"
MAN_PAGE = ROOT / "docs" / "command" / "heka-raven.1"


def test_up_to_date():
    """The generated files are what the code says today; if not: python docs/generate.py."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"], capture_output=True, text=True, timeout=60
    )
    assert (0, "") == (done.returncode, done.stdout), done.stderr


def test_every_variable_of_the_environment_is_described():
    """A HEKA_RAVEN_ name in the sources stands in the reference."""
    page = (ROOT / "docs" / "configuration.rst").read_text()
    for folder in ("heka_raven", "middleware", "uwsgi_plugin"):
        for path in (ROOT / folder).rglob("*.[pch]*"):
            if path.suffix in (".py", ".c", ".h"):
                for name in re.findall(r'"(HEKA_RAVEN_[A-Z_]+)"', path.read_text()):
                    assert f"``{name}``" in page, f"{name} of {path}"


def complete(*words):
    """What bash offers when the last of *words* is to be completed."""
    quoted = " ".join(f"'{word}'" for word in ("heka-raven", *words))
    script = (
        f"source '{COMPLETION}'; COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _heka_raven; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=20, cwd=ROOT)
    assert "" == done.stderr
    return done.stdout.split()


needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")


@needs_bash
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["st"], ["status"]),
        (["re"], ["retry-dead", "relay"]),
        (["send", "--rate"], ["--rate-limit"]),
        (["send", "--rate-limit", ""], ["hold", "discard"]),
        (["test", "--protocol", ""], ["7", "3"]),
        (["decode", "setup.p"], ["setup.py"]),
        (["send", "--spool", "exampl"], ["examples"]),
        (["send", "--timeout", "x"], []),
        (["no-such-command", ""], []),
    ],
)
def test_completion(words, offered):
    """Commands, options, the values of options, files and folders are offered where they fit."""
    assert offered == complete(*words)


@needs_bash
def test_completion_knows_every_command():
    """What the command lists, the completion offers."""
    from heka_raven.cli.main import COMMANDS

    assert {*COMMANDS, "--help", "--version"} == set(complete(""))


@pytest.mark.skipif(shutil.which("man") is None, reason="no man")
def test_the_man_page_is_one():
    """man shows it without a warning, and every command is in it."""
    from heka_raven.cli.main import COMMANDS

    done = subprocess.run(
        ["man", "-l", "--warnings=w", str(MAN_PAGE)],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": "100", "LANG": "C.UTF-8"},
    )
    assert (0, "") == (done.returncode, done.stderr)
    for command in COMMANDS:
        assert f"heka-raven {command}" in done.stdout
