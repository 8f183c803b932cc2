"""Source lines as they stand in the file now: after a reload, without descriptors, in a zip; columns only of Python."""

import importlib
import linecache
import os
import resource
import subprocess
import sys
import textwrap
import types
import zipfile

import bottle
import jinja2
import pytest
from genshi.template import MarkupTemplate
from mako.template import Template as MakoTemplate

from support.events import make_capturer, make_walker, raised

GENERIC = {"type": "generic", "handled": True}


def last_frame(exc, capturer=None):
    return frames(exc, capturer)[-1]


def frames(exc, capturer=None):
    capturer = capturer or make_capturer()
    return capturer.exceptions(exc, exc.__traceback__, make_walker(), GENERIC)[-1]["stacktrace"]["frames"]


def load(path):
    """Compile and run the file at *path*, as a new version of its code."""
    names = {"__name__": "m"}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)
    return names["fail"]


def write(path, text):
    """Write *text* as an editor does: the file gets another time, even where the clock has not moved."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text, encoding="utf-8")
    if path.stat().st_mtime_ns == before:
        os.utime(path, ns=(before + 1, before + 1))


def test_after_a_reload(tmp_path):
    """A module or a script that was changed and loaded again is shown with its new source."""
    path, capturer = tmp_path / "script.py", make_capturer()
    write(path, "def fail():\n    return 1 / 0  # old\n")
    assert "    return 1 / 0  # old" == last_frame(raised(load(path)), capturer)["context_line"]
    write(path, "\ndef fail():\n    return 1 / 0  # new\n")
    assert "    return 1 / 0  # new" == last_frame(raised(load(path)), capturer)["context_line"]


def test_after_a_reload_of_the_same_size(tmp_path):
    """A file of the same size but of another time is another file."""
    path, capturer = tmp_path / "script.py", make_capturer()
    for text in ("one", "two"):
        write(path, f"def fail():\n    return 1 / 0  # {text}\n")
        assert last_frame(raised(load(path)), capturer)["context_line"].endswith(text)


def test_a_template_that_changed(tmp_path):
    """A template of Jinja2 that was changed, and loaded again, is shown with its new source."""
    capturer = make_capturer()
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(tmp_path), autoescape=True)
    for above, text in (("old\n", "{{ 1 / 0 }} old"), ("new\nnew\n", "{{ 1 / 0 }} new")):
        write(tmp_path / "page.html", above + text)
        assert text == last_frame(raised(environment.get_template("page.html").render), capturer)["context_line"]


def test_a_zip_that_changed(tmp_path, monkeypatch):
    """A module in a zip file that was changed, and loaded again, is shown with its new source."""
    archive, capturer = tmp_path / "lib.zip", make_capturer()
    monkeypatch.syspath_prepend(str(archive))
    for number, text in enumerate(("old", "new one")):
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("zipped_twice.py", f"def fail():\n    return 1 / 0  # {text}\n")
        os.utime(archive, ns=(number + 1, number + 1))
        importlib.invalidate_caches()
        sys.modules.pop("zipped_twice", None)
        module = importlib.import_module("zipped_twice")
        assert f"    return 1 / 0  # {text}" == last_frame(raised(module.fail), capturer)["context_line"]
    sys.modules.pop("zipped_twice", None)


@pytest.mark.parametrize("mark", ["\f", "\u2028", "\x0b", "\x85", "\x1c"])
def test_lines_of_a_zip(mark, tmp_path, monkeypatch):
    """A form feed or a line separator of Unicode ends no line, in a zip as in a file."""
    name = f"zipped_{ord(mark)}"
    source = f"# a{mark}b\ndef fail():\n    return 1 / 0\n"
    with zipfile.ZipFile(tmp_path / "lib.zip", "w") as file:
        file.writestr(f"{name}.py", source)
    monkeypatch.syspath_prepend(str(tmp_path / "lib.zip"))
    frame = last_frame(raised(importlib.import_module(name).fail))
    assert (3, "    return 1 / 0") == (frame["lineno"], frame["context_line"])
    (tmp_path / "plain.py").write_text(source, encoding="utf-8")
    assert "    return 1 / 0" == last_frame(raised(load(tmp_path / "plain.py")))["context_line"]


def test_without_descriptors(tmp_path):
    """An error while no file can be opened is shown without source; the next one at the same place has it again."""
    path, capturer = tmp_path / "script.py", make_capturer()
    write(path, "def fail():\n    return 1 / 0\n")
    exc = raised(load(path))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                taken.append(os.dup(0))
        assert "context_line" not in last_frame(exc, capturer)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)
    assert "    return 1 / 0" == last_frame(exc, capturer)["context_line"]


def test_what_linecache_holds_of_a_file_that_changed(tmp_path):
    """What another library keeps in linecache is shown only while its file is the same."""
    path, capturer = tmp_path / "generated.x", make_capturer()
    names = {"__name__": "m"}
    exec(compile("def fail():\n    return 1 / 0\n", str(path), "exec"), names)
    lines = ["def fail():\n", "    return 1 / 0  # registered\n"]
    linecache.cache[str(path)] = (5, None, lines, str(path))
    assert lines[1].rstrip() == last_frame(raised(names["fail"]), capturer)["context_line"]
    linecache.cache[str(path)] = (5, 1.0, lines, str(path))
    exec(compile("def fail():\n    return 1 / 0\n", str(path), "exec"), names)
    assert "context_line" not in last_frame(raised(names["fail"]), capturer)


def test_a_lazy_entry_of_linecache_is_not_called():
    """A function that linecache would call for the source is not called: it asks a loader."""
    name = "<lazy source>"
    linecache.cache[name] = (lambda: pytest.fail("called"),)
    names = {"__name__": "m"}
    exec(compile("def fail():\n    return 1 / 0\n", name, "exec"), names)
    assert "context_line" not in last_frame(raised(names["fail"]))


# -- columns -----------------------------------------------------------------------------------------------------------


LONG = " and a line that is long enough for any column of Python"


def jinja_page(folder):
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(folder), autoescape=True)
    (folder / "page.html").write_text("<p>\n<b>{{ 1 / 0 }}</b>" + LONG + "\n")
    environment.get_template("page.html").render()


def jinja_page_named_as_python(folder):
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(folder), autoescape=True)
    (folder / "page.py").write_text("import x\nx = {{ 1 / 0 }}" + LONG + "\n")
    environment.get_template("page.py").render()


def mako_page(folder):
    (folder / "page.mako").write_text("<p>\n<b>${1 / 0}</b>" + LONG + "\n")
    MakoTemplate(filename=str(folder / "page.mako")).render()


def bottle_page(folder):
    (folder / "page.tpl").write_text("<p>\n<b>{{1 / 0}}</b>" + LONG + "\n")
    bottle.SimpleTemplate(name="page", lookup=[str(folder)]).render()


def genshi_page(folder):
    path = folder / "page.xml"
    path.write_text("<p>\n<b>${1 / 0}</b>" + LONG + "\n</p>")
    with open(path, "rb") as file:
        str(MarkupTemplate(file, filepath=str(path), filename="page.xml").generate())


@pytest.mark.parametrize("page", [jinja_page, jinja_page_named_as_python, mako_page, bottle_page, genshi_page])
def test_no_columns_in_templates(page, tmp_path):
    """In a template there are no columns: those of the code are columns of generated Python, and point anywhere."""
    exc = raised(page, tmp_path)
    capturer = make_capturer()
    value = capturer.exceptions(exc, exc.__traceback__, make_walker(), GENERIC)[-1]
    shown = value["stacktrace"]["frames"]
    of_template = [index for index, frame in enumerate(shown) if "page" in os.path.basename(frame["abs_path"])]
    assert of_template
    assert not [index for index in of_template if "colno" in shown[index]]
    places = {entry[0] for entry in value["mechanism"].get("data", {}).get("carets", [])}
    assert not places & set(of_template)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="PEP 657 is of Python 3.11")
def test_columns_of_a_script(tmp_path):
    """A script without a suffix is Python, and has columns."""
    path = tmp_path / "tool"
    path.write_text(
        textwrap.dedent(
            """\
            def fail():
                return 1 / 0
            try:
                fail()
            except ZeroDivisionError as exc:
                from support.events import make_capturer, make_walker
                value = make_capturer().exceptions(exc, exc.__traceback__, make_walker(), {})[-1]
                print([frame.get("colno") for frame in value["stacktrace"]["frames"]])
            """
        )
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, env=environ, check=True)
    assert "[5, 12]" == ran.stdout.strip()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="PEP 657 is of Python 3.11")
def test_no_columns_past_the_end_of_a_line(tmp_path):
    """Where a line is shorter than when it was compiled, the file has changed, and has no columns."""
    path = tmp_path / "script.py"
    path.write_text("def fail():\n    return 'a long text' + 'and more', 1 / 0\n")
    fail = load(path)
    write(path, "def fail():\n    return 1\n")
    frame = last_frame(raised(fail))
    assert ("    return 1", None) == (frame["context_line"], frame.get("colno"))


def test_a_module_without_a_file():
    """A module that has no file, and none of what a module has, is shown without source."""
    module = types.ModuleType("bare")
    exec(compile("def fail():\n    return 1 / 0\n", "/no/such/file.py", "exec"), module.__dict__)
    assert "context_line" not in last_frame(raised(module.fail))
