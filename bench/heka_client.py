"""What one heka message costs: `./run bench heka_client`, or `python bench/heka_client.py`.

``client.heka()`` with one field, to a stream that throws the record away, and how that splits: each part is the same
code, run alone. Figures are the best of many short rounds.
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


def best_us(call):
    """Microseconds of one *call*, the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(CALLS):
            call()
        best = min(best, time.perf_counter() - started)
    return best / CALLS * 1e6


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
    total = best_us(lambda: client.heka("bench", payload="hello world", fields=FIELDS))
    rows = [
        ("the message without fields", best_us(build)),
        ("  of it: uuid (os.urandom)", best_us(lambda: os.urandom(16))),
        ("  of it: time, pid", best_us(lambda: (int(time.time() * 1000000000), os.getpid()))),
        ("one field", best_us(add) - best_us(lambda: message.ClearField("fields"))),
        ("encoder", best_us(lambda: encode(sample))),
        ("  of it: protobuf", best_us(sample.SerializeToString)),
        ("  of it: header and framing", best_us(lambda: wire.frame_unsigned(payload))),
    ]
    parts = sum(cost for name, cost in rows if not name.startswith("  "))
    rows.append(("the rest: calls, limits, filters, stream", total - parts))

    python = ".".join(map(str, sys.version_info[:3]))
    print(f"Python {python}, protobuf {api_implementation.Type()}, one field, null stream; limit {LIMIT_US:g} us")
    print(f"{'client.heka()':42} {total:7.2f} us")
    for name, cost in rows:
        print(f"  {name:40} {cost:7.2f} us")
    print(f"{'the same without a field':42} {best_us(lambda: client.heka('bench', payload='hello world')):7.2f} us")
    for name, other in (("the same, one filter", filtered), ("the same, signed with SHA1", signed)):
        cost = best_us(lambda other=other: other.heka("bench", payload="hello world", fields=FIELDS))
        print(f"{name:42} {cost:7.2f} us")
    print(f"{'client.incr()':42} {best_us(lambda: client.incr('hits')):7.2f} us")
    if total > LIMIT_US:
        print(f"client.heka() costs {total:.2f} us, over the limit of {LIMIT_US:g} us", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
