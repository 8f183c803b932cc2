"""What the README and the pages name exists: files, commands and their options; the README's programs run."""

import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
README = ROOT / "README.rst"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.rst")), ROOT / "uwsgi_plugin" / "README.rst"]
PAGES = [page for page in PAGES if "_build" not in page.parts]


def ids(page):
    return str(page.relative_to(ROOT))


def test_the_links_of_the_readme_lead_somewhere():
    """Each test, bench and page that proves a line is there."""
    links = re.findall(r"<([^>\s]+)>`_", README.read_text()) + re.findall(r"\.\. image:: (\S+)", README.read_text())
    assert len(links) > 20
    for link in links:
        assert link.startswith("https://") or (ROOT / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_files_that_a_page_names_exist(page):
    """``tests/...``, ``examples/...``, ``bench/...`` and ``docs/...`` in the text."""
    for name in re.findall(r"``((?:tests|examples|bench|docs)/[\w./@-]+)", page.read_text()):
        assert "_build" in name or "NNNN" in name or (ROOT / name).exists(), f"{name} in {page.name}"


def test_each_setup_of_the_plugin_has_its_test():
    """Each row of "How you run it" names a test that is there."""
    page = (ROOT / "uwsgi_plugin" / "README.rst").read_text()
    rows = page.partition("How you run it")[2].partition("The sender\n")[0].split("\n   * - ")[2:]
    assert len(rows) > 8
    for row in rows:
        file, name = re.search(r"``(test_\w+\.py)``\s+``(test_\w+)``\s*\Z", row).groups()
        assert f"def {name}(" in (ROOT / "tests" / "functional" / "uwsgi_plugin" / file).read_text(), name


def command_lines(page):
    """The lines of a page that call `heka-raven`, in blocks of code and in the text."""
    text = page.read_text()
    found = re.findall(r"^ +(?:\$ |# )?(heka-raven [a-z][^\n]*)$", text, re.MULTILINE)
    found += re.findall(r"``(heka-raven [a-z][^`]*)``", text.replace("\n", " "))
    return found


@pytest.fixture(scope="module")
def options():
    """Each command with the options that it knows."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import generate

        return {
            name: {option for action in parser._actions for option in action.option_strings}
            for name, (parser, _) in generate.parsers().items()
        }
    finally:
        sys.path.remove(str(ROOT / "docs"))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_commands_that_a_page_prints_exist(page, options):
    """No page tells to type a command or an option that there is not."""
    for line in command_lines(page):
        words = shlex.split(re.split(r"  +#| \| |\s#\s|[()…]", line)[0], posix=False)
        assert words[1] in options, line
        for word in words[2:] if words[1] != "uwsgi" else ():  # whose options are uWSGI's
            if word.startswith("--") and word != "--":
                assert word.split("=")[0].rstrip(",.;:") in options[words[1]], line


def blocks(language):
    found = re.findall(rf"\.\. code-block:: {language}\n\n((?:    .*\n|\n)+)", README.read_text())
    return [textwrap.dedent(block) for block in found]


def test_a_client_of_one_s_own(tmp_path):
    """A client of one's own: they run as they are printed, around an application, and what fails is in the spool."""
    [block] = [block for block in blocks("python") if "get_client" in block]
    program = tmp_path / "program.py"
    program.write_text(
        "def application(environ, start_response):\n    raise ValueError('for the test')\n\n"
        + block
        + "\nfrom wsgiref.util import setup_testing_defaults\nenviron = {}\nsetup_testing_defaults(environ)\n"
        "try:\n    application(environ, lambda *arguments: None)\nexcept ValueError:\n    print('raised again')\n"
    )
    spool = tmp_path / "spool"
    env = {"HEKA_RAVEN_SPOOL": str(spool), "HEKA_RAVEN_SENDER": "off", "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(program)], env=env, capture_output=True, text=True, timeout=60
    )
    assert "raised again\n" == done.stdout, done.stderr
    [event] = (spool / "new").iterdir()
    assert b"for the test" in event.read_bytes()


def test_the_pasteable_filter_loads(tmp_path, monkeypatch):
    """The README's section of a PasteDeploy file is a filter."""
    deploy = pytest.importorskip("paste.deploy")
    monkeypatch.setenv("HEKA_RAVEN_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("HEKA_RAVEN_SENDER", "off")
    section = next(block for block in blocks("ini") if "filter:raven" in block)
    (tmp_path / "app.ini").write_text(section)

    def app(environ, start_response):
        return [b""]

    wrapped = deploy.loadfilter(f"config:{tmp_path}/app.ini", name="raven")(app)
    assert wrapped is not app


INIS = [path for path in [*PAGES, *(ROOT / "examples").rglob("*.ini")] if path.suffix in (".rst", ".ini")]


@pytest.mark.parametrize("page", INIS, ids=ids)
def test_no_ini_has_a_comment_behind_a_value(page):
    """uWSGI and ConfigParser take it as a part of the value: such a line, pasted, would not do what it says."""
    found = re.findall(r"^ *[a-z][a-z0-9_-]* *= *[^\n;]*?[^\n;\\][ \t]+; .*$", page.read_text(), re.MULTILINE)
    assert [] == found
