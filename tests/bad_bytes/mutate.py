"""The ways in which bytes go wrong, and what a target is."""

import json
from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "data"
ODD = [
    None,
    True,
    -1,
    0,
    2**63,
    -(2**70),
    1e308,
    "",
    "x" * 3000,
    "\0",
    "\ud800",
    [],
    {},
    [[]],
    {"": ""},
    "NaN",
    "1" * 5000,
]
PIECES = [
    b"\x1e",
    b"\x1f",
    b"\0",
    b"\n",
    b"{",
    b"}",
    b"[" * 200,
    b'"',
    b"\\u0000",
    b"\xff" * 8,
    b"\xe2\x80",
    b"1e999",
    b"-1",
]


def mutate_bytes(dice, data):
    """One to four of the ways in which bytes go wrong."""
    data = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at, kind = dice.randrange(len(data) + 1), dice.randrange(6)
        if kind == 0 and at < len(data):
            data[at] = dice.randrange(256)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            del data[at : at + dice.randint(1, 40)]
        elif kind == 3:
            data[at:at] = dice.choice(PIECES)
        elif kind == 4:
            data[at:at] = dice.randbytes(dice.randint(1, 20))
        else:
            data[at:at] = data[: dice.randrange(len(data) + 1)]
    return bytes(data[:200_000])


def mutate_json(dice, value):
    """*value* with some of its parts of another kind."""
    if dice.random() < 0.03:
        return dice.choice(ODD)
    if isinstance(value, dict):
        return {(str(dice.choice(ODD)) if dice.random() < 0.01 else k): mutate_json(dice, v) for k, v in value.items()}
    if isinstance(value, list):
        return [mutate_json(dice, item) for item in value] * (dice.randrange(3) if dice.random() < 0.02 else 1)
    return value


def dump(value):
    return json.dumps(value).encode("utf-8", "surrogatepass")


class Target:
    """What reads bytes. ``feed`` raises where an invariant broke."""

    name = ""
    more_files = 0  # descriptors that may come and go

    def __init__(self, place):
        self.place = place

    def seeds(self):
        raise NotImplementedError

    def feed(self, data):
        raise NotImplementedError

    def finish(self):
        """What must hold after all of them."""

    def make(self, dice, seeds):
        return mutate_bytes(dice, dice.choice(seeds))
