"""The one way in which a test waits for something."""

import time

WAIT_S = 60.0  # a limit, not a pace: a test goes on as soon as what it waits for is there


def still(what, seconds=1.0):
    """What *what* gives after so long a time: for what must not come, or not twice, of which nothing tells.

    Here alone time itself is what is tested: a busy machine makes such a test weaker, and never fail.
    """
    time.sleep(seconds)
    return what()


def wait_for(condition, what=None, limit_s=WAIT_S, process=None):
    """The first true value of *condition*; fails loudly when there is none in time.

    Args:
        condition: called again and again, each 20 ms.
        what: what is waited for, as a text, or as a function that is called when it did not come.
        limit_s: seconds until it fails.
        process: nothing comes once this has ended.
    """
    until = time.monotonic() + limit_s
    while not (found := condition()):
        ended = process is not None and process.poll() is not None
        if ended and (found := condition()):
            return found
        if ended or time.monotonic() > until:
            waited = "the process ended before" if ended else f"waited {limit_s:g} s for"
            raise AssertionError(f"{waited} {what() if callable(what) else what or condition}")
        time.sleep(0.02)
    return found
