"""LA-Transformer's printed figures are of the protocol `top10`; the usual one gives others for the same features."""

from __future__ import annotations

import numpy as np
import pytest

from resight.core.records import EmbeddedCrops
from resight.evaluation.evaluate import evaluate
from tests.models.parity import cases


def test_both_ways_of_scoring() -> None:
    folder = cases.case("la-transformer/printed-scoring")
    told = cases.config(folder)

    def crops(side: str, first: int) -> EmbeddedCrops:
        embeddings = np.load(folder / f"{side}.npy")
        names = tuple(f"{side}{row}" for row in range(len(embeddings)))
        hashes = np.arange(first, first + len(embeddings), dtype=np.uint64)
        pids, camids = np.array(told[f"{side}_ids"]), np.array(told[f"{side}_cameras"])
        return EmbeddedCrops(embeddings, pids, camids, hashes, names)

    query, gallery = crops("query", 0), crops("gallery", 10_000)
    printed = evaluate(query, gallery, "top10")
    figures = {"rank1": printed.rank(1), "rank5": printed.rank(5), "rank10": printed.rank(10), "mAP": printed.mean_ap}
    assert figures == pytest.approx(told["printed"], abs=1e-9)
    usual = evaluate(query, gallery, "market1501")
    assert usual.num_scored == told["market1501"]["queries"]
    assert usual.rank(1) == pytest.approx(told["market1501"]["rank1"])
    assert usual.mean_ap == pytest.approx(told["market1501"]["mAP"], abs=1e-9)
