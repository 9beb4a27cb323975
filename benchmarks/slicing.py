"""What slicing is worth: StripNets with 1, 2, 4, 8 strips, of the feature map or the image, dense layer shared or own.

Each is trained in a short form at 64 x 32 from the same seeds, with embeddings of the same size: half of it global,
half the strips'; with 1 strip, both halves are of the whole. Measured on the data's own test part under `market1501`:
on all queries; on the quarter of them that is dressed most like somebody else (by colour histograms, which know no
model); with a third of each query hidden (top, middle and bottom, their mean); and with each query moved down by an
eighth of its height. The difference of mAP to 1 strip is paired: of each query's mean over the seeds, its 95% interval
over people. The recipe is stripnet's of before: 256 values, no circle loss, any pictures of a person. Finished runs are
not trained again, so that several processes may share the folder, each with its own --only.

    python benchmarks/slicing.py market501 -o slicing [--seeds 1] [--epochs 10] [--only NAME ...] [--table]

With --models, finished models of any recipe are measured instead, against the first of them; with --aligned, those with
strips by AlignedReID++'s distance too.

    python benchmarks/slicing.py market501 --models runs/slices-1/seed0 runs/stripnet/seed0 runs/aligned/seed0 --aligned
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from resight.core.pictures.histogram import colour_histogram
from resight.core.pictures.images import Pixels
from resight.core.records import EmbeddedCrops, IntArray
from resight.core.visibility import THIRDS, hide
from resight.data.crops import Dataset
from resight.data.decoding import decode_crops
from resight.data.formats.catalogue import open_dataset
from resight.embedding.explain import has_strips
from resight.embedding.loading import load
from resight.evaluation.compare import paired_difference
from resight.evaluation.evaluate import evaluate
from resight.evaluation.parts.aligned import Aligned
from resight.training.loop import TrainOptions, is_finished, train
from resight.training.recipes import find_recipe

SHORT: dict[str, Any] = {
    "height": 64,
    "width": 32,
    "progressive": "",
    "warmup_epochs": 1.0,
    "constant_epochs": 0,
    "pad_and_crop": 4,
    "dim": 256,
    "circle": 0.0,
    "sampler": "balanced",
}
VARIANTS: dict[str, dict[str, Any]] = {
    "1 strip": {"slices": 1},
    "2 strips": {"slices": 2},
    "4 strips": {"slices": 4},
    "8 strips": {"slices": 8},
    "4, shared dense layer": {"slices": 4, "strips": "shared"},
    "4, of the image": {"slices": 4, "strips": "image"},
}
CASES = ("all queries", "dressed alike", "a third hidden", "moved down")
Values = npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("-o", "--out", type=Path, help="the folder of the runs")
    wanted.add_argument("--models", nargs="+", metavar="MODEL", help="finished ones, to be measured")
    parser.add_argument("--aligned", action="store_true", help="with --models")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--only", nargs="*", default=list(VARIANTS), choices=list(VARIANTS), metavar="NAME")
    parser.add_argument("--table", action="store_true", help="print what is finished, and train nothing")
    options = parser.parse_args()
    dataset = open_dataset(options.data)
    if options.models:
        named = {path: [(path, False)] for path in options.models}
        if options.aligned:
            with_strips = [path for path in options.models if has_strips(load(path).parts)]
            named |= {f"{path}, aligned": [(path, True)] for path in with_strips}
        _print_table(dataset, named)
        return
    for seed in range(0 if options.table else options.seeds):
        for name in options.only:
            run = _folder(options.out, name, seed)
            if not is_finished(run):
                print(f"training: {name}, seed {seed}", flush=True)
                recipe = find_recipe("stripnet", **{**SHORT, "epochs": options.epochs, **VARIANTS[name]})
                train(recipe, dataset, run, seed, TrainOptions(resume=True))
    runs = {
        name: [(str(run), False) for seed in range(100) if is_finished(run := _folder(options.out, name, seed))]
        for name in VARIANTS
    }
    _print_table(dataset, {name: found for name, found in runs.items() if found})


def _folder(out: Path, name: str, seed: int) -> Path:
    return out / f"{name.replace(' ', '-').replace(',', '')}-{seed}"


def _print_table(dataset: Dataset, named: dict[str, list[tuple[str, bool]]]) -> None:
    """named: of each line the models, trained from other seeds, and whether their strips are aligned."""
    alike = _dressed_alike(dataset)
    base = next(iter(named), "")
    width = max(24, *(len(name) + 2 for name in named))
    print(f"{'':{width}}{'':16}{'rank-1':>10}{'mAP':>10}   mAP, less {base}'s")
    first: dict[str, Values] = {}
    for name, models in named.items():
        found = [_measure(path, dataset, alike, aligned) for path, aligned in models]
        for case in CASES:
            rank1 = fmean(figures[case][0] for figures in found)
            ap = np.mean([figures[case][1] for figures in found], axis=0)  # (scored queries,), over the seeds
            line = f"{name if case == CASES[0] else '':{width}}{case:16}{rank1:10.3f}{ap.mean():10.3f}   "
            if name == base:
                first[case] = ap
                line += f"({len(ap)} queries, {len(models)} seed{'s' * (len(models) > 1)})"
            else:
                apart = paired_difference(first[case], ap, found[0][case][2])
                line += f"{apart.mean:+.3f} [{apart.interval.low:+.3f}, {apart.interval.high:+.3f}]"
            print(line, flush=True)


def _measure(
    path: str, dataset: Dataset, alike: frozenset[str], aligned: bool
) -> dict[str, tuple[float, Values, IntArray]]:
    """Rank-1, the average precision of each scored query, and whom it shows, by case."""
    model = load(path)
    size = model.preprocessing
    gallery, _ = model.embed_crops(dataset.gallery)
    mean = decode_crops(dataset.gallery, size.height, size.width).pixels.mean(axis=0).astype(np.uint8)

    def seen(edit: Callable[[Pixels], Pixels] | None) -> EmbeddedCrops:
        return model.embed_crops(dataset.query, edit=edit)[0]

    plain = seen(None)
    chosen = np.array([name in alike for name in plain.names])
    cases = {
        "all queries": [plain],
        "dressed alike": [_some(plain, chosen)],
        "a third hidden": [seen(partial(hide, third=third, picture=mean)) for third in THIRDS],
        "moved down": [seen(partial(_move_down, picture=mean))],
    }
    out = {}
    for case, queries in cases.items():
        strips = Aligned(model.strips) if aligned else None
        found = [evaluate(each, gallery, aligned=strips) for each in queries]
        people = queries[0].pids[found[0].query_index]
        out[case] = (fmean(e.rank(1) for e in found), np.mean([e.ap for e in found], axis=0), people)
    return out


def _some(crops: EmbeddedCrops, chosen: npt.NDArray[np.bool_]) -> EmbeddedCrops:
    names = tuple(name for name, keep in zip(crops.names, chosen, strict=True) if keep)
    content_hashes = None if crops.content_hashes is None else crops.content_hashes[chosen]
    return EmbeddedCrops(crops.embeddings[chosen], crops.pids[chosen], crops.camids[chosen], content_hashes, names)


def _move_down(pixels: Pixels, picture: Pixels) -> Pixels:
    """By an eighth of the height; what comes in at the top is the mean picture."""
    step = pixels.shape[1] // 8
    moved = pixels.copy()
    moved[:, step:] = pixels[:, :-step]
    moved[:, :step] = picture[:step]
    return moved


def _dressed_alike(dataset: Dataset) -> frozenset[str]:
    """The names of the quarter of the queries whose histogram is nearest to one of another person."""
    query, gallery = (decode_crops(crops, 128, 64) for crops in (dataset.query, dataset.gallery))
    q, g = (np.stack([colour_histogram(picture) for picture in part.pixels]) for part in (query, gallery))
    similarity = q @ g.T
    same = np.array([crop.pid for crop in query.crops])[:, None] == np.array([crop.pid for crop in gallery.crops])
    nearest = np.where(same, -1, similarity).max(axis=1)
    order = np.argsort(-nearest, kind="stable")[: len(nearest) // 4]
    return frozenset(query.crops[row].name for row in order)


if __name__ == "__main__":
    main()
