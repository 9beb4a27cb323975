"""What other models think of the training pictures, and what a training makes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from resight.core.errors import ConfigError
from resight.core.records import EmbeddedCrops
from resight.data.crops import Crop, Dataset, camids_of, pids_of
from resight.losses.joint import JointLoss
from resight.losses.relation import RelationLoss
from resight.models.saved import Origin, load_model
from resight.training.distillation import Teacher, Teachers
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


def _teacher(name: str, embedded: EmbeddedCrops, rights: str = "its own") -> Teacher:
    return Teacher(Origin(name, "other people", rights), lambda crops: embedded)


def test_an_ensemble_thinks_the_mean_of_its_cosines() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(5, dim)) for dim in (3, 8)]
    teachers = [_teacher("a", _embedded(CROPS[::-1], rows[0][::-1])), _teacher("b", _embedded(CROPS, rows[1]))]
    found = Teachers(teachers, CROPS).cosines(np.array([4, 1]))  # in any order, of no particular length
    apart = [float(a[4] @ a[1] / np.linalg.norm(a[4]) / np.linalg.norm(a[1])) for a in rows]
    assert found == pytest.approx(np.array([[1.0, np.mean(apart)], [np.mean(apart), 1.0]]), abs=1e-6)


def test_relation_loss_by_hand() -> None:
    torch.manual_seed(0)
    embeddings, other = (functional.normalize(torch.randn(4, dim), dim=1) for dim in (3, 6))
    taught = other @ other.T
    expected = 0.0
    for i in range(4):
        others = [j for j in range(4) if j != i]
        p, q = ([math.exp(5 * float(cosines[i, j])) for j in others] for cosines in (taught, embeddings @ embeddings.T))
        expected += sum(a / sum(p) * math.log(a / sum(p) / (b / sum(q))) for a, b in zip(p, q, strict=True)) / 4
    assert RelationLoss(5.0)(embeddings, taught).item() == pytest.approx(expected, abs=1e-6)


def test_who_thinks_as_the_teachers_do_has_nothing_to_learn() -> None:
    torch.manual_seed(0)
    embeddings = functional.normalize(torch.randn(4, 3), dim=1).requires_grad_()
    loss = RelationLoss()(embeddings, (embeddings @ embeddings.T).detach())
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    assert embeddings.grad is not None
    assert embeddings.grad.abs().max().item() == pytest.approx(0.0, abs=1e-6)


def test_the_whole_embedding_learns_from_them() -> None:
    torch.manual_seed(0)
    embeddings, labels, taught = torch.randn(4, 6), torch.tensor([0, 0, 1, 1]), torch.eye(4)
    plain = JointLoss([(0, 2), (2, 6)], 2)
    taught_too = JointLoss([(0, 2), (2, 6)], 2, distillation=3.0)
    taught_too.load_state_dict(plain.state_dict())
    parts = [functional.normalize(part, dim=1) for part in (embeddings[:, :2], embeddings[:, 2:])]
    whole = torch.cat(parts, dim=1) / math.sqrt(2)
    expected = plain(embeddings, labels) + 3 * RelationLoss()(whole, taught)
    assert taught_too(embeddings, labels, taught).item() == pytest.approx(expected.item(), abs=1e-5)


def test_a_training_learns_from_them(small_city: Dataset, tmp_path: Path) -> None:
    crops = tuple(small_city.train)
    embedded = _embedded(crops, np.random.default_rng(0).normal(size=(len(crops), 6)))
    teacher = [_teacher("nobody", embedded, "research only")]
    for share in (0.25, 0.75):
        train(replace(TINY, distillation=share), small_city, tmp_path / f"{share}", 0, CPU, teachers=teacher)
    losses = [read_metrics(tmp_path / f"{share}")[0]["loss"] for share in (0.25, 0.75)]
    assert losses[0] != losses[1]
    assert read_config(tmp_path / "0.25")["teachers"] == ["nobody"]
    card = load_model(tmp_path / "0.25").config
    assert card.trained_on == f"{small_city}; by way of other models, other people"
    assert card.rights == f"{small_city.rights}; of the models learnt from, research only"
    again = replace(TINY, distillation=0.25)
    with pytest.raises(ConfigError, match="another teachers"):
        train(again, small_city, tmp_path / "0.25", 0, replace(CPU, resume=True), teachers=[_teacher("x", embedded)])


def test_what_cannot_be_taught(small_city: Dataset, tmp_path: Path) -> None:
    crops = tuple(small_city.train)[1:]
    teacher = [_teacher("short", _embedded(crops, np.ones((len(crops), 6))))]
    with pytest.raises(ConfigError, match="short has not embedded 1 training picture"):
        train(replace(TINY, distillation=0.5), small_city, tmp_path / "a", 0, CPU, teachers=teacher)
    for recipe, teachers in ((replace(TINY, distillation=0.5), []), (TINY, teacher)):
        with pytest.raises(ConfigError, match="distillation takes teachers"):
            train(recipe, small_city, tmp_path / "b", 0, CPU, teachers=teachers)


def test_nobody_is_asked_before_the_directory_is_free(small_city: Dataset, tmp_path: Path) -> None:
    def never(crops: Sequence[Crop]) -> EmbeddedCrops:
        raise AssertionError("asked")

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "config.json").write_text("{}")
    teacher = Teacher(Origin("x", "", ""), never)
    with pytest.raises(ConfigError, match="holds"):
        train(replace(TINY, distillation=0.5), small_city, tmp_path / "a", 0, CPU, teachers=[teacher])
