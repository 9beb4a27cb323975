"""What a promise about strangers costs: halves of people calibrate a search's threshold, as many others count it.

Of a place's people, 100 (--people) calibrate the threshold for a false positive rate and 100 others are searched for,
each among the rest of their own hundred, by their mean embedding of a track or by single pictures, at the site. Printed
over 100 draws: how often the others' strangers keep to the rate, their mean rate, and the share of searches for people
by another camera that the threshold still finds. `exact`: the threshold that is at the rate on those very others, which
no calibration can know. `bound`: as `resight calibrate` has it. `one-sided`: by 95% intervals whose one end counts.

    python benchmarks/known.py PEER.resight market501 [--people 100] [--rate 0.1] [--cache FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from site_transform import embedded, market_tracks, part  # type: ignore[import-not-found]
from site_walk import _pooled  # type: ignore[import-not-found]

import resight
from resight.evaluation.decisions import rates
from resight.evaluation.decisions.rates import Trials, share_above
from resight.evaluation.intervals import TAIL
from resight.site.fitting import fit_site

DRAWS = 100
Found = tuple[
    npt.NDArray[np.int64],
    npt.NDArray[np.float32],
    npt.NDArray[np.float32],
    npt.NDArray[np.int64],
    npt.NDArray[np.float32],
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--cache", type=Path)
    options = parser.parse_args()
    model, data = resight.load(options.model), resight.open_dataset(options.data)
    crops = [*data.train, *data.query, *data.gallery]
    found = embedded(model, crops, options.cache)
    rows = np.flatnonzero(found.pids > 0)
    tracks, found = np.array(market_tracks(crops))[rows], part(found, rows)
    site = fit_site(found.embeddings, found.camera_names, tracks.tolist())
    print("| searched by | threshold | keeps to the rate | strangers known | people found |")
    print("|---|---|---|---|---|")
    for unit, groups in (("tracks", tracks), ("pictures", np.arange(len(rows)).astype(str))):
        pooled = _pooled(found, groups)
        moved = site.apply(pooled.embeddings, pooled.camera_names)
        table = _Table(moved, pooled.pids, pooled.camids)
        for name, counted in _drawn(table, options.people, options.rate).items():
            kept, strangers, there = np.mean(counted, axis=0)
            print(f"| {unit} | {name} | {kept * DRAWS:.0f} of {DRAWS} | {strangers:.4f} | {there:.3f} |", flush=True)


class _Table:
    """The similarity of each row to the nearest of each person, and to its own person by another camera."""

    def __init__(
        self, rows: npt.NDArray[np.float32], pids: npt.NDArray[np.int64], camids: npt.NDArray[np.int64]
    ) -> None:
        order = np.argsort(pids, kind="stable")
        rows, camids = rows[order], camids[order]
        people, starts, self.person = np.unique(pids[order], return_index=True, return_inverse=True)
        self.num = len(people)
        best, own = [], []
        for row, vector in enumerate(rows):
            alike = rows @ vector
            best.append(np.maximum.reduceat(alike, starts))
            mates = (self.person == self.person[row]) & (camids != camids[row])
            own.append(alike[mates].max(initial=-np.inf))
        self.best, self.own = np.array(best), np.array(own, np.float32)

    def searches(self, people: npt.NDArray[np.int64]) -> Found:
        """Among these alone: whose, own, the nearest other, who that is, and the next."""
        inside = np.isin(self.person, people)
        best = self.best[np.ix_(inside, people)].copy()
        rows, own = np.arange(len(best)), np.searchsorted(people, self.person[inside])
        best[rows, own] = -np.inf
        first = best.argmax(axis=1)
        nearest = best[rows, first].copy()
        best[rows, first] = -np.inf
        return own, self.own[inside], nearest, first, best.max(axis=1)


def _drawn(table: _Table, people: int, rate: float) -> dict[str, list[tuple[float, float, float]]]:
    rng = np.random.default_rng(0)
    told: dict[str, list[tuple[float, float, float]]] = {"exact": [], "bound": [], "one-sided": []}
    tail = TAIL
    for _ in range(DRAWS):
        drawn = rng.permutation(table.num)
        person, _, nearest, other, following = table.searches(np.sort(drawn[:people]))
        _, own, strangers, _, _ = table.searches(np.sort(drawn[people : 2 * people]))
        share = 1 - np.geomspace(1 / len(nearest), 1, 128)
        found = [*np.quantile(nearest, share).tolist(), float(np.nextafter(nearest.max(), np.float32(2)))]
        thresholds = np.unique(np.array(found, np.float64))
        chosen = {"exact": float(np.quantile(strangers, 1 - rate))}
        for name, used in (("bound", tail), ("one-sided", 2 * tail)):
            rates.TAIL = used  # type: ignore[attr-defined]
            curve = share_above(Trials(nearest, person, people, other, following), thresholds.astype(np.float64))
            index = next((index for index, high in enumerate(curve.high) if high <= rate), None)
            chosen[name] = np.inf if index is None else float(thresholds[index])
        rates.TAIL = tail  # type: ignore[attr-defined]
        there, right = np.isfinite(own), np.where(own > strangers, own, -np.inf)
        for name, threshold in chosen.items():
            far = float((strangers >= threshold).mean())
            told[name].append((far <= rate, far, float((right[there] >= threshold).mean())))
    return told


if __name__ == "__main__":
    main()
