"""Thresholds for false accept rates at a site where nobody has been named.

Two pictures by two cameras, drawn at random, are of two people but for a small share: with 500 people one pair in 500
or so is of one person. Those few look alike, so that the share of all such pairs above a threshold is, if anything, too
high for pairs of two people: a threshold that keeps to a rate of false accepts among all pairs keeps to it among them.
No label is needed, and nothing is assumed of the model. What cannot be known is the other error: how many pairs of one
person are missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from resight.core.calibration import Calibration, Rate, RateCurve
from resight.core.errors import DataError
from resight.core.records import EmbeddedCrops, FloatArray, IntArray
from resight.evaluation.decisions.calibrate import digest
from resight.evaluation.decisions.rates import Trials, Values, share_above
from resight.evaluation.decisions.verification import score_pairs

LEAST_GROUPS = 60  # tracklets, or pictures without tracks
CURVE_THRESHOLDS = 256
MOST_PAIRS = 500_000
PASSES = 2.0  # times that a person comes past a camera, at the most on average: more are not counted on
LOOK_LIKE_ALL = 2  # walks that may look like everybody and are not among these: no rate below their pairs is promised
PRIOR_LIMIT = 0.5  # of the share of pairs of one person, which is bounded by the number of tracklets


@dataclass(frozen=True, eq=False)
class Blind:
    """A calibration without labels, and what is known of the error that it cannot promise.

    missed_within: of pairs of one tracklet, the share below each of the calibration's thresholds: pairs by two cameras
    are missed more often than that; empty without tracks. one_person: the share of pairs by two cameras that may be of
    one person, at the most.
    """

    calibration: Calibration
    missed_within: tuple[float, ...]
    one_person: float


def calibrate_unlabelled(
    embeddings: FloatArray,
    cameras: Sequence[str],
    tracks: Sequence[str | None] | None = None,
    *,
    data: str = "not stated",
    rights: str = "not stated",
    date: str | None = None,
    site: str = "",
    seed: int = 0,
) -> Blind:
    """Thresholds for false accept rates, with their intervals, from crops of people whom nobody named.

    embeddings: (n, dim), as they are compared. cameras: the camera's name of each. tracks: equal for the pictures of
    one walk past one camera, None where not known: such a picture is a walk of its own. data, rights, date, site, seed:
    as for `calibrate`.

    The calibration's false reject and false negative rates end at 1: nobody knows them, so that it never says
    `different` or `nobody we know`. Its false positive rate of a search is what so many pairs at that rate can make at
    the most. Raises DataError where there are fewer than 60 walks, or one camera.
    """
    names = np.asarray(cameras, np.str_)
    codes = np.unique(names, return_inverse=True)[1].astype(np.int64)
    walks = _walks(codes, tracks)
    num_cameras, num_walks = len(np.unique(codes)), len(np.unique(walks))
    if num_cameras < 2 or num_walks < LEAST_GROUPS:
        raise DataError(
            f"{num_walks} walks past {num_cameras} camera(s): thresholds without labels take {LEAST_GROUPS} walks (or "
            "pictures without tracks) and two cameras"
        )
    rows = np.arange(len(codes))
    crops = EmbeddedCrops(embeddings, walks + 1, codes, rows.astype(np.uint64), tuple(map(str, rows)))
    pairs = score_pairs(crops, crops, most_impostors=MOST_PAIRS, seed=seed)
    repeats = PASSES * num_cameras
    thresholds = _thresholds(pairs.impostor)
    counted = share_above(Trials(pairs.impostor, pairs.impostor_people, pairs.num_people, repeats=repeats), thresholds)
    one_person = min(PRIOR_LIMIT, PASSES * repeats / num_walks)
    least = LOOK_LIKE_ALL * _share_of_one(codes, walks)
    accept = RateCurve(
        counted.rate, counted.low, tuple(min(1.0, max(high, least) / (1 - one_person)) for high in counted.high)
    )
    people = max(1, round(num_walks / repeats))
    missed = _missed_within(embeddings, walks, thresholds)
    unknown = RateCurve(missed or (0.0,) * len(thresholds), (0.0,) * len(thresholds), (1.0,) * len(thresholds))
    calibration = Calibration(
        method="none",
        similarity=(),
        log_odds=(),
        thresholds=tuple(thresholds.tolist()),
        false_accept=accept,
        false_reject=unknown,
        false_positive=_of_searches(accept, people),
        false_negative=unknown,
        num_people=people,
        num_genuine=0,
        num_impostor=pairs.num_impostor // 2,
        brier={},
        ece=Rate(0.0, 0.0, 1.0),
        data=data,
        data_digest=digest(crops),
        rights=rights,
        date=date or datetime.now(UTC).isoformat(timespec="seconds"),
        site=site,
    )
    return Blind(calibration, missed, one_person)


def _walks(cameras: IntArray, tracks: Sequence[str | None] | None) -> IntArray:
    """A code for each walk past a camera, (n,) int64."""
    if tracks is None:
        return np.arange(len(cameras), dtype=np.int64)
    known: dict[tuple[int, object], int] = {}
    walks = [
        known.setdefault((camera, row if track is None else track), len(known))
        for row, (camera, track) in enumerate(zip(cameras.tolist(), tracks, strict=True))
    ]
    return np.array(walks, np.int64)


def _share_of_one(cameras: IntArray, walks: IntArray) -> float:
    """The share of all pairs by two cameras that one walk is in: the mean over walks, each as often as it is in one."""
    partners = len(cameras) - np.bincount(cameras)[cameras]
    share = np.bincount(walks, partners) / (partners.sum() / 2)
    return float((share**2).sum() / share.sum())


def _thresholds(similarity: FloatArray) -> Values:
    """Ascending, from shares of the pairs in even steps of their logarithm."""
    shares = np.geomspace(1 / len(similarity), 1, CURVE_THRESHOLDS)
    top = np.nextafter(similarity.max(), np.float32(np.inf))
    chosen = np.concatenate([np.quantile(similarity, 1 - shares), [float(top)]])
    return np.unique(chosen.astype(np.float32)).astype(np.float64)


def _of_searches(accept: RateCurve, people: int) -> RateCurve:
    """Of searches among so many people: what the rate of pairs makes, were all their errors at different moments, which
    is the most that it can."""
    parts = (tuple(min(1.0, people * value) for value in part) for part in (accept.rate, accept.low, accept.high))
    return RateCurve(*parts)


def _missed_within(embeddings: FloatArray, walks: IntArray, thresholds: Values) -> tuple[float, ...]:
    """Of pairs of one walk, the share below each threshold; empty where no walk has two pictures."""
    order = np.argsort(walks, kind="stable")
    rows, groups = embeddings[order].astype(np.float64), walks[order]
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    next_to = np.flatnonzero(groups[1:] == groups[:-1])
    if not len(next_to):
        return ()
    alike = np.sort(np.einsum("ij,ij->i", rows[next_to], rows[next_to + 1]))
    return tuple((np.searchsorted(alike, thresholds, "left") / len(alike)).tolist())
