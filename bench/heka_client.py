"""What one heka message costs: `./run bench heka_client`, or `python bench/heka_client.py`.

``client.heka()`` with one field, to a stream that throws the record away, and how that splits: each part is the same
code, run alone. Figures are the best of many short rounds; the rounds of all of them take turns, so that a busy
machine slows down the whole and its parts alike.
"""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from google.protobuf.internal import api_implementation

from heka import wire
from heka.client import HekaClient
from heka.encoders import ProtobufEncoder
from heka.fields import add_fields
from heka.filters import severity_max_provider
from heka.message import Message

ROUNDS = 400  # short ones, so that some fall between what else the machine does
CALLS = 100  # per round
LIMIT_US = 12.0
FIELDS = {"request_id": "abc123"}


class NullStream:
    """Takes a record and forgets it."""

    def write(self, data):
        pass

    def flush(self):
        pass


def best_us(calls):
    """Microseconds of one call of each of *calls*, a dict of functions: the best round."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            started = time.perf_counter()
            for _ in range(CALLS):
                call()
            best[name] = min(best[name], time.perf_counter() - started)
    return {name: seconds / CALLS * 1e6 for name, seconds in best.items()}


def main():
    client = HekaClient(NullStream(), "bench")
    signed = HekaClient(
        NullStream(), "bench", hmc={"signer": "s", "key_version": 1, "hash_function": "SHA1", "key": "secret"}
    )
    filtered = HekaClient(NullStream(), "bench", filters=[severity_max_provider(6)])
    message = Message()

    def build():
        msg = Message()
        msg.uuid = os.urandom(16)
        msg.timestamp = int(time.time() * 1000000000)
        msg.type = "bench"
        msg.logger = "bench"
        msg.severity = 6
        msg.payload = "hello world"
        msg.env_version = "0.8"
        msg.pid = os.getpid()
        msg.hostname = client.hostname
        return msg

    def add():
        message.ClearField("fields")
        add_fields(message, FIELDS)

    sample = build()
    add_fields(sample, FIELDS)
    payload = sample.SerializeToString()
    encode = ProtobufEncoder().encode
    cost = best_us(
        {
            "total": lambda: client.heka("bench", payload="hello world", fields=FIELDS),
            "build": build,
            "uuid": lambda: os.urandom(16),
            "now": lambda: (int(time.time() * 1000000000), os.getpid()),
            "add": add,
            "clear": lambda: message.ClearField("fields"),
            "encode": lambda: encode(sample),
            "protobuf": sample.SerializeToString,
            "frame": lambda: wire.frame_unsigned(payload),
            "no field": lambda: client.heka("bench", payload="hello world"),
            "filter": lambda: filtered.heka("bench", payload="hello world", fields=FIELDS),
            "sign": lambda: signed.heka("bench", payload="hello world", fields=FIELDS),
            "incr": lambda: client.incr("hits"),
        }
    )
    return tell(cost)


def tell(cost):
    """Print the costs in us; 1 if a message costs more than it may."""
    total, field = cost["total"], cost["add"] - cost["clear"]
    rest = total - cost["build"] - field - cost["encode"]

    python = ".".join(map(str, sys.version_info[:3]))
    print(f"Python {python}, protobuf {api_implementation.Type()}, one field, null stream; limit {LIMIT_US:g} us")
    for name, figure in (
        ("client.heka()", total),
        ("  the message without fields", cost["build"]),
        ("    of it: uuid (os.urandom)", cost["uuid"]),
        ("    of it: time, pid", cost["now"]),
        ("  one field", field),
        ("  encoder", cost["encode"]),
        ("    of it: protobuf", cost["protobuf"]),
        ("    of it: header and framing", cost["frame"]),
        ("  the rest: calls, limits, filters, stream", rest),
        ("the same without a field", cost["no field"]),
        ("the same, one filter", cost["filter"]),
        ("the same, signed with SHA1", cost["sign"]),
        ("client.incr()", cost["incr"]),
    ):
        print(f"{name:42} {figure:7.2f} us")
    if total > LIMIT_US:
        print(f"client.heka() costs {total:.2f} us, over the limit of {LIMIT_US:g} us", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
