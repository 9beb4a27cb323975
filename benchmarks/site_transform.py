"""What a site transform is worth, and what tells it without labels: rank-1 / mAP / EER of each model at each place.

The transform is fitted to *other* pictures of the same cameras (a data set's training part), and never sees a pid. So
that `--centre-cameras`, whose means are over the very query and gallery, can be told from that, both are printed:

    raw        embeddings as they are
    centred*   `resight evaluate --centre-cameras`: means of the test pictures themselves
    centred    means of the site's other pictures
    site       `resight site fit --no-tracks`: and whitened a little by all of them
    tracklets  `resight site fit`, with tracks: and whitened by the scatter within tracklets

market501 tells no tracks: they are made from the labels, within one camera and sequence, split at gaps of more than 100
frames. pku_reid: a person and camera is one track. prid has one picture a person and camera, so no tracks: it is halved
by people ten times, a half is the site and the other is tested. 3dpes has a camera for each of 484 sequences: refused.

The second table is the criterion: the EER of held-out tracklets within cameras, and the true mAP across cameras, of the
same transforms by exponent, with Spearman's rank correlation.

    python benchmarks/site_transform.py city market default [BUNDLE ...] [--data /work/shared/data] [--cache FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

import resight
from resight.core.errors import DataError
from resight.core.records import EmbeddedCrops
from resight.data.crops import Crop
from resight.embedding.model import Model
from resight.evaluation.centring import centre_cameras
from resight.evaluation.decisions.verification import equal_error_rate, score_pairs
from resight.site.fitting import EXPONENTS, fit_site
from resight.site.transform import SiteTransform

GAP = 100  # frames
HALVES = 10


@dataclass(frozen=True, eq=False)
class Split:
    """The site's own pictures, with tracks where there are any, and the test pictures."""

    site: EmbeddedCrops
    tracks: list[str] | None
    query: EmbeddedCrops
    gallery: EmbeddedCrops


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--places", nargs="+", choices=PLACES, default=list(PLACES))
    parser.add_argument("--cache", type=Path, help="keep embeddings here, for another run")
    options = parser.parse_args()
    print("| model | place | raw | centred* | centred | site | tracklets | fit |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    chosen: list[str] = []
    for spec in options.models:
        model = resight.load(spec)
        for name in options.places:
            folder, split_of = PLACES[name]
            dataset = resight.open_dataset(options.data / folder if folder else name)
            crops = [*dataset.train, *dataset.query, *dataset.gallery]
            splits = split_of(crops, embedded(model, crops, options.cache), len(dataset.train), len(dataset.query))
            cells, seconds = _row(splits)
            print(f"| {Path(spec).stem} | {name} | {' | '.join(cells)} | {seconds} |", flush=True)
            chosen += [f"| {Path(spec).stem} | {name} | {_criterion(split)} |" for split in splits if split.tracks]
    print(f"\n| model | place | {' | '.join(['raw', *(f'{power:g}' for power in EXPONENTS)])} | Spearman | chosen |")
    print("|" + "---|" * (len(EXPONENTS) + 5))
    print("\n".join(chosen))


def _row(splits: list[Split]) -> tuple[list[str], str]:
    """The cells of a place: means over its splits; and the seconds of a fit."""
    seconds: list[float] = []
    ways: list[Callable[[Split], tuple[EmbeddedCrops, EmbeddedCrops] | None]] = [
        lambda split: (split.query, split.gallery),
        lambda split: centre_cameras(split.query, split.gallery),
        lambda split: _at(_fit(split, None, 0, seconds), split),
        lambda split: _at(_fit(split, None, None, seconds), split),
        lambda split: _at(_fit(split, split.tracks, None, seconds), split) if split.tracks else None,
    ]
    cells = []
    for way in ways:
        try:
            found = [_figures(*sides) for sides in map(way, splits) if sides is not None]
        except DataError:
            cells.append("refused")
            continue
        cells.append(" / ".join(f"{value:.3f}" for value in np.mean(found, axis=0)) if found else "-")
    return cells, f"{max(seconds):.1f} s" if seconds else "-"


def _fit(split: Split, tracks: list[str] | None, exponent: float | None, seconds: list[float]) -> SiteTransform:
    start = time.perf_counter()
    found = fit_site(split.site.embeddings, split.site.camera_names, tracks, exponent=exponent)
    seconds.append(time.perf_counter() - start)
    return found


def _at(site: SiteTransform, split: Split) -> tuple[EmbeddedCrops, EmbeddedCrops]:
    query, gallery = (
        replace(side, embeddings=site.apply(side.embeddings, side.camera_names))
        for side in (split.query, split.gallery)
    )
    return query, gallery


def _figures(query: EmbeddedCrops, gallery: EmbeddedCrops) -> tuple[float, float, float]:
    found = resight.evaluate(query, gallery)
    pairs = score_pairs(query, gallery)
    return found.rank(1), found.mean_ap, equal_error_rate(pairs.genuine, pairs.impostor)


def _criterion(split: Split) -> str:
    """Criterion / true mAP, raw and by exponent."""
    site = fit_site(split.site.embeddings, split.site.camera_names, split.tracks)
    told, true = list(site.facts.criterion.values()), [_figures(split.query, split.gallery)[1]]
    for power in EXPONENTS:
        fitted = fit_site(split.site.embeddings, split.site.camera_names, split.tracks, exponent=power)
        true.append(_figures(*_at(fitted, split))[1])
    cells = [f"{one:.3f} / {other:.3f}" for one, other in zip(told, true, strict=True)]
    return " | ".join([*cells, f"{-spearmanr(told, true).statistic:.2f}", f"{site.facts.exponent:g}"])


def embedded(model: Model, crops: list[Crop], cache: Path | None) -> EmbeddedCrops:
    """The crops embedded, or as they were kept in the cache."""
    listing = hashlib.sha256("\0".join(crop.name for crop in crops).encode()).hexdigest()[:16]
    path = None if cache is None else cache / f"{model.identity[-16:]}-{listing}.npz"
    if path is not None and path.exists():
        kept = np.load(path)
        columns = (kept["vector"], kept["pid"], kept["camid"], kept["content"])
        return EmbeddedCrops(*columns, tuple(crop.name for crop in crops))
    found, _ = model.embed_crops(crops, strict=True)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        hashes = found.content_hashes
        np.savez(path, vector=found.embeddings, pid=found.pids, camid=found.camids, content=hashes)
    return replace(found, cameras=())


def part(crops: EmbeddedCrops, rows: npt.NDArray[np.generic]) -> EmbeddedCrops:
    """Some rows: indices, or a mask."""
    kept = np.arange(len(crops))[rows]
    columns = (crops.embeddings[kept], crops.pids[kept], crops.camids[kept], crops.content_hashes[kept])
    return EmbeddedCrops(*columns, tuple(crops.names[row] for row in kept.tolist()))


def _parts(found: EmbeddedCrops, num_train: int, num_query: int) -> tuple[EmbeddedCrops, EmbeddedCrops, EmbeddedCrops]:
    rows = np.arange(len(found))
    query = (rows >= num_train) & (rows < num_train + num_query)
    return part(found, rows < num_train), part(found, query), part(found, rows >= num_train + num_query)


def market_tracks(crops: list[Crop]) -> list[str]:
    """A track for each crop, made of the labels: of one person, camera and sequence, without a long gap."""
    order = sorted(range(len(crops)), key=lambda row: _key(crops[row]))
    tracks, number = [""] * len(crops), 0
    for before, row in zip([None, *order], order, strict=False):
        if before is not None:
            one, other = _key(crops[before]), _key(crops[row])
            number += one[:3] != other[:3] or other[3] - one[3] > GAP
        tracks[row] = str(number)
    return tracks


def _key(crop: Crop) -> tuple[int, int, int, int]:
    return crop.pid, crop.camid, crop.sequence or 0, crop.frame or 0


def _trained(crops: list[Crop], found: EmbeddedCrops, num_train: int, num_query: int) -> list[Split]:
    site, query, gallery = _parts(found, num_train, num_query)
    train = crops[:num_train]
    tracks = market_tracks(train) if train[0].frame else [str(crop.pid) for crop in train]
    return [Split(site, tracks, query, gallery)]


def _prid(crops: list[Crop], found: EmbeddedCrops, num_train: int, num_query: int) -> list[Split]:
    """By people: 110 of those that both cameras saw, and half of the others, are the site."""
    seen_by_both = np.intersect1d(found.pids[found.camids == 1], found.pids[found.camids == 2])
    splits = []
    for seed in range(HALVES):
        rng = np.random.default_rng(seed)
        others = np.setdiff1d(found.pids, seen_by_both)
        site = [*rng.permutation(seen_by_both)[:110], *rng.permutation(others)[: len(others) // 2]]
        inside = np.isin(found.pids, site)
        query, gallery = (part(found, ~inside & (found.camids == camid)) for camid in (1, 2))
        splits.append(Split(part(found, inside), None, query, gallery))
    return splits


def _threedpes(crops: list[Crop], found: EmbeddedCrops, num_train: int, num_query: int) -> list[Split]:
    _, query, gallery = _parts(found, num_train, num_query)
    return [Split(found, None, query, gallery)]


PLACES: dict[str, tuple[str, Callable[[list[Crop], EmbeddedCrops, int, int], list[Split]]]] = {
    "market501": ("market501", _trained),
    "pku_reid": ("pku_reid", _trained),
    "prid": ("sites/prid", _prid),
    "3dpes": ("sites/3dpes", _threedpes),
    "synthetic:seed=7,train_people=120,test_people=120,cameras=6": ("", _trained),
}

if __name__ == "__main__":
    main()
