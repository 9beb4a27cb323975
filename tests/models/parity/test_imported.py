"""Imported networks give what their authors' code gave: the cases of ../shared/parity."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from resight.losses.bnneck import BNNeckLoss
from resight.losses.local_heads import LocalHeadsLoss
from resight.models.foreign.importing import Imported, import_foreign
from resight.models.networks.transreid import TransReID
from resight.models.vit import resample_positions
from tests.models.parity import cases

SMALL = ("jpm-sie-stride12", "jpm-sie-views-odd", "jpm-in-order", "plain", "vit-small-like")
# The outputs of each case of published size, and the options that they take.
FULL: dict[str, dict[str, dict[str, Any]]] = {
    "transreid/full-vit-base-stride16": {"eval-before": {}, "eval-after": {"neck": "after"}},
    "transreid/full-vit-base-stride12-jpm-sie": {"eval-before": {}, "eval-after": {"neck": "after"}},
    "transreid/full-deit-small-stride16": {"eval-before": {}, "eval-after": {"neck": "after"}},
    "transreid/full-vit-small-stride16": {"eval-before": {}, "eval-after": {"neck": "after"}},
    "clip-reid/full-vit-b16-stride16": {"eval-before": {}, "eval-after": {"neck": "after"}},
    "clip-reid/full-vit-b16-sie-stride12": {
        "eval-before": {}, "eval-after": {"neck": "after"}, "eval-before-no-camera": {"unseen": "none"},
    },
    "clip-reid/full-rn50": {"eval-before": {}, "eval-after": {"neck": "after"}},
    "bot/full-resnet50": {"eval-before": {"neck": "before"}, "eval-after": {}},
    "bot/full-resnet50_ibn_a": {"eval-before": {"neck": "before"}, "eval-after": {}},
    "bot/full-se_resnet50": {"eval-before": {"neck": "before"}, "eval-after": {}},
    **{
        f"fast-reid/full-{name}": {"eval": {}}
        for name in ("bagtricks-r50", "bagtricks-r50-ibn", "sbs-r50-ibn", "v011-bagtricks-r50-ibn", "v011-sbs-r50-ibn")
    },
    **{f"osnet/full-{name}": {"eval": {}} for name in ("ain_x0_25", "ain_x0_5", "ain_x1_0", "ibn_x1_0")},
    **{f"osnet/full-{name}": {"eval": {}} for name in ("x0_25", "x0_5", "x0_75", "x1_0")},
}  # fmt: skip


def imported(folder: Path, tmp_path: Path, options: dict[str, Any], kind: str | None = None) -> Imported:
    """The case's weights as a user has them, through the importer."""
    path = tmp_path / "weights.pth"
    torch.save(cases.weights(folder), path)
    return import_foreign(path, kind, options)


def small_options(told: dict[str, Any]) -> dict[str, Any]:
    """What no file of these small networks tells."""
    heads = told.get("network", {}).get("heads", 4)
    options = {"height": told["size"][0], "width": told["size"][1], "heads": heads}
    if "stride" in told:
        options["stride"] = told["stride"] if isinstance(told["stride"], int) else told["stride"][0]
    return options


def places_of(told: dict[str, Any], count: int) -> Tensor | None:
    """Each picture's row of side information."""
    if not told["sie_cameras"]:
        return None
    cameras = torch.tensor(told["cameras"])
    views = told.get("sie_views", 0)
    return cameras * views + torch.tensor(told["views"]) if views else cameras


def joined(got: Imported, images: Tensor, places: Tensor | None = None) -> Tensor:
    """The published embedding, before it is brought to unit length."""
    network: Any = got.trained.network
    with torch.no_grad():
        out: Tensor = network.joined(images) if places is None else network.joined(images, places)
    return out


@pytest.mark.parametrize("name", SMALL)
def test_a_small_transreid(name: str, tmp_path: Path) -> None:
    folder = cases.case(f"transreid/small-{name}")
    told = cases.config(folder)
    options = small_options(told)
    if told["jpm"]:
        options |= {"shift": told["shift"], "rearrange": told["rearrange"]}
    if told["sie_views"]:
        options["views"] = told["sie_views"]
    images = cases.inputs(folder)
    places = places_of(told, len(images))
    for neck in ("before", "after"):
        got = imported(folder, tmp_path, {**options, "neck": neck})
        cases.close(joined(got, images, places), cases.expected(folder, f"eval-{neck}"))
    _check_training(imported(folder, tmp_path, options), folder, images, places)


def _check_training(got: Imported, folder: Path, images: Tensor, places: Tensor | None) -> None:
    """Loss, features and gradients in training mode, as its authors' loss function has them."""
    told = cases.config(folder)["train"]
    network, weights = got.trained.network.train(), cases.weights(folder)
    assert isinstance(network, TransReID)
    num_classes = cases.config(folder)["num_classes"]
    loss = BNNeckLoss(network.form.width, network.form.branches, num_classes)
    for k in range(network.form.branches):
        suffix = f"_{k}" * bool(k)
        neck = {name: weights[f"bottleneck{suffix}.{name}"] for name in loss.necks[k].state_dict()}
        loss.necks[k].load_state_dict(neck)
        loss.classifiers[k].load_state_dict({"weight": weights[f"classifier{suffix}.weight"]})
    branches = network.branches(images, places)
    cases.close(branches.transpose(0, 1), cases.expected(folder, "train-features"))
    value = loss(branches, torch.tensor(told["labels"]))
    value.backward()
    assert value.item() == pytest.approx(told["loss"], abs=5e-6)
    parameters = {**dict(network.named_parameters()), "classifier.weight": loss.classifiers[0].weight}
    for name, norm in told["gradient_norms"].items():
        gradient = cast(nn.Parameter, parameters["side" if name == "base.sie_embed" else name]).grad
        assert gradient is not None
        assert gradient.norm().item() == pytest.approx(norm, rel=1e-5)
    kept = {name for name, parameter in network.named_parameters() if parameter.grad is None}
    assert kept == set()  # what gets no gradient there is left out here


@pytest.mark.parametrize("name", ["small-vit", "small-vit-sie-stride12"])
def test_a_small_clip_vit(name: str, tmp_path: Path) -> None:
    folder = cases.case(f"clip-reid/{name}")
    told = cases.config(folder)
    images = cases.inputs(folder)
    places = places_of(told, len(images))
    for neck in ("before", "after"):
        got = imported(folder, tmp_path, {**small_options(told), "neck": neck})
        cases.close(joined(got, images, places), cases.expected(folder, f"eval-{neck}"))


def test_a_small_la_transformer(tmp_path: Path) -> None:
    folder = cases.case("la-transformer/small")
    _check_la(imported(folder, tmp_path, {"height": 112, "width": 112, "stride": 8, "heads": 4}), folder)


def _check_la(got: Imported, folder: Path) -> None:
    images = cases.inputs(folder)
    network: Any = got.trained.network
    with torch.no_grad():
        cases.close(network.tokens(images)[1], cases.expected(folder, "test-tokens"))
        features = cases.expected(folder, "test-features")
        cases.close(network(images), features.reshape(len(images), -1))


def la_heads(folder: Path, hidden: int) -> LocalHeadsLoss:
    """The fourteen classifiers of a case, without dropout, as it was left out there."""
    weights = cases.weights(folder)
    width = weights["classifier0.add_block.0.weight"].shape[1]
    loss = LocalHeadsLoss(width, 14, cases.config(folder)["num_classes"], hidden=hidden)
    layers = {"0": "add_block.0", "1": "add_block.1", "3": "classifier.0"}
    for k, head in enumerate(loss.heads):
        head.load_state_dict(
            {
                name: weights[f"classifier{k}.{layers[name[0]]}{name[1:]}"]
                for name in cast(nn.Sequential, head).state_dict()
            }
        )
        cast(nn.Dropout, head.get_submodule("2")).p = 0.0
    return loss


def test_a_small_la_transformer_learns_as_published(tmp_path: Path) -> None:
    folder = cases.case("la-transformer/small")
    told = cases.config(folder)["train"]
    options = {"height": 112, "width": 112, "stride": 8, "heads": 4}
    network: Any = imported(folder, tmp_path, options).trained.network
    images, loss = cases.inputs(folder), la_heads(folder, 32)
    loss.eval()
    with torch.no_grad():
        cases.close(loss.scores(network.branches(images)), cases.expected(folder, "eval-scores"))
    network.train()
    loss.train()
    branches = network.branches(images)
    value = loss(branches, torch.tensor(told["labels"]))
    value.backward()
    assert value.item() == pytest.approx(told["loss"], abs=5e-5)
    cases.close(loss.scores(branches), cases.expected(folder, "train-scores"))
    named = dict(network.named_parameters())
    theirs = {
        "cls_token": "base.cls_token",
        "pos_embed": "base.pos_embed",
        "model.patch_embed.proj.weight": "base.patch_embed.proj.weight",
        "model.blocks.0.attn.qkv.weight": "base.blocks.0.attn.qkv.weight",
    }
    heads = {
        "classifier0.add_block.0.weight": loss.get_parameter("heads.0.0.weight"),
        "classifier13.classifier.0.weight": loss.get_parameter("heads.13.3.weight"),
    }
    for name, norm in told["gradient_norms"].items():
        gradient = (heads[name] if name in heads else named[theirs[name]]).grad
        assert gradient is not None
        assert gradient.norm().item() == pytest.approx(norm, rel=1e-5)


def test_a_small_osnet(tmp_path: Path) -> None:
    folder = cases.case("osnet/x0_25")
    got = imported(folder, tmp_path, {"height": 128, "width": 64})
    images = cases.inputs(folder)
    cases.close(joined(got, images), cases.expected(folder, "eval"))
    got.trained.network.train()
    cases.close(joined(got, images), cases.expected(folder, "train-features"), tolerance=1e-4)


@pytest.mark.parametrize(
    ("folder", "table", "grid", "to"),
    [
        ("transreid", "from-224", (14, 14), "to-{}x{}"),
        ("clip-reid", "vit-from", (14, 14), "vit-to-{}x{}"),
        ("clip-reid", "rn50-from", (7, 7), "rn50-to-{}x{}"),
    ],
)
def test_positions_of_another_grid(folder: str, table: str, grid: tuple[int, int], to: str) -> None:
    path = cases.case(f"{folder}/pos-embed")
    start = cases.expected(path, table).reshape(1, grid[0] * grid[1] + 1, -1)
    grids = [(16, 8), (21, 10)] if folder == "clip-reid" else [(16, 8), (21, 10), (21, 21), (22, 11), (24, 8), (31, 10)]
    for new in grids:
        wanted = cases.expected(path, to.format(*new))
        cases.close(resample_positions(start, grid, new).reshape(wanted.shape), wanted)


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
def test_a_published_size(name: str, tmp_path: Path) -> None:
    folder = cases.case(name)
    told = cases.config(folder)
    images = cases.inputs(folder)
    if name.startswith("fast-reid"):  # pixels of 0 to 255
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) * 255 for values in (
            imported(folder, tmp_path, {}).trained.config.preprocessing.mean,
            imported(folder, tmp_path, {}).trained.config.preprocessing.std,
        ))  # fmt: skip
        images = (images - mean) / std
    for output, options in FULL[name].items():
        got = imported(folder, tmp_path, options)
        assert [got.trained.config.preprocessing.height, got.trained.config.preprocessing.width] == told["size"]
        places = places_of(told, len(images)) if told.get("sie_cameras") and "unseen" not in options else None
        cases.close(joined(got, images, places), cases.expected(folder, output))


@pytest.mark.slow
def test_a_published_la_transformer(tmp_path: Path) -> None:
    folder = cases.case("la-transformer/full-vit-base")
    _check_la(imported(folder, tmp_path, {}), folder)
