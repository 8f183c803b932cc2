"""Whose frame is it: real packages, put where pip puts them, and the in_app of their frames."""

import json
import subprocess
import sys
import types
from pathlib import Path

import pytest

from heka.exceptions import ConfigError
from heka_raven.reporting.app_code import application_modules
from heka_raven.reporting.options import parse_options
from support.paths import ROOT
from support.spools import spooled

pytestmark = pytest.mark.full

OFFLINE = ["--no-deps", "--no-index", "--no-build-isolation"]
SETUP = """
from setuptools import setup, find_namespace_packages
setup(name={name!r}, version="1.0", packages=find_namespace_packages(include={packages!r}), py_modules={modules!r})
"""
PYRAMID_APP = """
from pyramid.config import Configurator
from shop_lib import prices

def cart(request):
    return prices.total()

def stock(request):
    raise KeyError("stock")

def main(global_config=None, **settings):
    config = Configurator(settings=settings, package="shop")
    for name, view in (("cart", cart), ("stock", stock)):
        config.add_route(name, "/" + name)
        config.add_view(view, route_name=name, renderer="json")
    return config.make_wsgi_app()
"""
SERVE = """
import sys
from shop.views import main
from heka_raven.middleware import RavenMiddleware
options = dict(item.split("=") for item in sys.argv[2:])
app = RavenMiddleware(main(), dsn="http://key@127.0.0.1:9/1", stream_path=sys.argv[1], stream_sender="off", **options)
from wsgiref.util import setup_testing_defaults
for path in ("/cart", "/stock"):
    environ = {"PATH_INFO": path}
    setup_testing_defaults(environ)
    try:
        list(app(environ, lambda status, headers, exc_info=None: None))
    except Exception:
        pass
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A virtual environment that also finds what this one has."""
    folder = tmp_path_factory.mktemp("venv") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=120)
    [site] = folder.glob("lib/python*/site-packages")
    ours = [path for path in sys.path if path.endswith(("-packages", "lib-dynload"))]
    (site / "ours.pth").write_text("\n".join([str(ROOT), *ours]) + "\n")
    return folder / "bin" / "python"


def make_project(folder, name, files, modules=()):
    """The sources of a distribution called *name*."""
    folder.mkdir(parents=True)
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    packages = sorted({str(Path(path).parent).replace("/", ".") for path in files if "/" in path})
    (folder / "setup.py").write_text(SETUP.format(name=name, packages=packages, modules=list(modules)))
    return folder


def pip(python, *arguments):
    command = [sys.executable, "-m", "pip", "--python", python, "-q", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert 0 == done.returncode, done.stderr


def install(python, *arguments):
    pip(python, "install", *OFFLINE, *arguments)


@pytest.fixture(scope="module")
def wheels(python, tmp_path_factory):
    """The app and the library."""
    folder = tmp_path_factory.mktemp("wheels")
    pip(python, "wheel", *OFFLINE, "-w", folder, *shop(folder / "sources"))
    return sorted(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def bundle(python, wheels, tmp_path_factory):
    """Both, where ``pip install --target`` put them."""
    folder = tmp_path_factory.mktemp("target") / "bundle"
    install(python, "--target", folder, *wheels)
    return folder


def shop(folder):
    """An app of two packages and a module in one distribution, and a library of another."""
    app = make_project(
        folder / "shop",
        "The-Shop",
        {
            "shop/__init__.py": "",
            "shop/views.py": PYRAMID_APP,
            "shop_lib/__init__.py": "",
            "shop_lib/prices.py": "import shop_tool, rates\n\ndef total():\n    return shop_tool.call(rates.of)\n",
            "shop_tool.py": "def call(function):\n    return function()\n",
        },
        ["shop_tool"],
    )
    library = make_project(folder / "rates", "rates", {"rates/__init__.py": "def of():\n    return 1 / 0\n"})
    return app, library


def serve(python, spool, *options, path=""):
    ran = subprocess.run(
        [python, "-c", SERVE, spool, *options],
        env={"PYTHONPATH": str(path), "PYTHONWARNINGS": "ignore:pkg_resources is deprecated"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (0, "") == (ran.returncode, ran.stderr)
    return spooled(spool)


def ours_in(event):
    return [frame["module"] for frame in frames_of(event) if frame["in_app"]]


def frames_of(event):
    return event["exception"]["values"][-1]["stacktrace"]["frames"]


def test_an_installed_app_is_the_app(python, wheels, tmp_path):
    """Installed as a package: its packages and modules are in_app, Pyramid and a library beside it are not.

    Two views of it that fail are two issues of the inbox.
    """
    from heka_raven.inbox.event.shape import read_event
    from heka_raven.inbox.event.summary import summarise

    install(python, *wheels)
    try:
        cart, stock = events = serve(python, tmp_path / "spool")
    finally:
        pip(python, "uninstall", "-y", "The-Shop", "rates")
    assert ["shop.views", "shop_lib.prices", "shop_tool"] == ours_in(cart)
    assert "rates" == frames_of(cart)[-1]["module"]
    assert "/site-packages/" in frames_of(cart)[-1]["abs_path"]
    assert ["shop.views"] == ours_in(stock)
    assert 2 == len({summarise(read_event(event)).grouping for event in events})


def test_installed_into_a_target_folder(python, bundle, tmp_path):
    """With pip install --target the app is in_app, the library in the same folder is not."""
    cart, stock = serve(python, tmp_path / "spool", path=bundle)
    assert str(bundle) in frames_of(cart)[-1]["abs_path"]
    assert ["shop.views", "shop_lib.prices", "shop_tool"] == ours_in(cart)
    assert ["shop.views"] == ours_in(stock)


@pytest.mark.parametrize("backend", ["", '[build-system]\nbuild-backend = "setuptools.build_meta"\nrequires = []\n'])
def test_editable(python, tmp_path, backend):
    """In editable mode, old and new, a project is in_app, application or not, also in a folder called site-packages."""
    projects = shop(tmp_path / "site-packages")
    for project in projects if backend else ():
        (project / "pyproject.toml").write_text(backend)
    install(python, *(item for project in projects for item in ("-e", project)))
    try:
        cart, _ = serve(python, tmp_path / "spool")
    finally:
        pip(python, "uninstall", "-y", "The-Shop", "rates")
    assert ["shop.views", "shop_lib.prices", "shop_tool", "rates"] == ours_in(cart)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["in_app_include=rates"], ["shop.views", "shop_lib.prices", "shop_tool", "rates"]),
        (["in_app_include=/FOLDER/rates/"], ["shop.views", "shop_lib.prices", "shop_tool", "rates"]),
        (["in_app_exclude=shop_lib,shop_tool"], ["shop.views"]),
        (["in_app_exclude=shop", "in_app_include=shop.views"], ["shop.views", "shop_lib.prices", "shop_tool"]),
        (["in_app_include=shop", "in_app_exclude=shop.views"], ["shop_lib.prices", "shop_tool"]),
        (["in_app_include=shop.views", "in_app_exclude=shop.views"], ["shop_lib.prices", "shop_tool"]),
    ],
)
def test_options(python, bundle, tmp_path, options, expected):
    """in_app_include and in_app_exclude name packages, modules and folders; the longer entry that fits decides."""
    given = [option.replace("/FOLDER", str(bundle)) for option in options]
    assert expected == ours_in(serve(python, tmp_path / "spool", *given, path=bundle)[0])


@pytest.mark.parametrize("wrong", ["src/shop", "/", "."])
def test_a_wrong_place(wrong):
    """A folder that is not whole would fit nothing: it is refused, by name."""
    with pytest.raises(ConfigError, match=f"in_app_include: '{wrong}' is not allowed: the name of a package"):
        parse_options({"in_app_include": wrong})


def test_beside_what_was_installed(python, bundle, tmp_path):
    """Code that lies beside packages of pip install --target, as on a function service, is in_app."""
    (bundle / "handler.py").write_text("import rates\n\ndef main():\n    rates.of()\n")
    assert {"handler": True, "rates": False} == asked(python, "import handler; handler.main()", bundle)


@pytest.mark.parametrize(
    "made",
    [
        "functools.partial(shop.main)",
        "Layer(Layer(shop.main))",
        "flask.Flask('shop')",
        "flask.Flask('shop').wsgi_app",
        "Layer(pyramid.config.Configurator(package='shop').make_wsgi_app())",
        "type('Shop', (), {'__module__': 'shop.main', '__call__': 1})()",
    ],
)
def test_the_application_is_found(made):
    """Through layers, partials and methods, the module of the application; a framework's object says whose it is."""
    import functools

    import flask
    import pyramid.config

    class Layer:
        def __init__(self, app):
            self.app = app

        def __call__(self, environ, start_response):
            raise AssertionError("nothing of the application runs")

    shop = types.ModuleType("shop")
    shop.main = types.FunctionType((lambda: None).__code__, {"__name__": "shop.main"})
    sys.modules["shop"] = shop
    names = {"functools": functools, "flask": flask, "pyramid": pyramid, "Layer": Layer, "shop": shop}
    try:
        assert ["shop"] == [name.partition(".")[0] for name in application_modules(eval(made, names))]
    finally:
        del sys.modules["shop"]


def test_a_namespace_that_app_and_library_share(python, tmp_path):
    """Of a namespace package, only the parts of the app's own distribution are in_app."""
    app = make_project(
        tmp_path / "acme-site",
        "acme-site",
        {"acme/site/__init__.py": "import acme.tax\n\ndef application(environ, start):\n    acme.tax.of()\n"},
    )
    library = make_project(tmp_path / "acme-tax", "acme-tax", {"acme/tax/__init__.py": "def of():\n    1 / 0\n"})
    install(python, app, library)
    code = "import acme.site; APP = acme.site.application; APP({}, None)"
    assert {"acme.site": True, "acme.tax": False} == asked(python, code)


def test_cython():
    """Frames of a library in Cython have a relative path: that of its module says whose they are."""
    pytest.importorskip("lxml.etree")
    code = "import lxml.etree; lxml.etree.fromstring('<a>')"
    assert {"lxml.etree": False} == {k: v for k, v in asked(sys.executable, code).items() if k.startswith("lxml")}


ASK = """
import json, sys
from heka_raven.reporting.app_code import AppCode
names = {}
try:
    exec(sys.argv[1], names)
except Exception as error:
    entry = error.__traceback__.tb_next.tb_next
owner = AppCode()
owner.add_application(names.get("APP"), None)
found = {}
while entry is not None:
    its = entry.tb_frame.f_globals
    found[its["__name__"]] = owner.in_app(its["__name__"], entry.tb_frame.f_code.co_filename, its)
    entry = entry.tb_next
print(json.dumps(found))
"""


def asked(python, code, path=ROOT):
    """in_app of the modules below *code*, which fails."""
    ran = subprocess.run(
        [python, "-c", ASK, code], env={"PYTHONPATH": f"{path}:{ROOT}"}, capture_output=True, text=True, timeout=60
    )
    assert 0 == ran.returncode, ran.stderr
    return json.loads(ran.stdout)
