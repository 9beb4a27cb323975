"""Whether a calibration keeps its promise on a gallery's own people, and which pairs are worth a look."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import resight
from resight.core.records import FloatArray
from resight.gallery.curation.promise import kept_promise
from resight.gallery.curation.review import doubtful_pairs
from tests.gallery.helpers import CALIBRATED, DIM, MODEL, unit


def people(spread: float, num: int = 60) -> FloatArray:
    """(6 num, DIM): six entries of each person, so far around a direction of the person's own."""
    rows = np.repeat(unit(num, 1), 6, axis=0) + spread * unit(6 * num, 2)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def filled(path: Path, rows: FloatArray, model: object = CALIBRATED) -> resight.Gallery:
    gallery = resight.open_gallery(path, model)  # type: ignore[arg-type]
    pids = [number // 6 for number in range(len(rows))]
    gallery.add_embeddings(rows, model=MODEL.identity, camera=["north", "south"] * (len(rows) // 2), pid=pids)
    return gallery


def test_a_promise_is_counted_on_pairs_by_two_cameras(tmp_path: Path) -> None:
    rows = people(0.3)
    with filled(tmp_path / "near.db", rows) as gallery:
        told = kept_promise(gallery)
        assert told is not None
        similarity = rows @ rows.T
        whose, where = np.arange(len(rows)) // 6, np.arange(len(rows)) % 2
        pairs = np.triu(where[:, None] != where[None], 1)
        same, other = pairs & (whose[:, None] == whose), pairs & (whose[:, None] != whose)
        assert (told.same, told.other) == (int(same.sum()), int(other.sum()))
        assert told.accept_threshold is not None
        assert told.reject_threshold is not None
        assert told.false_accepts == int((other & (similarity >= told.accept_threshold)).sum())
        assert told.false_rejects == int((same & (similarity < told.reject_threshold)).sum())
    with filled(tmp_path / "far.db", people(3.0)) as gallery:  # people who do not look like themselves
        told = kept_promise(gallery)
        assert told is not None
        assert not told.kept
        assert "not kept" in told.words
    with filled(tmp_path / "few.db", people(0.3, 4)) as gallery:
        told = kept_promise(gallery)
        assert told is not None
        assert "Too few" in told.words
        assert not told.enough
    with filled(tmp_path / "plain.db", rows, MODEL) as gallery:
        assert kept_promise(gallery) is None


def test_doubtful_pairs_come_least_sure_first_and_known_ones_never(tmp_path: Path) -> None:
    rows = np.zeros((24, DIM), np.float32)
    for person, angle in enumerate((0.0, 0.25, 1.05, 2.2)):  # the cosines of their pairs
        rows[6 * person : 6 * person + 6, :2] = np.cos(angle), np.sin(angle)
    with filled(tmp_path / "four.db", rows) as gallery:
        pairs = doubtful_pairs(gallery, 10)
        doubts = [abs((pair.probability or 0.0) - 0.5) for pair in pairs]
        assert len(pairs) == 6
        assert doubts == sorted(doubts)
        first = pairs[0]
        angles = np.cos(np.subtract.outer([0.0, 0.25, 1.05, 2.2], [0.0, 0.25, 1.05, 2.2]))
        assert abs(first.similarity - angles[first.first.pid, first.second.pid]) < 1e-5
        gallery.cannot_link(first.first.pid, first.second.pid)
        after = doubtful_pairs(gallery, 10)
        assert [(each.first.pid, each.second.pid) for each in after] == [
            (each.first.pid, each.second.pid) for each in pairs[1:]
        ]
        gallery.link(after[0].first.pid, after[0].second.pid)
        assert len(doubtful_pairs(gallery, 10)) == 2  # of three people, of whom two are kept apart
    with filled(tmp_path / "plain.db", rows, MODEL) as gallery:
        likest = doubtful_pairs(gallery, 1)[0]
        assert (likest.first.pid, likest.second.pid, likest.probability, likest.verdict) == (0, 1, None, "")
