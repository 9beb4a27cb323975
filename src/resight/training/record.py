"""How a network does while it is trained, for the record only: nothing is chosen by it, the training is the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resight.core.files import write_whole
from resight.data.crops import Dataset
from resight.embedding.loading import of_run
from resight.evaluation.evaluate import Evaluation, evaluate
from resight.models.saved import TrainedNetwork

RECORD_FILE = "record.jsonl"
PROTOCOLS = ("top10", "market1501")

EpochHook = Callable[[int, TrainedNetwork], None]
"""Told at the end of an epoch: its number, from 1, and a copy of the network in evaluation mode. After a kill an
epoch may be told a second time."""


@dataclass(frozen=True, eq=False)
class EpochRecord:
    """Scores query and gallery of data sets every so many epochs, a line each in a run's `record.jsonl`."""

    run_dir: Path
    datasets: Sequence[Dataset]
    protocols: Sequence[str]
    every: int = 10
    device: str = "auto"

    def __call__(self, epoch: int, trained: TrainedNetwork) -> None:
        """As EpochHook. An epoch that is told again replaces what was told of it."""
        if epoch % self.every:
            return
        model = of_run(trained, self.run_dir, device=self.device)
        figures: dict[str, dict[str, dict[str, float]]] = {}
        for dataset in self.datasets:
            embedded = model.embed_dataset(dataset)
            scored = {name: evaluate(embedded.query, embedded.gallery, name) for name in self.protocols}
            figures[dataset.name] = {name: _figures(one) for name, one in scored.items()}
        lines = [line for line in read_record(self.run_dir) if line["epoch"] < epoch]
        lines.append({"epoch": epoch, "figures": figures})
        write_whole(self.run_dir / RECORD_FILE, "".join(json.dumps(line) + "\n" for line in lines).encode())


def read_record(run_dir: Path) -> list[dict[str, Any]]:
    """The lines of a run's record, {"epoch": n, "figures": {data set: {protocol: {figure: value}}}}; none: empty."""
    try:
        text = (run_dir / RECORD_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.splitlines()]


def _figures(scored: Evaluation) -> dict[str, float]:
    return {"rank-1": scored.rank(1), "rank-5": scored.rank(5), "mAP": scored.mean_ap}
