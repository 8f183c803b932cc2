"""Clients of the tests of reporting, and a request to report in."""

import pytest

from heka.holder import CLIENT_HOLDER
from heka_raven import scope
from support.events import router_client
from support.scope import enter_request


@pytest.fixture
def client():
    return router_client()


@pytest.fixture
def default_client(client):
    """*client* as the process's default one."""
    name = "events-default"
    CLIENT_HOLDER.set_client(name, client)
    before = CLIENT_HOLDER._default_clientname
    CLIENT_HOLDER.set_default_client_name(name)
    yield client
    CLIENT_HOLDER.set_default_client_name(before)
    CLIENT_HOLDER.delete_client(name)


@pytest.fixture
def request_scope():
    """A request as the middleware opens one."""
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/x"}
    facts = scope.RequestFacts(
        request={
            "method": "GET",
            "url": "http://h/x",
            "query_string": "token=hidden&a=1",
            "headers": {"Accept": "*/*"},
        },
        transaction="GET /x",
        user={"id": 7, "role": "admin"},
        tags={"from": "request"},
        fields={"request_method": "GET", "request_path": "/x", "status": 500, "remote_addr": "1.2.3.4"},
        trace={"trace_id": "a" * 32, "span_id": "b" * 16},
    )
    token = enter_request(lambda given: facts, environ)
    yield environ
    scope.CURRENT.reset(token)
