from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resight.core.distances import unit_rows
from resight.core.errors import DataError
from resight.core.records import EmbeddedCrops, FloatArray, IntArray
from resight.evaluation.labels import suspect_labels


def crops(embeddings: FloatArray, pids: IntArray) -> EmbeddedCrops:
    n = len(pids)
    return EmbeddedCrops(
        embeddings.astype(np.float32),
        pids,
        np.zeros(n, np.int64),
        np.arange(n, dtype=np.uint64),
        tuple(f"{row}.jpg" for row in range(n)),
    )


def clusters(people: int, each: int, spread: float, seed: int = 0) -> tuple[FloatArray, IntArray]:
    """People as points, and between their pictures a strong direction that says nothing of who they are."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(people, 32))
    pids = np.repeat(np.arange(1, people + 1), each)
    values = centres[pids - 1] + spread * rng.normal(size=(len(pids), 32))
    values += 6 * rng.normal(size=(len(pids), 1)) * np.eye(32)[0]
    return values.astype(np.float32), pids


def swapped(pids: IntArray, number: int, seed: int = 1) -> tuple[IntArray, set[int]]:
    rows = np.random.default_rng(seed).choice(len(pids), number, replace=False)
    labels = pids.copy()
    labels[rows] = pids[np.roll(rows, 1)]
    return labels, {int(row) for row in rows if labels[row] != pids[row]}


def test_swapped_labels_come_first() -> None:
    embeddings, pids = clusters(40, 10, 0.5)
    labels, wrong = swapped(pids, 20)
    found = suspect_labels(crops(embeddings, labels))
    assert {suspect.row for suspect in found[: len(wrong)]} == wrong
    for suspect in found[: len(wrong)]:
        assert suspect.other_pid == pids[suspect.row]
        assert suspect.pid == labels[suspect.row]
        assert labels[suspect.other[0]] == suspect.other_pid
        assert suspect.pid not in labels[suspect.other]
        assert set(labels[suspect.own]) == {suspect.pid}
        assert suspect.row not in suspect.own
    assert [s.score for s in found] == sorted((s.score for s in found), reverse=True)


def test_right_labels_are_let_be() -> None:
    embeddings, pids = clusters(40, 10, 0.3)
    assert suspect_labels(crops(embeddings, pids)) == []


def test_whitening_is_what_finds_them() -> None:
    """As they are, the embeddings show most swapped labels, but not all."""
    embeddings, pids = clusters(40, 10, 0.5)
    labels, wrong = swapped(pids, 20)
    similarity = unit_rows(embeddings) @ unit_rows(embeddings).T
    np.fill_diagonal(similarity, -np.inf)
    own = labels[:, None] == labels[None, :]
    score = np.where(own, -np.inf, similarity).max(axis=1) - np.where(own, similarity, -np.inf).max(axis=1)
    plainly = np.argsort(-score)[: len(wrong)].tolist()
    whitened = [suspect.row for suspect in suspect_labels(crops(embeddings, labels), top=len(wrong))]
    assert len(wrong & set(plainly)) < len(wrong & set(whitened)) == len(wrong)


def test_no_picture_shapes_the_space_in_which_it_is_judged() -> None:
    """Where embeddings say nothing of who is who, labels are no better than guessed: 29 in 30 pictures lie nearer to
    somebody else. A space that is shaped by the labels it judges makes them look right; only 27 of 120 stand out."""
    embeddings = np.random.default_rng(0).normal(size=(120, 64)).astype(np.float32)
    found = suspect_labels(crops(embeddings, np.repeat(np.arange(1, 31), 4)))
    rows = [suspect.row for suspect in found]
    assert len(rows) == len(set(rows))  # each is judged once
    assert len(rows) > 100


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, pids = clusters(20, 6, 0.9)
    labels, _ = swapped(pids, 10)
    whole = suspect_labels(crops(embeddings, labels))
    monkeypatch.setattr("resight.evaluation.labels.BLOCK", 7)
    parts = suspect_labels(crops(embeddings, labels))
    assert [(s.row, s.other_pid, s.own.tolist(), s.other.tolist()) for s in whole] == [
        (s.row, s.other_pid, s.own.tolist(), s.other.tolist()) for s in parts
    ]


def test_distractors_and_single_pictures_are_not_judged() -> None:
    embeddings, pids = clusters(20, 6, 0.5)
    labels = pids.copy()
    labels[:6] = 0  # a whole person becomes distractors
    labels[7:12] = 99  # one picture of the second is left
    found = suspect_labels(crops(embeddings, labels))
    assert not {s.row for s in found} & set(range(7))
    assert not any(s.other_pid == 0 for s in found)
    with pytest.raises(DataError, match="two people"):
        suspect_labels(crops(embeddings, np.arange(1, 121)))


def test_real_pictures_with_swapped_labels(market501: Path, seed_weights: Path, tmp_path: Path) -> None:
    """60 people of market501, 10 labels swapped, embedded by the paper's weights, which never saw that site."""
    from resight.data.formats.catalogue import open_dataset
    from resight.embedding.loading import of_run
    from resight.models.foreign.reference_weights import import_reference_weights

    train = open_dataset(market501).train
    chosen = set(sorted({crop.pid for crop in train})[:60])
    kept = [crop for crop in train if crop.pid in chosen]
    labels, wrong = swapped(np.array([crop.pid for crop in kept]), 10)
    relabelled = [replace(crop, pid=int(pid)) for crop, pid in zip(kept, labels, strict=True)]
    model = import_reference_weights(seed_weights / "slicenet2_cosine_augmented_125.pth", "slicenet2")
    embedded, problems = of_run(model, tmp_path).embed_crops(relabelled)
    assert not problems
    found = suspect_labels(embedded, top=10)
    precision = sum(suspect.row in wrong for suspect in found) / 10
    print(f"precision at 10: {precision:.2f}")
    assert precision > 0.5
