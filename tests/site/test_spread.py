"""The intervals of a criterion before and after."""

from __future__ import annotations

import numpy as np

from resight.core.records import FloatArray, IntArray
from resight.site.criterion import tracklet_eer
from resight.site.spread import spread_of

CAMERAS, TRACKLETS, PICTURES = 2, 20, 3


def place(rng: np.random.Generator, noise: float) -> tuple[FloatArray, IntArray, IntArray]:
    """Embeddings, cameras and tracklets."""
    num = CAMERAS * TRACKLETS
    people = rng.normal(size=(num, 8)).repeat(PICTURES, axis=0)
    rows = (people + noise * rng.normal(size=people.shape)).astype(np.float32)
    tracklets = np.arange(num).repeat(PICTURES)
    return rows, tracklets // TRACKLETS, tracklets


def test_what_it_is_counted_on_and_where_the_figure_lies() -> None:
    rows, cameras, tracklets = place(np.random.default_rng(0), 1.0)
    better = place(np.random.default_rng(0), 0.4)[0]
    found = spread_of(rows, better, cameras, tracklets, samples=200)
    assert (found.tracklets, found.pictures) == (40, 120)
    assert found.same == 40 * 3  # of three pictures each
    assert found.different == 2 * (20 * 19 // 2) * 9
    before, after = (tracklet_eer(each, cameras, tracklets) for each in (rows, better))
    assert found.before[0] < before < found.before[1]
    assert found.after[0] <= after <= found.after[1]
    assert found.change[0] < after - before < found.change[1] < 0


def test_the_same_twice_is_no_change_and_pictures_of_no_tracklet_do_not_count() -> None:
    rows, cameras, tracklets = place(np.random.default_rng(1), 1.0)
    tracklets = np.where(tracklets == 3, -1, tracklets)
    found = spread_of(rows, rows, cameras, tracklets, samples=50)
    assert found.change == (0.0, 0.0)
    assert found.before == found.after
    assert (found.tracklets, found.pictures) == (39, 117)


def test_it_is_as_wide_as_the_figure_varies() -> None:
    """Over places that are drawn anew: half an interval is near 1.96 standard deviations."""
    rng = np.random.default_rng(2)
    places = [place(rng, 1.0) for _ in range(60)]
    deviation = np.std([tracklet_eer(*each) for each in places])
    widths = [np.ptp(spread_of(each[0], *each, samples=100).before) for each in places[:15]]
    assert 0.6 < np.mean(widths) / (2 * 1.96 * deviation) < 1.6
