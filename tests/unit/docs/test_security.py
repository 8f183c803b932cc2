"""docs/security.rst: behind each promise stands a test that exists."""

import ast
import re

import pytest

from support.paths import ROOT

PAGE = (ROOT / "docs" / "security.rst").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"``(tests/[\w/.]+)(?:::(\w+))?``", PAGE)))


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_the_test_is_there(path, name):
    """The file is, and so is the function."""
    source = (ROOT / path).read_text(encoding="utf-8")
    if name:
        assert name in {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}


def test_each_promise_names_a_test():
    """Each item of a list on the page names one, but those that say what is **not** promised."""
    items = re.findall(r"^(?:-|\d\.) (.*(?:\n {2,}.*)*)", PAGE, re.MULTILINE)
    assert len(items) > 25
    assert [] == [item for item in items if "``tests/" not in item and "**every user of the machine**" not in item]
