"""Whose code a stack of the watch shows, where the application is installed as a package."""

import threading

import pytest

from support.packages import install_into, make_wheel
from support.watch import PREFORK, WATCH, one_event

VIEWS = """
import rates

def cart():
    rates.of()

def stock():
    rates.of()

def application(env, start):
    {"/cart": cart, "/stock": stock, "/": list}[env["PATH_INFO"]]()
    start("200 OK", [])
    return []
"""
RATES = """
import time

def of():
    time.sleep(30)
"""
SERVE = """
import os, sys
sys.path[:0] = [{root!r}, os.path.join(os.path.dirname(os.path.abspath(__file__)), "site-packages")]
from shop.views import application
from heka_raven.middleware import RavenMiddleware
options = dict(item.split("=") for item in os.environ["TEST_OPTIONS"].split())
application = RavenMiddleware(application, dsn=os.environ["TEST_DSN"], **options)
"""


@pytest.mark.parametrize(
    ("lines", "options", "path", "ours", "place"),
    [
        (PREFORK, "", "/cart", ["application", "cart"], "cart in views.py"),
        (PREFORK + "lazy-apps = true\n", "", "/stock", ["application", "stock"], "stock in views.py"),
        (PREFORK, "in_app_exclude=shop.views in_app_include=rates", "/cart", ["of"], "of in __init__.py"),
        (PREFORK, "in_app_include=FOLDER", "/cart", ["application", "cart", "of"], "of in __init__.py"),
    ],
    ids=["prefork", "lazy-apps", "names", "folder"],
)
def test_an_installed_app_is_the_app(serve, receiver, tmp_path, lines, options, path, ours, place):
    """Its frames are in_app and its view groups, not a library beside it; in_app_include and in_app_exclude hold."""
    folder = tmp_path / "site-packages"
    shop = make_wheel(tmp_path, "the_shop", {"shop/__init__.py": "", "shop/views.py": VIEWS})
    install_into(folder, shop, make_wheel(tmp_path, "rates", {"rates/__init__.py": RATES}))
    env = {"TEST_DSN": receiver.dsn, "TEST_OPTIONS": options.replace("FOLDER", str(folder))}
    server = serve(f"{WATCH}harakiri = 2\n{lines}", app=SERVE, env=env)
    threading.Thread(target=server.crash, args=(path,), daemon=True).start()
    event = one_event(receiver, server, "harakiri")
    frames = event["exception"]["values"][0]["stacktrace"]["frames"]
    assert ours == [frame["function"] for frame in frames if frame["in_app"]]
    assert ["harakiri", "GET " + path, place] == event["fingerprint"]
