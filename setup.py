"""heka-raven: error reporting for Python web apps under uWSGI, through a spool that loses nothing."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def read_version() -> str:
    text = (HERE / "heka_raven" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise SystemExit("setup.py: heka_raven/__init__.py has no __version__ line")
    return found.group(1)


EXTRAS = {
    "amqp": ["pika>=1.3"],
    "cli": ["rich>=13"],
    "docs": ["furo", "mozilla-sphinx-theme", "Sphinx>=7", "sphinx-copybutton"],
    # What only `./run test full` needs.
    "full": [
        "bugsnag",
        "opentelemetry-instrumentation-wsgi",
        "psycopg[binary]>=3.1",
        "selenium>=4",
        "sentry-relay>=0.9",
        "setuptools",
        "twine",
        "wheel",
    ],
    "inbox": ["Jinja2>=3.1", "Pygments>=2.15.1", "waitress>=3"],
    "mcp": ["mcp>=2", "Jinja2>=3.1"],  # Python 3.10 and later
    "paste": ["Paste>=3.10", "PasteDeploy>=3.1"],
    # Empty: the install line that heka-py-raven's documentation prints names it.
    "protocol_v3": [],
    "test": [
        "aiohttp",
        "arrow",
        "attrs>=23",
        "blinker",
        "bottle",
        "brotli>=1.2",
        "celery>=5.4",
        "CherryPy",
        "Django",
        "djangorestframework",
        "dramatiq",
        "falcon",
        "Flask[async]",
        "Genshi",
        "gevent",
        "gunicorn",
        "mcp>=2",
        "hypothesis>=6.100",
        "jsonschema>=4.20",
        "kent>=2",
        "lxml",
        "Mako",
        "numpy",
        "pandas",
        "pendulum",
        "pydantic>=2",
        "py-spy>=0.4",
        "pyramid",
        "pytest-timeout>=2.3",
        "pytest-xdist>=3.5",
        "pytest>=8",
        "PyYAML",
        "repoze.who",
        "Routes",
        "rq>=2",
        "sentry-sdk>=2",
        "SQLAlchemy>=2",
        "web.py",
        "WebTest>=3",
    ],
    "values": ["py-spy>=0.4"],  # reads the local variables of a worker that cannot answer: sentry-watch-values
}

setup(
    name="heka-raven",
    version=read_version(),
    description="Error reporting for Python web apps under uWSGI: heka's raven plugin, a middleware, a C plugin",
    long_description=(HERE / "README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    license="MPL-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    # heka_raven/middleware and heka_raven/uwsgi_plugin are symlinks to the top-level folders of those names, so that
    # the source tree, an editable install, mypy and the wheel all see the same import paths.
    packages=find_packages(include=["heka", "heka.*", "heka_raven", "heka_raven.*", "metlog_raven", "metlog_raven.*"]),
    package_data={
        "heka": ["py.typed", "*.proto", "*.pyi"],
        "metlog_raven": ["py.typed"],
        "heka_raven": [
            "py.typed",
            "inbox/web/templates/*",
            "inbox/web/static/*",
            "uwsgi_plugin/*.py",
            "uwsgi_plugin/*.rst",
            "uwsgi_plugin/Makefile",
            "uwsgi_plugin/*/*.c",
            "uwsgi_plugin/*/*.h",
        ],
    },
    data_files=[  # relative to the environment: `man heka-raven`, and bash-completion finds the other by its name
        ("share/man/man1", ["docs/command/heka-raven.1"]),
        ("share/bash-completion/completions", ["docs/command/heka-raven.bash"]),
    ],
    install_requires=[
        "orjson>=3.9",
        "protobuf>=4.25,<8",
        "raven>=6.10,<7",
        "urllib3>=2",
        'tomli>=2; python_version < "3.11"',
        "WebOb>=1.8.8",
    ],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": ["heka-raven = heka_raven.cli.main:main"],
        "paste.filter_app_factory": [
            "main = heka_raven.middleware.paste:filter_app_factory",
            "raven = heka_raven.middleware.paste:filter_app_factory",
        ],
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Web Environment",
        "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Topic :: Internet :: WWW/HTTP :: WSGI :: Middleware",
        "Topic :: System :: Monitoring",
    ],
)
