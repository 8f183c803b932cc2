"""What py-spy says of a process, masked as the worker's own answer is."""

import json
import subprocess
import sys
import time

import pytest

from heka_raven.eyes import reader
from heka_raven.eyes.dump import read_dump
from heka_raven.eyes.rules import Rules

PLANTED = "plantedsecret"


def dump(*threads):
    return json.dumps(list(threads)).encode()


def thread(*frames, ident=7, number=100):
    return {"thread_id": ident, "os_thread_id": number, "frames": list(frames)}


def frame(name="view", filename="/srv/app.py", **local):
    variables = [{"name": name, "addr": 1, "arg": True, "repr": text} for name, text in local.items()]
    return {"name": name, "filename": filename, "line": 3, "locals": variables}


def read(data, ident=7, rules=None):
    return read_dump(data, 100, ident, rules or Rules(), time.process_time)


def test_values_are_shown_as_the_worker_shows_them():
    """What can be read as a value is one; the rest is a text."""
    [found] = read(dump(thread(frame(a="1", b='"x"', c="[1, 2, ...]", d='{"k": (1.5, None)}', e="<Order at 0x7f1c>"))))
    assert {"file": "/srv/app.py", "line": 3, "function": "view"} == {k: found[k] for k in ("file", "line", "function")}
    assert {"a": 1, "b": "x", "d": {"k": [1.5, None]}, "e": "<Order>"} == {k: found["vars"][k] for k in "abde"}
    assert [1, 2] == found["vars"]["c"][:2]


@pytest.mark.parametrize("name", [None, 7, [], {}, "view"])
@pytest.mark.parametrize("variables", [None, True, 1e308, "", "x", {}, {"name": "a"}, [None, 1, {"name": "a"}]])
def test_frames_of_another_shape_have_no_values(name, variables):
    """What writes the dump is a program of its own: a frame that is no frame as we know it ends nothing."""
    [found] = read(dump(thread({"name": name, "filename": name, "line": name, "locals": variables})))
    assert "vars" not in found and isinstance(found["function"], str)


@pytest.mark.parametrize("text", ['", {[]:1}#', '", open("x")#', "a\nb", '"', "x" * 10_000 + '"'])
def test_a_text_of_a_visitor_is_a_text(text):
    """py-spy escapes nothing: what stands in a text decides nothing, and ends no reader."""
    [found] = read(dump(thread(frame(a=f'"{text}"', b=f'{{"k": "{text}"}}'))))
    assert found["vars"]["a"][:20] == text[:20] and "b" in found["vars"]


@pytest.mark.parametrize(
    "local",
    [
        {"password": f'"{PLANTED}"'},
        {"password": f'"{PLANTED}...'},
        {"d": f'{{"api_key": "{PLANTED}", "n": 1}}'},
        {"d": f'{{"n": <A at 0x1>, "api_key": "{PLANTED}"}}'},
        {"d": f'{{"n": [1, 2], "api_key": "{PLANTED}...", ...}}'},
        {"argv": f'["--password", "{PLANTED}"]'},
        {"argv": f'["run", "--password", "{PLANTED}", <A at 0x1>]'},
        {"url": f'"postgresql://ann:{PLANTED}@db/shop"'},
        {"header": f'"Authorization: Bearer {PLANTED}"'},
        {"cookies": f'{{"sid": "{PLANTED}"}}'},
        {"cookies": f'{{"sid": "{PLANTED}", ...}}'},
        {"env": f'{{"HTTP_COOKIE": "sid={PLANTED}", "HTTP_AUTHORIZATION": "Basic {PLANTED}"}}'},
        {"env": f'{{"HTTP_AUTHORIZATION": "Basic {PLANTED}", "x": <A>, ...}}'},
        {"pin_code_of_ours": f'"{PLANTED}"'},
    ],
)
def test_nothing_private_comes_through(local):
    """Whole or cut, as a value or as a text: what is private is masked."""
    rules = Rules(scrub_keys=("pin_code_of_ours",))
    assert PLANTED not in repr(read(dump(thread(frame(**local))), rules=rules))


def test_what_djangos_decorators_call_sensitive():
    """Their names cannot be read from outside: all that the decorated function and those it calls have is private."""
    wrapper = frame(
        "sensitive_variables.<locals>.decorator.<locals>.sensitive_variables_wrapper", args=f'["{PLANTED}"]'
    )
    outer = frame("middleware", order="20")
    found = read(dump(thread(frame("inner", a=f'"{PLANTED}"'), frame("view", b=f'"{PLANTED}"'), wrapper, outer)))
    assert PLANTED not in repr(found)
    assert {"order": 20} == found[0]["vars"]


def test_which_thread():
    """The one that is wanted; where it is not there the main thread."""
    data = dump(thread(frame("other"), ident=1, number=101), thread(frame("main"), ident=2, number=100))
    assert "other" == read(data, 1)[0]["function"]
    assert "main" == read(data, 99)[0]["function"]
    assert "main" == read(data, 0)[0]["function"]
    assert None is read(dump(thread(ident=1)), 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{}",
        b"[]",
        b"[1]",
        b'[{"frames": 1}]',
        b'[{"frames": [1]}]',
        b"\xff",
        b"[" * 100000,
        b"null",
        b"x" * (9 << 20),
    ],
)
def test_nonsense_is_no_answer(data):
    """Nobody vouches for what a reader says."""
    assert not read(data)


def test_frames_of_nonsense():
    """A frame with anything in it is a frame, or none."""
    strange = {
        "name": None,
        "filename": 7,
        "line": "x",
        "locals": [1, {"name": 1}, {"name": "a", "repr": 3}, {"name": "b", "repr": "(" * 9999}],
    }
    [found] = read(dump(thread(strange)))
    assert (0, "") == (found["line"], found["function"])


def test_locals_off():
    """An application that shows no values is not shown from outside either."""
    assert read(dump(thread(frame(a="1"))), rules=Rules(show=False)) is None


def run_reader(data, rules):
    return subprocess.run(
        [sys.executable, "-m", "heka_raven.eyes.reader", "100", "7", rules.line().decode()],
        input=data,
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_the_program():
    """It reads py-spy's dump, and writes masked frames."""
    done = run_reader(dump(thread(frame(order="20", iban=f'"{PLANTED}"'))), Rules(scrub_keys=("iban",)))
    assert 0 == done.returncode, done.stderr
    assert {"order": 20, "iban": "[Filtered]"} == json.loads(done.stdout)["frames"][0]["vars"]


def test_the_program_without_an_answer():
    """Nonsense ends it with a status of its own, and says nothing."""
    done = run_reader(b"nonsense", Rules())
    assert (reader.NO_FRAMES, b"") == (done.returncode, done.stdout)


def test_a_dict_that_is_cut_or_holds_objects_is_a_dict():
    """What py-spy leaves out or cannot write costs one value, and not the dict around it."""
    text = '{"n": <uwsgi._Input at 0x7f1>, "deep": [<A>, "say <b>, ...}"], "big": +bigint, "rows": 1, ...}'
    [found] = read(dump(thread(frame(d=text))))
    assert {"n": "<uwsgi._Input>", "deep": ["<A>", "say <b>, ...}"], "big": "+bigint", "rows": 1} == found["vars"]["d"]
