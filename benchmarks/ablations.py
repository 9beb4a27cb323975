"""What each part of the stripnet recipe is worth: one thing changed at a time, in a short form.

Trains each variant at 64 x 32 for a few epochs from the same seeds, and prints rank-1 and mAP on the data's own test
part, on another site if one is given, and the paired difference of mAP to the recipe as it is, over people. Runs that
are finished are not trained again, so several processes may share the folder, each with its own --only. What takes
teachers is left out where none is given.

    python benchmarks/ablations.py market501 -o ablations [--also pku_reid] [--seeds 1] [--epochs 14] [--only NAME ...]
        [--teacher MODEL ...]
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from resight.core.errors import DataError
from resight.data.embed import QueryGallery
from resight.data.formats.catalogue import open_dataset
from resight.embedding.loading import load
from resight.evaluation.compare import compare
from resight.evaluation.evaluate import evaluate
from resight.training.loop import TrainOptions, is_finished, train
from resight.training.recipes import find_recipe
from resight.training.teaching.teachers import open_teacher

SHORT: dict[str, Any] = {
    "height": 64,
    "width": 32,
    "progressive": "",
    "warmup_epochs": 1.0,
    "constant_epochs": 0,
    "pad_and_crop": 4,
}
IN_FLOAT32 = "in float32"  # where the CPU has bfloat16, the others train in it
VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "as it was before": {"circle": 0.0, "dim": 256, "sampler": "balanced"},
    "without circle loss": {"circle": 0.0},
    "without triplet loss": {"triplet": 0.0},
    "without either": {"circle": 0.0, "triplet": 0.0},
    "circle loss 3": {"circle": 3.0},
    "pictures of any camera": {"sampler": "balanced"},
    "256 values": {"dim": 256},
    "1024 values": {"dim": 1024},
    "without label smoothing": {"label_smoothing": 0.0},
    "without averaging": {"average": 0.0},
    "without random erasing": {"random_erasing": 0.0},
    "without colour jitter": {"colour_jitter": 0.0},
    "colour cast 0.15": {"colour_cast": 0.15},
    "margin 0.1": {"margin": 0.1},
    "kappa from 30": {"kappa": 30.0},
    "batches of 128": {"batch_size": 128},
    "rate 1e-3": {"learning_rate": 1e-3},
    "decay 5e-4": {"weight_decay": 5e-4},
    "average pooling": {"pooling": "avg"},
    "maximum pooling": {"pooling": "max"},
    "GeM pooling": {"pooling": "gem"},
    "1 strip": {"slices": 1},
    "2 strips": {"slices": 2},
    "8 strips": {"slices": 8},
    "shared dense layer": {"strips": "shared"},
    "strips of the image": {"strips": "image"},
    "aligned strips": {"aligned": True},
    "mutual learning": {"mutual": True},
    "distillation 1": {"distillation": 1.0},
    "distillation 5": {"distillation": 5.0},
    "distillation 20": {"distillation": 20.0},
    IN_FLOAT32: {},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--also", help="another site, which nobody was trained on")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--only", nargs="*", default=list(VARIANTS), choices=list(VARIANTS), metavar="NAME")
    parser.add_argument("--teacher", type=Path, nargs="*", default=[], help="models to learn from")
    parser.add_argument("--table", action="store_true", help="print what is finished, and train nothing")
    options = parser.parse_args()
    dataset = open_dataset(options.data)
    elsewhere = open_dataset(options.also) if options.also else None
    seeds = range(options.seeds)
    folders = {name: [options.out / f"{name.replace(' ', '-')}-{seed}" for seed in seeds] for name in options.only}
    teachers = [open_teacher(path) for path in options.teacher]
    if not options.table:
        for seed in seeds:
            for name in options.only:
                recipe = find_recipe("stripnet", **{**SHORT, "epochs": options.epochs, **VARIANTS[name]})
                if is_finished(folders[name][seed]) or (recipe.distillation and not teachers):
                    continue
                print(f"training: {name}, seed {seed}", flush=True)
                resuming = TrainOptions(resume=True, amp=name != IN_FLOAT32)
                taught_by = teachers if recipe.distillation else []
                train(recipe, dataset, folders[name][seed], seed, resuming, teachers=taught_by)

    embedded: dict[str, list[QueryGallery]] = {}
    print(f"{'':26}{'rank-1':>16}{'mAP':>16}   difference of mAP to the recipe, paired{'':4}elsewhere: rank-1, mAP")
    for name, runs in folders.items():
        finished = [run for run in runs if is_finished(run)]
        if not finished:
            continue
        embedded[name] = [load(run).embed_dataset(dataset) for run in finished]
        found = [evaluate(part.query, part.gallery) for part in embedded[name]]
        line = f"{name:26}{_spread([e.rank(1) for e in found]):>16}{_spread([e.mean_ap for e in found]):>16}   "
        line += f"{_difference(embedded['as it is'], embedded[name]) if 'as it is' in embedded else '':44}"
        if elsewhere is not None:
            there = [load(run).embed_dataset(elsewhere) for run in finished]
            figures = [evaluate(part.query, part.gallery) for part in there]
            line += f"{_spread([e.rank(1) for e in figures])}, {_spread([e.mean_ap for e in figures])}"
        print(line, flush=True)


def _spread(values: list[float]) -> str:
    """The mean, and over several seeds the standard deviation."""
    mean = f"{statistics.fmean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({statistics.stdev(values):.3f})"


def _difference(first: list[QueryGallery], second: list[QueryGallery]) -> str:
    """Of each seed's pair, over the people of the queries; the first seed's interval."""
    try:
        found = [
            compare((a.query, a.gallery), (b.query, b.gallery)).differences["mean_ap"]
            for a, b in zip(first, second, strict=False)
        ]
    except DataError:
        return ""
    interval = found[0].interval
    return f"{_spread([d.mean for d in found])} [{interval.low:+.3f}, {interval.high:+.3f}], p {found[0].p_value:.3f}"


if __name__ == "__main__":
    main()
