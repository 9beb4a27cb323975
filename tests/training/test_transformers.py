"""Training a TransReID: the loss falls, resuming is exact, and the published rates."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from resight.core.errors import ConfigError, WeightsError
from resight.core.pictures.preprocessing import Preprocessing
from resight.data.crops import Dataset
from resight.models.catalogue import build_network, embedding_parts
from resight.models.saved import load_model
from resight.models.vit import VisionTransformer, VitForm, resample_positions
from resight.training.loop import train
from resight.training.objective import architecture_of, make_objective
from resight.training.pretrained import load_pretrained
from resight.training.recipes import Recipe, find_recipe
from resight.training.run import read_metrics
from resight.training.updates.optimizers import hold_frozen, make_optimizer, set_rate
from resight.training.updates.schedule import epoch_factor
from tests.training.test_loop import CPU, train_copying, weights

PUBLISHED = find_recipe(
    "transreid-small", form="tiny", dim=192, height=64, width=32, epochs=1, batch_size=8, images_per_identity=2
)
JIGSAW = replace(PUBLISHED, patch_stride=12, jigsaw=True, dim=5 * 192)
LA = find_recipe(
    "la-transformer", form="tiny", slices=2, dim=2 * 192, height=64, width=32, patch_stride=16, epochs=1, batch_size=12
)
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


def test_blocks_are_freed_one_by_one() -> None:
    recipe = replace(LA, epochs=30, unfreeze_epochs=2)
    network = build_network(architecture_of(recipe), recipe.height, recipe.width)
    depth = 4
    for epoch, learning in ((0, 2), (1, 2), (2, 3), (3, 3), (4, 4), (29, 4)):
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
        hold_frozen(recipe, network, epoch)
        frozen = {name.split(".")[2] for name, p in network.named_parameters() if p.grad is None}
        assert frozen == {str(block) for block in range(depth - learning)}
        assert network.get_parameter("base.pos_embed").grad is not None


def test_la_transformer_trains_and_resumes(small_city: Dataset, tmp_path: Path) -> None:
    copies = train_copying(small_city, tmp_path / "run", CPU, LA)
    train(LA, small_city, copies[len(copies) // 2], 5, replace(CPU, resume=True))
    assert weights(copies[len(copies) // 2]) == weights(tmp_path / "run")
    config = load_model(tmp_path / "run").config
    assert config.preprocessing.mean == (0.485, 0.456, 0.406)
    assert embedding_parts(config.architecture)[0] == ("strip 1 of 2", 0, 192)


def vit_weights(width: int, depth: int, *, distilled: bool) -> dict[str, torch.Tensor]:
    """Of 224 x 224 at stride 16, as timm names them."""
    form = VitForm(width=width, depth=depth, heads=3)
    torch.manual_seed(1)
    found = dict(VisionTransformer(form, 224, 224).state_dict())
    found["head.weight"] = torch.zeros(1000, width)
    if distilled:
        table = found["pos_embed"]
        found["pos_embed"] = torch.cat([table[:, :1], torch.full((1, 1, width), 9.0), table[:, 1:]], dim=1)
        found |= {"dist_token": torch.zeros(1, 1, width), "head_dist.weight": torch.zeros(1000, width)}
    return found


@pytest.mark.parametrize("distilled", [False, True])
@pytest.mark.parametrize("recipe", [PUBLISHED, JIGSAW], ids=["plain", "jigsaw"])
def test_a_training_begins_with_a_vit(recipe: Recipe, distilled: bool, tmp_path: Path) -> None:
    theirs = vit_weights(192, 4, distilled=distilled)
    torch.save({"model": theirs}, tmp_path / "deit.pth")
    network = build_network(architecture_of(recipe), recipe.height, recipe.width)
    assert "not stated" in load_pretrained(network, tmp_path / "deit.pth", pytest.fail).origin.rights
    own = network.state_dict()
    assert torch.equal(own["base.blocks.0.attn.qkv.weight"], theirs["blocks.0.attn.qkv.weight"])
    last = ("b1.0.", "b2.0.") if recipe.jigsaw else ("base.blocks.3.",)
    assert all(torch.equal(own[f"{name}mlp.fc1.weight"], theirs["blocks.3.mlp.fc1.weight"]) for name in last)
    plain = vit_weights(192, 4, distilled=False)["pos_embed"]
    form = VitForm(stride=recipe.patch_stride)
    grid = form.grid(recipe.height, recipe.width)
    assert torch.equal(own["base.pos_embed"], resample_positions(plain, (14, 14), grid))
    del theirs["blocks.1.norm1.bias"]
    torch.save(theirs, tmp_path / "deit.pth")
    with pytest.raises(WeightsError, match=r"base.blocks.1.norm1.bias is missing"):
        load_pretrained(network, tmp_path / "deit.pth", pytest.fail)
