"""Any models on any places: rank-1 / mAP under `market1501`, plain and with cameras centred, and their mean.

Prints a Markdown table, a line a model and way. In brackets: 95% bootstrap intervals over the queries; that of the mean
resamples each place's queries by themselves. Places that a model was trained on say nothing of strangers' cameras: name
them apart by --home, and they stand in the table but do not count in the mean.

    python benchmarks/sites.py MODEL ... --site DATA ... [--home DATA ...] [--image-centring 0 0.5] [--json FILE]
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from resight.core.records import EmbeddedCrops
from resight.data.formats.catalogue import open_dataset
from resight.embedding.loading import load
from resight.evaluation.centring import centre_cameras
from resight.evaluation.evaluate import evaluate
from resight.evaluation.intervals import percentile_interval

SAMPLES = 1000
Values = npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--site", nargs="+", required=True, metavar="DATA", help="places that no model was trained on")
    parser.add_argument("--home", nargs="*", default=[], metavar="DATA", help="others, which do not count in the mean")
    parser.add_argument(
        "--image-centring", nargs="+", type=float, default=[None], metavar="C", help="in place of what the model has"
    )
    parser.add_argument("--json", type=Path, help="the figures, for a program")
    options = parser.parse_args()
    places = [(open_dataset(spec), spec in options.site) for spec in (*options.site, *options.home)]
    names = [f"{place.name}{'' if strange else ' (home)'}" for place, strange in places]
    print(f"| model | | {' | '.join(names)} | mean over places |")
    print("|" + "---|" * (len(places) + 3), flush=True)
    told = []
    for path, centring in itertools.product(options.models, options.image_centring):
        model, name = load(path), path.stem
        if centring is not None:
            size = replace(model.preprocessing, image_centring=centring)
            model.card, name = replace(model.card, preprocessing=size), f"{name}, {centring:g}"
        embedded = [model.embed_dataset(place) for place, _ in places]
        for way in ("plain", "centred"):
            sides = [(one.query, one.gallery) for one in embedded]
            found = [_of_queries(*(centre_cameras(*both) if way == "centred" else both)) for both in sides]
            strangers = [one for one, (_, strange) in zip(found, places, strict=True) if strange]
            cells = [_cell([one]) for one in found] + [_cell(strangers)]
            print(f"| {name} | {way} | {' | '.join(text for text, _ in cells)} |", flush=True)
            figures = dict(zip([*names, "mean"], (values for _, values in cells), strict=True))
            told.append({"model": str(path), "image_centring": centring, "way": way, "figures": figures})
    if options.json:
        options.json.write_text(json.dumps(told, indent=2))


def _of_queries(query: EmbeddedCrops, gallery: EmbeddedCrops) -> tuple[Values, Values]:
    """Of each query that is scored: whether the first answer is right, and the average precision."""
    found = evaluate(query, gallery)
    return (found.first_hit == 0).astype(np.float64), found.ap


def _cell(places: Sequence[tuple[Values, Values]]) -> tuple[str, dict[str, list[float]]]:
    """Both figures' means over the places, with their intervals."""
    figures = {}
    for name, values in zip(("rank1", "mean_ap"), zip(*places, strict=True), strict=True):
        rng = np.random.default_rng(0)
        resampled = [one[rng.integers(0, len(one), (SAMPLES, len(one)))].mean(axis=1) for one in values]
        interval = percentile_interval(np.mean(resampled, axis=0))
        figures[name] = [float(np.mean([one.mean() for one in values])), interval.low, interval.high]
    return " / ".join(f"{mean:.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in figures.values()), figures


if __name__ == "__main__":
    main()
