"""How a page shows frames: folded, coloured, linked, and as Python's own traceback."""

import builtins
import itertools
import random
import re
import sys
import time
import traceback

import pytest

from heka_raven.inbox.event.nodes import MAX_CHILDREN, MAX_NODES
from heka_raven.inbox.event.shape import read_event
from heka_raven.inbox.web.frames import library_of, runs
from heka_raven.inbox.web.highlight import BUDGET_S, LEXERS, MAX_PIECE, Painter, tokens_of
from heka_raven.inbox.web.links import LinkError, Links, parse_editor, parse_source
from heka_raven.inbox.web.traceback import as_traceback
from support.events import last_event, router_client


def event_of(*frames, **event):
    carets = event.pop("carets", [])
    error = {"type": "E", "value": "v", "mechanism": {"data": {"carets": carets}}}
    return read_event({"exception": [{**error, "stacktrace": {"frames": list(frames)}}], **event})


def frames_of(*frames):
    return event_of(*frames).errors[0].frames


def call(name, in_app=True, **keys):
    return {"function": name, "filename": f"{name}.py", "lineno": 1, "in_app": in_app, **keys}


def library(name, module):
    return call(name, False, module=module)


def folded(*frames):
    """(label or the functions, how many frames) of each run."""
    return [
        (run.label or [frame.function for frame in run.frames], len(run.frames)) for run in runs(frames_of(*frames))
    ]


def test_runs_of_library_frames_are_one_line():
    """The line names the libraries; the app's frames stand alone, the innermost of them open."""
    stack = [call("main"), *(library(f"d{n}", "django.core") for n in range(7)), call("view"), library("get", "lib")]
    assert [("1 frame in lib", 1), (["view"], 1), ("7 frames in django", 7), (["main"], 1)] == folded(*stack)
    opens = [run.opens for run in runs(frames_of(*stack)) if not run.label]
    assert [[True], [False]] == opens
    many = [call("a"), *(library("x", name) for name in ("one.x", "two.y", "three", "four")), call("b")]
    assert "4 frames in four, three and 2 more" == folded(*many)[1][0]


def test_recursion_is_collapsed():
    """One call that repeats, and a group of calls that does; the first of them stays."""
    assert [(["deep", "f"], 2), ("59 \N{MULTIPLICATION SIGN} the same", 59), (["main"], 1)] == folded(
        call("main"), *[call("f")] * 60, call("deep")
    )
    pair = [call("a"), call("b")]
    assert [(["b", "a"], 2), ("9 \N{MULTIPLICATION SIGN} the same 2 calls", 18)] == folded(*pair * 10)
    assert [(["f", "f", "f"], 3)] == folded(*[call("f")] * 3)
    lines = [call("f", lineno=n) for n in range(9)]
    assert [(["f"] * 9, 9)] == folded(*lines)


@pytest.mark.parametrize("count", [0, 1, 5, 250])
def test_no_frame_is_lost_by_folding(count):
    """Whatever the calls are, every frame is in exactly one run, newest first."""
    rng = random.Random(count)
    stack = [call(rng.choice("ab"), rng.random() < 0.6, module=rng.choice(["x.y", ""])) for _ in range(count)]
    frames = frames_of(*stack)
    shown = [frame.index for run in runs(frames) for frame in run.frames]
    assert [frame.index for frame in reversed(frames)] == shown
    assert len(shown) <= 1 or 1 == sum(opens for run in runs(frames) for opens in run.opens)


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({"module": "django.core.handlers.base"}, "django"),
        ({"filename": "/srv/.venv/lib/python3.12/site-packages/flask/app.py"}, "flask"),
        ({"filename": "/usr/lib/python3/dist-packages/six.py"}, "six"),
        ({"filename": "app:///node_modules/express/lib/router.js"}, "express"),
        ({"filename": "node_modules/@sentry/core/x.js"}, "@sentry/core"),
        ({"module": "org.springframework.web.Filter"}, "org.springframework"),
        ({"module": "github.com/gin-gonic/gin/render"}, "github.com/gin-gonic/gin"),
        ({"module": "net/http"}, "net"),
        ({"module": "tokio::runtime::task"}, "tokio"),
        ({"package": "/usr/lib/libc.so.6"}, "libc.so.6"),
        ({}, ""),
    ],
)
def test_a_library_is_named_by_its_package(keys, name):
    """Of Python, JavaScript, Java, Go, Rust and native code."""
    assert name == library_of(frames_of({"in_app": False, **keys})[0])


def lines_of(frame, platform="python", clock=lambda: 0.0, **event):
    found = event_of(frame, **event).errors[0].frames
    return [(number, str(line), hot) for number, line, hot in Painter(platform, [found], clock).lines(found[0])]


def test_source_is_coloured():
    """Keywords, texts, numbers, comments and names of functions; what is markup stays text."""
    frame = call(
        "f", pre_context=["def f(x):", '    """<doc>'], context_line='    of"""', post_context=["    return 1 # <b>"]
    )
    spans = lines_of({**frame, "lineno": 3})
    assert ["1", "2", "3", "4"] == [number for number, _, _ in spans]
    assert [False, False, True, False] == [hot for _, _, hot in spans]
    assert '<span class="tk">def</span> <span class="tf">f</span>(x):' == spans[0][1]
    assert '    <span class="tc">&#34;&#34;&#34;&lt;doc&gt;</span>' == spans[1][1]
    assert '<span class="tc"># &lt;b&gt;</span>' in spans[3][1]
    assert (
        '<span class="tk">function</span>' in lines_of(call("f", context_line="function f() {}", filename="a.js"))[0][1]
    )
    assert "function f() {}" == lines_of(call("f", context_line="function f() {}", filename="a.xyz"), "other")[0][1]


def test_failing_columns_are_marked_and_escaped():
    """Markup in the source stays text, colours go on inside; a mark over the whole line is left out."""
    one = call("f", context_line="x = <b> + 1", filename="a.xyz")
    assert "x = <mark>&lt;b&gt;</mark> + 1" == lines_of(one, "", carets=[[0, 1, 5, 1, 8]])[0][1]
    inside = lines_of(call("f", context_line="y = 12 + 'a'"), carets=[[0, 1, 6, 1, 11]])[0][1]
    number = '<span class="tn">1</span><mark><span class="tn">2</span>'
    assert f'y = {number} + <span class="ts">&#39;</span></mark><span class="ts">a&#39;</span>' == inside
    assert "mark" not in lines_of(call("f", context_line="  pay()"), carets=[[0, 1, 3, 1, 8]])[0][1]


@pytest.mark.parametrize("language", sorted(set(LEXERS.values())))
def test_no_line_of_a_client_holds_up_a_lexer(language):
    """Whatever repeats, two thousand characters are read in a moment, and come out as they went in."""
    signs = [
        '"',
        "'",
        "(",
        "{",
        "[",
        "\\",
        "/*",
        "<!--",
        "#",
        "@",
        "a ",
        "a\t",
        "$(",
        "`",
        "${",
        "f'{x:{",
        "é",
        "a<",
        "a.",
    ]
    for sign, tail in itertools.product(signs, ("", '"')):
        lines = [(sign * 200)[:198] + tail] * (MAX_PIECE // 200)
        began = time.thread_time()
        found = tokens_of(lines, language)
        assert 1.0 > time.thread_time() - began, sign  # 0.13 s at most on a machine of two cores
        assert found is None or lines == ["".join(text for _, text in line) for line in found]
    assert tokens_of(["x" * (MAX_PIECE + 1)], language) is None


def test_colours_have_a_budget():
    """The app's frames come first; when the time is over, the rest is shown plain."""
    frames = [call(f"f{n}", n % 2 == 0, context_line=f"return {n}") for n in range(20)]
    found = event_of(*frames).errors[0].frames
    ticks = itertools.count(0, BUDGET_S / 10)
    painter = Painter("python", [found], lambda: next(ticks))
    coloured = [frame.function for frame in found if "<span" in str(painter.lines(frame)[0][1])]
    assert [f"f{n}" for n in range(0, 20, 2)] == coloured


def test_links_to_an_editor():
    """Names of editors and templates; the path is encoded, and only a whole path is a link."""
    frame = frames_of(call("f", abs_path="/srv/my shop/a&b#?.py", lineno=7, colno=3))[0]
    made = Links(editor=parse_editor("vscode")).editor(frame)
    assert "vscode://file/srv/my%20shop/a%26b%23%3F.py:7:3" == made
    made = Links(editor=parse_editor("pycharm")).editor(frame)
    assert "pycharm://open?file=/srv/my%20shop/a%26b%23%3F.py&line=7&column=3" == made
    assert "x-mine:/srv/a.py+2" == Links(parse_editor("x-mine:{path}+{line}")).editor(
        frames_of(call("f", abs_path="/srv/a.py", lineno=2))[0]
    )
    windows = frames_of(call("f", abs_path="C:\\shop\\a.py", lineno=2))[0]
    assert "vscode://file/C%3A/shop/a.py:2:1" == Links(parse_editor("vscode")).editor(windows)
    for path in ("a.py", "<stdin>", "", "//host/share", "javascript:alert(1)"):
        assert "" == Links(parse_editor("vscode")).editor(frames_of(call("f", abs_path=path))[0])
    assert "" == Links().editor(frame)


def test_links_to_the_source():
    """Of the app's frames, with the release; nothing in an event leads out of the address that was given."""
    links = Links(source=parse_source("https://git.example/shop/{release}/{path}#L{line}"))

    def made(path="shop/a.py", release="1.0", **keys):
        return links.source(frames_of(call("f", **{"filename": path, "lineno": 7, **keys}))[0], release)

    assert "https://git.example/shop/1.0/shop/a.py#L7" == made()
    assert "https://git.example/shop/a%22%3E%3F/x%23y.py#L7" == made("x#y.py", 'a">?')
    for path in ("../etc/passwd", "/etc/passwd", "a/../../b", "C:\\x.py", "https://x/app.js", "<string>", ""):
        assert "" == made(path, abs_path="")
    assert "" == made(in_app=False)
    assert "" == made(release="")
    assert "" == made(release="a/../../other")
    assert "" == made(lineno=None)
    assert "https://h/x/a.py" == Links(source=parse_source("https://h/x/{path}")).source(
        frames_of(call("f", filename="a.py"))[0], ""
    )


@pytest.mark.parametrize(
    ("parse", "text", "reason"),
    [
        (parse_editor, "emacs", "want vscode, pycharm, or a URL"),
        (parse_editor, "", "want vscode, pycharm, or a URL"),
        (parse_editor, "{path}:{line}", "want vscode, pycharm, or a URL"),
        (parse_editor, "javascript:open('{path}')", "a link to javascript: opens no editor"),
        (parse_editor, "DATA:text/html,{path}", "a link to DATA: opens no editor"),
        (parse_editor, "my://open?l={line}", "{path} is missing"),
        (parse_editor, "my://{path}?{user}", "{user} is not known"),
        (parse_editor, "my://{path", "a { or } stands alone"),
        (parse_editor, "my://{path} x", "do not belong in a URL"),
        (parse_source, "git.example/{path}", "want https://host/"),
        (parse_source, "https://{path}", "want https://host/"),
        (parse_source, "https://me:secret@git.example/{path}", "want https://host/"),
        (parse_source, "javascript://git.example/{path}", "want https://host/"),
        (parse_source, "https://git.example/{branch}/{path}", "{branch} is not known"),
        (parse_source, "https://git.example/", "{path} is missing"),
        (parse_source, 'https://git.example/"{path}', "do not belong in a URL"),
    ],
)
def test_a_wrong_template_is_told_in_one_line(parse, text, reason):
    """Which part of it is wrong, and what there is; a scheme that a browser runs itself is refused."""
    with pytest.raises(LinkError) as caught:
        parse(text)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_locals_are_a_tree():
    """Containers have what is inside of them; each is bounded, and so is the event."""
    variables = {"order": {"items": [1, {"sku": "x"}], "paid": False}, "n": 3, "none": []}
    order, n, none = frames_of(call("f", vars=variables))[0].locals
    assert ("order", "{}", 2) == (order.name, order.kind, order.size)
    assert ["items", "paid"] == [child.name for child in order.children]
    assert ["0", "1"] == [child.name for child in order.children[0].children]
    assert ('{items: [1, {sku: "x"}], paid: false}', "3", "[]") == (order.text, n.text, none.text)
    long = frames_of(call("f", vars={"x": list(range(MAX_CHILDREN + 5))}))[0].locals[0]
    assert (MAX_CHILDREN + 5, MAX_CHILDREN) == (long.size, len(long.children))
    frames = frames_of(*[call("f", vars={f"v{n}": list(range(100)) for n in range(50)})] * 9)
    assert all(node.children for node in frames[-1].locals[:9])
    assert MAX_NODES >= sum(len(node.children) for frame in frames for node in frame.locals)
    assert not frames[0].locals[0].children


def test_a_hostile_depth_is_one_line():
    """A container inside of a thousand others costs no stack."""
    deep = inner = {}
    for _ in range(1_000):
        inner["a"] = inner = {}
    node = frames_of(call("f", vars={"deep": deep}))[0].locals[0]
    for _ in range(6):
        node = node.children[0]
    assert ([], "") == (node.children, node.kind)


def deep(n):
    return deep(n - 1) if n else {}["x"]


def chained():
    try:
        deep(8)
    except KeyError as error:
        error.add_note("a note\nof two lines")
        raise ValueError("bad\nvalue") from error


def in_context():
    try:
        chained()
    except ValueError:
        return 1 / 0


def grouped():
    errors = []
    for function in (chained, in_context, lambda: deep(1)):
        try:
            function()
        except Exception as error:
            errors.append(error)
    group = builtins.ExceptionGroup
    raise group("outer", [errors[0], group("inner", errors[1:]), KeyError("alone")])


@pytest.mark.parametrize("function", [chained, in_context, pytest.param(
    grouped, marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="no exception groups"))])  # fmt: skip
def test_the_raw_traceback_is_what_python_prints(function):
    """Chains, notes, recursion and groups, line by line; only the ~ of Python's underlines are not known, nor that
    Python 3.13 leaves out those below a whole call.
    """
    client = router_client()
    try:
        function()
    except Exception as error:
        client.raven("failed")
        printed = "".join(traceback.format_exception(error))

    def plain(text):
        lines = [re.sub(r"[~^]+", lambda m: "^" * len(m.group()), line).rstrip() for line in text.rstrip().split("\n")]
        return [line for line in lines if sys.version_info < (3, 13) or not re.fullmatch(r"[ |]*\^+", line)]

    assert plain(printed) == plain(as_traceback(read_event(last_event(client)).errors))
