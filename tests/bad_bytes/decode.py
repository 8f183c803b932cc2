"""What `heka-raven decode` reads."""

import contextlib
import io
import json
import sys

import orjson

from bad_bytes.mutate import DATA, Target
from heka_raven.cli import decode
from support.fleet import encode, event_json


class Decode(Target):
    """`heka-raven decode` writes lines of JSON with the nine keys, or says in one line why not."""

    name = "decode"
    KEYS = frozenset({"uuid", "timestamp", "type", "logger", "severity", "payload", "pid", "hostname", "fields"})

    def seeds(self):
        records = [encode(event_json(n, 300), "http://key@sentry.example.com/1") for n in range(3)]
        envelopes = [path.read_bytes() for path in sorted((DATA / "sdks").glob("py*.env"))]
        raven = [
            case.encode() for case in _texts(json.loads((DATA / "raven_payloads.json").read_text())) if len(case) > 200
        ]
        return [*records, records[0] * 3, *envelopes, *raven[:8]]

    def feed(self, data):
        out, err = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
        try:
            for unpack in (False, True):
                with contextlib.suppress(decode.DecodeError):
                    decode._decode(io.BytesIO(data), "auto", unpack)
            said = sys.stdout.buffer.getvalue()
        finally:
            sys.stdout, sys.stderr = out, err
        for line in said.splitlines():
            assert orjson.loads(line).keys() == self.KEYS


def _texts(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
