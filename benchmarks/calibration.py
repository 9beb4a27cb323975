"""Does a calibration keep what it promises? Fitted on half of the people, counted on the other half, many times over.

    python benchmarks/calibration.py RUN DATA [--everybody] [--splits 20]

Two pictures by two cameras: at the threshold for a false accept rate, the share of pairs of two people accepted. A
search among the other half's people: at the threshold for a false positive rate, the share of searches for strangers
that find somebody. `kept` counts the splits in which what was counted is at most what was asked for; where the
calibration refused the rate, the split does not count. --everybody: the training pictures too, for a model that was
trained on other data.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from resight.core.records import EmbeddedCrops
from resight.data.formats.catalogue import open_dataset
from resight.embedding.loading import load
from resight.evaluation.decisions.calibrate import calibrate
from resight.evaluation.decisions.searches import own_and_others
from resight.evaluation.decisions.verification import score_pairs

ACCEPT_RATES = (1e-1, 1e-2, 1e-3)
POSITIVE_RATES = (1e-1, 1e-2)


def main() -> None:
    """Prints a line a rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data")
    parser.add_argument("--everybody", action="store_true")
    parser.add_argument("--splits", type=int, default=20)
    arguments = parser.parse_args()
    data = open_dataset(arguments.data)
    crops = [*data.query, *data.gallery, *(data.train if arguments.everybody else ())]
    embedded, _ = load(arguments.run).embed_crops(crops)
    people = np.unique(embedded.pids[embedded.pids > 0])
    found: dict[tuple[str, float], list[float]] = {("FAR", rate): [] for rate in ACCEPT_RATES}
    found |= {("FPIR", rate): [] for rate in POSITIVE_RATES}
    for seed in range(arguments.splits):
        first = np.random.default_rng(seed).permutation(people)[: len(people) // 2]
        inside = np.isin(embedded.pids, first)
        other = part(embedded, ~inside & (embedded.pids > 0))
        fitted = calibrate(part(embedded, inside), data="", rights="", date="", seed=seed).calibration
        impostor = score_pairs(other, other, seed=seed).impostor
        searches = own_and_others(other)
        for (kind, rate), counted in found.items():
            pairs = kind == "FAR"
            index = fitted.accept_index(rate) if pairs else fitted.known_index(rate, searches.num_people)
            if index is not None:
                score = impostor if pairs else searches.others
                counted.append(float((score >= fitted.thresholds[index]).mean()))
    print(f"{arguments.run} on {data.name}: {len(people)} people, {len(embedded)} pictures, {arguments.splits} splits")
    print("asked        granted  kept   counted: median (least to most)")
    for (kind, rate), counted in found.items():
        line = f"{kind:4} {rate:<7g} {len(counted):3} of {arguments.splits}"
        if counted:
            kept = sum(value <= rate for value in counted)
            line += f"  {kept:3}    {np.median(counted):.2g} ({min(counted):.2g} to {max(counted):.2g})"
        print(line)


def part(crops: EmbeddedCrops, kept: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> EmbeddedCrops:
    """Some of the crops."""
    names = tuple(np.array(crops.names, dtype=object)[kept])
    return EmbeddedCrops(
        crops.embeddings[kept], crops.pids[kept], crops.camids[kept], crops.content_hashes[kept], names
    )


if __name__ == "__main__":
    main()
