"""./run release: what is published, from what is committed."""

import hashlib
import json
import subprocess
import sys

import pytest

from support.paths import ROOT


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_a_release_of_what_is_committed(tmp_path):
    """Sdist and wheels, equal in two runs, install into empty environments and report, with three real uWSGIs, no
    compiler there; sums and SBOM name them."""
    pytest.importorskip("twine")
    clone, out = tmp_path / "clone", tmp_path / "out"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    command = [sys.executable, str(clone / ".ci" / "release.py"), "--brief", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    sums = dict(reversed(line.split("  ")) for line in (out / "SHA256SUMS").read_text().splitlines())
    assert {path.name for path in out.iterdir()} == {*sums, "SHA256SUMS"}
    assert {".gz", ".whl", ".json"} == {"." + name.rpartition(".")[2] for name in sums}
    assert 2 == len([name for name in sums if name.endswith(".whl")])
    for name, digest in sums.items():
        assert digest == hashlib.sha256((out / name).read_bytes()).hexdigest()
    components = {part["name"] for part in json.loads((out / "sbom.json").read_text())["components"]}
    assert {"heka-raven", "orjson", "urllib3", "WebOb"} <= components
    (clone / "README.rst").write_text("changed")
    done = subprocess.run([sys.executable, str(clone / ".ci" / "release.py")], capture_output=True, text=True)
    assert (1, "release: commit first: a release is made of what is committed\n") == (done.returncode, done.stderr)
