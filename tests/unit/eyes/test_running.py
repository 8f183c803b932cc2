"""The worker's own answer: frames of running threads, masked and bounded."""

import json
import sys
import threading

from heka_raven.eyes.rules import Rules
from heka_raven.eyes.running import MAX_ANSWER, Eyes, encode

PLANTED = "plantedsecret"


def look(eyes, thread=0):
    return json.loads(eyes.look(thread, sys._getframe(1)))["frames"]


def test_masked_values_of_each_frame():
    """Each frame has its place and its values; what is private is masked, by the application's own names too."""

    def view(order, token, iban):
        return look(eyes)

    eyes = Eyes()
    eyes.add(Rules(scrub_keys=("iban",)))
    frame = view(20, PLANTED, PLANTED)[-1]
    assert ("view", __file__) == (frame["function"], frame["file"])
    assert {"order": 20, "token": "[Filtered]", "iban": "[Filtered]"} == {
        name: frame["vars"][name] for name in ("order", "token", "iban")
    }
    assert frame["line"] == sys._getframe().f_lineno - 9


def test_another_thread():
    """The thread that is asked for is shown; one that is not there leaves the frame that was interrupted."""
    began, end = threading.Event(), threading.Event()

    def wait_here(number):
        began.set()
        end.wait()

    thread = threading.Thread(target=wait_here, args=(7,))
    thread.start()
    began.wait()
    try:
        frames = look(Eyes(), thread.ident)
        assert [7] == [frame["vars"]["number"] for frame in frames if frame["function"] == "wait_here"]
        assert "test_another_thread" == look(Eyes(), 12345)[-1]["function"]
    finally:
        end.set()
        thread.join()


def test_locals_off():
    """An application that shows no values has no answer, or, where a stack is wanted all the same, one without."""
    eyes = Eyes()
    eyes.add(Rules(show=False))
    assert b"" == eyes.look(0, sys._getframe())
    bare = json.loads(eyes.look(0, sys._getframe(), bare=True))
    assert bare["hidden"]
    assert "test_locals_off" == bare["frames"][-1]["function"]
    assert not any("vars" in frame for frame in bare["frames"])


def test_nothing_of_the_application_is_called():
    """A stack that waits may hold any lock: no repr, no property, no supplement is asked."""
    called = []

    class Object:
        def __repr__(self):
            called.append("repr")
            return "x"

        __str__ = __repr__

    class Failed(Exception):
        def __str__(self):
            called.append("str")
            return "x"

    def supplement():
        called.append("supplement")

    def view(value, error):
        __traceback_supplement__ = (supplement,)
        return look(Eyes())

    view(Object(), Failed())
    assert [] == called


def test_deep_stacks_and_large_values():
    """An answer is bounded; the innermost frames keep their values."""

    def down(depth, text):
        return look(Eyes()) if depth == 0 else down(depth - 1, text)

    frames = down(400, ["x" * 400] * 50)
    assert len(frames) <= 250
    assert 0 == frames[-1]["vars"]["depth"]
    many = [{"file": "/a.py", "line": 1, "function": "f", "vars": {"x": "y" * 2000, "n": n}} for n in range(250)]
    text = encode(many)
    assert len(text) <= MAX_ANSWER
    kept = json.loads(text)["frames"]
    assert 249 == kept[-1]["vars"]["n"] and "vars" not in kept[0]


def test_strange_names():
    """A file's name of bytes that are no UTF-8 is no reason for no answer."""
    frames = json.loads(encode([{"file": "/a\udcff.py", "line": 1, "function": "f\ud800"}]))["frames"]
    assert "/a\ufffd.py" == frames[0]["file"]
