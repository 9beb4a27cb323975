"""The page of an adaptation: what was clustered, samples of clusters, and the criterion over the rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resight.core.errors import TrainingError
from resight.core.records import IntArray
from resight.data.crops import Crop
from resight.report.drawings import rounds_drawing
from resight.report.page import Plot, Table, render
from resight.site.rounds import SITE_FILE, Outcome, Round, load_round

SAMPLES, PICTURES = 12, 10  # clusters shown, and pictures of each


@dataclass(frozen=True)
class Sample:
    """A cluster of the last round: its size, its cameras, and pictures of it, by different cameras first."""

    size: int
    cameras: int
    crops: tuple[tuple[Crop, str], ...]


def adaptation_page(outcome: Outcome, run_dir: Path, crops: Sequence[Crop], cameras: Sequence[str]) -> str:
    """The page as HTML. crops, cameras: of the site's pictures, in the order of the rounds' labels. Raises
    TrainingError where a round's file cannot be read."""
    last = load_round(run_dir, outcome.rounds[-1].number)
    if last is None:
        raise TrainingError(f"{run_dir} lacks round {outcome.rounds[-1].number}")
    rounds = Table(
        "The rounds, each as it began",
        ("round", "EER", "raw", "eps", "clusters", "across cameras", "pictures", "largest", "taken apart"),
        tuple(
            (
                str(facts.number),
                _figure(facts.criterion),
                _figure(facts.raw),
                f"{facts.eps:g}",
                f"{facts.clusters:,}",
                f"{facts.across:,}",
                f"{facts.pictures:,} of {facts.of:,}",
                f"{facts.largest:.1%}",
                f"{facts.parted:,}",
            )
            for facts in outcome.rounds
        ),
    )
    numbers = [facts.number for facts in outcome.rounds]
    judged = [facts.criterion for facts in outcome.rounds if facts.criterion is not None]
    return render(
        "adaptation.html",
        title=f"Adapted to {outcome.site}" if outcome.adapted else f"Not adapted to {outcome.site}",
        outcome=outcome,
        site_file=str(run_dir / SITE_FILE),
        judged=_judged(outcome),
        rounds=rounds,
        plot=Plot(
            "Equal error rate of tracklets that were left out, transformed, as each round began; the last point, end, "
            "is of what came out of the last round. Lower is better.",
            rounds_drawing(numbers, judged, outcome.after),
        )
        if judged
        else None,
        last=last.facts,
        samples=_samples(last, crops, cameras),
    )


def _judged(outcome: Outcome) -> str | None:
    """What tells whether it helped, in words; None where nothing does."""
    if outcome.before is None or outcome.after is None:
        return None
    spread = outcome.spread
    if spread is None:
        return (
            f"EER {outcome.before:.4f} before and {outcome.after:.4f} after, on {outcome.judging:,} pictures: single "
            "numbers, whose spread was not kept."
        )
    change = outcome.after - outcome.before
    chance = (
        " The interval of the change holds 0, so it may be chance." if spread.change[1] >= 0 >= spread.change[0] else ""
    )
    return (
        f"EER {outcome.before:.4f} {_ends(spread.before)} before, {outcome.after:.4f} {_ends(spread.after)} after: a "
        f"change of {change:+.4f} {_ends(spread.change, '+')}.{chance} Counted on {spread.pictures:,} pictures of "
        f"{spread.tracklets:,} tracklets that were left out of learning: {spread.same:,} pairs of one tracklet, "
        f"{spread.different:,} of two tracklets of one camera. In brackets: 95% intervals by resampling the tracklets "
        "of each camera; the training and its seed stay fixed."
    )


def _ends(interval: tuple[float, float], sign: str = "") -> str:
    return f"[{interval[0]:{sign}.4f}, {interval[1]:{sign}.4f}]"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _samples(last: Round, crops: Sequence[Crop], cameras: Sequence[str]) -> tuple[Sample, ...]:
    """Clusters evenly chosen by size, the largest first."""
    if not last.facts.clusters:
        return ()
    sizes = np.bincount(last.labels[last.labels >= 0])
    order = np.argsort(-sizes, kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, SAMPLES).round().astype(int))]
    found = []
    for name in chosen.tolist():
        rows = _spread(np.flatnonzero(last.labels == name), cameras)
        shown = tuple((crops[row], cameras[row]) for row in rows[:PICTURES].tolist())
        found.append(Sample(len(rows), len({cameras[row] for row in rows.tolist()}), shown))
    return tuple(found)


def _spread(rows: IntArray, cameras: Sequence[str]) -> IntArray:
    """The rows, one of each camera before a second of any."""
    seen: dict[str, int] = {}
    turns = []
    for row in rows.tolist():
        turns.append(seen.get(cameras[row], 0))
        seen[cameras[row]] = turns[-1] + 1
    return rows[np.argsort(turns, kind="stable")]
