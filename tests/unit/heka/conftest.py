"""A client for the tests of heka/."""

import pytest

from heka.testing import capture_client


@pytest.fixture
def client():
    """A client that keeps what it sends."""
    return capture_client("app", severity=5)
