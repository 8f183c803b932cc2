"""Where things lie in the source tree, and the tables that the Python and the C tests both read."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
DATA = TESTS / "data"
EXAMPLES = ROOT / "examples"


def read_vectors(name):
    """The rows of a table in tests/data, as lists of cells; comments left out."""
    lines = (DATA / name).read_text(encoding="utf-8").split("\n")
    return [line.split("\t") for line in lines if line and not line.startswith("#")]
