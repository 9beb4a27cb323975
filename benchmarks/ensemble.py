"""What several models know together, and how many values one of them needs.

Rank-1 and mAP of each model, of all their embeddings side by side (the mean of their cosines), the same with mirrored
pictures, and of the last model with each part of its embedding projected to fewer values (principal components of the
training pictures, by part, so that strips stay strips).

    python benchmarks/ensemble.py MODEL MODEL ... --data market501
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from resight.core.distances import unit_rows
from resight.core.records import EmbeddedCrops, FloatArray
from resight.data.embed import QueryGallery
from resight.data.formats.catalogue import open_dataset
from resight.embedding.loading import load
from resight.embedding.model import Model
from resight.evaluation.evaluate import evaluate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--data", required=True)
    options = parser.parse_args()
    dataset = open_dataset(options.data)
    models = [load(path) for path in options.models]
    found_by = {flip: [model.embed_dataset(dataset, flip=flip) for model in models] for flip in (False, True)}
    for flip, found in found_by.items():
        for path, one in zip(options.models, found, strict=True):
            _print(f"{path}{', flip' * flip}", one.query, one.gallery)
        together = [_side_by_side([getattr(one, split) for one in found]) for split in ("query", "gallery")]
        _print(f"side by side{', flip' * flip}", *together)
    trained, _ = models[-1].embed_crops(dataset.train)
    for share in (2, 4):
        _project_and_print(models[-1], trained.embeddings, found_by[False][-1], share)


def _project_and_print(model: Model, trained: FloatArray, found: QueryGallery, share: int) -> None:
    axes = []
    for part in model.parts:
        rows = trained[:, part.start : part.stop]
        axes.append((part.start, part.stop, np.linalg.svd(rows.T @ rows)[0][:, : rows.shape[1] // share]))

    def project(crops: EmbeddedCrops) -> EmbeddedCrops:
        parts = [crops.embeddings[:, start:stop] @ axis for start, stop, axis in axes]
        return replace(crops, embeddings=unit_rows(np.concatenate(parts, axis=1)))

    _print(f"{model.source}, each part to 1/{share}", project(found.query), project(found.gallery))


def _side_by_side(crops: Sequence[EmbeddedCrops]) -> EmbeddedCrops:
    return replace(crops[0], embeddings=unit_rows(np.concatenate([one.embeddings for one in crops], axis=1)))


def _print(name: str, query: EmbeddedCrops, gallery: EmbeddedCrops) -> None:
    found = evaluate(query, gallery)
    print(f"{name:45} rank-1 {found.rank(1):.3f}   mAP {found.mean_ap:.3f}", flush=True)


if __name__ == "__main__":
    main()
