"""What the tests of the watch from outside share."""


def is_watched(spool):
    """Whether a watch has the lock of a process that tells in *spool*; it is not tried, which would be in its way."""
    inodes = {str(path.stat().st_ino) for path in (spool / "state" / "watch").glob("*.stacks")}
    with open("/proc/locks", encoding="ascii") as file:
        locks = [line.split() for line in file]
    return any(lock[1] == "FLOCK" and lock[5].rpartition(":")[2] in inodes for lock in locks)
