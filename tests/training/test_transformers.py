"""Training a TransReID: the loss falls, resuming is exact, and the published rates."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from resight.core.errors import ConfigError
from resight.core.pictures.preprocessing import Preprocessing
from resight.data.crops import Dataset
from resight.models.catalogue import build_network
from resight.models.saved import load_model
from resight.training.loop import train
from resight.training.objective import architecture_of, make_objective
from resight.training.recipes import Recipe, find_recipe
from resight.training.run import read_metrics
from resight.training.updates.optimizers import make_optimizer, set_rate
from resight.training.updates.schedule import epoch_factor
from tests.training.test_loop import CPU, train_copying, weights

PUBLISHED = find_recipe(
    "transreid-small", form="tiny", dim=192, height=64, width=32, epochs=1, batch_size=8, images_per_identity=2
)
JIGSAW = replace(PUBLISHED, patch_stride=12, jigsaw=True, dim=5 * 192)
SCRATCH = find_recipe("transreid-tiny", height=64, width=32, epochs=1, batch_size=8, images_per_identity=2)


@pytest.mark.parametrize("recipe", [JIGSAW, SCRATCH], ids=["jigsaw", "from scratch"])
def test_resuming_is_exact(recipe: Recipe, small_city: Dataset, tmp_path: Path) -> None:
    copies = train_copying(small_city, tmp_path / "run", CPU, recipe)
    copy = copies[len(copies) // 2]
    train(recipe, small_city, copy, 5, replace(CPU, resume=True))
    assert weights(copy) == weights(tmp_path / "run")
    assert load_model(tmp_path / "run").config.architecture.options["width"] == 192


def test_the_loss_falls(small_city: Dataset, tmp_path: Path) -> None:
    recipe = replace(SCRATCH, epochs=6, learning_rate=5e-4, random_erasing=0.0, average=0.0)
    train(recipe, small_city, tmp_path / "run", 0, CPU)
    losses = [line["loss"] for line in read_metrics(tmp_path / "run")]
    assert losses[-1] < 0.9 * losses[0]


def test_one_step_in_bfloat16_is_one_in_float32_but_for_rounding() -> None:
    torch.manual_seed(0)
    recipe = replace(JIGSAW, drop_path=0.0)
    network = build_network(architecture_of(recipe), recipe.height, recipe.width)
    half = Preprocessing(recipe.height, recipe.width, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    objective = make_objective(recipe, network, 4, half)
    pixels = torch.randint(0, 256, (8, JIGSAW.height, JIGSAW.width, 3), dtype=torch.uint8)
    labels = torch.arange(8) // 2
    exact = objective(pixels, labels)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = objective(pixels, labels)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, atol=0.05, rtol=0.02)


def test_the_published_rates() -> None:
    factors = [epoch_factor("epoch-cosine", epoch, 120, 5.0) for epoch in range(120)]
    assert factors[0] == pytest.approx(0.01 + 0.99 / 5)
    assert factors[4] == pytest.approx(0.002 + 0.998 * (0.5 + 0.5 * math.cos(math.pi * 5 / 120)))
    assert factors[-1] == pytest.approx(0.002)
    assert [epoch_factor("stepwise", epoch, 30, 0.0) for epoch in (0, 1, 2, 5)] == [0.8, 0.8, 0.8**2, 0.8**3]
    objective = make_objective(
        PUBLISHED,
        build_network(architecture_of(PUBLISHED), PUBLISHED.height, PUBLISHED.width),
        4,
        Preprocessing(PUBLISHED.height, PUBLISHED.width, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    )
    optimizer = make_optimizer(PUBLISHED, objective)
    set_rate(optimizer, 0.01)
    assert [group["lr"] for group in optimizer.param_groups] == [0.01, 0.02]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [1e-4, 1e-4]
    listed = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert {name for name, p in objective.named_parameters() if id(p) not in listed} == {"loss.necks.0.bias"}


def test_fields_that_do_not_go_together() -> None:
    with pytest.raises(ConfigError, match="one size"):
        find_recipe("transreid-small", progressive="64x32*3")
    with pytest.raises(ConfigError, match="does not go with circle"):
        find_recipe("transreid-small", circle=1.0)
    recipe = find_recipe("stripnet", classifier="bnneck", circle=0.0)
    network = build_network(architecture_of(recipe), recipe.height, recipe.width)
    with pytest.raises(ConfigError, match="cosine classifier only"):
        make_objective(recipe, network, 4, Preprocessing(128, 64, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    recipe = find_recipe("transreid-small", dim=100)
    with pytest.raises(ConfigError, match="embeddings of dim 384, not 100"):
        build_network(architecture_of(recipe), recipe.height, recipe.width)
