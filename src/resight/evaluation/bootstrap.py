"""Bootstrap intervals: how far a mean over queries could be off, had other queries been drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
BLOCK_VALUES = 4_000_000  # resampled values held at a time


@dataclass(frozen=True)
class Interval:
    """From `low` to `high`, both included."""

    low: float
    high: float


def format_figure(value: float | None, interval: Interval | None = None) -> str:
    """`0.912 [0.871, 0.950]`, or `-` where there is none."""
    if value is None:
        return "-"
    return f"{value:.3f} [{interval.low:.3f}, {interval.high:.3f}]" if interval else f"{value:.3f}"


def percentile_interval(values: npt.NDArray[np.float64]) -> Interval:
    """The middle 95% of resampled values (n,), NaN left out."""
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return Interval(float(low), float(high))


def bootstrap_interval(
    values: npt.NDArray[np.float64], samples: int, seed: int, groups: npt.NDArray[np.int64] | None = None
) -> Interval:
    """95% percentile interval of the mean (Efron, 1979), as `resampled_means` draws it.

    The gallery and the model's seed stay fixed. Without groups, queries of one person count as independent: where they
    are not, the truth is wider.
    """
    return percentile_interval(resampled_means(values, samples, seed, groups))


def resampled_means(
    values: npt.NDArray[np.float64], samples: int, seed: int, groups: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.float64]:
    """The means of samples of the queries, or of groups of them, drawn with replacement: (samples,).

    values: (n,) one figure a query. groups: (n,) the person of each.
    """
    rng = np.random.default_rng(seed)
    group = np.arange(len(values)) if groups is None else np.unique(groups, return_inverse=True)[1]
    total, count = np.bincount(group, values), np.bincount(group).astype(np.float64)
    means = []
    for start in range(0, samples, block := max(1, BLOCK_VALUES // len(total))):
        drawn = rng.integers(0, len(total), size=(min(block, samples - start), len(total)))
        means.append(total[drawn].sum(axis=1) / count[drawn].sum(axis=1))
    return np.concatenate(means)
