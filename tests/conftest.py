"""Fixtures that several rooms' tests share."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# The tests' networks are so small that threads only get in each other's way, the more so in parallel workers.
# Set before torch is imported, and inherited by the processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"

from resight.data.city.synthetic import CityConfig, draw_city
from resight.data.crops import Dataset
from resight.data.formats import catalogue

SHARED = Path(__file__).resolve().parents[2] / "shared"


def _shared(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"../shared/{name} is not here: real pictures and foreign weights are not part of the project")
    return path


@pytest.fixture(scope="session")
def pku_reid() -> Path:
    return _shared("data/pku_reid")


@pytest.fixture(scope="session")
def market501() -> Path:
    return _shared("data/market501")


@pytest.fixture(scope="session")
def seed_weights() -> Path:
    return _shared("models/seed_weights")


@pytest.fixture(scope="session")
def peers() -> Path:
    """Ready-made networks."""
    return _shared("models/osnet_x0_25_msmt17.onnx").parent


@pytest.fixture(scope="session", autouse=True)
def drawn_once() -> Iterator[None]:
    """The verbs' `synthetic:...` draws each city once a worker, not at every call."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "draw_city", functools.lru_cache(maxsize=16)(draw_city))
        yield


@pytest.fixture(scope="session")
def small_city() -> Dataset:
    """12 people to train on, 8 to test on."""
    return draw_city(CityConfig(train_people=12, test_people=8, cameras=3, crops_per_camera=2, height=64, width=32))
