"""Whether thresholds that were made without labels keep to their rates: `resight calibrate --unlabelled`, counted.

The people of a place are halved twenty times. One half, nobody of whom is named, gives the site transform and a
threshold for each false accept rate; the labels of the other half count what it does there. A promise at 95% is kept in
19 of 20. TAR: what the threshold still accepts of pairs of one person by two cameras, not known without labels.

Tracks of market501 are made as site_transform.py makes them; prid has one picture a person and camera. The last column:
strangers of one camera at one moment (two tracks of one camera and sequence that overlap in time, which are two people
for certain), and how often they are above the threshold that all pairs by two cameras give. They share their light.

    python benchmarks/unlabelled.py city market501 prid [--raw] [--splits 20] [--data ../shared/data] [--cache FOLDER]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from site_transform import embedded, market_tracks, part  # type: ignore[import-not-found]

import resight
from resight.core.records import EmbeddedCrops
from resight.data.crops import Crop
from resight.evaluation.decisions.unlabelled import calibrate_unlabelled
from resight.evaluation.decisions.verification import score_pairs
from resight.site.fitting import fit_site

RATES = (0.1, 0.01, 0.001)
FOLDERS = {"market501": "market501", "prid": "sites/prid"}
COUNTED = 500_000  # pairs of two people


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("places", nargs="+", choices=FOLDERS)
    parser.add_argument("--raw", action="store_true", help="without a site transform")
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path)
    options = parser.parse_args()
    model = resight.load(options.model)
    print("| model | place | rate | granted | kept | mean FAR | mean TAR | of strangers at one moment |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in options.places:
        dataset = resight.open_dataset(options.data / FOLDERS[name])
        crops = [*dataset.train, *dataset.query, *dataset.gallery]
        found = embedded(model, crops, options.cache)
        told: dict[float, list[tuple[float, float, float]]] = {rate: [] for rate in RATES}
        for seed in range(options.splits):
            _count(found, crops, seed, options.raw, told)
        for rate, counted in told.items():
            kept = sum(far <= rate for far, _, _ in counted)
            means = [f"{value:.4f}" for value in np.nanmean(counted, axis=0)] if counted else ["-"] * 3
            what = f"{name}{', raw' if options.raw else ''}"
            cells = (
                Path(options.model).stem,
                what,
                f"{rate:g}",
                f"{len(counted)} of {options.splits}",
                str(kept),
                *means,
            )
            print(f"| {' | '.join(cells)} |", flush=True)


def _count(
    found: EmbeddedCrops, crops: list[Crop], seed: int, raw: bool, told: dict[float, list[tuple[float, float, float]]]
) -> None:
    rng = np.random.default_rng(seed)
    chosen = _half(found, rng)
    unnamed, named = part(found, chosen), part(found, ~chosen & (found.pids > 0))
    own = [crops[row] for row in np.flatnonzero(chosen)]
    tracks = market_tracks(own) if own[0].frame else None
    if not raw:
        site = fit_site(unnamed.embeddings, unnamed.camera_names, tracks)
        unnamed, named = (
            replace(side, embeddings=site.apply(side.embeddings, side.camera_names)) for side in (unnamed, named)
        )
    calibration = calibrate_unlabelled(unnamed.embeddings, unnamed.camera_names, tracks).calibration
    pairs = score_pairs(named, named, most_impostors=COUNTED, seed=seed)
    beside = _at_one_moment(unnamed, own, tracks) if tracks else np.zeros(0)
    for rate, counted in told.items():
        index = calibration.accept_index(rate)
        if index is not None:
            threshold = calibration.thresholds[index]
            shares = [float((scores >= threshold).mean()) for scores in (pairs.impostor, pairs.genuine)]
            moment = float((beside >= threshold).mean()) if len(beside) else np.nan
            counted.append((shares[0], shares[1], moment))


def _half(found: EmbeddedCrops, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Half of the people: of those that several cameras saw, and of the others. Of prid's 194 it is a few more than
    half, since a camera takes 100 pictures for a mean."""
    pids = np.unique(found.pids[found.pids > 0])
    several = np.array([pid for pid in pids if len(np.unique(found.camids[found.pids == pid])) > 1])
    others = np.setdiff1d(pids, several)
    first = max(len(several) // 2, min(110, len(several)))
    chosen = [*rng.permutation(several)[:first], *rng.permutation(others)[: len(others) // 2]]
    return np.isin(found.pids, chosen)


def _at_one_moment(crops: EmbeddedCrops, own: list[Crop], tracks: list[str]) -> npt.NDArray[np.float64]:
    """Similarities of pictures of two tracks of one camera and sequence that overlap in time."""
    places: dict[tuple[int, int], dict[str, list[int]]] = {}
    for row, (crop, track) in enumerate(zip(own, tracks, strict=True)):
        places.setdefault((crop.camid, crop.sequence or 0), {}).setdefault(track, []).append(row)
    found: list[float] = []
    for walks in places.values():
        spans = [
            (min(own[row].frame or 0 for row in rows), max(own[row].frame or 0 for row in rows), rows)
            for rows in walks.values()
        ]
        spans.sort(key=lambda span: span[0])
        for number, (_, last, rows) in enumerate(spans):
            for first, _, others in spans[number + 1 :]:
                if first > last:
                    break
                found += (crops.embeddings[rows] @ crops.embeddings[others].T).ravel().tolist()
    return np.array(found)


if __name__ == "__main__":
    main()
