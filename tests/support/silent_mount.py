"""A file system behind which nobody answers, as that of a file server that has died. Needs root and FUSE."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

MNT_DETACH = 2


@contextlib.contextmanager
def silent_mount(folder: Path) -> Iterator[None]:
    """Whoever opens what lies below *folder* waits."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        pytest.skip(f"no FUSE here: {error}")
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    try:
        if libc.mount(b"nobody", os.fsencode(folder), b"fuse", 0, options) != 0:
            pytest.skip(f"this machine lets us mount no FUSE: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            libc.umount2(os.fsencode(folder), MNT_DETACH)
    finally:
        os.close(device)  # what waits gets an error
