"""Two runs for all tests of the verbs, trained once a worker by the verb itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.calling import CITY, TINY, resight


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A baseline's and a slicenet2's. Not to be written to: `own_run` is a copy."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("baseline", "slicenet2"):
        resight("train", CITY, "--recipe", name, *TINY, "-o", folder / name)
    return folder / "baseline", folder / "slicenet2"


@pytest.fixture(scope="session")
def run(runs: tuple[Path, Path]) -> Path:
    """The slicenet2's."""
    return runs[1]


@pytest.fixture
def own_run(run: Path, tmp_path: Path) -> Path:
    """A copy of it, of the test's own."""
    return Path(shutil.copytree(run, tmp_path / "own_run"))


@pytest.fixture(scope="session")
def bundle(run: Path) -> Path:
    """The slicenet2's bundle."""
    out = run.parent / "it.resight"
    done = resight("export", run, "-o", out, "--data", CITY, "--weaknesses", "everything but drawings")
    assert "bundle" in done.stdout
    assert "sha256:" in done.stdout
    return out
