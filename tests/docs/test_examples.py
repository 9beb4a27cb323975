"""Examples run as they stand: the README's and the guide's Python, and those of docstrings."""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
WITH_EXAMPLES = sorted(path for path in SOURCES.rglob("*.py") if re.search(r"^\s*>>> ", path.read_text(), re.MULTILINE))


def blocks(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of each block of Python."""
    text = path.read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        yield text.count("\n", 0, match.start(1)), match[1]


@pytest.mark.parametrize("name", ["README.md", "docs/guide.md"])
def test_the_documents_python_runs(name: str, workplace: Path) -> None:
    def camera() -> Iterator[str]:
        yield from ("a.jpg", "b.jpg")

    frame = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    vectors = np.random.default_rng(0).normal(size=(60, 24)).repeat(4, axis=0)
    vectors += np.random.default_rng(1).normal(size=vectors.shape)
    names: dict[str, Any] = {"camera": camera, "frame": frame, "vectors": vectors}
    names |= {"pids": np.arange(240) // 4 + 1, "camids": np.arange(240) % 2}
    for line, text in blocks(ROOT / name):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile("\n" * line + text, name, "exec"), names)
    if name == "README.md":  # the last block's figures, so that a block that does nothing is noticed
        assert 0 < names["figures"].mean_ap <= 1
        assert len(names["embeddings"]) == 2


def check_doctests(module: object) -> tuple[int, str]:
    """How many examples a module has, and what is wrong with them."""
    wrong = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    num = 0
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, getattr(module, "__name__", "it")):
        num += len(test.examples)
        runner.run(test, out=wrong.write)
    return num, wrong.getvalue()


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.relative_to(SOURCES).as_posix())
def test_docstrings_examples_run(path: Path, workplace: Path) -> None:
    module = importlib.import_module(".".join(path.relative_to(SOURCES).with_suffix("").parts))
    num, wrong = check_doctests(module)
    assert not wrong, wrong
    assert num == sum(text.count(">>> ") for text in docstrings(path)), "an example is hidden from doctest"


def docstrings(path: Path) -> Iterator[str]:
    """All of a file's."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""


def test_an_example_that_is_wrong_is_found() -> None:
    def wrong() -> None:
        """
        >>> 1 + 1
        3
        """

    assert "Got:\n    2" in check_doctests(wrong)[1]
