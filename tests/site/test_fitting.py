from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from resight.core.distances import unit_rows
from resight.core.errors import DataError, EmbeddingError
from resight.core.records import EmbeddedCrops
from resight.evaluation.evaluate import evaluate
from resight.site.criterion import tracklet_codes, tracklet_eer
from resight.site.doubts import doubts_of
from resight.site.fitting import fit_site, whitening, within_scatter
from resight.site.transform import CameraFacts, SiteTransform
from tests.site.places import Place, place


def _mean_ap(where: Place, site: SiteTransform | None = None) -> float:
    crops = where.crops()
    if site is not None:
        crops = replace(crops, embeddings=site.apply(crops.embeddings, where.cameras))
    query = np.flatnonzero(crops.camids == 1)
    return evaluate(_part(crops, query), _part(crops, np.flatnonzero(crops.camids != 1))).mean_ap


def _part(crops: EmbeddedCrops, rows: np.ndarray) -> EmbeddedCrops:
    columns = (crops.embeddings[rows], crops.pids[rows], crops.camids[rows], crops.content_hashes[rows])
    return EmbeddedCrops(*columns, tuple(crops.names[row] for row in rows))


def test_what_is_fitted_on_some_people_helps_others() -> None:
    ours, others = place(seed=1), place(seed=2)
    raw = _mean_ap(others)
    centred = _mean_ap(others, fit_site(ours.embeddings, ours.cameras, exponent=0))
    site = fit_site(ours.embeddings, ours.cameras, ours.tracks)
    assert site.facts.method == "tracklets"
    assert raw + 0.1 < centred < _mean_ap(others, site) - 0.1


def test_the_criterion_ranks_as_the_truth_does() -> None:
    ours, others = place(seed=1), place(seed=2)
    cameras, tracklets = tracklet_codes(others.cameras, others.tracks)
    judged, true = [], []
    for power in (0.0, 0.25, 0.5):
        site = fit_site(ours.embeddings, ours.cameras, ours.tracks, exponent=power)
        judged.append(tracklet_eer(site.apply(others.embeddings, others.cameras), cameras, tracklets))
        true.append(_mean_ap(others, site))
    assert np.argsort(judged).tolist() == np.argsort(true)[::-1].tolist()


def test_the_mean_of_a_camera_by_hand() -> None:
    ours = place()
    site = fit_site(ours.embeddings, ours.cameras, exponent=0)
    own = ours.embeddings[np.array(ours.cameras) == "c1"]
    assert site.cameras == ("c0", "c1", "c2")
    assert site.means[1] == pytest.approx(own.mean(axis=0) * len(own) / (len(own) + 10), abs=1e-6)
    assert site.site_mean == pytest.approx(ours.embeddings.mean(axis=0), abs=1e-6)
    assert site.matrix == pytest.approx(np.eye(site.dim), abs=1e-6)
    assert site.facts.cameras["c1"].pictures == len(own)


def test_scatter_and_whitening_by_hand() -> None:
    rows = np.array([[1, 0], [3, 0], [5, 1], [5, 3]], np.float32)
    scatter = within_scatter(rows, np.array([7, 7, 2, 2]))
    assert scatter.tolist() == [[1, 0], [0, 1]]  # (1 + 1) / (4 rows - 2 groups), each
    matrix = whitening(np.diag([3.0, 1.0]), 0.5)
    powers = np.array([3.6, 1.6]) ** -0.5  # 0.3 of the mean eigenvalue is added
    assert np.diag(matrix) == pytest.approx(powers / powers.mean())


def test_a_camera_that_was_never_seen_gets_the_mean_of_the_site() -> None:
    ours = place()
    site = fit_site(ours.embeddings, ours.cameras, ours.tracks)
    assert site.knows("c0")
    assert not site.knows("new")
    assert not site.knows(None)
    moved = (ours.embeddings[:1] - site.site_mean) @ site.matrix
    assert site.apply(ours.embeddings[:1], "new") == pytest.approx(moved / np.linalg.norm(moved), abs=1e-6)


def test_equal_pictures_count_once() -> None:
    ours = place()
    again = np.concatenate([ours.embeddings, np.repeat(ours.embeddings[:1], 500, axis=0)])
    site = fit_site(ours.embeddings, ours.cameras, exponent=0)
    assert fit_site(again, [*ours.cameras, *["c0"] * 500], exponent=0).identity == site.identity
    with pytest.raises(DataError, match="equal ones count once"):
        fit_site(np.repeat(ours.embeddings[:4], 300, axis=0), ["a", "b"] * 600)


def test_a_camera_of_few_pictures_gets_no_mean_and_a_warning() -> None:
    ours = place()
    cameras = [camera if row % 240 < 99 else "c0" for row, camera in enumerate(ours.cameras)]
    cameras[240:480] = ["c1"] * 240
    site = fit_site(ours.embeddings, cameras)
    assert site.cameras == ("c0", "c1")
    assert site.facts.left_out == {"c2": 99}
    assert "camera c2 has 99 pictures, too few for a mean" in site.facts.warnings[0]


@pytest.mark.parametrize(
    ("rows", "cameras", "tracks", "why"),
    [
        (slice(0, 240), None, None, "here 1 of 1 has as many. Pictures that name no camera count as one camera's"),
        (slice(0, 10), None, None, r"here 0 of 1 have as many. Without a mean: camera c0 \(10 pictures\)"),
        (slice(0, 0), None, None, "there are no pictures"),
        (slice(None), None, ["one"] * 720, "3 tracklets of two pictures and more"),
        (slice(None), None, list(map(str, range(720))), "0 tracklets of two pictures and more"),
    ],
)
def test_what_is_too_little_is_refused(
    rows: slice, cameras: list[str] | None, tracks: list[str] | None, why: str
) -> None:
    ours = place()
    with pytest.raises(DataError, match=why):
        fit_site(ours.embeddings[rows], (cameras or ours.cameras)[rows], tracks)


def test_what_is_no_embedding_is_refused() -> None:
    ours = place()
    broken = ours.embeddings.copy()
    broken[7, 0] = np.nan
    with pytest.raises(EmbeddingError, match="1 of 720 embeddings hold NaN or infinity, the first is row 7"):
        fit_site(broken, ours.cameras)
    with pytest.raises(EmbeddingError, match="all zeros"):
        fit_site(np.zeros((720, 4)), ours.cameras)
    with pytest.raises(EmbeddingError, match="720 embeddings, but 3 cameras"):
        fit_site(ours.embeddings, ["a", "b", "c"])
    with pytest.raises(EmbeddingError, match="numbers"):
        fit_site([["a"]], ["c"])
    with pytest.raises(EmbeddingError, match="720 embeddings, but times of shape"):
        fit_site(ours.embeddings, ours.cameras, times=[1.0])
    with pytest.raises(DataError, match="between 0 and 1"):
        fit_site(ours.embeddings, ours.cameras, exponent=2)


def test_wrong_tracks_are_told() -> None:
    ours = place()
    mixed = np.random.default_rng(0).permutation(ours.tracks).tolist()
    site = fit_site(ours.embeddings, ours.cameras, mixed)
    assert any("are the tracks right?" in warning for warning in site.facts.warnings)
    assert not any(
        "tracks" in warning for warning in fit_site(ours.embeddings, ours.cameras, ours.tracks).facts.warnings
    )


def test_a_camera_far_from_all_others_and_one_of_two_names_are_told() -> None:
    ours = place(cameras=5, cast=0.4)
    apart = ours.embeddings + 2 * (np.array(ours.cameras) == "c3")[:, None].astype(np.float32)
    told = " ".join(fit_site(apart, ours.cameras).facts.warnings)
    assert "camera c3 has a mean far from all others" in told
    renamed = ["c1 renamed" if row % 2 and name == "c1" else name for row, name in enumerate(ours.cameras)]
    told = " ".join(fit_site(ours.embeddings, renamed).facts.warnings)
    assert "cameras c1 and c1 renamed have nearly the same mean" in told
    two = place(cameras=2)
    renamed = ["c1 renamed" if row % 2 and name == "c1" else name for row, name in enumerate(two.cameras)]
    (told,) = fit_site(two.embeddings, renamed).facts.warnings  # and not that the other one is far from both
    assert "cameras c1 and c1 renamed have nearly the same mean" in told
    site = fit_site(apart, ours.cameras, without=["c3"])
    assert not site.knows("c3")
    assert site.facts.warnings == ()


def test_the_distances_of_many_cameras_fit_in_memory() -> None:
    names = [f"c{number}" for number in range(200)]
    means = np.random.default_rng(0).normal(size=(200, 512)).astype(np.float32)
    means[1] = means[0]
    facts = {name: CameraFacts(pictures=500, tracklets=0, spread=1.0) for name in names}
    tracemalloc.start()
    try:
        told = doubts_of(means, names, facts, {}, 0.35, {})
        assert tracemalloc.get_traced_memory()[1] < 10 * means.nbytes
    finally:
        tracemalloc.stop()
    assert told == ("cameras c0 and c1 have nearly the same mean: one camera under two names?",)


def test_a_camera_that_was_renamed_is_told_by_the_times() -> None:
    """The people before and after are others, so that the two means are no nearer than chance makes them."""
    ours = place(people=120)
    moments = np.array([1000.0 * (int(track) >= 60) + int(track) for track in ours.tracks])
    renamed = [
        "new" if name == "c1" and moment >= 1000 else name for name, moment in zip(ours.cameras, moments, strict=True)
    ]
    told = fit_site(ours.embeddings, renamed, ours.tracks, times=moments).facts.warnings
    assert [warning for warning in told if "was it renamed?" in warning] == [
        "camera new begins after the last picture of c1, and is as like it as a camera is to itself: was it renamed? "
        "Then give both one name"
    ]
    assert not any("renamed" in warning for warning in fit_site(ours.embeddings, renamed, ours.tracks).facts.warnings)
    later = moments + 10_000 * (np.array(ours.cameras) == "c2")  # another camera, that another time began
    told = fit_site(ours.embeddings, ours.cameras, ours.tracks, times=later).facts.warnings
    assert not any("renamed" in warning for warning in told)


def test_a_tracker_that_counts_anew_each_day_is_told() -> None:
    ours = place()
    moments = np.arange(720.0)
    again = [str(int(track) % 30) for track in ours.tracks]  # the same numbers for other people
    days = moments + 86_400.0 * (np.array(list(map(int, ours.tracks))) >= 30)
    (told,) = (w for w in fit_site(ours.embeddings, ours.cameras, again, times=days).facts.warnings if "pause" in w)
    assert told.startswith("90 of 90 tracks go on after a pause of 10 minutes and more")
    told = " ".join(fit_site(ours.embeddings, ours.cameras, ours.tracks, times=days).facts.warnings)
    assert "pause" not in told


def test_a_transform_that_brings_nothing_within_cameras_is_told() -> None:
    """People and noise alike in all directions, and cameras that add nothing: there is nothing to take out."""
    rng = np.random.default_rng(2)
    people = rng.normal(size=(60, 256))
    rows = np.concatenate([people.repeat(3, axis=0) + 1.5 * rng.normal(size=(180, 256)) for _ in range(2)])
    cameras, tracks = ["a"] * 180 + ["b"] * 180, [str(row // 3) for row in range(360)]
    facts = fit_site(rows, cameras, tracks).facts
    assert facts.no_better
    assert any("told apart no better than raw" in warning for warning in facts.warnings)
    ours = place()
    assert not fit_site(ours.embeddings, ours.cameras, ours.tracks).facts.no_better
    assert not fit_site(ours.embeddings, ours.cameras).facts.no_better  # without tracks nothing tells


def test_a_camera_to_be_left_out_that_is_not_there_is_told() -> None:
    ours = place(people=40)
    site = fit_site(ours.embeddings, ours.cameras, without=["stafff"])
    assert any("no picture is by the camera stafff" in warning for warning in site.facts.warnings)
    assert site.identity == fit_site(ours.embeddings, ours.cameras).identity


def test_embeddings_of_any_length_are_moved_alike() -> None:
    seen = place(people=30)
    site = fit_site(seen.embeddings, seen.cameras)
    unit = unit_rows(seen.embeddings)
    np.testing.assert_allclose(site.apply(7 * unit, seen.cameras), site.apply(unit, seen.cameras), atol=1e-6)
    assert np.allclose(np.linalg.norm(site.apply(3 * site.means[:1], site.cameras[0]), axis=1), 1)
    mean, zero, one = np.array([[0.6, 0.8]], np.float32), np.zeros(2, np.float32), np.eye(2, dtype=np.float32)
    at_mean = SiteTransform("", ("c",), mean, zero, one)
    np.testing.assert_allclose(at_mean.apply(np.array([[3.0, 4.0]]), "c"), [[0.6, 0.8]], atol=1e-6)


def test_a_cameras_number_is_its_name() -> None:
    rows = np.random.default_rng(0).normal(size=(240, 8)).astype(np.float32)
    cameras = [1, 2] * 120
    site = fit_site(rows, cameras)  # type: ignore[arg-type]
    assert site.knows(1)  # type: ignore[arg-type]
    assert np.array_equal(site.apply(rows, cameras), site.apply(rows, list(map(str, cameras))))  # type: ignore[arg-type]
    with pytest.raises(EmbeddingError, match="3 tracks"):
        fit_site(rows, cameras, tracks=np.arange(3))  # type: ignore[arg-type]
