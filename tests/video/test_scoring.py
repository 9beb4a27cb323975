"""IDF1 and HOTA: by hand, and against TrackEval's own classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from resight.video.scoring.metrics import hota, identity, scores
from resight.video.scoring.moments import Compared, Seen, compare


def seen(rows: list[tuple[int, int, float]]) -> Seen:
    """moment, identity, left side of a box of 10 x 20."""
    boxes = np.array([[left, 0, left + 10, 20] for _, _, left in rows], np.float32).reshape(-1, 4)
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return Seen(
        np.array(columns[0], np.int64), np.array(columns[1], np.int64), np.array(boxes, np.float32).reshape(-1, 4)
    )


def wandering(seed: int, people: int = 6, moments: int = 40) -> tuple[Seen, Seen]:
    """People who wander, and tracks of them with misses, false boxes, switches and fragments."""
    rng = np.random.default_rng(seed)
    truth, result = [], []
    for moment in range(moments):
        for person in range(people):
            left = person * 14 + 8 * np.sin(moment / 7 + person)
            if rng.random() < 0.85:
                truth.append((moment, person, left))
            if rng.random() < 0.8:
                switched = (person + (moment > 20)) % people if person < 3 else person + 10 * (moment // 15)
                result.append((moment, 100 + switched, left + rng.normal(0, 2)))
        if rng.random() < 0.3:
            result.append((moment, 999, float(rng.uniform(0, 90))))
    return seen(truth), seen(result)


def test_a_perfect_result_has_the_best_figures() -> None:
    truth, _ = wandering(0)
    found = scores(compare(truth, Seen(truth.moments, truth.ids + 7, truth.boxes)))
    assert found.identity.idf1 == found.hota.hota == found.hota.det_a == found.hota.ass_a == 1


def test_one_person_in_two_halves_by_hand() -> None:
    """Ten boxes, of which six carry one identity and four another: 6 right of 10 and 10, IDF1 .6. Each of the six is
    associated 6/10, each of the four 4/10."""
    truth = seen([(moment, 1, 0) for moment in range(10)])
    result = seen([(moment, 1 if moment < 6 else 2, 0) for moment in range(10)])
    compared = compare(truth, result)
    assert identity(compared).idf1 == pytest.approx(0.6)
    found = hota(compared)
    assert found.det_a == pytest.approx(1)
    assert found.ass_a == pytest.approx((6 * 0.6 + 4 * 0.4) / 10)


def test_nothing_found_is_nothing_right() -> None:
    truth, _ = wandering(1)
    found = scores(compare(truth, seen([])))
    assert found.identity.idf1 == found.hota.hota == 0


def test_a_box_half_beside_is_missed() -> None:
    truth, result = seen([(0, 1, 0)]), seen([(0, 1, 4)])  # IoU 6 / 14
    assert identity(compare(truth, result)).idf1 == 0
    assert hota(compare(truth, result)).det_a == pytest.approx(8 / 19)  # of the overlaps .05 to .40


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_trackeval(seed: int) -> None:
    trackeval = pytest.importorskip("trackeval.metrics", reason="TrackEval, the oracle, is not installed")
    compared = compare(*wandering(seed))
    data = trackeval_data(compared)
    ours, idf = scores(compared), trackeval.Identity({"PRINT_CONFIG": False}).eval_sequence(data)
    theirs = trackeval.HOTA().eval_sequence(data)
    assert ours.identity.idf1 == pytest.approx(idf["IDF1"], abs=1e-6)
    assert ours.identity.precision == pytest.approx(idf["IDP"], abs=1e-6)
    assert ours.identity.recall == pytest.approx(idf["IDR"], abs=1e-6)
    for name in ("HOTA", "DetA", "AssA", "LocA"):
        own = {"HOTA": ours.hota.hota, "DetA": ours.hota.det_a, "AssA": ours.hota.ass_a, "LocA": ours.hota.loc_a}[name]
        assert own == pytest.approx(float(np.mean(theirs[name])), abs=1e-6), name
    assert 0.2 < ours.identity.idf1 < 0.9  # so that there is something to tell apart


def trackeval_data(compared: Compared) -> dict[str, Any]:
    """The same moments, as TrackEval's metrics take a sequence."""
    return {
        "num_gt_ids": len(compared.truth_ids),
        "num_tracker_ids": len(compared.result_ids),
        "num_gt_dets": int(compared.truth_counts.sum()),
        "num_tracker_dets": int(compared.result_counts.sum()),
        "gt_ids": [moment.truth for moment in compared.moments],
        "tracker_ids": [moment.result for moment in compared.moments],
        "similarity_scores": [moment.similarity for moment in compared.moments],
    }
