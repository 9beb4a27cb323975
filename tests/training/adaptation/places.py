"""A drawn site with tracks, small enough to be adapted to in a second or two, and a run to begin with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from resight.data.city.synthetic import CityConfig, draw_city
from resight.data.crops import Crop, Dataset
from resight.training.adaptation.adapt import Site
from resight.training.adaptation.settings import Adaptation
from resight.training.loop import TrainOptions, train
from resight.training.recipes import find_recipe

CPU = TrainOptions(device="cpu", compile="off")
QUICK = Adaptation(
    rounds=2, across_from=2, batch_size=16, images_per_cluster=2, least_steps=4, average=0.9, pad_and_crop=2
)
# 80 people by both cameras, 2 pictures each: 160 pictures and 80 tracklets a camera.
CITY = CityConfig(
    seed=3, train_people=80, test_people=2, cameras=2, crops_per_camera=2, height=32, width=16, lookalike_fraction=0
)


def tracked(crops: Sequence[Crop]) -> tuple[Crop, ...]:
    """The crops, each person past each camera a track."""
    return tuple(replace(crop, track=f"{crop.pid}") for crop in crops)


def site(dataset: Dataset, name: str = "the square") -> Site:
    """The training part as a site."""
    return Site(name, tracked(dataset.train), dataset.rights)


def city() -> Dataset:
    """The drawn site."""
    return draw_city(CITY)


def source(run_dir: Path) -> Path:
    """A run on another city, of a network of 16 values."""
    recipe = find_recipe("slicenet2", height=32, width=16, dim=16, epochs=3)
    other = draw_city(replace(CITY, seed=4, train_people=16))
    train(recipe, other, run_dir, 0, CPU)
    return run_dir
