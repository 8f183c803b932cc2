"""What must hold of a spool after a fault, whoever wrote to it and whoever sends."""

import contextlib
import json
import os
from collections import Counter

from faults.watched import run_here
from heka_raven.formats.envelope import parse_envelope
from heka_raven.spool.directory import read_file
from heka_raven.spool.ledger import fold, read_snapshot
from heka_raven.spool.spool import Spool, parse_name

ROUNDS = 6


def event_bytes(event_id, size=200):
    return json.dumps({"event_id": event_id, "platform": "python", "logentry": {"formatted": "x" * size}}).encode()


def _list(path, part):
    try:
        return sorted(os.listdir(os.path.join(path, part)))
    except FileNotFoundError:
        return []


def half_files(path, only=None):
    """Files of ``new/`` and ``dead/`` (or *only* these) that are not one whole event."""
    found = []
    for part in ("new", "dead"):
        for name in _list(path, part):
            if (only is not None and name not in only) or name.endswith(".why") or name.endswith(".why.new"):
                continue
            try:
                header, items = parse_envelope(read_file(os.path.join(path, part, name)) or b"")
                event = json.loads(items[0].payload)
                if event["event_id"] != header["event_id"] or header["event_id"] not in name:
                    found.append(f"{part}/{name}: another event")
            except Exception as error:
                found.append(f"{part}/{name}: {error!r}")
    return found


def send_clean(path):
    """A sender without faults, round after round (a server may have asked for quiet), and two minutes' housekeeping."""

    def act(tell):
        from heka_raven.cli.send import main

        for _ in range(ROUNDS):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(path, "state", "limits.json"))
            main(["--once", "--spool", path])
            if not os.listdir(os.path.join(path, "new")):
                break
        keep_house(path)

    if os.path.isdir(os.path.join(path, "state")):
        run_here(act)
        fold(path)


def settle(path):
    """The housekeeping alone."""
    run_here(lambda tell: keep_house(path))
    fold(path)


def keep_house(path):
    """The housekeeping of some minutes: what killed processes left is folded, and the level set right."""
    from heka_raven.sender.housekeeping import House

    spool = Spool(path)
    house = House(spool)
    for _ in range(3):
        house.keep(0.0)
    spool.ledger.close()


def judge_waiting(path, kills, unwritten=0):
    """What is wrong of a spool from which nobody has sent."""
    wrong = half_files(path)
    if not kills and _list(path, "tmp"):
        wrong.append(f"left in tmp/: {_list(path, 'tmp')}")
    return wrong + _judge_ledger(path, max(kills, unwritten), len(_list(path, "new")), None)


def judge(
    path,
    taken,
    refused,
    seen,
    *,
    kills,
    repeats=False,
    tries=None,
    may_arrive=(),
    ledger=True,
    captured=None,
    unwritten=0,
):
    """What is wrong of a spool that a clean sender has emptied.

    Args:
        taken: ids whose capture returned, all told.
        refused: ids whose capture said no.
        seen: ids that the server has got, each as often as it came.
        kills: processes that were killed: the ledger may be off by one for each.
        repeats: a reply may have been lost, so an event may have come twice.
        tries: how often each event is expected where the server said no at first.
        unwritten: counts of a process that could write none to its end.
        may_arrive: ids that were under way when their process was killed.
    """
    wrong = list(half_files(path))
    came = Counter(seen)
    dead = [parse_name(name).event_id for name in _list(path, "dead") if parse_name(name)]
    new = [parse_name(name).event_id for name in _list(path, "new") if parse_name(name)]
    if new:
        wrong.append(f"still waits: {len(new)}")
    for event_id in taken:
        if not came[event_id] and event_id not in dead:
            wrong.append(f"lost: {event_id}")
    expected = tries or 1
    for event_id, count in came.items():
        if count > expected and not repeats:
            wrong.append(f"came {count} times: {event_id}")
        if event_id in refused:
            wrong.append(f"was refused and came: {event_id}")
        if event_id not in taken and event_id not in may_arrive and not kills:
            wrong.append(f"nobody captured: {event_id}")
    if not kills and _list(path, "tmp"):
        wrong.append(f"left in tmp/: {_list(path, 'tmp')}")
    if ledger and os.path.isdir(os.path.join(path, "state")):
        wrong += _judge_ledger(path, max(kills, unwritten), len(new), captured)
    return wrong


def _judge_ledger(path, off_by, waiting, captured):
    snapshot = read_snapshot(path)
    counts = {name: n for name, n in snapshot.counts.items() if n}
    wrong = []
    if abs(snapshot.missing) > off_by:
        wrong.append(f"the ledger is off by {snapshot.missing}: {counts}")
    if snapshot.pending != waiting:
        wrong.append(f"the ledger says that {snapshot.pending} wait: {counts}")
    if captured is not None and not captured - off_by <= snapshot["captured"] <= captured:
        wrong.append(f"captured is {snapshot['captured']}, not {captured}")
    return wrong
