from __future__ import annotations

import numpy as np
import pytest
import torch

from resight.core.distances import unit_rows
from resight.core.errors import ConfigError
from resight.core.records import EmbeddedCrops
from resight.core.visibility import Parts
from resight.evaluation.evaluate import evaluate, evaluate_distmat
from resight.evaluation.parts.aligned import Aligned, aligned_distances
from resight.evaluation.protocols import rows_of
from resight.evaluation.rerank import Reranking
from resight.losses.aligned import aligned_distances as by_torch

PARTS = Parts((0, 6), ((6, 9), (9, 12), (12, 15)))


def _crops(number: int, seed: int) -> EmbeddedCrops:
    rng = np.random.default_rng(seed)
    embeddings = unit_rows(rng.normal(size=(number, 15)).astype(np.float32))
    pids, camids = rng.integers(1, 5, number), np.full(number, seed)
    names = tuple(f"{seed}/{row}" for row in range(number))
    return EmbeddedCrops(embeddings, pids, camids, np.arange(number).astype(np.uint64), names)


def test_as_the_loss_has_it() -> None:
    query, gallery = _crops(7, 0).embeddings, _crops(9, 1).embeddings
    strips = [torch.from_numpy(unit_rows(e[:, 6:].reshape(-1, 3)).reshape(-1, 3, 3)) for e in (query, gallery)]
    whole = [unit_rows(e[:, :6]) for e in (query, gallery)]
    expected = by_torch(strips[0], strips[1]).numpy() + np.linalg.norm(whole[0][:, None] - whole[1][None], axis=2)
    assert aligned_distances(query, gallery, PARTS) == pytest.approx(expected, abs=1e-4)


def test_evaluation_goes_by_them() -> None:
    query, gallery = _crops(7, 0), _crops(30, 1)
    found = evaluate(query, gallery, aligned=Aligned(PARTS))
    distances = aligned_distances(query.embeddings, gallery.embeddings, PARTS)
    expected = evaluate_distmat(distances, rows_of(query), rows_of(gallery))
    assert found.mean_ap == expected.mean_ap
    assert found.distance == "aligned strips"
    with pytest.raises(ConfigError, match="aligned strips"):
        evaluate(query, gallery, aligned=Aligned(PARTS), reranking=Reranking())
