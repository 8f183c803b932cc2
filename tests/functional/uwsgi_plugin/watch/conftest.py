"""A server whose application does what the watch is for."""

from functools import partial

import pytest

from support.watch import APP


@pytest.fixture
def serve(serve):
    """A server whose application can do what the watch is for."""
    return partial(serve, app=APP)
