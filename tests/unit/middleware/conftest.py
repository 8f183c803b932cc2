"""A client that keeps what the middleware gives it."""

import pytest

from support.middleware import RecordingClient


@pytest.fixture
def client():
    return RecordingClient()
