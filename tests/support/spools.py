"""What lies in a spool, read back."""

import json
from pathlib import Path

from heka_raven.formats.raven_payload import decode_raven


def spooled_items(path):
    """The events that wait in the spool at *path*, oldest first: ``(envelope header, item header, event)``."""
    found = []
    for name in sorted(Path(path, "new").glob("*.env")):
        header, item, payload = name.read_bytes().split(b"\n", 2)
        payload = payload.rstrip(b"\n")
        kind = json.loads(item)
        event = json.loads(payload) if kind["type"] == "event" else decode_raven(payload)
        found.append((json.loads(header), kind, event))
    return found


def spooled(path):
    """The events alone."""
    return [event for _, _, event in spooled_items(path)]
