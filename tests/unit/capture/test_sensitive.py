"""Django's @sensitive_variables and @sensitive_post_parameters are honoured."""

# ruff: noqa: F841 - the local variables are what is tested

import asyncio
import json

import pytest

from heka_raven import scope
from support.events import last_event, router_client

debug = pytest.importorskip("django.views.decorators.debug")
from django.http import HttpRequest, QueryDict  # noqa: E402

from support.django import configure  # noqa: E402
from support.scope import enter_request  # noqa: E402


def secret(number):
    return f"Pl4nt{number}" + "Xy9" * 3  # made here, so that no source line holds it


def deeper(mark):
    mark = secret(3)
    other = "other"
    raise ValueError("failed")


@debug.sensitive_variables("mark", "hidden")
def named(mark, **kwargs):
    hidden, other = secret(2), "other"
    deeper("x")


@debug.sensitive_variables()
def everything(x):
    y = secret(2)
    raise ValueError("failed")


@debug.sensitive_variables("mark")
async def coroutine(mark):
    await asyncio.sleep(0)
    raise ValueError("failed")


def sent(function, **options):
    client = router_client(dsn="https://k@h/1", **options)
    try:
        function()
    except ValueError:
        client.raven("failed")
    return last_event(client)


def leaked(event):
    return [number for number in range(5) if secret(number) in json.dumps(event)]


def test_item_4_named_variables():
    """Issue 14, item 4: the named variables are masked in the function, in all that it calls, and in the wrapper."""
    event = sent(lambda: named(secret(1), extra=5))
    assert not leaked(event)
    by_function = {
        frame["function"]: frame.get("vars") for frame in event["exception"]["values"][0]["stacktrace"]["frames"]
    }
    assert "other" == by_function["named"]["other"]
    assert {"mark": "[Filtered]", "other": "other"} == by_function["deeper"]


def test_item_4_all_variables():
    """Issue 14, item 4: with no names all variables are."""
    event = sent(lambda: everything(secret(1)))
    assert not leaked(event)


def test_item_4_coroutines():
    """Issue 14, item 4: a coroutine has no wrapper; Django keeps its names in a table."""
    event = sent(lambda: asyncio.run(coroutine(secret(1))))
    frames = event["exception"]["values"][0]["stacktrace"]["frames"]
    assert "[Filtered]" == next(f["vars"]["mark"] for f in frames if f["function"] == "coroutine")


@pytest.mark.parametrize("names", [("mark", "number"), ()])
@pytest.mark.parametrize("protocol", [7, 3])
def test_item_4_post_parameters(names, protocol):
    """Issue 14, item 4: the named fields of a form are masked in the request and among the variables; or all."""

    @debug.sensitive_post_parameters(*names)
    def view(request):
        form = request._post
        raise ValueError("failed")

    configure()
    request = HttpRequest()
    request._post = QueryDict(f"mark={secret(1)}&number={secret(2)}&colour={'crim' + 'son'}", encoding="utf-8")
    form = {"mark": secret(1), "number": secret(2), "colour": "crim" + "son"}
    token = enter_request(lambda environ: scope.RequestFacts(request={"method": "POST", "data": form}), {})
    try:
        event = sent(lambda: view(request), protocol=protocol)
    finally:
        scope.CURRENT.reset(token)
    assert not leaked(event)
    assert ("crim" + "son" in json.dumps(event)) == bool(names)
