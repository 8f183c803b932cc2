"""A million wrong inputs, for the reader of records and for a relay's sockets."""

import random

import pytest

from heka.wire import RecordReader
from support.fleet import KEY, encode, event_json, readdress, running_relay, spool_ids
from support.golden import GOLDEN, record_bytes
from support.waiting import wait_for

DSN = "http://key@sentry.example.com/1"
GOLDEN_RECORDS = [
    record_bytes(record)
    for case in GOLDEN["messages"]
    for record in case["records"]
    if record["message"]["type"] == "sentry"
]


def mutate(dice, data):
    """One of the ways in which bytes go wrong."""
    data = bytearray(data)
    kind = dice.randrange(7)
    if kind == 0:
        for _ in range(dice.randint(1, 8)):
            data[dice.randrange(len(data))] = dice.randrange(256)
    elif kind == 1:
        del data[dice.randrange(len(data)) :]
    elif kind == 2:
        at = dice.randrange(len(data))
        del data[at : at + dice.randint(1, 40)]
    elif kind == 3:
        at = dice.randrange(len(data))
        data[at:at] = dice.randbytes(dice.randint(1, 40))
    elif kind == 4:
        at = dice.randrange(len(data))
        data[at:at] = dice.choice((b"\x1e", b"\x1f", b"\x1e\x02\x08", b"\x1e\xff", b"\x1e\x04\x08\xff\xff\x03\x1f"))
    elif kind == 5:
        data = bytearray(dice.randbytes(dice.randint(1, 200)))
    else:
        at = dice.randrange(len(data))
        data[at:] = data[: dice.randrange(len(data))]
    return bytes(data)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("rounds", [4_000, pytest.param(1_000_000, marks=pytest.mark.full)])
def test_fuzz_the_reader(rounds):
    """Mutated records, in any pieces: no exception, no growth, and the valid record behind each still comes."""
    dice = random.Random(10)
    seeds = [*GOLDEN_RECORDS, encode(event_json(1), DSN, hmac=KEY), encode("", None, kind="x")]
    valid = encode("the valid one", DSN, kind="valid")
    heads = tuple(valid[:size] for size in range(1, len(valid) + 1))
    reader = RecordReader()
    missed = swallowed = 0
    for number in range(rounds):
        reader.feed(mutate(dice, dice.choice(seeds)))
        assert reader.pending <= 65_536 + 65_536 + 258
        if number % 20 == 0:
            # A cut record may hold back what follows, up to the length it promised: end it, as the relay does with a
            # connection, and look whether what is valid is found.
            records = reader.feed(valid) + reader.finish()
            if not any(record.message.type == "valid" for record in records):
                # The format has no escape: a wrong length that reaches into the next record takes it for its own, if
                # what comes of it happens to be a Message. Nothing else may take it.
                missed += 1
                swallowed += any(record.payload.endswith(heads) for record in records)
            reader = RecordReader()
    assert swallowed == missed <= rounds / 20 * 0.02


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("rounds", [4_000, pytest.param(1_000_000, marks=pytest.mark.full)])
def test_fuzz_the_socket(tmp_path, rounds):
    """A relay under mutated records over many connections: it lives, does not grow, and takes every valid event."""
    dice = random.Random(11)
    seeds = [readdress(record, DSN) for record in GOLDEN_RECORDS]
    seeds += [encode(event_json(n, 300), DSN, kind="x") for n in range(5)]
    with running_relay(
        tmp_path / "spool", "--dsn", "https://never.example.com/1", "--dsn", "http://valid@v.example.com/1"
    ) as relay:
        batches = rounds // 200
        must, behind = set(), set()
        growing_from = 0
        for batch in range(batches):
            before, after, other, datagram = (
                encode(event_json(10 * batch + place), "http://valid@v.example.com/1") for place in range(4)
            )
            with relay.tcp() as sock:
                try:
                    sock.sendall(before)
                    sock.sendall(b"".join(mutate(dice, dice.choice(seeds)) for _ in range(200)))
                    sock.sendall(after)
                except OSError:
                    pass  # closed for too much garbage
            relay.send_udp(mutate(dice, dice.choice(seeds)))
            relay.send_tcp(other)
            relay.send_udp(datagram)
            must |= {f"{10 * batch + place:032x}" for place in (0, 2)}
            behind.add(f"{10 * batch + 1:032x}")
            if batch == batches // 2:
                growing_from = relay.rss_bytes()
        wait_for(lambda: must <= set(spool_ids(relay.spool)), "the valid events")
        assert relay.process.poll() is None
        assert relay.rss_bytes() - growing_from < 16 * 2**20
        relay.send_tcp(encode(event_json(10**8), "http://valid@v.example.com/1"))
        wait_for(lambda: f"{10**8:032x}" in spool_ids(relay.spool))
        # Behind garbage in the same connection: a mutated length may swallow it, or the connection was closed.
        assert len(behind & set(spool_ids(relay.spool))) >= 0.5 * batches
        assert 0 == relay.counts().get("refused.internal", 0)
        assert relay.peak_rss_bytes() < 100 * 2**20
    assert 0 == relay.ledger().missing
