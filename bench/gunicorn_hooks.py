"""What a clean request pays for the watch under gunicorn: its two hooks, beside two that do nothing.

python bench/gunicorn_hooks.py
"""

import sys
import timeit
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from heka_raven.eyes.slots import Slots
from heka_raven.gunicorn.request_hooks import make_request_hooks

ROUNDS, REQUESTS = 600, 2000


class Request:
    """As gunicorn's, as far as the hooks look at it."""

    method, uri, peer_addr, scheme = "GET", "/orders/12345?page=3", ("127.0.0.1", 48711), "http"
    headers = [("HOST", "shop.example"), ("USER-AGENT", "bench"), ("ACCEPT", "*/*")]


def main():
    begin, end = make_request_hooks(Slots(), 0, None, None)
    request = Request()

    def nothing(*arguments):
        pass

    def watched():
        begin(None, request)
        end(None, request, None, None)

    def plain():
        nothing(None, request)
        nothing(None, request, None, None)

    rounds = [
        [timeit.timeit(each, number=REQUESTS) / REQUESTS * 1e6 for each in (watched, plain)] for _ in range(ROUNDS)
    ]
    cost = min(one for one, _ in rounds) - min(other for _, other in rounds)
    print(f"the watch's hooks: {cost:.2f} us a request more than hooks that do nothing (best of {ROUNDS} rounds)")


if __name__ == "__main__":
    main()
