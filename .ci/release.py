"""Makes what a release is made of, and tries it: `./run release [FOLDER]`, from a clean clone.

A sdist and a pure wheel, each made twice and equal byte for byte; installed into an empty environment away from the
tree, where one error is reported, delivered, and read back from an inbox; SHA256SUMS; sbom.json (CycloneDX).
"""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TRY = """
import json, sys
from heka_raven.raven_plugin import build_client
client = build_client(sys.argv[1], stream_path=sys.argv[2], stream_sender="off")
try:
    1 / 0
except ZeroDivisionError:
    print(client.raven())
"""
COMPONENTS = """
import json
from importlib.metadata import distributions
found = {d.metadata["Name"]: (d.version, d.metadata) for d in distributions()}
said = lambda data: data.get("License-Expression") or data.get("License") or ""
print(json.dumps([[name, version, said(data)] for name, (version, data) in found.items()]))
"""


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)
    if done.returncode:
        sys.exit(f"release: {' '.join(map(str, command))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def export(folder):
    """What is committed, without anything else of the tree."""
    archive = folder / "source.tar"
    run("git", "-C", ROOT, "archive", "--output", archive, "HEAD")
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "source", filter="tar")
    return folder / "source"


def make(folder, epoch):
    """A sdist and a wheel; everything that could tell one run from the next is taken out of them."""
    source, out = export(folder), folder / "out"
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0"}
    run(sys.executable, "setup.py", "-q", "sdist", "--formats", "tar", "--dist-dir", out, cwd=source, env=env)
    (plain,) = out.glob("*.tar")
    settle(plain, epoch)
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", out, source, env=env)
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


def try_out(made, folder):
    """One error, from an environment that has this file alone; the names of what is installed there."""
    run(sys.executable, "-m", "venv", folder / "venv")
    python, command = folder / "venv" / "bin" / "python", folder / "venv" / "bin" / "heka-raven"
    # Neither a compiler nor anything of the tree: only what is installed is in PATH.
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HEKA_RAVEN", "PYTHON"))}
    env = {**env, "CC": "no-such-cc"}
    run(python, "-m", "pip", "install", "-q", f"{made}[inbox]", cwd=folder, env=env)
    env["PATH"] = str(folder / "venv" / "bin")
    inbox = subprocess.Popen(
        [command, "inbox", "--listen", "127.0.0.1:0", "--db", folder / "inbox.db"],
        stdout=subprocess.PIPE, text=True, cwd=folder, env={**env, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        address = re.search(r"http://(\S+?)/?$", inbox.stdout.readline().strip())[1]
        event_id = run(python, "-c", TRY, f"http://key@{address}/1", folder / "spool", cwd=folder, env=env).strip()
        run(command, "send", "--once", "--spool", folder / "spool", cwd=folder, env=env)
        with urllib.request.urlopen(f"http://{address}/api/events/{event_id}", timeout=30) as reply:
            event = json.load(reply)["event"]
        if "ZeroDivisionError" != event["exception"]["values"][-1]["type"]:
            sys.exit(f"release: the inbox has another event: {event}")
    finally:
        inbox.terminate()
        inbox.wait(30)
    return json.loads(run(python, "-c", COMPONENTS, cwd=folder, env=env))


def sbom(components):
    """What an environment with the wheel holds, as CycloneDX 1.5."""
    listed = [
        {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name.lower()}@{version}"}
        | ({"licenses": [{"license": {"name": licence[:100]}}]} if licence else {})
        for name, version, licence in sorted(components)
    ]
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": listed}


def main(target):
    target = Path(target).resolve()
    if run("git", "-C", ROOT, "status", "--porcelain"):
        sys.exit("release: commit first: a release is made of what is committed")
    epoch = int(run("git", "-C", ROOT, "log", "-1", "--format=%ct"))
    with tempfile.TemporaryDirectory(prefix="heka-raven-release-") as scratch:
        folders = [Path(scratch) / name for name in ("first", "second", "wheel", "sdist")]
        for folder in folders:
            folder.mkdir()
        first, second = make(folders[0], epoch), make(folders[1], epoch)
        for one, other in zip(first, second, strict=True):
            if one.read_bytes() != other.read_bytes():
                sys.exit(f"release: {one.name} differs from run to run")
        run(sys.executable, "-m", "twine", "check", "--strict", *first)
        made = {path.name: path for path in first}
        wheel = next(path for name, path in made.items() if name.endswith(".whl"))
        sdist = next(path for name, path in made.items() if name.endswith(".tar.gz"))
        components = try_out(wheel, folders[2])
        try_out(sdist, folders[3])
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
    main(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist")
