"""Makes what a release is made of, and tries it: `./run release [FOLDER]`, from a clean clone.

A sdist, a pure wheel, and a wheel with the compiled plugin, each made twice and equal byte for byte; installed into
empty environments away from the tree, where one error is reported, delivered, and read back from an inbox: by the
package alone, and by each uWSGI that has a plugin; SHA256SUMS; sbom.json (CycloneDX).

With `--brief FOLDER` the wheel has plugins for two uWSGIs only, both tried out: what the full tests do.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

from command import run
from trial import try_package, try_uwsgi

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # before any heka_raven that is installed

from plugin_wheel import HEADERS, PYUWSGI, VERSIONS, builds_of, make_plugin_wheel, shown  # noqa: E402

TRIED = "start"  # the headers for uWSGIs that are compiled to be tried out


def export(folder):
    """What is committed, without anything else of the tree."""
    archive = folder / "source.tar"
    run("git", "-C", ROOT, "archive", "--output", archive, "HEAD")
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "source", filter="tar")
    return folder / "source"


def make(folder, epoch, builds):
    """A sdist and two wheels; everything that could tell one run from the next is taken out of them."""
    source, out = export(folder), folder / "out"
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0"}
    run(sys.executable, "setup.py", "-q", "sdist", "--formats", "tar", "--dist-dir", out, cwd=source, env=env)
    (plain,) = out.glob("*.tar")
    settle(plain, epoch)
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", out, source, env=env)
    compiled = folder / "compiled"
    compiled.mkdir()
    make_plugin_wheel(source, builds, compiled, out, epoch)
    return sorted(out.iterdir())


def settle(plain, epoch):
    """The same files in order, with one time and no owner, compressed."""
    with (
        tarfile.open(plain) as old,
        gzip.GzipFile(f"{plain}.gz", "wb", mtime=epoch) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda m: m.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.pax_headers = {}
            new.addfile(member, old.extractfile(member) if member.isreg() else None)
    plain.unlink()


def sbom(components):
    """What an environment with the wheel holds, as CycloneDX 1.5."""
    listed = [
        {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name.lower()}@{version}"}
        | ({"licenses": [{"license": {"name": licence[:100]}}]} if licence else {})
        for name, version, licence in sorted(components)
    ]
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": listed}


def try_each_uwsgi(wheels, scratch, versions):
    """Those that are compiled, with the headers of one kind of machine; and pyuwsgi, which is not."""
    for version in versions:
        folder = scratch / f"try-{version}"
        folder.mkdir()
        try_uwsgi(wheels, f"uwsgi=={version}", folder, shown(HEADERS[TRIED], folder))
    for version in PYUWSGI.values():
        try_uwsgi(wheels, f"pyuwsgi=={version}", scratch / f"try-{version}")


def main(target, brief=False):
    target = Path(target).resolve()
    if run("git", "-C", ROOT, "status", "--porcelain"):
        sys.exit("release: commit first: a release is made of what is committed")
    versions = VERSIONS[:1] if brief else VERSIONS
    epoch = int(run("git", "-C", ROOT, "log", "-1", "--format=%ct"))
    with tempfile.TemporaryDirectory(prefix="heka-raven-release-") as scratch:
        scratch = Path(scratch)
        builds = builds_of(scratch)
        if brief:
            tried = [
                *(f"uwsgi-{version}-{TRIED}" for version in versions),
                *(f"pyuwsgi-{version}" for version in PYUWSGI),
            ]
            builds = [build for build in builds if build[0] in tried]
        folders = [scratch / name for name in ("first", "second")]
        for folder in folders:
            folder.mkdir()
        first, second = (make(folder, epoch, builds) for folder in folders)
        for one, other in zip(first, second, strict=True):
            if one.read_bytes() != other.read_bytes():
                sys.exit(f"release: {one.name} differs from run to run")
        run(sys.executable, "-m", "twine", "check", "--strict", *first)
        (sdist,) = (path for path in first if path.name.endswith(".tar.gz"))
        (package,) = (path for path in first if path.name.startswith("heka_raven-") and path.suffix == ".whl")
        (plugins,) = (path for path in first if path.name.startswith("heka_raven_plugin-"))
        components = try_package(package, scratch / "wheel")
        try_package(sdist, scratch / "sdist")
        try_each_uwsgi([package, plugins], scratch, versions)
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for path in first:
            shutil.copy(path, target)
    (target / "sbom.json").write_text(json.dumps(sbom(components), indent=1) + "\n")
    sums = io.StringIO()
    for path in sorted(target.iterdir()):
        sums.write(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    (target / "SHA256SUMS").write_text(sums.getvalue())
    print(sums.getvalue(), end="")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What is published, from what is committed.")
    parser.add_argument("target", metavar="FOLDER", nargs="?", default=ROOT / "dist")
    parser.add_argument("--brief", action="store_true", help="plugins for two uWSGIs only")
    main(**vars(parser.parse_args()))
