"""What a death was, what faulthandler wrote, and the slots: copies that are whole or none."""

import struct
import threading

import pytest

from heka_raven.eyes.slots import BEGAN_AT, MAX_TEXT, OVER_TIME, SLOTS, SLOW, Slots, Thread
from heka_raven.gunicorn.kinds import Frame, OomCount, read_stacks
from heka_raven.gunicorn.queues import is_news
from heka_raven.gunicorn.request_hooks import make_request_hooks


def test_oom_kills_are_those_of_now():
    """A kill of long ago, or of another process, does not make an OOM kill of each later SIGKILL."""
    count = OomCount(3, 0.0)
    assert not count.take(3)
    assert count.take(4)
    assert not count.take(4)
    count.sample(6, 6.0)
    count.sample(6, 12.0)
    assert not count.take(6)
    assert count.take(7)


STACKS = """Fatal Python error: Segmentation fault

Thread 0x00007f01 (most recent call first):
  File "/srv/shop/a.py", line 3 in wait
  File "/srv/shop/b.py", line 9 in main

Current thread 0x00007f02 (most recent call first):
  File "/srv/shop/c d.py", line 12 in Shop.fetch
  File "/srv/shop/b.py", line 9 in main
  ...

Extension modules: a, b (total: 2)
"""


def test_stacks():
    """Frames by thread, outermost first, and which thread it was; what is no frame is left out."""
    stacks, current = read_stacks(STACKS)
    assert 0x7F02 == current
    assert [Frame("/srv/shop/b.py", 9, "main"), Frame("/srv/shop/c d.py", 12, "Shop.fetch")] == stacks[0x7F02]
    assert ["main", "wait"] == [frame.function for frame in stacks[0x7F01]]
    assert ({}, None) == read_stacks('nonsense\n  File "x", line 1 in y\n')
    alone, current = read_stacks('Stack (most recent call first):\n  File "x", line 1 in y\n')
    assert ({0: [Frame("x", 1, "y")]}, None) == (alone, current)
    again, _ = read_stacks(STACKS + 'Current thread 0x00007f02 (most recent call first):\n  File "x", line 1 in y\n')
    assert ["y"] == [frame.function for frame in again[0x7F02]]


class Request:
    def __init__(self, uri="/there", peer=("127.0.0.1", 1)):
        self.method, self.uri, self.peer_addr, self.scheme = "GET", uri, peer, "http"
        self.headers = [("ACCEPT", "*/*"), ("HOST", "shop.example")] if peer else []


def test_slots():
    """A request is in flight from its begin to its end; the oldest comes first."""
    slots = Slots()
    begin, end = make_request_hooks(slots, 5, None, None)
    first, second = Request("/a?b=1"), Request("/c", "")
    begin(None, first)
    begin(None, second)
    found = slots.in_flight(5)
    expected = [("GET", "/a?b=1", "127.0.0.1", "http://shop.example"), ("GET", "/c", "", "")]
    assert expected == [request.fields() for request in found]
    assert {threading.get_ident()} == {request.thread for request in found}
    assert found[0].began_ns <= found[1].began_ns
    end(None, first, None, None)
    assert ["/c"] == [request.fields()[1] for request in slots.in_flight(5)]
    assert [] == slots.in_flight(4)


@pytest.mark.parametrize("letter", ["x", "\xe4"])
def test_what_is_too_long_is_cut(letter):
    """A long path loses its end, and the host; a long host is none."""
    slots = Slots()
    begin, _ = make_request_hooks(slots, 0, None, None)
    long, request = Request("/" + letter * MAX_TEXT), Request("/short")
    request.headers = [("HOST", letter * MAX_TEXT)]
    for each in (long, request):
        begin(None, each)
    (method, path, address, host), other = [each.fields() for each in slots.in_flight(0)]
    assert ("GET", "127.0.0.1", "") == (method, address, host)
    assert path.startswith("/" + letter * 300) or "\ufffd" in path
    assert len(path) < MAX_TEXT
    assert ("GET", "/short", "127.0.0.1", "") == other


@pytest.mark.parametrize("began", [float("inf"), float("nan"), -1.0, 1e300])
def test_what_a_crash_has_written_over(began):
    """A row is believed by nobody: a time that is none is no request."""
    slots = Slots()
    begin, _ = make_request_hooks(slots, 0, None, None)
    request = Request()
    begin(None, request)
    struct.pack_into("<d", slots.memory, request._heka_raven + BEGAN_AT, began)
    assert [] == slots.in_flight(0)


def test_what_was_told_of_a_request():
    """Each kind is news once for a request, whoever watches; and again for the next in its slot."""
    slots = Slots()
    begin, end = make_request_hooks(slots, 3, None, None)
    for _ in range(2):
        request = Request()
        begin(None, request)
        [found] = slots.in_flight(3)
        assert [True, False] == [slots.is_news(3, found, OVER_TIME) for _ in range(2)]
        assert not slots.was_told(3, found, SLOW)
        assert slots.is_news(3, found, SLOW)
        assert [found] == slots.in_flight(3)
        end(None, request, None, None)


def test_the_numbers_of_a_thread():
    """Each thread has its own, as Python and as the kernel number it."""
    thread, found = Thread(), []

    def look():
        found.append(struct.unpack("<QI", thread.numbers) == (threading.get_ident(), threading.get_native_id()))

    other = threading.Thread(target=look)
    other.start()
    other.join()
    look()
    assert [True, True] == found


def test_more_requests_than_slots():
    """What finds no slot is not seen, and harms nothing; slots come back, also of requests that cannot be written."""
    slots = Slots()
    begin, end = make_request_hooks(slots, 0, None, None)
    for _ in range(3):
        requests = [Request(uri) for uri in ("/x" * MAX_TEXT, "/\udcff", *["/y"] * (SLOTS + 5))]
        for request in requests:
            begin(None, request)
        assert SLOTS - 1 == len(slots.in_flight(0))
        for request in requests:
            end(None, request, None, None)
        assert [] == slots.in_flight(0)


def test_hooks_of_the_configuration():
    """They are called after ours, with the same arguments, and what they raise goes on."""
    calls = []

    def fails(*arguments):
        calls.append(arguments)
        raise ValueError

    begin, end = make_request_hooks(Slots(), 0, lambda *a: calls.append(a), fails)
    request = Request()
    begin("w", request)
    with pytest.raises(ValueError):
        end("w", request, {}, None)
    assert [("w", request), ("w", request, {}, None)] == calls


def test_a_torn_copy_is_none():
    """While others write, what is read is one request or another, never a mixture."""
    slots = Slots()
    begin, end = make_request_hooks(slots, 0, None, None)
    stop = threading.Event()

    def write(letter):
        while not stop.is_set():
            request = Request("/" + letter * 500)
            begin(None, request)
            end(None, request, None, None)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3000):
            for request in slots.in_flight(0):
                assert request.fields()[1] in ("/" + "a" * 500, "/" + "b" * 500)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_answers():
    """An answer is taken once; one that is too long is none."""
    slots = Slots()
    slots.begin_row(2, 4711, 9)
    assert b"" == slots.take_answer(2)
    slots.answer(2, b"{}")
    assert [b"{}", b""] == [slots.take_answer(2), slots.take_answer(2)]
    slots.answer(2, b"x" * 5000)
    assert b"" == slots.take_answer(2)
    [row] = slots.rows()
    assert (2, 4711, 9) == (row.place, row.pid, row.worker)


@pytest.mark.parametrize(
    ("was", "waiting", "limit", "percent", "expected"),
    [
        (False, 3, 4, 100, (False, False)),
        (False, 4, 4, 100, (True, True)),
        (True, 5, 4, 100, (True, False)),
        (True, 3, 4, 100, (False, False)),
        (False, 4, 5, 80, (True, True)),
        (False, 0, 5, 1, (False, False)),
        (False, 1, 5, 1, (True, True)),
        (False, 0, 0, 100, (False, False)),
    ],
)
def test_when_a_queue_is_news(was, waiting, limit, percent, expected):
    """A queue is told of when it fills, and again only after it was less."""
    assert expected == is_news(was, waiting, limit, percent)
