"""Trains the reference paper's four models over several seeds, and sets the figures beside the paper's."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from resight.core.errors import ConfigError
from resight.core.progress import Progress, silent
from resight.data.crops import Dataset
from resight.data.embed import QueryGallery
from resight.embedding.loading import load
from resight.evaluation.evaluate import Evaluation, evaluate
from resight.training.loop import TrainOptions, is_finished, train
from resight.training.recipe import Recipe
from resight.training.record import PROTOCOLS, EpochRecord, read_record

RECORDS = 20  # of a run: every tenth epoch of 200
MODELS = ("baseline", "baseline-aug", "slicenet1", "slicenet2")


@dataclass(frozen=True)
class PublishedFigures:
    """What the reference paper gives for one model, under its own scoring."""

    rank1: float
    rank5: float
    mean_ap: float


PUBLISHED: dict[str, PublishedFigures] = {
    "baseline": PublishedFigures(0.929, 1.000, 0.861),
    "baseline-aug": PublishedFigures(0.857, 1.000, 0.878),
    "slicenet1": PublishedFigures(0.964, 1.000, 0.951),
    "slicenet2": PublishedFigures(0.964, 1.000, 0.953),
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


@dataclass(frozen=True)
class Told:
    """What the test set said of one run while it was trained: mAP under `top10`, for the record only."""

    epochs: tuple[int, ...]
    mean_ap: tuple[float, ...]

    @classmethod
    def of(cls, run_dir: Path, dataset: str) -> Told:
        """Of a run without a record: nothing."""
        lines = [(line["epoch"], line["figures"][dataset]["top10"]["mAP"]) for line in read_record(run_dir)]
        return cls(tuple(epoch for epoch, _ in lines), tuple(value for _, value in lines))


@dataclass(frozen=True, eq=False)
class Reproduced:
    """One model over its seeds, scored under both protocols: one Evaluation and one record a seed in each.

    embedded: what the first seed's model makes of query and gallery.
    """

    model: str
    seeds: tuple[int, ...]
    top10: tuple[Evaluation, ...]
    market: tuple[Evaluation, ...]
    told: tuple[Told, ...]
    embedded: QueryGallery

    def top10_spreads(self) -> dict[str, Spread]:
        """rank-1, rank-5 and mAP under `top10`: the figures that the paper gives."""
        return {
            "rank-1": Spread.of([e.rank(1) for e in self.top10]),
            "rank-5": Spread.of([e.rank(5) for e in self.top10]),
            "mAP": Spread.of([e.mean_ap for e in self.top10]),
        }

    def market_spreads(self) -> dict[str, Spread]:
        """rank-1, mAP and mINP under `market1501`."""
        return {
            "rank-1": Spread.of([e.rank(1) for e in self.market]),
            "mAP": Spread.of([e.mean_ap for e in self.market]),
            "mINP": Spread.of([e.mean_inp for e in self.market if e.mean_inp is not None]),
        }

    def choice_spreads(self) -> dict[str, Spread] | None:
        """mAP under `top10`: of the last checkpoint, of that which the test set would choose, and what that flatters.

        The choice is among those that were recorded, and the last. None where a run has no record.
        """
        if not all(told.epochs for told in self.told):
            return None
        last = [e.mean_ap for e in self.top10]
        best = [max(end, *told.mean_ap) for end, told in zip(last, self.told, strict=True)]
        flattered = [chosen - end for chosen, end in zip(best, last, strict=True)]
        return {"last": Spread.of(last), "best on the test set": Spread.of(best), "flattered": Spread.of(flattered)}

    def to_dict(self) -> dict[str, Any]:
        choice = self.choice_spreads()
        return {
            "model": self.model,
            "seeds": list(self.seeds),
            "top10": {name: asdict(spread) for name, spread in self.top10_spreads().items()},
            "market1501": {name: asdict(spread) for name, spread in self.market_spreads().items()},
            "choice": {name: asdict(spread) for name, spread in choice.items()} if choice else None,
            "told": [asdict(told) for told in self.told],
            "in_the_report": asdict(PUBLISHED[self.model]),
            "evaluations": [e.to_dict() for e in (*self.top10, *self.market)],
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

    recipes: by the paper's model names. None where it was interrupted: calling again goes on.
    """
    for seed in seeds:
        for model, recipe in recipes.items():
            run_dir = run_directory(out, model, seed)
            if is_finished(run_dir):
                continue
            on_run(model, seed)
            every = max(1, recipe.epochs // RECORDS)
            record = EpochRecord(run_dir, (dataset,), PROTOCOLS, every, options.device)
            if not train(recipe, dataset, run_dir, seed, options, progress, on_epoch=record).finished:
                return None
    return [_score(model, dataset, out, seeds, options, progress) for model in recipes]


def run_directory(out: Path, model: str, seed: int) -> Path:
    """Where one model of one seed is trained."""
    return out / model / f"seed{seed}"


def _score(
    model: str, dataset: Dataset, out: Path, seeds: Sequence[int], options: TrainOptions, progress: Progress
) -> Reproduced:
    top10: list[Evaluation] = []
    market: list[Evaluation] = []
    told: list[Told] = []
    first: QueryGallery | None = None
    for seed in seeds:
        trained = load(run_directory(out, model, seed), device=options.device)
        embedded = trained.embed_dataset(dataset, strict=options.strict, progress=progress)
        first = first or embedded
        top10.append(evaluate(embedded.query, embedded.gallery, "top10"))
        market.append(evaluate(embedded.query, embedded.gallery, "market1501"))
        told.append(Told.of(run_directory(out, model, seed), dataset.name))
    if first is None:
        raise ConfigError("one seed at the least")
    return Reproduced(model, tuple(seeds), tuple(top10), tuple(market), tuple(told), first)
