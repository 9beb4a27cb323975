from __future__ import annotations

import json

import numpy as np
import pytest

from resight.core.errors import DataError
from resight.core.records import EmbeddedCrops
from resight.evaluation.decisions.verification import SortedSimilarities, score_pairs, verify
from resight.evaluation.intervals import Interval


def crops(people: int, each: int, spread: float, seed: int, camid: int, places_seed: int = 9) -> EmbeddedCrops:
    rng = np.random.default_rng(seed)
    pids = np.repeat(np.arange(1, people + 1), each)
    embeddings = np.random.default_rng(places_seed).normal(size=(people, 32))[pids - 1]
    embeddings = embeddings + spread * rng.normal(size=embeddings.shape)
    n = len(pids)
    return EmbeddedCrops(
        embeddings.astype(np.float32), pids, np.full(n, camid), np.arange(n, dtype=np.uint64), tuple(map(str, range(n)))
    )


def similarities(query: EmbeddedCrops, gallery: EmbeddedCrops) -> tuple[list[float], list[float]]:
    """The plain way: genuine and impostor."""
    found: tuple[list[float], list[float]] = ([], [])
    for q, q_pid, q_cam in zip(query.embeddings, query.pids, query.camids, strict=True):
        for g, g_pid, g_cam in zip(gallery.embeddings, gallery.pids, gallery.camids, strict=True):
            if q_cam != g_cam and min(q_pid, g_pid) > 0:
                found[int(q_pid != g_pid)].append(float(q @ g / np.linalg.norm(q) / np.linalg.norm(g)))
    return found


def test_pairs_are_those_of_two_cameras() -> None:
    query, gallery = crops(6, 2, 1.0, 1, 1), crops(6, 3, 1.0, 2, 2)
    mixed = EmbeddedCrops(
        gallery.embeddings,
        np.where(np.arange(18) % 5 == 0, 0, gallery.pids),  # some distractors
        np.where(np.arange(18) % 3 == 0, 1, 2),  # some by the query's camera
        gallery.content_hashes,
        gallery.names,
    )
    genuine, impostor = similarities(query, mixed)
    pairs = score_pairs(query, mixed)
    np.testing.assert_allclose(np.sort(pairs.genuine), np.sort(genuine), atol=1e-5)
    np.testing.assert_allclose(np.sort(pairs.impostor), np.sort(impostor), atol=1e-5)
    assert (pairs.impostor_people[:, 0] != pairs.impostor_people[:, 1]).all()


def test_rates_equal_a_plain_count() -> None:
    query, gallery = crops(30, 2, 1.2, 1, 1), crops(30, 3, 1.2, 2, 2)
    genuine, impostor = similarities(query, gallery)
    found = verify(query, gallery, bootstrap_samples=20)
    for point in found.points[:2]:
        assert point.threshold is not None
        assert point.true_accept_rate is not None
        accepted = np.mean(np.array(impostor) >= point.threshold - 1e-6)
        assert accepted <= point.false_accept_rate + 1 / len(impostor)
        assert accepted >= point.false_accept_rate - 2 / len(impostor)
        assert point.true_accept_rate == pytest.approx(np.mean(np.array(genuine) >= point.threshold - 1e-6), abs=1e-9)
        assert point.interval is not None
        assert point.interval.low <= point.true_accept_rate <= point.interval.high
    thresholds = np.linspace(-1, 1, 4001)
    fars = np.array([np.mean(np.array(impostor) >= t) for t in thresholds])
    frrs = np.array([np.mean(np.array(genuine) < t) for t in thresholds])
    crossing = np.abs(fars - frrs).argmin()
    assert found.eer == pytest.approx((fars[crossing] + frrs[crossing]) / 2, abs=0.01)
    assert (np.diff(found.curve_tar) >= 0).all()
    assert found.curve_tar[-1] == 1.0


def test_the_right_way_round() -> None:
    easy = verify(crops(30, 2, 0.3, 1, 1), crops(30, 3, 0.3, 2, 2), bootstrap_samples=10)
    hard = verify(crops(30, 2, 3.0, 1, 1), crops(30, 3, 3.0, 2, 2), bootstrap_samples=10)
    assert easy.eer < 0.01
    assert easy.points[1].true_accept_rate == 1.0
    assert hard.eer > 0.2
    strict, lax = hard.points[1], hard.points[0]
    assert strict.threshold is not None
    assert lax.threshold is not None
    assert strict.threshold > lax.threshold  # fewer false accepts want a higher threshold
    assert (strict.true_accept_rate or 0) < (lax.true_accept_rate or 0)


def test_rates_that_the_pairs_cannot_show_are_not_given() -> None:
    found = verify(crops(8, 1, 0.5, 1, 1), crops(8, 2, 0.5, 2, 2), bootstrap_samples=10)  # 112 impostor pairs
    assert [point.true_accept_rate is None for point in found.points] == [False, True, True, True]
    json.dumps(found.to_dict(), allow_nan=False)


def test_ties_are_accepted_or_rejected_together() -> None:
    def fixed(values: list[list[float]], pids: list[int], camid: int) -> EmbeddedCrops:
        n = len(pids)
        content_hashes = np.arange(n, dtype=np.uint64)
        return EmbeddedCrops(
            np.array(values, np.float32), np.array(pids), np.full(n, camid), content_hashes, tuple(map(str, range(n)))
        )

    query = fixed([[1, 0]] * 12, list(range(1, 13)), 1)
    gallery = fixed([[1, 0]] * 12, list(range(1, 13)), 2)  # every pair is as similar as every other
    found = verify(query, gallery, bootstrap_samples=5)
    assert found.points[0].true_accept_rate == 0.0  # one in ten cannot be had: all or none
    assert found.eer == pytest.approx(0.5)


def test_a_sample_of_impostors_stands_for_all() -> None:
    query, gallery = crops(40, 2, 1.2, 1, 1), crops(40, 3, 1.2, 2, 2)
    whole, part = score_pairs(query, gallery), score_pairs(query, gallery, most_impostors=2000)
    assert part.num_impostor == whole.num_impostor == len(whole.impostor)
    assert 1700 < len(part.impostor) < 2300
    assert np.quantile(part.impostor, 0.99) == pytest.approx(np.quantile(whole.impostor, 0.99), abs=0.03)


def test_intervals_are_over_people() -> None:
    """Five times the pictures of the same people make the interval little narrower."""
    few = verify(crops(25, 1, 1.5, 1, 1), crops(25, 2, 1.5, 2, 2), bootstrap_samples=300)
    many = verify(crops(25, 5, 1.5, 1, 1), crops(25, 10, 1.5, 2, 2), bootstrap_samples=300)
    widths = [found.eer_interval.high - found.eer_interval.low for found in (few, many)]
    assert widths[1] > 0.35 * widths[0]  # independent pairs would make it a seventh


def test_the_interval_covers_the_truth() -> None:
    truth = verify(crops(400, 2, 1.4, 1, 1, 5), crops(400, 2, 1.4, 2, 2, 5), bootstrap_samples=2).eer
    covered = 0
    for seed in range(30):
        found = verify(
            crops(30, 2, 1.4, 10 + seed, 1, seed), crops(30, 2, 1.4, 50 + seed, 2, seed), bootstrap_samples=100
        )
        covered += found.eer_interval.low <= truth <= found.eer_interval.high
    assert covered >= 24


def test_nothing_to_verify() -> None:
    query = crops(3, 1, 1.0, 1, 1)
    with pytest.raises(DataError, match="verification takes both"):
        verify(query, crops(3, 1, 1.0, 2, 1))  # the same camera


def test_a_threshold_is_the_lowest_that_keeps_to_its_rate() -> None:
    """Pairs of one person between the last impostor that is let in and the first that is not are accepted."""
    impostor = SortedSimilarities(np.array([0.9, 0.4, 0.4, 0.1], np.float32))
    weights = impostor.weights(np.ones(4))
    for share, above, accepted in ((0.25, 0.4, 0.25), (0.5, 0.4, 0.25), (0.75, 0.1, 0.75), (0.1, 0.9, 0.0)):
        threshold = impostor.threshold(share, weights)
        assert np.float32(above) < threshold < above + 1e-6
        assert impostor.share_above(threshold, weights) == accepted
    assert impostor.threshold(1.0, weights) == pytest.approx(0.1)


def test_many_pictures_of_few_people_are_few() -> None:
    two = verify(crops(2, 10, 0.5, 1, 1), crops(2, 10, 0.5, 2, 2), bootstrap_samples=50)
    assert two.eer_interval == Interval(0, 1)
    assert [point.true_accept_rate for point in two.points] == [None] * 4  # two people are one pair, 200 times
    four = verify(crops(4, 30, 0.9, 1, 1), crops(4, 30, 0.9, 2, 2), bootstrap_samples=50)
    assert four.points[2].true_accept_rate is None  # 10,800 pairs of pictures, but six of people
