"""Trains the reference report's four models over several seeds, and sets the figures beside the report's."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from resight.core.progress import Progress, silent
from resight.data.crops import Dataset
from resight.embedding.loading import load
from resight.evaluation.evaluate import Evaluation, evaluate
from resight.training.loop import TrainOptions, is_finished, train
from resight.training.recipes import Recipe
from resight.training.record import EpochRecord

PROTOCOLS = ("report", "market1501")
MODELS = ("baseline", "baseline-aug", "slicenet1", "slicenet2")


@dataclass(frozen=True)
class ReportFigures:
    """What the reference report gives for one model, under its own scoring."""

    rank1: float
    rank5: float
    mean_ap: float


REPORT: dict[str, ReportFigures] = {
    "baseline": ReportFigures(0.929, 1.000, 0.861),
    "baseline-aug": ReportFigures(0.857, 1.000, 0.878),
    "slicenet1": ReportFigures(0.964, 1.000, 0.951),
    "slicenet2": ReportFigures(0.964, 1.000, 0.953),
}


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation over seeds; std is None where there is one seed only."""

    mean: float
    std: float | None
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        std = statistics.stdev(values) if len(values) > 1 else None
        return cls(statistics.fmean(values), std, tuple(values))


@dataclass(frozen=True, eq=False)
class Reproduced:
    """One model over its seeds, scored under both protocols: one Evaluation a seed in each."""

    model: str
    seeds: tuple[int, ...]
    report: tuple[Evaluation, ...]
    market: tuple[Evaluation, ...]

    def report_spreads(self) -> dict[str, Spread]:
        """rank-1, rank-5 and mAP under `top10`: the figures that the report gives."""
        return {
            "rank-1": Spread.of([e.rank(1) for e in self.report]),
            "rank-5": Spread.of([e.rank(5) for e in self.report]),
            "mAP": Spread.of([e.mean_ap for e in self.report]),
        }

    def market_spreads(self) -> dict[str, Spread]:
        """rank-1, mAP and mINP under `market1501`."""
        return {
            "rank-1": Spread.of([e.rank(1) for e in self.market]),
            "mAP": Spread.of([e.mean_ap for e in self.market]),
            "mINP": Spread.of([e.mean_inp for e in self.market if e.mean_inp is not None]),
        }

    def to_dict(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "seeds": list(self.seeds),
            "report": {name: asdict(spread) for name, spread in self.report_spreads().items()},
            "market1501": {name: asdict(spread) for name, spread in self.market_spreads().items()},
            "in_the_report": asdict(REPORT[self.model]),
            "evaluations": [e.to_dict() for e in (*self.report, *self.market)],
        }


def reproduce(
    recipes: dict[str, Recipe],
    dataset: Dataset,
    out: Path,
    seeds: Sequence[int],
    options: TrainOptions,
    *,
    progress: Progress = silent,
    on_run: Callable[[str, int], None] = lambda model, seed: None,
) -> list[Reproduced] | None:
    """Trains what is not trained yet, one seed of every model after the other, and scores it all.

    recipes: by the report's model names. None where it was interrupted: calling again goes on.
    """
    for seed in seeds:
        for model, recipe in recipes.items():
            run_dir = run_directory(out, model, seed)
            if is_finished(run_dir):
                continue
            on_run(model, seed)
            record = EpochRecord(run_dir, (dataset,), PROTOCOLS, device=options.device)
            if not train(recipe, dataset, run_dir, seed, options, progress, on_epoch=record).finished:
                return None
    return [_score(model, dataset, out, seeds, options, progress) for model in recipes]


def run_directory(out: Path, model: str, seed: int) -> Path:
    """Where one model of one seed is trained."""
    return out / model / f"seed{seed}"


def _score(
    model: str, dataset: Dataset, out: Path, seeds: Sequence[int], options: TrainOptions, progress: Progress
) -> Reproduced:
    report: list[Evaluation] = []
    market: list[Evaluation] = []
    for seed in seeds:
        trained = load(run_directory(out, model, seed), device=options.device)
        embedded = trained.embed_dataset(dataset, strict=options.strict, progress=progress)
        report.append(evaluate(embedded.query, embedded.gallery, "top10"))
        market.append(evaluate(embedded.query, embedded.gallery, "market1501"))
    return Reproduced(model, tuple(seeds), tuple(report), tuple(market))
