"""Two models on the same queries: where they differ, and whether by more than chance."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from resight.core.errors import DataError
from resight.core.records import EmbeddedCrops, IntArray
from resight.evaluation.evaluate import Evaluation, evaluate
from resight.evaluation.intervals import CONFIDENCE, Interval, resampled_means, small_sample
from resight.evaluation.metrics import Values

OUTCOMES = ("gained", "lost", "both wrong", "both right")
LEAST_PEOPLE = 6  # of fewer, all lie on one side by chance in more than 5% of all comparisons


@dataclass(frozen=True)
class Difference:
    """The second model's mean less the first's, with its 95% interval. p_value: how often a difference at least so
    large, in either direction, would come about by chance, were the models equal."""

    mean: float
    interval: Interval
    p_value: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two models' evaluations of the same queries under one protocol, and how they differ. differences: by metric,
    those that the protocol defines. outcome: (num_scored,) int64 indices into OUTCOMES, by each query's first answer:
    `gained` means wrong by the first model and right by the second. num_people: of the scored queries; people are
    resampled."""

    first: Evaluation
    second: Evaluation
    differences: dict[str, Difference]
    outcome: IntArray
    num_people: int

    def figures(self, name: str) -> tuple[float, float]:
        """Both models' values of a metric, by its name in `differences`."""
        return self.first.metrics[name].value, self.second.metrics[name].value

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        counts = np.bincount(self.outcome, minlength=len(OUTCOMES)).tolist()
        return {
            "protocol": self.first.protocol,
            "first": self.first.to_dict(),
            "second": self.second.to_dict(),
            "differences": {name: asdict(difference) for name, difference in self.differences.items()},
            "difference_is": "second less first; 95% bootstrap over the queries' people, paired",
            "num_people": self.num_people,
            "outcomes": dict(zip(OUTCOMES, counts, strict=True)),
        }


def compare(
    first: tuple[EmbeddedCrops, EmbeddedCrops],
    second: tuple[EmbeddedCrops, EmbeddedCrops],
    protocol: str = "market1501",
    *,
    bootstrap_samples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Whether one model beats another, by the paired bootstrap over people, for each metric of the protocol.

    first, second: (query, gallery) of each model, of the same crops in the same order.

    Raises DataError where the crops are not the same or there is nothing to score, EmbeddingError where a model's
    embeddings cannot be compared, ConfigError for an unknown protocol.

    Example:

        >>> import numpy as np
        >>> from resight import EmbeddedCrops
        >>> from resight.evaluation.compare import compare
        >>> def crops(embeddings, pids, camid):
        ...     hashes = np.arange(2, dtype=np.uint64) + np.uint64(100 * camid)
        ...     names = tuple(f"{camid}/{pid}" for pid in pids)
        ...     return EmbeddedCrops(np.array(embeddings, np.float32), np.array(pids), np.full(2, camid), hashes, names)
        >>> gallery = crops([[1, 0], [0, 1]], [7, 8], 2)
        >>> poor = crops([[0, 1], [0, 1]], [7, 8], 1), gallery
        >>> good = crops([[1, 0], [0, 1]], [7, 8], 1), gallery
        >>> found = compare(poor, good)
        >>> found.figures("rank1"), found.differences["rank1"].mean
        ((0.5, 1.0), 0.5)
    """
    for one, other in zip(first, second, strict=True):
        if one.names != other.names or not all(
            np.array_equal(getattr(one, name), getattr(other, name)) for name in ("pids", "camids")
        ):
            raise DataError("two models can only be compared on the same pictures, in the same order")
    a, b = (evaluate(query, gallery, protocol) for query, gallery in (first, second))
    people = first[0].pids[a.query_index]
    right_a, right_b = a.first_hit == 0, b.first_hit == 0
    outcome = np.select([~right_a & right_b, right_a & ~right_b, ~right_a & ~right_b], [0, 1, 2], default=3)
    return Comparison(
        a,
        b,
        {
            name: paired_difference(
                one.per_query, b.metrics[name].per_query, people, samples=bootstrap_samples, seed=seed
            )
            for name, one in a.metrics.items()
        },
        outcome.astype(np.int64),
        len(np.unique(people)),
    )


def paired_difference(
    first: Values, second: Values, groups: IntArray, *, samples: int = 10_000, seed: int = 0
) -> Difference:
    """The mean of second - first, (n,) each, and whether chance explains it, by resampling groups with replacement.

    groups: (n,), the person of each query. Queries of one person are not independent: resampling them one by one would
    find differences where there are none.
    The p-value counts the samples of the differences, moved to a mean of zero, that lie as far out as the mean does
    (Efron and Tibshirani, 1993, ch. 16), and is never 0. The interval has the mean in its middle and leaves zero out
    where that test does at 5%: as far to both sides as 95% of the samples lie from the mean, cut at -1 and 1. Samples
    of few people lie too close (`small_sample`); and however alike their differences, so few could all have come out on
    one side by chance: p is 2^(1 - people) at the least, so that of five people and fewer nothing can be told.
    """
    difference = second - first
    mean = float(difference.mean())
    num_groups = len(np.unique(groups))
    if num_groups < 2:
        return Difference(mean, Interval(-1.0, 1.0), 1.0)
    apart = small_sample(num_groups) * np.abs(resampled_means(difference, samples, seed, groups) - mean)
    reach = float(np.quantile(apart, CONFIDENCE, method="higher"))
    beyond = int((apart >= abs(mean) - 1e-12).sum())
    p = max((1 + beyond) / (1 + samples), 2.0 ** (1 - num_groups)) if mean else 1.0
    if p > 1 - CONFIDENCE:
        reach = max(reach, abs(mean))
    return Difference(mean, Interval(max(-1.0, mean - reach), min(1.0, mean + reach)), p)
