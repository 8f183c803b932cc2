"""Exceptions as events show them: chains, groups, notes, frames, source, columns, Paste's conventions."""

import linecache
import sys
import textwrap
import time
import zipfile

import pytest

from heka_raven.capture.exceptions import MAX_MESSAGE
from heka_raven.capture.frames import short_filename
from support.events import make_capturer, make_walker, raised

GENERIC = {"type": "generic", "handled": True}


def capture(exc, traceback=None, **walker):
    return make_capturer().exceptions(exc, traceback or exc.__traceback__, make_walker(**walker), GENERIC)


def run(source, name="sample.py", function="fail", tmp_path=None, **names):
    """Compile *source* as a file of its own, call *function*, and give back what it raises."""
    path = tmp_path / name
    path.write_text(textwrap.dedent(source), encoding="utf-8")
    module = {"__name__": "sample", **names}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module)
    exc = raised(module[function])
    exc.__traceback__ = exc.__traceback__.tb_next
    return exc


def test_frames_outermost_first_with_source(tmp_path):
    """Frames come outermost first, with five lines of source before and after, locals, and where they are from."""
    exc = run(
        """\
        def inner(a, b):
            # one
            # two
            # three
            # four
            return a / b  # here
            # six
        def fail():
            return inner(1, 0)
        """,
        tmp_path=tmp_path,
    )
    outer, inner = capture(exc)[0]["stacktrace"]["frames"]
    assert ("fail", "inner") == (outer["function"], inner["function"])
    assert "    return a / b  # here" == inner["context_line"]
    assert ["def inner(a, b):", "    # one", "    # two", "    # three", "    # four"] == inner["pre_context"]
    assert ["    # six", "def fail():", "    return inner(1, 0)"] == inner["post_context"]
    assert {"a": 1, "b": 0} == inner["vars"]
    assert (6, "sample", str(tmp_path / "sample.py"), True) == (
        inner["lineno"],
        inner["module"],
        inner["abs_path"],
        inner["in_app"],
    )
    assert f"{tmp_path.name}/sample.py" == inner["filename"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="this Python has no PEP 657")
def test_columns_count_characters(tmp_path):
    """The column of the failing expression is 1-based and counts characters, not bytes; the range is in the carets."""
    exc = run(
        """\
        def fail():
            grüße = 0
            return "ä", 1 / grüße
        """,
        tmp_path=tmp_path,
    )
    value = capture(exc)[0]
    frame = value["stacktrace"]["frames"][0]
    line = frame["context_line"]
    start = line.index("1 / grüße") + 1
    assert start == frame["colno"]
    assert [[0, 3, start, 3, start + len("1 / grüße")]] == value["mechanism"]["data"]["carets"]


def test_chain_oldest_first():
    """Causes and contexts stand before what they led to, and say from where they were reached."""

    def fail():
        try:
            try:
                {}["k"]
            except KeyError:
                int("x")
        except ValueError as exc:
            raise RuntimeError("at last") from exc

    values = capture(raised(fail))
    assert ["KeyError", "ValueError", "RuntimeError"] == [value["type"] for value in values]
    assert [(2, 1, "__context__"), (1, 0, "__cause__"), (0, None, None)] == [
        (v["mechanism"]["exception_id"], v["mechanism"].get("parent_id"), v["mechanism"].get("source")) for v in values
    ]


def test_suppressed_context_is_not_shown():
    """``raise … from None`` hides the context."""

    def fail():
        try:
            {}["k"]
        except KeyError:
            raise RuntimeError("alone") from None

    assert ["RuntimeError"] == [value["type"] for value in capture(raised(fail))]


def test_cycles_of_causes_end():
    """Exceptions that cause each other are shown once each."""
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert ["two", "one"] == [value["value"] for value in capture(one)]


def test_long_chains_are_cut():
    """A chain of 5,000 causes shows 50: those next to the exception, and the root cause with those next to it."""
    exc = ValueError(0)
    for number in range(1, 5000):
        newer = ValueError(number)
        newer.__cause__ = exc
        exc = newer
    values = capture(exc)
    assert [*range(5), *range(4955, 5000)] == [int(value["value"]) for value in values]
    mechanisms = [value["mechanism"] for value in reversed(values)]
    assert list(range(50)) == [mechanism["exception_id"] for mechanism in mechanisms]
    assert [None, *range(49)] == [mechanism.get("parent_id") for mechanism in mechanisms]
    assert [None, *["__cause__"] * 49] == [mechanism.get("source") for mechanism in mechanisms]
    told = [mechanism["description"] for mechanism in mechanisms if "description" in mechanism]
    assert ["4,950 exceptions between this one and the next are left out"] == told


def test_the_root_cause_beside_a_wide_group():
    """The root cause of a group with a hundred members, each with causes of its own, is kept."""
    if sys.version_info < (3, 11):
        pytest.skip("exception groups are of Python 3.11")
    members = [ValueError(number) for number in range(100)]
    for member in members:
        member.__context__ = KeyError("inner")
    group = __builtins__["ExceptionGroup"]("g", members)
    exc = group
    for number in range(60):
        exc.__cause__ = OSError(number)
        exc = exc.__cause__
    values = capture(group)
    assert (50, "g (100 sub-exceptions)", "59") == (len(values), values[-1]["value"], values[0]["value"])
    ids = [value["mechanism"]["exception_id"] for value in values]
    assert all(value["mechanism"].get("parent_id", 0) in ids for value in values)


def test_the_end_of_a_chain_without_end():
    """A chain longer than anybody looks at, and one that comes back to itself, end."""
    first = exc = ValueError("first")
    for number in range(20_000):
        exc.__context__ = ValueError(number)
        exc = exc.__context__
    started = time.thread_time()
    assert 50 == len(capture(first))
    assert time.thread_time() - started < 1
    exc.__context__ = first
    assert 50 == len(capture(first))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="this Python has no exception groups")
def test_groups():
    """The members of a group, and of groups in it, are shown with their place."""
    group = __builtins__["ExceptionGroup"]
    exc = group("all", [ValueError("a"), group("inner", [KeyError("b"), OSError(2, "No")])])
    values = capture(exc)[::-1]
    assert [
        (0, None, None, "all (2 sub-exceptions)"),
        (1, 0, "exceptions[0]", "a"),
        (2, 0, "exceptions[1]", "inner (2 sub-exceptions)"),
        (3, 2, "exceptions[0]", "'b'"),
        (4, 2, "exceptions[1]", "[Errno 2] No"),
    ] == [
        (m["exception_id"], m.get("parent_id"), m.get("source"), v["value"])
        for v, m in ((v, v["mechanism"]) for v in values)
    ]
    assert [True, None, True, None, None] == [v["mechanism"].get("is_exception_group") for v in values]


def test_notes():
    """PEP 678 notes follow the message, a line each; one that is no text is shown as a value."""
    exc = ValueError("bad")
    exc.__notes__ = ["first note", 2]
    assert "bad\nfirst note\n2" == capture(exc)[0]["value"]


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        (ValueError(), ""),
        (ValueError("a"), "a"),
        (ValueError(5), "5"),
        (ValueError("a", 1), "('a', 1)"),
        (KeyError("k"), "'k'"),
        (OSError(2, "No such file", "/x"), "[Errno 2] No such file: '/x'"),
        (OSError("plain"), "plain"),
        (ImportError("no mod"), "no mod"),
        (SyntaxError("bad", ("/a/f.py", 3, 1, "x")), "bad (f.py, line 3)"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "why"), "'utf-8' codec can't decode byte 0xff in position 0: why"),
        (ValueError("\ud800"), "�"),
        (SystemExit(3), "3"),
    ],
    ids=repr,
)
def test_messages_of_builtin_exceptions(exc, expected):
    """Built-in exceptions say what Python says."""
    assert expected == capture(exc)[0]["value"]


def test_messages_match_python():
    """Where Python's own text is safe to take, ours is the same."""
    for function in (
        lambda: [][1],
        lambda: {}["a"],
        lambda: open("/nonexistent"),
        lambda: int("x"),
        lambda: b"\xff".decode(),
        lambda: __import__("no_such_module"),
        lambda: None.x,
        lambda: compile("x x", "f", "exec"),
    ):
        exc = raised(function)
        assert str(exc) == capture(exc)[0]["value"]


class Fields(Exception):
    def __init__(self, code, detail):
        self.code, self.detail = code, detail
        BaseException.__init__(self)

    def __str__(self):
        raise KeyboardInterrupt("the application's __str__ was called")


def test_the_applications_str_is_not_called():
    """An exception with a ``__str__`` of its own is shown by its args, or by its attributes if it has none."""
    exc = Fields(5, "why")
    exc.args = ()
    assert "code=5, detail='why'" == capture(exc)[0]["value"]
    exc.args = ("given",)
    assert "given" == capture(exc)[0]["value"]
    assert "<its __str__ raised>" == capture(exc, call_repr=True)[0]["value"]


def test_a_librarys_str_is_called_with_plain_state():
    """An exception class of the standard library is asked for its text as long as it holds plain values only."""
    import subprocess

    exc = subprocess.CalledProcessError(3, ["ls", "-l"])
    assert str(exc) == capture(exc)[0]["value"]

    class Repr:
        def __repr__(self):
            raise KeyboardInterrupt

    assert "subprocess" not in capture(subprocess.CalledProcessError(3, Repr()))[0]["value"]


def test_a_class_that_lies():
    """An exception whose ``__class__``, name, module or traceback attributes lie or raise is captured as what it is."""

    class Liar(ValueError):
        @property
        def __class__(self):
            raise KeyboardInterrupt

        @property
        def __cause__(self):
            raise KeyboardInterrupt

        __context__ = __traceback__ = __notes__ = args = __cause__

        def __getattribute__(self, name):
            raise KeyboardInterrupt

    Liar.__module__ = 7

    def fail():
        raise Liar("truth")

    kind, exc, traceback = None, None, None
    try:
        fail()
    except BaseException:
        kind, exc, traceback = sys.exc_info()
    value = make_capturer().exceptions(exc, traceback, make_walker(), GENERIC)[0]
    assert (kind.__name__, "truth", "fail") == (
        value["type"],
        value["value"],
        value["stacktrace"]["frames"][-1]["function"],
    )


def test_250_frames():
    """Of a deep recursion the outer 50 and the inner 200 frames are shown."""

    def fail(depth):
        if depth == 0:
            raise ValueError("deep")
        return fail(depth - 1)

    frames = capture(raised(fail, 900))[0]["stacktrace"]["frames"]
    assert 250 == len(frames)
    assert 0 == frames[-1]["vars"]["depth"]
    assert 900 == frames[1]["vars"]["depth"]


@pytest.mark.parametrize(
    ("hides", "expected"),
    [
        ({"b": True}, "acd"),
        ({"b": "before"}, "bcd"),
        ({"b": "before_and_this"}, "cd"),
        ({"b": "after", "d": "reset"}, "abd"),
        ({"b": "after_and_this", "d": "reset"}, "ad"),
        ({"b": "after"}, "abcd"),
        ({"d": True}, "abcd"),
        ({"b": "no such word"}, "acd"),
        ({"b": 0}, "abcd"),
    ],
)
def test_traceback_hide(hides, expected):
    """Paste's ``__traceback_hide__``: frames are left out, but never the one where the error happened."""
    names = {}
    for caller, called in zip("abcd", "bcd!", strict=True):
        hide = f"__traceback_hide__ = {hides[caller]!r}" if caller in hides else "pass"
        exec(f"def {caller}():\n    {hide}\n    {'1/0' if called == '!' else called + '()'}", names)
    exc = raised(names["a"])
    frames = capture(exc, exc.__traceback__.tb_next)[0]["stacktrace"]["frames"]
    assert expected == "".join(frame["function"] for frame in frames)
    assert not any("__traceback_hide__" in frame.get("vars", {}) for frame in frames)


def test_traceback_info_and_supplement():
    """Paste's ``__traceback_info__`` is shown, ``__traceback_supplement__`` is asked; one that fails costs nothing."""

    class Supplement:
        source_url = "http://x/template"
        line = 5

        def __init__(self, about):
            self.object = about

        def getInfo(self):
            return "the info"

    def fail():
        __traceback_info__ = ("rendering", 5)
        __traceback_supplement__ = (Supplement, "page")
        raise ValueError

    def broken():
        __traceback_supplement__ = (Supplement,)
        raise ValueError

    shown = capture(raised(fail))[0]["stacktrace"]["frames"][-1]["vars"]
    assert ["rendering", 5] == shown["__traceback_info__"]
    assert {"object": "page", "source_url": "http://x/template", "line": 5, "info": "the info"} == (
        shown["__traceback_supplement__"]
    )
    shown = capture(raised(broken))[0]["stacktrace"]["frames"][-1]["vars"]
    assert "<the supplement raised>" == shown["__traceback_supplement__"]


def test_locals_of_odd_frames():
    """Frames whose locals are the module's globals, or a mapping of their own, are shown without harm."""

    class Mapping(dict):
        def __len__(self):
            raise KeyboardInterrupt

        __iter__ = __contains__ = keys = items = get = __len__

    class Meta(type):
        @classmethod
        def __prepare__(mcs, name, bases):
            return Mapping()

    def fail():
        exec("class A(metaclass=Meta):\n    x = 1\n    1/0", {"Meta": Meta, "__name__": "odd"})

    frames = capture(raised(fail))[0]["stacktrace"]["frames"]
    assert 1 == frames[-1]["vars"]["x"]
    module = frames[-2]["vars"]
    assert "Meta" in module
    assert "__builtins__" not in module


def test_more_than_50_locals():
    """A frame with more than 50 local variables shows 50 and says how many more there are."""
    names = {}
    exec("def fail():\n" + "".join(f"    v{n} = {n}\n" for n in range(60)) + "    1/0", names)
    shown = capture(raised(names["fail"]))[0]["stacktrace"]["frames"][-1]["vars"]
    assert "<10 more>" == shown.pop("…")
    assert 50 == len(shown)


def test_a_slow_loader_is_not_asked(tmp_path):
    """A module whose loader would take seconds to give the source is shown without it."""

    class Slow:
        def get_source(self, name):
            time.sleep(60)

    names = {"__name__": "m", "__loader__": Slow()}
    exec(compile("def fail():\n    1/0", "/no/such/file.py", "exec"), names)
    frame = capture(raised(names["fail"]))[0]["stacktrace"]["frames"][-1]
    assert "context_line" not in frame


def test_source_from_a_zip(tmp_path, monkeypatch):
    """Source of a module in a zip file is found."""
    with zipfile.ZipFile(tmp_path / "lib.zip", "w") as archive:
        archive.writestr("zipped_sample.py", "def fail():\n    return 1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path / "lib.zip"))
    import zipped_sample

    frame = capture(raised(zipped_sample.fail))[0]["stacktrace"]["frames"][-1]
    assert "    return 1 / 0" == frame["context_line"]


def test_source_of_generated_code_that_was_registered():
    """Generated code whose maker put its source into linecache is shown with it."""
    source = "def fail():\n    return 1 / 0\n"
    linecache.cache["<made up>"] = (len(source), None, source.splitlines(True), "<made up>")
    names = {"__name__": "m"}
    exec(compile(source, "<made up>", "exec"), names)
    frame = capture(raised(names["fail"]))[0]["stacktrace"]["frames"][-1]
    assert "    return 1 / 0" == frame["context_line"]


def test_a_fifo_as_source_does_not_block(tmp_path):
    """A source file that is no regular file is not read."""
    import os

    os.mkfifo(tmp_path / "fifo.py")
    names = {"__name__": "m"}
    exec(compile("def fail():\n    1/0", str(tmp_path / "fifo.py"), "exec"), names)
    assert "context_line" not in capture(raised(names["fail"]))[0]["stacktrace"]["frames"][-1]


def test_a_source_file_in_another_encoding(tmp_path):
    """The encoding that a source file declares is used."""
    (tmp_path / "latin.py").write_bytes("# coding: latin-1\ndef fail():\n    x = 'ü'; 1/0\n".encode("latin-1"))
    names = {"__name__": "m"}
    exec(compile((tmp_path / "latin.py").read_bytes(), str(tmp_path / "latin.py"), "exec"), names)
    frame = capture(raised(names["fail"]))[0]["stacktrace"]["frames"][-1]
    assert "    x = 'ü'; 1/0" == frame["context_line"]


def test_long_messages_are_cut():
    """A message has at most 8,192 characters."""
    assert MAX_MESSAGE == len(capture(ValueError("x" * 1_000_000))[0]["value"])


@pytest.mark.parametrize(
    ("module", "path", "expected"),
    [
        ("goldapp", "/srv/sampleapp/goldapp.py", "sampleapp/goldapp.py"),
        ("a.b.c", "/x/y/a/b/c.py", "a/b/c.py"),
        ("a.b", "/x/y/a/b/__init__.py", "a/b/__init__.py"),
        ("a", "/x/y/a/__init__.py", "a/__init__.py"),
        ("__main__", "/x/run.py", "x/run.py"),
        ("", "<string>", "<string>"),
    ],
)
def test_short_filename(module, path, expected):
    """The path is shown from the folder of the top-level package on."""
    assert expected == short_filename(module, path)


def test_in_app():
    """Frames of the standard library, of installed packages and of this package are not the application's."""
    import json

    frames = capture(raised(json.loads, "{"))[0]["stacktrace"]["frames"]
    assert [True, False] == [frame["in_app"] for frame in frames][:2]


def test_templates_do_not_grow():
    """What is kept between errors is bounded, and generated code is not kept."""
    capturer = make_capturer()
    for number in range(50):
        names = {"__name__": "m"}
        exec(f"def fail():\n    x = {number}\n    1/0", names)
        exc = raised(names["fail"])
        capturer.exceptions(exc, exc.__traceback__, make_walker(), GENERIC)
    assert len(capturer._templates) <= 3


def test_a_secret_that_begins_above_the_shown_lines(tmp_path):
    """A literal of several lines is private on each of them, also when its name stands above those that are shown."""
    path = tmp_path / "keys.py"
    lines = ["def fail():", '    private_key = """BEGIN', *["    planted"] * 7, '    """', "    1 / 0"]
    path.write_text("\n".join(lines))
    names = {"__name__": "keys"}
    exec(compile(path.read_text(), str(path), "exec"), names)
    frames, _ = make_capturer().frames(raised(names["fail"]).__traceback__, make_walker(show_locals=False))
    assert "    1 / 0" == frames[-1]["context_line"]
    assert ["", "", "", "", '"""'] == frames[-1]["pre_context"]
