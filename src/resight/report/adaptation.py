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
    numbers_after = [*numbers, numbers[-1] + 1] if outcome.after is not None else numbers
    curve = [*judged, outcome.after] if outcome.after is not None else judged
    return render(
        "adaptation.html",
        title=f"Adapted to {outcome.site}" if outcome.adapted else f"Not adapted to {outcome.site}",
        outcome=outcome,
        run=run_dir.name,
        site_file=f"{run_dir.name}/{SITE_FILE}",
        rounds=rounds,
        plot=Plot(
            "Equal error rate of tracklets that were left out, transformed, as each round began; the last point is of "
            "what came out. Lower is better.",
            rounds_drawing(numbers_after, curve),
        )
        if judged
        else None,
        last=last.facts,
        samples=_samples(last, crops, cameras),
    )


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
