"""PasteDeploy: `use = egg:heka-raven` in every form that an ini can have."""

import sys

import pytest

from heka_raven.middleware import RavenMiddleware
from heka_raven.spool.ledger import read_snapshot
from support.middleware import make_environ, run
from support.paths import ROOT
from support.spools import spooled

deploy = pytest.importorskip("paste.deploy")

APP = """
[DEFAULT]
debug = true
anything = else

[app:app]
paste.app_factory = paste_app:make_app
"""
FILTER = """
[filter:raven]
use = egg:heka-raven
dsn = http://key@127.0.0.1:9/1
stream_sender = off
"""
FORMS = {
    "pipeline": "[pipeline:main]\npipeline = raven app\n" + FILTER,
    "named entry": "[pipeline:main]\npipeline = raven app\n" + FILTER.replace("heka-raven", "heka-raven#raven"),
    "filter-with": "[app:main]\nuse = app\nfilter-with = raven\n" + FILTER,
    "filter-app": "[filter-app:main]\nnext = app\n" + FILTER.partition("\n[filter:raven]\n")[2],
    "paste.filter_app_factory": (
        "[pipeline:main]\npipeline = raven app\n"
        + FILTER.replace(
            "use = egg:heka-raven", "paste.filter_app_factory = heka_raven.middleware.paste:filter_app_factory"
        )
    ),
    "composite": (
        "[composite:main]\nuse = egg:Paste#urlmap\n/ = shop\n"
        "[pipeline:shop]\npipeline = raven app\n" + FILTER
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("HEKA_RAVEN_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("HEKA_RAVEN_SENDER", "off")
    monkeypatch.syspath_prepend(ROOT / "examples")
    yield
    sys.modules.pop("paste_app", None)


def load(tmp_path, text, **defaults):
    path = tmp_path / "app.ini"
    path.write_text(text)
    return deploy.loadapp(f"config:{path}", global_conf=defaults)


@pytest.mark.parametrize("form", FORMS)
def test_every_form(form, tmp_path):
    """However the ini brings the filter in, an error is reported and goes on; [DEFAULT] is not taken for options."""
    app = load(tmp_path, APP + FORMS[form])
    assert [b"all is well\n"] == run(app, make_environ(PATH_INFO="/"))
    assert [] == spooled(tmp_path / "spool")
    with pytest.raises(ValueError, match="the basket is empty"):
        run(app, make_environ(PATH_INFO="/fail"))
    [event] = spooled(tmp_path / "spool")
    assert ("GET /fail", "ValueError") == (event["transaction"], event["exception"]["values"][0]["type"])


def test_every_option(tmp_path):
    """Each option of the middleware, of the plugin and of the stream is an ini key, of its type."""
    options = """
    body = 1024
    trusted_proxies = 2
    ignore = KeyError, some.module.Error
    system_exit = no
    keyboard_interrupt = on
    report_thrown = TRUE
    catchall = 1
    error_page = paste_app:app
    environment = production
    release = 1.2.3
    server_name = web-1
    tags = shop:north, lane:2
    sample_rate = 0.5
    scrub_keys = basket
    severity = 4
    stream_max_count = 100
    """.replace("\n    ", "\n")
    middleware = load(tmp_path, APP + FORMS["pipeline"] + options)
    assert isinstance(middleware, RavenMiddleware)
    parsed = middleware.options
    assert (1024, 2, ("KeyError", "some.module.Error")) == (parsed.body, parsed.trusted_proxies, parsed.ignore)
    assert (False, True, True, True) == (
        parsed.system_exit, parsed.keyboard_interrupt, parsed.report_thrown, parsed.catchall,
    )  # fmt: skip
    assert "app" == parsed.error_page.__name__
    assert 100 == middleware.client.stream.spool.max_count


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("catchall = perhaps", "catchall: 'perhaps' is not allowed: true or false"),
        ("body = -5", "body: '-5' is not allowed: a number of bytes from 0 to 1048576"),
        ("trusted_proxies = many", "trusted_proxies: 'many' is not allowed: a number of proxies from 0 to 32"),
        ("error_page = no.such:thing", "error_page: 'no.such:thing' cannot be imported"),
        ("sample_rate = 7", "sample_rate: '7' is not allowed: a number from 0 to 1"),
        ("stream_max_count = none", "max_count"),
        ("colour = red", "RavenMiddleware: unknown option colour; known are body, trusted_proxies"),
        ("dsn = nonsense", "scheme"),
        ("heka_section = x", "heka_section: there is no heka_config"),
        ("heka_config = x.ini", "dsn: not together with heka_config"),
    ],
)
def test_a_wrong_value_is_named(line, says, tmp_path):
    """The error when the application is loaded says which key, which value, and what would be right."""
    text = APP + FORMS["pipeline"]
    if line.startswith("dsn"):
        text = text.replace("dsn = http://key@127.0.0.1:9/1", line)
    else:
        text += line
    with pytest.raises(ValueError) as caught:
        load(tmp_path, text)
    assert says in str(caught.value)
    assert "key@" not in str(caught.value)


def test_no_dsn(tmp_path):
    """Neither a dsn nor a heka_config: said when the application is loaded."""
    with pytest.raises(ValueError, match="neither a client nor a dsn"):
        load(tmp_path, (APP + FORMS["pipeline"]).replace("dsn = http://key@127.0.0.1:9/1\n", ""))


HEKA = """
[heka]
logger = shop
stream_class = heka_raven.streams.SpoolStream
stream_sender = off

[heka_plugin_raven]
provider = heka_raven.raven_plugin:config_plugin
dsn = http://key@127.0.0.1:9/1
"""


def test_heka_config(tmp_path):
    """A heka client from an ini file, named relative to the file that names it."""
    (tmp_path / "client.ini").write_text(HEKA.replace("[heka", "[shop"))
    text = APP + "[pipeline:main]\npipeline = raven app\n[filter:raven]\nuse = egg:heka-raven\n"
    text += "heka_config = client.ini\nheka_section = shop\ncatchall = true\n"
    started = []
    run(
        load(tmp_path, text),
        make_environ(PATH_INFO="/fail"),
        lambda status, headers, exc_info=None: started.append((status, dict(headers)["X-Event-Id"])),
    )
    [event] = spooled(tmp_path / "spool")
    assert [("500 Internal Server Error", event["event_id"])] == started


@pytest.mark.parametrize(
    ("config", "section", "says"),
    [
        ("missing.ini", "heka", "No such file"),
        ("client.ini", "nowhere", "there is no such section"),
        ("client.ini", "heka", "has no raven plugin"),
    ],
)
def test_a_wrong_heka_config(config, section, says, tmp_path):
    """What is wrong with the other file is said with its name or its section."""
    (tmp_path / "client.ini").write_text(HEKA.partition("[heka_plugin_raven]")[0])
    text = APP + "[pipeline:main]\npipeline = raven app\n[filter:raven]\nuse = egg:heka-raven\n"
    with pytest.raises(ValueError, match=says):
        load(tmp_path, text + f"heka_config = {config}\nheka_section = {section}\n")


@pytest.mark.parametrize("name", ["paste.ini", "paste_heka.ini"])
def test_examples_load(name, tmp_path):
    """The inis of examples/ are right."""
    app = deploy.loadapp(f"config:{ROOT / 'examples' / name}")
    assert [b"all is well\n"] == run(app, make_environ(PATH_INFO="/"))


def test_with_pastes_error_tools(tmp_path):
    """Outside of Paste's own tools: what they show or expect is theirs, and stays unreported."""
    app = load(tmp_path, APP + FORMS["pipeline"])
    for keys in ({"paste.throw_errors": True}, {"paste.expected_exceptions": [ValueError]}):
        with pytest.raises(ValueError):
            run(app, make_environ(PATH_INFO="/fail", **keys))
    assert [] == spooled(tmp_path / "spool")
    assert 0 == read_snapshot(str(tmp_path / "spool"))["captured"]
