"""What the demo measures: chance, a colour histogram, an untrained network, and trained ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from resight.core.errors import DatasetError
from resight.core.pictures.histogram import colour_histogram
from resight.core.pictures.preprocessing import Preprocessing
from resight.core.progress import Progress, silent
from resight.core.records import EmbeddedCrops, FloatArray
from resight.data.crops import Crop, Dataset, camids_of, pids_of
from resight.data.decoding import decode_crops
from resight.data.embed import QueryGallery
from resight.embedding.explain import measure_hidden
from resight.embedding.loading import load, of_run
from resight.embedding.model import Model
from resight.evaluation.evaluate import Evaluation, evaluate
from resight.evaluation.parts.occlusion import OcclusionRow
from resight.models.catalogue import Architecture, build_network
from resight.models.saved import ModelConfig, TrainedNetwork
from resight.training.loop import TrainOptions, is_finished, train
from resight.training.recipes import find_recipe

HISTOGRAM_SIZE = (128, 64)


@dataclass(frozen=True, eq=False)
class Measured:
    """One line of the demo's table. of_lookalikes: the same figures over the queries that have a look-alike;
    None where there are none."""

    name: str
    evaluation: Evaluation
    of_lookalikes: Evaluation | None
    embedded: QueryGallery

    def to_dict(self) -> dict[str, Any]:
        of_lookalikes = self.of_lookalikes.to_dict() if self.of_lookalikes else None
        return {"name": self.name, "all": self.evaluation.to_dict(), "lookalikes": of_lookalikes}


@dataclass(frozen=True, eq=False)
class DemoResult:
    """query, gallery: the crops in the order of the embeddings. hidden: of each trained network, each third of every
    query painted over in turn."""

    query: tuple[Crop, ...]
    gallery: tuple[Crop, ...]
    measured: list[Measured]
    hidden: dict[str, list[OcclusionRow]]

    def to_dict(self) -> dict[str, Any]:
        hidden = {name: [asdict(row) for row in rows] for name, rows in self.hidden.items()}
        return {"schema": "resight.demo/1", "models": [m.to_dict() for m in self.measured], "hidden": hidden}


def run_demo(
    city: Dataset,
    lookalikes: frozenset[int],
    out: Path,
    recipes: Sequence[str],
    *,
    seed: int = 0,
    progress: Progress = silent,
    say: Callable[[str], None] = lambda text: None,
) -> DemoResult | None:
    """Trains what is not trained yet and measures it all; None where it was interrupted.

    lookalikes: the test pids that have a double. Pictures that cannot be decoded are not expected here.
    """
    measured = [
        _measure("chance", _random_embeddings(city, seed), lookalikes),
        _measure("colour histogram", _histograms(city), lookalikes),
        _measure("untrained network", _untrained(seed, out).embed_dataset(city), lookalikes),
    ]
    hidden = {}
    for name in recipes:
        run_dir = out / name
        if not is_finished(run_dir):
            say(f"training {name}")
            if not train(find_recipe(name), city, run_dir, seed, TrainOptions(resume=True), progress).finished:
                return None
        model = load(run_dir)
        embedded = model.embed_dataset(city)
        measured.append(_measure(name, embedded, lookalikes))
        hidden[name] = measure_hidden(model, city, embedded)
    return DemoResult(city.query, city.gallery, measured, hidden)


def _measure(name: str, embedded: QueryGallery, lookalikes: frozenset[int]) -> Measured:
    if embedded.problems:
        raise DatasetError(f"{embedded.problems[0].name}: {embedded.problems[0].reason}")
    query, gallery = embedded.query, embedded.gallery
    chosen = np.isin(query.pids, list(lookalikes))
    return Measured(
        name,
        evaluate(query, gallery),
        evaluate(query.take(chosen), gallery) if chosen.any() else None,
        embedded,
    )


def _random_embeddings(city: Dataset, seed: int) -> QueryGallery:
    rng = np.random.default_rng(seed)
    return _embed_by(city, lambda pixels: rng.normal(size=128).astype(np.float32))


def _histograms(city: Dataset) -> QueryGallery:
    return _embed_by(city, colour_histogram)


def _embed_by(city: Dataset, embed: Callable[[np.ndarray[Any, np.dtype[np.uint8]]], FloatArray]) -> QueryGallery:
    def of(crops: Sequence[Crop]) -> EmbeddedCrops:
        decoded = decode_crops(crops, *HISTOGRAM_SIZE, strict=True)
        embeddings = np.stack([embed(pixels) for pixels in decoded.pixels])
        names = tuple(crop.name for crop in crops)
        return EmbeddedCrops(embeddings, pids_of(crops), camids_of(crops), decoded.content_hashes, names)

    return QueryGallery(of(city.query), of(city.gallery))


def _untrained(seed: int, out: Path) -> Model:
    torch.manual_seed(seed)
    size = Preprocessing(64, 24, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    architecture = Architecture("bignet")
    network = build_network(architecture, size.height, size.width)
    trained = TrainedNetwork(network.eval(), ModelConfig(architecture, size, "nothing", "none needed"))
    return of_run(trained, out / "untrained")
