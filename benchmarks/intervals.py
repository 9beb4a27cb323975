"""How often a 95% interval holds the truth: ours beside the percentile bootstrap, and `compare`'s p of equal models.

    python benchmarks/intervals.py [--trials 1000]

Values are drawn from laws whose mean is known: right and wrong answers, and average precisions of hard and easy places.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from resight.evaluation.compare import paired_difference
from resight.evaluation.intervals import Interval, mean_interval, percentile_interval, resampled_means

Values = npt.NDArray[np.float64]
LAWS: dict[str, tuple[float, Callable[[np.random.Generator, int], Values]]] = {
    "right, half": (0.5, lambda rng, n: (rng.random(n) < 0.5).astype(float)),
    "right, 0.964": (0.964, lambda rng, n: (rng.random(n) < 0.964).astype(float)),
    "right, 0.99": (0.99, lambda rng, n: (rng.random(n) < 0.99).astype(float)),
    "AP, hard": (1 / 3, lambda rng, n: rng.beta(1, 2, n)),
    "AP, easy": (0.95, lambda rng, n: np.where(rng.random(n) < 0.9, 1.0, rng.random(n))),
}


def main() -> None:
    """Prints two Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials
    rng = np.random.default_rng(0)
    print("| law | over | bootstrap holds | ours holds | bootstrap, width | ours, width |\n|---|---|---|---|---|---|")
    for name, (truth, draw) in LAWS.items():
        for number in (5, 12, 28, 100):
            for over in ("queries", "people"):
                found = [_both(*_drawn(rng, draw, number, over)) for _ in range(trials)]
                holds = [np.mean([each[side].low <= truth <= each[side].high for each in found]) for side in (0, 1)]
                width = [np.mean([each[side].high - each[side].low for each in found]) for side in (0, 1)]
                cells = " | ".join(f"{value:.3f}" for value in (*holds, *width))
                print(f"| {name} | {number} {over} | {cells} |", flush=True)
    print("\n| people | difference told between equal models |\n|---|---|")
    for number in (3, 5, 6, 8, 12, 20, 32, 100):
        groups, told = np.repeat(np.arange(number), 4), 0
        for _ in range(trials):
            second = 0.1 * (rng.normal(size=number)[groups] + rng.normal(size=len(groups)))
            told += paired_difference(np.zeros(len(groups)), second, groups, samples=1000).p_value <= 0.05
        print(f"| {number} | {told / trials:.3f} |", flush=True)


def _drawn(
    rng: np.random.Generator, draw: Callable[[np.random.Generator, int], Values], number: int, over: str
) -> tuple[Values, npt.NDArray[np.int64]]:
    """Values and their groups: a query each, or people of one to six queries, half of which are alike."""
    if over == "queries":
        return draw(rng, number), np.arange(number)
    groups = np.repeat(np.arange(number), rng.integers(1, 7, number))
    return np.where(rng.random(len(groups)) < 0.5, draw(rng, number)[groups], draw(rng, len(groups))), groups


def _both(values: Values, groups: npt.NDArray[np.int64]) -> tuple[Interval, Interval]:
    return percentile_interval(resampled_means(values, 1000, 0, groups)), mean_interval(values, groups)


if __name__ == "__main__":
    main()
