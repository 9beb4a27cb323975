"""95% intervals: how far a mean over queries or people could be off, had others been drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, t

from resight.core.intervals import wilson_interval

Values = npt.NDArray[np.float64]
CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2
LEAST_GROUPS = 5  # of fewer, a bootstrap draws the same few again and again
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


def mean_interval(values: Values, groups: npt.NDArray[np.int64] | None = None) -> Interval:
    """95% interval of the mean of values from 0 to 1. values: (n,) one figure a query. groups: (n,) the person of each;
    without them queries of one person count as independent: where they are not, the truth is wider.

    The score interval (Wilson, JASA 22, 1927) of the number of independent trials that would vary as much as the mean
    does (Korn and Graubard, Survey Methodology 24, 1998), by Student's t, since the variance is itself estimated. Near
    0 and 1, and of few values, it holds where a bootstrap finds nothing to resample. The gallery and the model's seed
    stay fixed. One group tells nothing: from 0 to 1.
    """
    group = np.arange(len(values)) if groups is None else np.unique(groups, return_inverse=True)[1]
    total, count = np.bincount(group, values), np.bincount(group)
    num = len(total)
    if num < 2:
        return Interval(0.0, 1.0)
    mean = float(total.sum() / len(values))
    variance = float(num / (num - 1) * ((total - mean * count) ** 2).sum() / len(values) ** 2)
    trials = mean * (1 - mean) / variance if variance > 1e-15 else num
    low, high = wilson_interval(mean, trials, float(t.ppf(1 - TAIL, num - 1)))
    return Interval(max(0.0, low), min(1.0, high))


def percentile_interval(values: Values) -> Interval:
    """The middle 95% of resampled values (n,), NaN left out."""
    low, high = np.nanpercentile(values, [100 * TAIL, 100 * (1 - TAIL)])
    return Interval(float(low), float(high))


def widened(interval: Interval, value: float, num_groups: int) -> Interval:
    """A percentile interval of a share that was resampled over few groups, as wide as it must be: around the `value`
    itself by `small_sample`. Of fewer than LEAST_GROUPS nothing is told: from 0 to 1."""
    if num_groups < LEAST_GROUPS:
        return Interval(0.0, 1.0)
    factor = small_sample(num_groups)
    low = min(value, value + factor * (interval.low - value))
    return Interval(max(0.0, low), min(1.0, max(value, value + factor * (interval.high - value))))


def small_sample(num_groups: int) -> float:
    """How many times wider the spread of means resampled over so few groups, two at the least, has to be: a bootstrap
    takes the groups' variance for that of all (n for n - 1) and as known (the normal for Student's t)."""
    surer = float(t.ppf(1 - TAIL, num_groups - 1) / norm.ppf(1 - TAIL))
    return surer * float(np.sqrt(num_groups / (num_groups - 1)))


def resampled_means(values: Values, samples: int, seed: int, groups: npt.NDArray[np.int64]) -> Values:
    """The means of samples of groups of queries, drawn with replacement: (samples,).

    values: (n,) one figure a query. groups: (n,) the person of each.
    """
    rng = np.random.default_rng(seed)
    group = np.unique(groups, return_inverse=True)[1]
    total, count = np.bincount(group, values), np.bincount(group).astype(np.float64)
    means = []
    for start in range(0, samples, block := max(1, BLOCK_VALUES // len(total))):
        drawn = rng.integers(0, len(total), size=(min(block, samples - start), len(total)))
        means.append(total[drawn].sum(axis=1) / count[drawn].sum(axis=1))
    return np.concatenate(means)
