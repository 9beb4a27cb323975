"""Soft labels by other models' embeddings, and what a training makes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from resight.core.errors import ConfigError
from resight.core.records import EmbeddedCrops
from resight.data.crops import Crop, Dataset, camids_of, labels_of, pids_of
from resight.losses.cosine_softmax import CosineSoftmax
from resight.training.distillation import Teachers
from resight.training.images import TrainingImages
from resight.training.loop import TrainOptions, train
from resight.training.recipes import find_recipe
from resight.training.run import read_config, read_metrics

CPU = TrainOptions(device="cpu", compile="off")
TINY = find_recipe("slicenet2", height=32, width=16, epochs=1, dim=32)
CROPS = tuple(Crop(f"{place}.png", pid, camid=1) for place, pid in enumerate((7, 7, 9, 9, 9)))


def _embedded(crops: tuple[Crop, ...], rows: np.ndarray) -> EmbeddedCrops:
    names = tuple(crop.name for crop in crops)
    return EmbeddedCrops(
        rows.astype(np.float32), pids_of(crops), camids_of(crops), np.zeros(len(crops), np.uint64), names
    )


def _images(crops: tuple[Crop, ...]) -> TrainingImages:
    grey = (0.5, 0.5, 0.5)
    return TrainingImages(crops, labels_of(crops), None, 32, 16, grey, grey, (), "")


def test_soft_labels_by_hand() -> None:
    angles = np.array([0.0, 0.2, 1.0, 1.2, 1.4])
    rows = 3 * np.stack([np.cos(angles), np.sin(angles)], axis=1)  # of no particular length
    taught = Teachers({"one": _embedded(CROPS[::-1], rows[::-1])}, _images(CROPS), scale=5.0)  # in any order
    likely = taught.targets(np.array([1, 4]))
    for row, angle in zip(likely, (0.2, 1.4), strict=True):
        expected = np.exp(5 * np.cos([angle - 0.1, angle - 1.2]))  # the means of two and of three
        assert row == pytest.approx(expected / expected.sum(), abs=1e-6)


def test_an_ensemble_thinks_the_mean_of_its_cosines() -> None:
    rng = np.random.default_rng(0)
    a, b = (_embedded(CROPS, rng.normal(size=(5, dim))) for dim in (3, 8))
    every = np.arange(5)
    apart = [np.log(Teachers({"x": one}, _images(CROPS), 4.0).targets(every)) for one in (a, b)]
    mean = np.exp((apart[0] + apart[1]) / 2)
    both = Teachers({"a": a, "b": b}, _images(CROPS), 4.0).targets(every)
    assert both == pytest.approx(mean / mean.sum(axis=1, keepdims=True), abs=1e-5)


def test_the_share_of_the_loss() -> None:
    torch.manual_seed(0)
    loss, embeddings, labels = CosineSoftmax(4, 3, kappa=5.0), torch.randn(2, 4), torch.tensor([0, 2])
    soft = torch.tensor([[0.5, 0.5, 0.0], [0.1, 0.2, 0.7]])
    own = -(soft * loss.logits(embeddings).log_softmax(dim=1)).sum(dim=1).mean()
    expected = 0.75 * loss(embeddings, labels) + 0.25 * own
    assert loss(embeddings, labels, soft, 0.25).item() == pytest.approx(expected.item(), abs=1e-6)


def test_a_training_learns_from_them(small_city: Dataset, tmp_path: Path) -> None:
    crops = tuple(small_city.train)
    teacher = {"nobody": _embedded(crops, np.random.default_rng(0).normal(size=(len(crops), 6)))}
    for share in (0.25, 0.75):
        train(replace(TINY, distillation=share), small_city, tmp_path / f"{share}", 0, CPU, teachers=teacher)
    losses = [read_metrics(tmp_path / f"{share}")[0]["loss"] for share in (0.25, 0.75)]
    assert losses[0] != losses[1]
    assert read_config(tmp_path / "0.25")["teachers"] == ["nobody"]
    again = replace(TINY, distillation=0.25)
    with pytest.raises(ConfigError, match="another teachers"):
        train(again, small_city, tmp_path / "0.25", 0, replace(CPU, resume=True), teachers={"x": teacher["nobody"]})


def test_what_cannot_be_taught(small_city: Dataset, tmp_path: Path) -> None:
    crops = tuple(small_city.train)[1:]
    teacher = {"short": _embedded(crops, np.ones((len(crops), 6)))}
    with pytest.raises(ConfigError, match="short has not embedded 1 training picture"):
        train(replace(TINY, distillation=0.5), small_city, tmp_path / "a", 0, CPU, teachers=teacher)
    for recipe, teachers in ((replace(TINY, distillation=0.5), {}), (TINY, teacher)):
        with pytest.raises(ConfigError, match="distillation takes teachers"):
            train(recipe, small_city, tmp_path / "b", 0, CPU, teachers=teachers)
