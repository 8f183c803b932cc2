"""Timers, as context managers and decorators, in threads and coroutines."""

import asyncio
import threading
import time

import pytest

from heka.testing import assert_message, capture_client, sent_messages
from heka.timers import Timer
from support.golden import only


def test_timer_as_context_manager(client):
    """It sends the elapsed milliseconds, and shows them as ``result``."""
    with client.timer("name", "log", 2, {"f": 1}) as timer:
        started = timer.start
        while time.perf_counter() - started < 0.01:
            pass
    assert timer.result >= 10
    assert_message(
        only(client), type="timer", payload=str(timer.result), logger="log", severity=2, fields={"name": "name", "f": 1}
    )


def test_timer_as_decorator(client):
    """It keeps the function's name and result, passes exceptions on, and refuses what cannot be called."""
    timer = client.timer("name")

    @timer
    def work(value):
        """Documented."""
        return 1 / value

    assert work(2) == 0.5
    assert (work.__name__, work.__doc__) == ("work", "Documented.")
    with pytest.raises(ZeroDivisionError):
        work(0)
    assert len(sent_messages(client)) == 2
    with pytest.raises(ValueError):
        timer("foo")


def test_a_coroutine_is_timed_until_it_is_done(client):
    """A decorated coroutine function stays one, and interleaved calls do not mix."""

    @client.timer("c")
    async def work(seconds, fail=False):
        await asyncio.sleep(seconds)
        if fail:
            raise KeyError("mine")
        return seconds

    async def main():
        return await asyncio.gather(work(0.05), work(0), work(0, fail=True), return_exceptions=True)

    results = asyncio.run(main())
    assert results[:2] == [0.05, 0]
    assert isinstance(results[2], KeyError)
    *quick, slow = [int(msg.payload) for msg in sent_messages(client)]
    assert len(quick) == 2
    assert slow >= 50 and slow >= max(quick)  # quick is relative: the machine may stop at any line


def test_attributes_of_a_timer_are_the_threads_own(client):
    """What one thread sets on a timer no other thread sees."""
    timer = Timer(client, "t", {})
    timer.value = 10
    seen = []
    thread = threading.Thread(target=lambda: seen.append((getattr(timer, "value", None), timer.result, timer.name)))
    thread.start()
    thread.join(60)
    assert seen == [(None, None, "t")]


def test_a_timer_that_cannot_be_sent_says_so(client):
    """A wrong field in a timer is an error of the call, as in ``heka`` itself."""
    with pytest.raises(ValueError, match="'x'"), client.timer("t", fields={"x": None}):
        pass
    with pytest.raises(TypeError):
        client.timer("t", bad_arg=1)


@pytest.mark.parametrize("disabled", ["off", ["off", "other"], ["*"]])
def test_disabled_timers_do_nothing(disabled):
    """Named timers, or all of them, neither measure nor send."""
    client = capture_client(disabled_timers=disabled)

    @client.timer("off")
    def work():
        return 1

    with client.timer("off") as timer:
        pass
    assert (work(), timer.start, timer.result) == (1, None, None)
    assert sent_messages(client) == []
    with client.timer("on"):
        pass
    assert len(sent_messages(client)) == (0 if disabled == ["*"] else 1)


def test_a_timer_may_be_disabled_and_enabled_while_it_runs(client):
    """As heka-py's users did: the set of disabled timers can be changed at any time."""
    for change, sent in ((client._disabled_timers.add, 0), (client._disabled_timers.remove, 1)):
        change("t")
        with client.timer("t"):
            pass
        assert sent == len(sent_messages(client))
