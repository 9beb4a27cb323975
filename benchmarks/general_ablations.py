"""What makes a network general: one thing of the recipe `general` changed at a time, in a short form.

Trains each variant at 64 x 32 for a few epochs from the same weights, and prints rank-1 / mAP on the mean over places
that it never saw, plain and with cameras centred, on the data's own test part (home), and the difference of the mean's
mAP to the recipe, seed by seed. Scored at the size that was trained at. Finished runs are kept, so several processes
may share the folder, each with its own --only. Teachers are asked once for all variants that show them the same.

    python benchmarks/general_ablations.py market501 --unlabelled FOLDER ... --teacher A B --site DATA ... -o FOLDER
        [--third C] [--pretrained MODEL] [--seeds 0 1] [--epochs 3] [--only NAME ...] [--table]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from resight.data.crops import Crop, Dataset
from resight.data.formats.catalogue import open_dataset
from resight.data.unlabelled import read_unlabelled
from resight.embedding.loading import load
from resight.evaluation.centring import centre_cameras
from resight.evaluation.evaluate import evaluate
from resight.evaluation.rerank import jaccard_within
from resight.models.networks import stripnet
from resight.site.clustering import dbscan
from resight.training import loop
from resight.training.batches.augmentation import augment, shrink
from resight.training.loop import TrainOptions, is_finished, train
from resight.training.pretrained import load_pretrained
from resight.training.recipe import Recipe
from resight.training.recipes import find_recipe
from resight.training.teaching import targets
from resight.training.teaching.teachers import open_teacher

SHORT: dict[str, Any] = {"height": 64, "width": 32, "progressive": "", "views": 2, "pad_and_crop": 3}
FIRST_STAGES = (4, 6)  # the last block of the first stage, and of the second, in a StripNet's trunk
DRAWN = "synthetic:seed=77,train_people=100,test_people=2,cameras=32,crops_per_camera=2"


@dataclass(frozen=True)
class Variant:
    """recipe: fields set otherwise. data: what the data become. teachers: which of those given. fresh: from no weights.
    patch: changes the code for as long as it is entered, in training and in scoring."""

    recipe: dict[str, Any] = field(default_factory=dict)
    data: str = ""
    teachers: tuple[int, ...] = (0, 1)
    fresh: bool = False
    patch: Callable[[], Any] | None = None


def features_with(change: Callable[[Tensor, bool], Tensor]) -> Any:
    """A patch: `change` of what comes out of the first two stages. It is told whether the network trains."""

    def features(self: stripnet.StripNet, x: Tensor) -> Tensor:
        for index, layer in enumerate(self.trunk):
            x = layer(x)
            if index in FIRST_STAGES:
                x = change(x, self.training)
        return x

    def begun(*given: Any) -> Any:  # the weights are of a network without the change
        with mock.patch.object(stripnet.StripNet, "features", unchanged):
            return load_pretrained(*given)

    unchanged = stripnet.StripNet.features
    patches = ExitStack()
    patches.enter_context(mock.patch.object(stripnet.StripNet, "features", features))
    patches.enter_context(mock.patch.object(loop, "load_pretrained", begun))
    return patches


def half_by_instance(x: Tensor, training: bool) -> Tensor:
    """Half of the channels to mean 0 and variance 1 in each picture (as IBN-b, Pan et al., ECCV 2018, has them)."""
    half = x.shape[1] // 2
    return torch.cat([functional.instance_norm(x[:, :half]), x[:, half:]], dim=1)


def mixed_styles(x: Tensor, training: bool) -> Tensor:
    """Each picture's channel means and deviations mixed with another's, in half of the batches (Zhou et al., ICLR 2021:
    Beta(0.1, 0.1), partners at random)."""
    if not training or torch.rand(()) < 0.5:
        return x
    mean, std = x.mean(dim=(2, 3), keepdim=True), x.std(dim=(2, 3), keepdim=True) + 1e-6
    mean, std = mean.detach(), std.detach()
    share = torch.distributions.Beta(0.1, 0.1).sample((len(x), 1, 1, 1)).to(x.dtype)
    other = torch.randperm(len(x))
    mixed = share * mean + (1 - share) * mean[other], share * std + (1 - share) * std[other]
    return (x - mean) / std * mixed[1] + mixed[0]


def made_small() -> Any:
    """A patch: half of the pictures are made small, to between 0.3 and 1 of their sides, and enlarged again."""

    def changed(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
        height, width = images.shape[1:3]
        shares = 0.3 + 0.7 * torch.rand(len(images), generator=generator)
        images = images.clone()
        for row in (torch.rand(len(images), generator=generator) < 0.5).nonzero().flatten().tolist():
            share = float(shares[row])
            small = shrink(images[row : row + 1], max(1, round(share * height)), max(1, round(share * width)))
            images[row] = shrink(small, height, width)[0]
        return augment(images, recipe, generator)

    return mock.patch.object(loop, "augment", changed)


def means_left_in() -> Any:
    """A patch: what a teacher thinks of a camera's pictures in general is not taken out of its targets."""

    def of_unit_length(raw: Any, cameras: Any) -> Iterator[Any]:
        for view in raw:
            rows = np.asarray(view, np.float32)
            yield rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)

    return mock.patch.object(targets, "_centred", of_unit_length)


def stages(*channels: int) -> Any:
    """A patch: a StripNet of other widths."""
    wide = tuple((width, stride) for width, (_, stride) in zip(channels, stripnet.STAGES, strict=True))

    patches = ExitStack()
    patches.enter_context(mock.patch.object(stripnet, "STAGES", wide))
    patches.enter_context(mock.patch.object(stripnet.StripNet, "channels", channels[-1]))
    return patches


VARIANTS: dict[str, Variant] = {
    "the recipe": Variant(),
    "colour cast 0": Variant({"colour_cast": 0.0}),
    "colour cast 0.4": Variant({"colour_cast": 0.4}),
    "colour jitter 0.5": Variant({"colour_jitter": 0.5}),
    "half of the channels by instance": Variant(patch=lambda: features_with(half_by_instance)),
    "styles mixed": Variant(patch=lambda: features_with(mixed_styles)),
    "pictures made small and enlarged": Variant(patch=made_small),
    "one teacher: the first": Variant(teachers=(0,)),
    "one teacher: the second": Variant(teachers=(1,)),
    "three teachers": Variant(teachers=(0, 1, 2)),
    "teachers' camera means left in": Variant(patch=means_left_in),
    "views of no other colours": Variant({"view_colours": 0.0}),
    "no joined views": Variant({"view_joins": 0.0}),
    "identities not learnt": Variant({"identity": 0.0}),
    "identities at half weight": Variant({"identity": 0.5}),
    "imitation 10": Variant({"imitation": 10.0}),
    "no distillation": Variant({"distillation": 0.0}),
    "100 drawn people by 32 cameras too": Variant(data="drawn"),
    "clusters of the unlabelled as people": Variant(data="clusters"),
    "96 x 48": Variant({"height": 96, "width": 48, "pad_and_crop": 5}),
    "64 x 64": Variant({"width": 64}),
    "from no weights": Variant({"learning_rate": 2.5e-3}, fresh=True),
    "from no weights, half as wide again": Variant(
        {"learning_rate": 2.5e-3}, fresh=True, patch=lambda: stages(48, 96, 192, 288)
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--unlabelled", type=Path, nargs="+", default=[])
    parser.add_argument("--teacher", type=Path, nargs=2, required=True)
    parser.add_argument("--third", type=Path, help="for `three teachers`, which is left out without")
    parser.add_argument("--site", nargs="+", required=True, metavar="DATA", help="places that no model was trained on")
    parser.add_argument("--pretrained", type=Path, help="the weights that all begin with")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(VARIANTS), choices=list(VARIANTS), metavar="NAME")
    parser.add_argument("--table", action="store_true", help="print what is finished, and train nothing")
    options = parser.parse_args()
    teachers = [*options.teacher, *([options.third] if options.third else [])]
    if not options.table:
        data = open_dataset(options.data)
        first = 1 + max(crop.camid for crop in (*data.train, *data.query, *data.gallery))
        data = replace(data, unlabelled=read_unlabelled(options.unlabelled, first))
        places = [*map(open_dataset, options.site), data]
        for seed in options.seeds:
            for name in options.only:
                if max(VARIANTS[name].teachers) < len(teachers):
                    _run(name, seed, data, places, teachers, options)
    _print(options.out, options.only)


def _run(
    name: str, seed: int, data: Dataset, places: Sequence[Dataset], teachers: Sequence[Path], options: Any
) -> None:
    variant, run = VARIANTS[name], _folder(options.out, name, seed)
    told = run / "figures.json"
    if told.exists():
        return
    recipe = find_recipe("general", **{**SHORT, "epochs": options.epochs, **variant.recipe})
    with ExitStack() as patches:
        if variant.patch:
            patches.enter_context(variant.patch())
        if not is_finished(run):
            print(f"training: {name}, seed {seed}", flush=True)
            data = _changed(data, variant.data, options.out, teachers)
            asked = [teachers[index] for index in variant.teachers]
            folder = _asked_before(options.out / "targets", variant.data, recipe, asked)
            train(
                recipe,
                data,
                run,
                seed,
                TrainOptions(resume=True, targets=folder),
                pretrained=None if variant.fresh else options.pretrained,
                teachers=[open_teacher(path) for path in asked],
            )
        told.write_text(json.dumps([_score(run, place) for place in places]))


def _folder(out: Path, name: str, seed: int) -> Path:
    return out / f"{name.replace(' ', '-').replace(':', '').replace(',', '')}-{seed}"


def _asked_before(folder: Path, data: str, recipe: Recipe, asked: Sequence[Path]) -> Path:
    """Where the answers of those teachers belong, with those in it that were given for the same views already."""
    shown = f"{data or 'data'}-{recipe.views}-{recipe.view_colours:g}-{recipe.view_joins:g}"
    own = folder / f"{shown}={'+'.join(path.stem for path in asked)}"
    own.mkdir(parents=True, exist_ok=True)
    for place, teacher in enumerate(asked):
        for other in sorted(folder.glob(f"{shown}=*")):
            stems = other.name.partition("=")[2].split("+")
            source = other / f"teacher{stems.index(teacher.stem)}.json" if teacher.stem in stems else None
            if source and source.exists() and not (own / f"teacher{place}.json").exists():
                os.link(source.with_suffix(".npy"), own / f"teacher{place}.npy")
                os.link(source, own / f"teacher{place}.json")
    return own


def _changed(data: Dataset, how: str, out: Path, teachers: Sequence[Path]) -> Dataset:
    """The data with drawn people beside its own, or with clusters of the unlabelled pictures as people."""
    if not how:
        return data
    people, cameras = max(crop.pid for crop in data.train), 1000
    if how == "drawn":
        drawn = open_dataset(DRAWN).train
        more = [
            replace(crop, name=f"drawn/{crop.name}", pid=people + 1 + crop.pid, camid=cameras + crop.camid)
            for crop in drawn
        ]
        return replace(data, train=(*data.train, *more))
    model = load(teachers[0])
    labelled: list[Crop] = []
    left: list[Crop] = []
    for camera in sorted({crop.camid for crop in data.unlabelled}):
        crops = [crop for crop in data.unlabelled if crop.camid == camera]
        found, _ = model.embed_crops(crops)
        moved = found.embeddings - found.embeddings.mean(axis=0)
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        labels = dbscan(jaccard_within(moved, 6, 2, 0.4), 0.4, 2)
        names = dict(zip(found.names, labels.tolist(), strict=True))
        for crop in crops:
            label = names.get(crop.name, -1)
            named = replace(crop, pid=people + 1 + label) if label >= 0 else crop
            (labelled if label >= 0 else left).append(named)
        people += int(labels.max()) + 1
    print(f"{len(labelled):,} of {len(data.unlabelled):,} unlabelled pictures in clusters", flush=True)
    return replace(data, train=(*data.train, *labelled), unlabelled=tuple(left))


def _score(run: Path, place: Dataset) -> list[float]:
    """rank-1 and mAP plain, then with cameras centred."""
    found = load(run).embed_dataset(replace(place, train=(), unlabelled=()))
    sides = [(found.query, found.gallery), centre_cameras(found.query, found.gallery)]
    scored = [evaluate(query, gallery) for query, gallery in sides]
    return [value for one in scored for value in (one.rank(1), one.mean_ap)]


def _print(out: Path, names: Sequence[str]) -> None:
    print("| | seeds | places: plain | centred | home: plain | mAP less the recipe's, plain | centred |")
    print("|---|---|---|---|---|---|---|")
    first = _figures(out, "the recipe")
    for name in names:
        found = _figures(out, name)
        if not found:
            continue
        means = np.mean(list(found.values()), axis=0)
        cells = [f"{means[at]:.3f} / {means[at + 1]:.3f}" for at in (0, 2, 4)]
        for column in (1, 3):
            less = [found[seed][column] - first[seed][column] for seed in found if seed in first]
            cells.append(f"{statistics.fmean(less):+.3f} ({', '.join(f'{one:+.3f}' for one in less)})" if less else "")
        print(f"| {name} | {len(found)} | {' | '.join(cells)} |")


def _figures(out: Path, name: str) -> dict[int, list[float]]:
    """Of each seed that is finished: the mean over places, then home."""
    found = {}
    for path in sorted(out.glob(f"{_folder(out, name, 0).name.removesuffix('-0')}-[0-9]*/figures.json")):
        *places, home = json.loads(path.read_text())
        found[int(path.parent.name.rpartition("-")[2])] = [*np.mean(places, axis=0).tolist(), *home]
    return found


if __name__ == "__main__":
    main()
