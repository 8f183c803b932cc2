"""What a program may import: the names of heka_raven, and the modules that the documentation names."""

import inspect
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import heka_raven
from heka.path import resolve_name

ROOT = Path(heka_raven.__file__).parent.parent
PAGES = [ROOT / "README.rst", *sorted((ROOT / "docs").glob("*.rst"))]
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))

# Modules of heka_raven that a program may import; heka is a library of its own, and all of it is public.
DOORS = {
    "heka_raven",
    "heka_raven.gunicorn",
    "heka_raven.logging",
    "heka_raven.middleware",
    "heka_raven.raven_client",
    "heka_raven.raven_plugin",
    "heka_raven.scope",
    "heka_raven.streams",
    "heka_raven.uwsgi_bridge",
}
# What the documentation of 1.0.0.dev0 printed.
PRINTED = """
    heka.client.SEVERITY heka.config.client_from_dict_config heka.decorators.base.HekaDecorator heka.decorators
    heka.encoders.ProtobufEncoder heka.exceptions.ConfigError heka.filters.severity_max_provider heka.holder.get_client
    heka.ini heka.logging.hook_logger heka.message.Message heka.raven_plugin:config_plugin heka.senders.StdOutStream
    heka.signing.verify heka.streams.DebugCaptureStream heka.streams.FileStream heka.streams.StdLibLoggingStream
    heka.streams.StdOutStream heka.streams.TcpStream heka.streams.UdpStream heka.testing heka.wire.RecordReader
    heka_raven.__version__ heka_raven.logging.RavenHandler heka_raven.middleware.RavenMiddleware
    heka_raven.raven_client.DjangoRavenClient heka_raven.raven_client.RavenClient heka_raven.raven_plugin.RavenClient
    heka_raven.raven_plugin.build_client heka_raven.raven_plugin.capture_stack heka_raven.raven_plugin:config_plugin
    heka_raven.streams.SpoolStream heka_raven.uwsgi_bridge.tell_request metlog_raven.raven_plugin:config_plugin
""".split()
ENVIRON_KEYS = {"heka_raven.event_id", "heka_raven.user", "heka_raven.context"}

_FROM = re.compile(r"^\s*(?:>>> )?from (heka[\w.]*|metlog_raven[\w.]*) import ([\w, ]+)", re.MULTILINE)
_IMPORT = re.compile(r"^\s*(?:>>> )?import (heka[\w.]*|metlog_raven[\w.]*)", re.MULTILINE)
_DOTTED = re.compile(r"\b((?:heka|heka_raven|metlog_raven)(?:\.[a-zA-Z_]\w*)+)(?::(\w+))?(?!\w*[/-])")


def named_in(text):
    """``(module or dotted name, attribute or None)`` for all that *text* imports or names."""
    for module, names in _FROM.findall(text):
        for name in names.split(","):
            yield module, name.split()[0]
    for module in _IMPORT.findall(text):
        yield module, None
    for dotted, name in _DOTTED.findall(text):
        yield dotted, name or None


def module_of(dotted):
    """The module in *dotted*, which may be one, or name something in one."""
    while dotted not in sys.modules:
        try:
            __import__(dotted)
        except ImportError:
            dotted = dotted.rpartition(".")[0]
    return dotted


@pytest.mark.parametrize("path", [*PAGES, *EXAMPLES], ids=lambda path: str(path.relative_to(ROOT)))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_documentation_imports_the_doors_only(path):
    """Whatever a page or an example imports or names is there, and is public."""
    for dotted, name in named_in(path.read_text(encoding="utf-8")):
        if dotted in ENVIRON_KEYS or re.search(r"\.(py|rst|ini|env|toml|bash|1|log)$", dotted):
            continue
        module = module_of(dotted)
        assert module.split(".")[0] != "heka_raven" or module in DOORS, f"{dotted} is no door"
        found = resolve_name(f"{dotted}:{name}" if name else dotted)
        assert found is not None


@pytest.mark.parametrize("name", PRINTED)
def test_what_the_first_documentation_printed_is_still_there(name):
    """Import paths outlive the modules behind them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the names that were wrong from the start
        assert resolve_name(name) is not None


@pytest.mark.parametrize("name", heka_raven.__all__)
def test_each_exported_name_is_what_its_door_has(name):
    """``from heka_raven import X`` gives the very object that the module X lives in has, with a docstring."""
    found = getattr(heka_raven, name)
    if name == "__version__":
        return
    assert found is getattr(sys.modules[heka_raven._DOORS[name]], name)
    assert inspect.getdoc(found)
    assert name in dir(heka_raven)


def test_importing_the_package_imports_nothing_else():
    """A name costs its import when it is used, not before."""
    code = "import sys, typing; before = set(sys.modules); import heka_raven; print(sorted(set(sys.modules) - before))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "['heka_raven']" == ran.stdout.strip()
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        heka_raven.nonsense
