"""The whole way: train on a Market copy with swapped labels, and find them with the model so trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resight.data.formats.catalogue import open_dataset
from resight.embedding.loading import load
from resight.evaluation.labels import suspect_labels
from resight.training.loop import train
from resight.training.recipes import find_recipe


@pytest.mark.slow
def test_a_model_trained_on_the_wrong_labels_finds_most_of_them(market501: Path, tmp_path: Path) -> None:
    data = open_dataset(market501)
    pids = np.array([crop.pid for crop in data.train])
    rows = np.random.default_rng(0).choice(len(pids), 20, replace=False)
    labels = pids.copy()
    labels[rows] = pids[np.roll(rows, 1)]
    wrong = {int(row) for row in rows if labels[row] != pids[row]}
    relabelled = tuple(replace(crop, pid=int(pid)) for crop, pid in zip(data.train, labels, strict=True))
    train(find_recipe("baseline-aug-quick"), replace(data, train=relabelled), tmp_path / "run")
    embedded, _ = load(tmp_path / "run").embed_crops(relabelled)
    found = suspect_labels(embedded, top=20)
    precision = sum(suspect.row in wrong for suspect in found) / 20
    print(f"precision at 20: {precision:.2f}")
    assert precision > 0.6
