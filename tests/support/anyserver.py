"""What the tests of the watch from outside share."""

import fcntl


def is_watched(spool):
    """Whether a watch has the lock of a process that tells in *spool*."""
    for path in (spool / "state" / "watch").glob("*.stacks"):
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
    return False
