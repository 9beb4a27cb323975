"""Tracklets and links of a gallery, or of lines, against the truth: one figure for all, and where it is lost.

The same tracklets are scored three times: as they are linked, each by itself, and linked perfectly. What the last one
lacks is the detector's and the tracker's; what lies between it and the first is the linker's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy  # whose parts it imports when they are used

from resight.core.errors import DataError
from resight.core.records import FloatArray, IntArray
from resight.evaluation.intervals import percentile_interval, widened
from resight.video.formats.lines import Boxes
from resight.video.packing import boxes_at, boxes_nearest, nearest_moments
from resight.video.records import NO_TRACK, Times
from resight.video.scoring.metrics import Scores, scores, together
from resight.video.scoring.moments import Compared, Seen, compare, lies_on

SCHEMA = "resight.video-evaluation/1"
GAP_S = 1.0  # of a gallery's tracklets, which hold a few moments a second
SAMPLES = 1000
FAR = 0.75  # of the truth's step: a box so far from its moments lies at none of them


@dataclass(frozen=True, eq=False)
class Track:
    """One tracklet to score. identity: whom it was linked to. times: (n,) seconds, rising. boxes: (n, 4). gap_s:
    between two boxes that lie no farther apart it was there too; 0 scores what was written and no more."""

    camera: str
    identity: int
    times: Times
    boxes: FloatArray
    gap_s: float = 0.0


@dataclass(frozen=True)
class CameraPair:
    """Pairs of tracklets of two cameras, or of one. same: of one person; linked: of one identity; both: rightly so."""

    first: str
    second: str
    same: int
    linked: int
    both: int

    @property
    def precision(self) -> float:
        """The share of linked pairs that are of one person; 1 where none is linked."""
        return self.both / self.linked if self.linked else 1.0

    @property
    def recall(self) -> float:
        """The share of pairs of one person that are linked; 1 where there are none."""
        return self.both / self.same if self.same else 1.0


@dataclass(frozen=True)
class VideoEvaluation:
    """linked, alone, perfect: scores of the tracklets as they are linked, each by itself, and linked perfectly.
    interval: of linked IDF1, 95%, over people. cameras: scores of each camera by itself, as linked. pairs: of tracklets
    that show somebody of the truth. identities_per_person: in how many identities a person is split, on average;
    people_per_identity: how many an identity mixes. right_time: the share of people's time under their main identity.
    num_people, num_identities, num_tracklets, num_moments: counts. false_tracklets: that show nobody of the truth."""

    linked: Scores
    interval: tuple[float, float]
    alone: Scores
    perfect: Scores
    cameras: Mapping[str, Scores]
    pairs: tuple[CameraPair, ...]
    identities_per_person: float
    people_per_identity: float
    right_time: float
    num_people: int
    num_identities: int
    num_tracklets: int
    num_moments: int
    false_tracklets: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, by the schema `resight.video-evaluation/1`."""
        values = asdict(self)
        for name in ("linked", "alone", "perfect"):
            values[name] = getattr(self, name).to_dict()
        values["cameras"] = {name: each.to_dict() for name, each in self.cameras.items()}
        return {"schema": SCHEMA, **values}


def evaluate_tracks(tracks: Sequence[Track], truth: Boxes, *, samples: int = SAMPLES, seed: int = 0) -> VideoEvaluation:
    """Scores tracklets against the truth. truth: boxes with times and cameras; `tracks` of it are the people. Its
    boxes of score 0 do not count, and neither do those of a tracklet that lie on a distractor, as in MOTChallenge.

    Raises DataError where they have no camera in common.
    """
    cameras = sorted(set(truth.cameras[(truth.scores > 0) & ~truth.distractors].tolist()))
    truth = truth[np.isin(truth.cameras, cameras)]
    truth = truth[np.argsort(truth.cameras, kind="stable")]
    kept = [track for track in tracks if track.camera in cameras]
    if not kept:
        there = ", ".join(sorted({track.camera for track in tracks})) or "none"
        raise DataError(f"the truth is of {', '.join(cameras)}, and the tracklets are of {there}: no camera in common")
    real, found, of_camera = _laid_out(kept, truth, cameras)
    counted = (truth.scores > 0) & ~truth.distractors
    free = ~lies_on(real, truth.distractors, found)
    real, found, of_camera = real[counted], found[free], (of_camera[0][counted], of_camera[1][free])
    compared = compare(real, found)  # identities are tracklets here: rows of kept
    counts = together(compared)
    whose = _whose(compared, counts, len(kept))
    identities = np.array([track.identity for track in kept], np.int64)
    perfect = np.where(whose >= 0, whose, -2 - np.arange(len(kept)))
    linked = compare(real, replace(found, ids=identities[found.ids]))
    seen = whose >= 0
    split = [len(set(identities[whose == person].tolist())) for person in np.unique(whose[seen])]
    mixed = [len(set(whose[seen & (identities == each)].tolist())) for each in np.unique(identities[seen])]
    figures = scores(linked)
    return VideoEvaluation(
        figures,
        _interval(linked, samples, seed),
        scores(compared),
        scores(compare(real, replace(found, ids=perfect[found.ids]))),
        {
            camera: scores(
                compare(real[of_camera[0] == row], replace(found, ids=identities[found.ids])[of_camera[1] == row])
            )
            for row, camera in enumerate(cameras)
        },
        _pairs(kept, whose, identities),
        float(np.mean(split)) if split else 0.0,
        float(np.mean(mixed)) if mixed else 0.0,
        _right_time(linked),
        len(compared.truth_ids),
        len(np.unique(identities)),
        len(kept),
        len(compared.moments),
        int((~seen).sum()),
    )


def tracks_of_lines(boxes: Boxes) -> list[Track]:
    """The tracks of lines, each an identity of its own; a number is one identity over all cameras."""
    found = []
    for camera in sorted(set(boxes.cameras.tolist())):
        mine = boxes.cameras == camera
        for number in np.unique(boxes.tracks[mine & (boxes.tracks != NO_TRACK)]):
            rows = np.flatnonzero(mine & (boxes.tracks == number))
            rows = rows[np.argsort(boxes.times[rows], kind="stable")]
            found.append(Track(camera, int(number), boxes.times[rows], boxes.boxes[rows]))
    return found


def _laid_out(
    tracks: Sequence[Track], truth: Boxes, cameras: Sequence[str]
) -> tuple[Seen, Seen, tuple[IntArray, IntArray]]:
    """Truth and tracklets on the moments of the truth, and on others where only a tracklet is. The tracklets' ids are
    their rows; the last are the cameras' rows of either's boxes. truth: camera after camera, whose order stays."""
    real: list[tuple[IntArray, IntArray, FloatArray]] = []
    found: list[tuple[IntArray, IntArray, FloatArray]] = []
    rows: tuple[list[IntArray], list[IntArray]] = ([], [])
    first = 0
    for number, camera in enumerate(cameras):
        mine = truth.cameras == camera
        own = [(row, track) for row, track in enumerate(tracks) if track.camera == camera]
        moments = np.unique(truth.times[mine])
        step = float(np.median(np.diff(moments))) if len(moments) > 1 else 0.1
        moments = _with_others(moments, own, step)
        at = np.searchsorted(moments, truth.times[mine])
        real.append((first + at, truth.tracks[mine], truth.boxes[mine]))
        rows[0].append(np.full(int(mine.sum()), number))
        for row, track in own:
            boxes = (
                boxes_at(track.times, track.boxes, moments, track.gap_s, step / 2)
                if track.gap_s
                else boxes_nearest(track.times, track.boxes, moments, FAR * step)
            )
            there = np.flatnonzero(np.isfinite(boxes).all(axis=1))
            found.append((first + there, np.full(len(there), row), boxes[there]))
            rows[1].append(np.full(len(there), number))
        first += len(moments)
    return _seen(real), _seen(found), (np.concatenate(rows[0]), np.concatenate(rows[1]))


def _with_others(moments: Times, tracks: Sequence[tuple[int, Track]], step: float) -> Times:
    """The moments of the truth, and those of boxes that lie at none of them: nobody was there, so they are false."""
    if not len(tracks):
        return moments
    times = np.unique(np.concatenate([track.times for _, track in tracks]))
    _, away = nearest_moments(times, moments)
    return np.union1d(moments, times[away > FAR * step])


def _seen(parts: Sequence[tuple[IntArray, IntArray, FloatArray]]) -> Seen:
    if not parts:
        return Seen(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4), np.float32))
    moments, ids, boxes = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Seen(moments.astype(np.int64), ids.astype(np.int64), boxes)


def _whose(compared: Compared, counts: npt.NDArray[np.float64], num: int) -> IntArray:
    """(num,): the person whom each tracklet shows most, in a tenth of its boxes at the least; else -1."""
    whose = np.full(num, -1, np.int64)
    for column, row in enumerate(compared.result_ids.tolist()):
        best = int(counts[:, column].argmax()) if len(counts) else 0
        if len(counts) and counts[best, column] >= 0.1 * compared.result_counts[column]:
            whose[row] = compared.truth_ids[best]
    return whose


def _pairs(tracks: Sequence[Track], whose: IntArray, identities: IntArray) -> tuple[CameraPair, ...]:
    cameras = np.array([track.camera for track in tracks])
    found = []
    for first, second in combinations_with_replacement(sorted(set(cameras.tolist())), 2):
        one = np.flatnonzero((cameras == first) & (whose >= 0))
        other = np.flatnonzero((cameras == second) & (whose >= 0))
        same = whose[one][:, None] == whose[other][None]
        linked = identities[one][:, None] == identities[other][None]
        counted = np.triu(np.ones(same.shape, np.bool_), 1) if first == second else np.ones(same.shape, np.bool_)
        found.append(
            CameraPair(
                first,
                second,
                int((same & counted).sum()),
                int((linked & counted).sum()),
                int((same & linked & counted).sum()),
            )
        )
    return tuple(found)


def _right_time(compared: Compared) -> float:
    counts = together(compared)
    return float(counts.max(axis=1).sum() / max(1, compared.truth_counts.sum())) if counts.size else 0.0


def _interval(compared: Compared, samples: int, seed: int) -> tuple[float, float]:
    """95% of IDF1, over people: each with its boxes, and with those of the identity that it was given."""
    counts = together(compared)
    rows, columns = scipy.optimize.linear_sum_assignment(counts, maximize=True)
    right, given = np.zeros(len(counts)), np.zeros(len(counts))
    right[rows], given[rows] = counts[rows, columns], compared.result_counts[columns]
    rest = float(compared.result_counts.sum() - given.sum()) / max(1, len(counts))
    drawn = np.random.default_rng(seed).integers(0, max(1, len(counts)), (samples, max(1, len(counts))))
    if not len(counts):
        return 0.0, 0.0
    values = 2 * right[drawn].sum(axis=1) / (compared.truth_counts + given + rest)[drawn].sum(axis=1)
    drawn_from = percentile_interval(values)
    whole = 2 * right.sum() / (compared.truth_counts + given + rest).sum()
    found = widened(drawn_from, float(whole), len(counts))
    return found.low, found.high
