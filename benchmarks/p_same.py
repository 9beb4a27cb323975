"""Is P(same) of what a search finds true? Halves of people calibrate it, and the other halves search by it.

Each person of the other half is searched for by a picture of each camera that saw them, among all the other cameras'
pictures of that half; half of the searches (--strangers) without the person. P(same) of the nearest person is then set
against whether it was right: its mean, the Brier score and the log loss, and the share that was right in bins of it.
`pairs`: by P(same) of pairs, with the prior of one among so many, as versions before had it. `search`: as
`resight calibrate` fits it to searches, by the nearest 20 rows.

    python benchmarks/p_same.py MODEL DATA [--part test] [--people 50] [--draws 6] [--strangers 0.5] [--cache FOLDER]

--people: so many calibrate, instead of half; the gallery of the others is then larger. --part test: the query and
gallery pictures alone, of a model that was trained on the others.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from site_transform import embedded, part  # type: ignore[import-not-found]

import resight
from resight.core.calibration import BESIDE, Calibration
from resight.core.records import EmbeddedCrops
from resight.evaluation.decisions.calibrate import calibrate

EDGES = (0.1, 0.3, 0.5, 0.7, 0.9)
Values = npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--part", choices=("all", "test"), default="all")
    parser.add_argument("--people", type=int)
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--strangers", type=float, default=0.5, help="the share of searches without the person")
    parser.add_argument("--cache", type=Path)
    options = parser.parse_args()
    model, data = resight.load(options.model), resight.open_dataset(options.data)
    crops = [*(data.train if options.part == "all" else ()), *data.query, *data.gallery]
    found = embedded(model, crops, options.cache)
    found = part(found, np.flatnonzero(found.pids > 0))
    people = np.unique(found.pids)
    told: dict[str, list[tuple[float, bool]]] = {"pairs": [], "search": []}
    for draw in range(options.draws):
        rng = np.random.default_rng(draw)
        drawn = rng.permutation(people)
        half = options.people or len(people) // 2
        calibrating, others = (part(found, np.flatnonzero(np.isin(found.pids, of))) for of in np.split(drawn, [half]))
        calibration = calibrate(calibrating).calibration
        for name, of_name in _searched(calibration, others, options.strangers, rng).items():
            told[name].extend(of_name)
    print(f"{len(people)} people, {options.people or 'half'} calibrate, {options.draws} draws")
    print("| | right | mean P(same) | Brier | log loss | P(same) -> right (searches) |\n|---|---|---|---|---|---|")
    for name, rows in told.items():
        print(f"| {name} | {' | '.join(_scores(*np.array(rows, dtype=np.float64).T))} |")


def _searched(
    calibration: Calibration, crops: EmbeddedCrops, strangers: float, rng: np.random.Generator
) -> dict[str, list[tuple[float, bool]]]:
    """By either way, P(same) of the nearest person of each search, and whether it is the right one."""
    told: dict[str, list[tuple[float, bool]]] = {"pairs": [], "search": []}
    for pid, camid in np.unique(np.stack((crops.pids, crops.camids), axis=1), axis=0).tolist():
        query = rng.choice(np.flatnonzero((crops.pids == pid) & (crops.camids == camid)))
        gallery = crops.camids != camid
        if rng.random() < strangers:
            gallery &= crops.pids != pid
        elif not (gallery & (crops.pids == pid)).any():
            continue
        rows = np.flatnonzero(gallery)
        similarity = crops.embeddings[rows] @ crops.embeddings[query]
        order = np.argsort(-similarity)[:BESIDE]
        nearest: dict[int, float] = {}
        for person, value in zip(crops.pids[rows[order]].tolist(), similarity[order].tolist(), strict=True):
            nearest.setdefault(person, value)
        first, *rest = nearest
        num_people = len(np.unique(crops.pids[rows]))
        right = first == pid
        told["pairs"].append((float(calibration.probability(nearest[first], 1 / (num_people + 1))), right))
        rate = calibration.same_among(nearest[first], num_people, [nearest[person] for person in rest])
        told["search"].append((rate.value if rate else 0.0, right))
    return told


def _scores(told: Values, right: Values) -> list[str]:
    place = np.digitize(told, EDGES)
    bins = [place == number for number in range(len(EDGES) + 1)]
    held = np.clip(told, 1e-6, 1 - 1e-6)
    loss = -np.mean(right * np.log(held) + (1 - right) * np.log(1 - held))
    reliability = [f"{told[b].mean():.2f} -> {right[b].mean():.2f} ({b.sum()})" for b in bins if b.any()]
    figures = right.mean(), told.mean(), np.mean((told - right) ** 2), loss
    return [*(f"{figure:.3f}" for figure in figures), ", ".join(reliability)]


if __name__ == "__main__":
    main()
