"""The wheel heka-raven-plugin: the uWSGI plugin, compiled for the uWSGIs that people have.

A plugin belongs to one build of uWSGI, known by its compiler's flags (heka_raven/cli/plugin_path.py). When pip compiles
uWSGI, they follow from which headers it finds; HEADERS has what those are where people do that. pyuwsgi is the same
everywhere. The plugin is compiled as `uwsgi --build-plugin` does, with those flags and that version's uwsgi.h.

Its tag is linux, not manylinux: libcurl is the system's, with the certificates that the system trusts.
"""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from time import gmtime

from command import run

from heka_raven import __version__
from heka_raven.cli.build_plugin import PLUGIN
from heka_raven.cli.plugin_path import BROUGHT, flags_hash, hash_of_sources

VERSIONS = ("2.0.31", "2.0.30")
PYUWSGI = {"2.0.30": "2.0.30.post1"}  # a version of uWSGI: the pyuwsgi that is made of it
HEADERS = {
    # gcc alone, as in Docker's python:3-slim
    "nothing": (),
    # apt-get install gcc python3-dev, as uWSGI's documentation says
    "python3-dev": ("zlib.h", "expat.h"),
    # and libpcre2-dev libssl-dev uuid-dev, as ours says
    "start": ("zlib.h", "expat.h", "pcre2.h", "openssl/ssl.h", "uuid/uuid.h"),
    # Docker's python:3
    "python-image": ("zlib.h", "expat.h", "pcre2.h", "openssl/ssl.h", "uuid/uuid.h", "libxml2"),
}
ALWAYS = ("ifaddrs.h", "sys/timerfd.h", "sys/inotify.h")  # of libc
CONFIG_PROGRAMS = {  # what uWSGI asks for libraries by, and the answers of Debian's
    "pcre2-config": ("pcre2.h", '[ "$1" = --cflags ] || echo -lpcre2-8'),
    "pcre-config": ("", "exit 1"),
    "xml2-config": ("libxml2", "case $1 in --cflags) echo -I/usr/include/libxml2 ;; *) echo -lxml2 ;; esac"),
    "pkg-config": (
        "libxml2",
        'case $* in "--cflags libxml-2.0") echo -I/usr/include/libxml2 ;; "--libs libxml-2.0") echo -lxml2 ;; '
        "*) exit 1 ;; esac",
    ),
}


def shown(headers, folder):
    """An environment in which uWSGI's build knows of these headers only; the compiler finds what it always does."""
    for name in (*ALWAYS, *headers):
        (folder / "include" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "include" / name).touch()
    (folder / "bin").mkdir()
    for name, (header, answer) in CONFIG_PROGRAMS.items():
        program = folder / "bin" / name
        program.write_text(f"#!/bin/sh\n{answer if header in headers else 'exit 1'}\n")
        program.chmod(0o755)
    told = subprocess.run(["cpp", "-v"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stderr
    real = re.search(r"#include <\.\.\.> search starts here:\n(.*?)End of search list", told, re.DOTALL)[1].split()
    env = {name: value for name, value in os.environ.items() if not name.startswith(("UWSGI_", "CFLAGS", "LDFLAGS"))}
    return {
        **env,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "UWSGI_INCLUDES": str(folder / "include"),
        "UWSGI_REMOVE_INCLUDES": ",".join(real),
    }


def uwsgi_sources(version, folder):
    """What PyPI has of that version, unpacked."""
    run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "uwsgi",
        "-d", folder, f"uwsgi=={version}")  # fmt: skip
    (packed,) = folder.glob(f"[uU][wW][sS][gG][iI]-{version}.tar.gz")
    with tarfile.open(packed) as tar:
        tar.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir() and path.name.lower() == f"uwsgi-{version}")


def pyuwsgi(version, folder):
    """The flags that this version of pyuwsgi tells; *folder* becomes an environment with it."""
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "--only-binary", "pyuwsgi", f"pyuwsgi=={version}")
    return run(folder / "bin" / "uwsgi", "--cflags").rstrip("\n")


def builds_of(scratch):
    """Each build: its name, the sources of its uWSGI, the flags of its compiler."""
    builds = []
    for version in VERSIONS:
        folder = scratch / version
        folder.mkdir()
        sources = uwsgi_sources(version, folder)
        for name, headers in HEADERS.items():
            env = shown(headers, folder / name)
            flags = run(sys.executable, "uwsgiconfig.py", "--cflags", cwd=sources, env=env).rstrip("\n")
            builds.append((f"uwsgi-{version}-{name}", sources, flags))
        if version in PYUWSGI:
            builds.append((f"pyuwsgi-{version}", sources, pyuwsgi(PYUWSGI[version], folder / "pyuwsgi")))
    return builds


def compile_plugin(plugin, uwsgi, flags, folder):
    """The .so for a uWSGI with these flags, from copies of both sources."""
    shutil.copytree(uwsgi, folder / "uwsgi")
    shutil.copytree(plugin, folder / "uwsgi_plugin", ignore=shutil.ignore_patterns("*.o", "*.so", "__pycache__"))
    env = {**os.environ, "UWSGI_PLUGINS_BUILDER_CFLAGS": flags, "CPUCOUNT": "1"}
    run(sys.executable, "uwsgiconfig.py", "--extra-plugin", "../uwsgi_plugin", cwd=folder / "uwsgi", env=env)
    return (folder / "uwsgi" / PLUGIN).read_bytes()


def oldest_glibc(plugins, folder):
    """The version of glibc that all of them need."""
    needed = {(2, 17)}
    for data in plugins.values():
        (folder / "one.so").write_bytes(data)
        said = run("objdump", "-T", folder / "one.so")
        needed |= {tuple(map(int, version.split("."))) for version in re.findall(r"\(GLIBC_([\d.]+)\)", said)}
    return max(needed)


def metadata():
    told = EmailMessage()
    told["Metadata-Version"] = "2.1"
    told["Name"] = "heka-raven-plugin"
    told["Version"] = __version__
    told["Summary"] = "heka-raven's plugin for uWSGI, compiled: no compiler needed"
    told["License"] = "MPL-2.0"
    told["Requires-Python"] = ">=3.10"
    told["Requires-Dist"] = f"heka-raven=={__version__}"
    told["Description-Content-Type"] = "text/plain"
    told.set_content(
        "Plugins for the uWSGIs that pip compiles on usual machines, and for pyuwsgi. heka-raven finds the right one:\n"
        'uwsgi --plugin "$(heka-raven plugin-path)", or heka-raven uwsgi. Linked with the system\'s libcurl.\n'
    )
    del told["Content-Type"], told["Content-Transfer-Encoding"], told["MIME-Version"]
    return told.as_bytes()


def pack(files, target, epoch):
    """A wheel of *files*, name by name with one time."""
    machine = os.uname().machine
    info = f"heka_raven_plugin-{__version__}.dist-info"
    wheel = f"Wheel-Version: 1.0\nGenerator: heka-raven\nRoot-Is-Purelib: false\nTag: py3-none-linux_{machine}\n"
    files = {**files, f"{info}/METADATA": metadata(), f"{info}/WHEEL": wheel.encode()}
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')},{len(data)}\n"
        for name, data in files.items()
    )
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    path = target / f"heka_raven_plugin-{__version__}-py3-none-linux_{machine}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, gmtime(epoch)[:6])
            entry.external_attr = (0o755 if name.endswith(".so") else 0o644) << 16
            packed.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return path


def make_plugin_wheel(source, builds, scratch, target, epoch):
    """Compile a plugin for each of *builds* from *source*, a tree of this project, and pack them; the wheel's path."""

    def made(build):
        name, uwsgi, flags = build
        return name, flags_hash(flags), compile_plugin(source / "uwsgi_plugin", uwsgi, flags, scratch / name)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        compiled = list(pool.map(made, builds))
    plugins = {name: data for name, _, data in compiled}
    told = {
        "machine": os.uname().machine,
        "sources": hash_of_sources(),
        "glibc": oldest_glibc(plugins, scratch),
        "plugins": {flags: name for name, flags, _ in compiled},
    }
    files = {
        f"{BROUGHT}/__init__.py": b'"""Plugins for uWSGI, one a folder; which is for what stands in builds.json."""\n',
        f"{BROUGHT}/builds.json": (json.dumps(told, indent=1) + "\n").encode(),
        **{f"{BROUGHT}/{name}/{PLUGIN}": data for name, data in plugins.items()},
        f"heka_raven_plugin-{__version__}.dist-info/LICENSE": (source / "LICENSE").read_bytes(),
    }
    return pack(files, target, epoch)
