"""Clusters of a site: DBSCAN against a slow one, the choice of its reach, and who cannot be one person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from resight.core.records import IntArray
from resight.site.clustering import (
    OF_PICTURES,
    OF_TRACKLETS,
    Clustering,
    Judges,
    Neighbourhood,
    cluster,
    dbscan,
    of_tracklets,
)
from resight.site.criterion import tracklet_codes
from resight.site.fitting import fit_site
from tests.oracles import plain_dbscan
from tests.site.places import Place, place


def same_groups(one: IntArray, other: IntArray) -> bool:
    """Whether both part the rows alike, whatever they call the groups."""
    return (
        len(set(zip(one.tolist(), other.tolist(), strict=True))) == len(set(one.tolist())) == len(set(other.tolist()))
    )


@pytest.mark.parametrize("least", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_dbscan_equals_the_plain_one(least: int, seed: int) -> None:
    spots = np.random.default_rng(seed).normal(size=(60, 2))
    distances = np.linalg.norm(spots[:, None] - spots[None], axis=2)
    found = dbscan(sparse.csr_array(np.where(distances <= 0.5, distances, 0)), 0.35, least)
    expected = np.array(plain_dbscan.dbscan(distances, 0.35, least))
    assert same_groups(found, expected)
    np.testing.assert_array_equal(found < 0, expected < 0)
    assert sorted(set(found[found >= 0].tolist())) == list(range(int(found.max()) + 1))


def test_the_order_of_rows_decides_nothing() -> None:
    spots = np.random.default_rng(5).normal(size=(80, 2))
    order = np.random.default_rng(6).permutation(80)
    distances = np.linalg.norm(spots[:, None] - spots[None], axis=2)
    one = dbscan(sparse.csr_array(distances), 0.3, 3)
    other = dbscan(sparse.csr_array(distances[order][:, order]), 0.3, 3)
    assert same_groups(one[order], other)


def clustered(p: Place, how: Neighbourhood = OF_TRACKLETS, times: object = None, judging: bool = True) -> Clustering:
    codes, tracklets = tracklet_codes(p.cameras, p.tracks)
    judges = Judges(p.embeddings, p.cameras, codes, tracklets) if judging else None
    site = fit_site(p.embeddings, p.cameras, p.tracks)
    known = np.full(len(tracklets), np.nan) if times is None else np.asarray(times, np.float64)
    return cluster(site, p.embeddings, p.cameras, tracklets, known, judges, how)


def test_tracklets_of_one_person_come_together() -> None:
    p = place(people=40)
    found = clustered(p)
    rows = found.labels >= 0
    assert found.sound
    assert rows.mean() > 0.5
    together = found.labels[rows][:, None] == found.labels[rows][None]
    same = p.pids[rows][:, None] == p.pids[rows][None]
    assert (together & same).sum() / together.sum() > 0.8
    assert found.judged
    assert f"{found.eps:g}" in found.judged
    # a tracklet is never torn
    _, tracklets = tracklet_codes(p.cameras, p.tracks)
    assert all(len(np.unique(found.labels[tracklets == code])) == 1 for code in np.unique(tracklets))


def test_where_few_cameras_see_a_person_fewer_neighbours_are_asked() -> None:
    assert of_tracklets(6) == of_tracklets(20) == OF_TRACKLETS
    assert [of_tracklets(cameras).k1 for cameras in (2, 3, 4, 5)] == [4, 4, 6, 8]
    two = place(people=60, cameras=2)
    right = []
    for how in (OF_TRACKLETS, of_tracklets(2)):
        labels = clustered(two, how).labels
        together = (labels[:, None] == labels[None]) & (labels[:, None] >= 0)
        right.append((together & (two.pids[:, None] == two.pids[None])).sum() / together.sum())
    assert right[1] > right[0] + 0.1


def test_a_reach_that_throws_all_together_is_not_taken() -> None:
    p = place(people=40)
    wide = replace(OF_TRACKLETS, eps=(0.5, 0.95, 0.99))
    found = clustered(p, wide)
    assert found.eps == 0.5
    assert list(found.judged) == ["0.5"]
    alone = clustered(p, replace(OF_TRACKLETS, eps=(0.99,)))
    assert not alone.sound
    assert alone.largest > 0.2


def test_without_judges_the_usual_reach_is_taken() -> None:
    found = clustered(place(people=40), judging=False)
    assert found.eps == 0.5
    assert found.judged == {}


def test_who_is_elsewhere_at_the_time_is_another_person() -> None:
    """Two tracklets of one person by one camera come together, unless both are seen at once. Whole seconds tell that of
    tracklets that overlap, and not of pictures of one second, which may be a burst."""
    p = place(people=40, pictures=8)
    halved = replace(p, tracks=[f"{track}-{row % 2}" for row, track in enumerate(p.tracks)])
    _, tracklets = tracklet_codes(halved.cameras, halved.tracks)
    one_after_the_other = tracklets * 100.0
    row = np.arange(len(tracklets))
    at_once = row % 8 / 7
    meeting = p.pids * 100.0 + row % 2 + (row % 8 > 3)  # the one from 0 s to 1 s, the other from 1 s to 2 s
    for apart in (one_after_the_other, meeting, np.zeros(len(tracklets))):
        assert clustered(halved, times=apart).parted == 0
    found = clustered(halved, times=at_once)
    assert found.parted > 0
    for name in range(found.num):
        rows = np.flatnonzero(found.labels == name)
        seen = {(halved.cameras[row], int(tracklets[row])) for row in rows.tolist()}
        cameras = [camera for camera, _ in seen]
        assert len(cameras) == len(set(cameras))


def test_a_burst_in_one_second_is_not_taken_apart() -> None:
    """Pictures without tracks, each a point of its own."""
    p = place(people=40, pictures=8)
    site = fit_site(p.embeddings, p.cameras)
    rows = np.arange(len(p.pids))
    walks = [f"{camera} {pid}" for camera, pid in zip(p.cameras, p.pids, strict=True)]
    times = np.unique(walks, return_inverse=True)[1]
    found, untimed = (
        cluster(site, p.embeddings, p.cameras, rows, known, None, OF_PICTURES)
        for known in (times.astype(np.float64), np.full(len(rows), np.nan))
    )
    assert found.num > 1
    assert found.parted == 0
    np.testing.assert_array_equal(found.labels, untimed.labels)
