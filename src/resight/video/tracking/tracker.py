"""Our own tracker: by time and not by frames, in two stages of confidence, with a memory of lost tracks.

After ByteTrack (Zhang et al., 2022), where sure detections are matched first, and what the detector was unsure of then
prolongs tracks but begins none. Everything is in seconds, so that dropped frames and other rates change nothing else
than what is known; boxes are grown by how far the prediction may be off before their overlap is measured.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy  # whose parts it imports when they are used

from resight.core.errors import ConfigError
from resight.core.records import FloatArray, IntArray
from resight.video.boxes import grown_ious
from resight.video.records import NO_TRACK, Detections
from resight.video.tracking.motion import Motion, Values

RECENT = 8  # steps between frames that tell how rarely they come
UNSURE_S = 0.5  # a track that was not seen for longer is not prolonged by what the detector is unsure of


@dataclass(frozen=True)
class TrackerConfig:
    """sure: the score from which a detection is matched first. begin: from which it begins a track. unsure: from which
    it may prolong one. overlap_sure, overlap_unsure: the least IoU of both stages, of grown boxes. memory_s: for how
    long a lost track may be found again, in seconds. unproven_s: the same, of a track that was seen once only. grow:
    by how many standard deviations of the prediction boxes are grown, and at most by `most_grown` of their own size.
    similar: the least cosine similarity, where detections bring embeddings."""

    sure: float = 0.5
    begin: float = 0.65
    unsure: float = 0.1
    overlap_sure: float = 0.2
    overlap_unsure: float = 0.4
    memory_s: float = 3.0
    unproven_s: float = 0.25
    grow: float = 1.0
    most_grown: float = 0.5
    similar: float = 0.3

    def __post_init__(self) -> None:
        for name in ("sure", "begin", "unsure", "overlap_sure", "overlap_unsure"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} lies between 0 and 1, not at {getattr(self, name)}")


class TimeTracker:
    """Gives detections the numbers of their tracks, which it never gives twice. A `Tracker`.

    Example:
        >>> from resight.video.records import detections
        >>> tracker = TimeTracker()
        >>> [tracker(detections([[10 + x, 20, 50 + x, 140]], [0.9]), x / 100).tolist() for x in (0, 4, 8)]
        [[1], [1], [1]]
    """

    def __init__(self, config: TrackerConfig = TrackerConfig(), first: int = 1) -> None:
        """first: the number of the first track."""
        self.config = config
        self._next = first
        self._time: float | None = None
        self._steps: deque[float] = deque(maxlen=RECENT)
        self._motion = Motion.of(np.zeros((0, 4)))
        self._numbers: IntArray = np.zeros(0, np.int64)
        self._seen_at: Values = np.zeros(0)
        self._hits: IntArray = np.zeros(0, np.int64)
        self._looks: FloatArray | None = None

    def __call__(self, found: Detections, time: float) -> IntArray:
        """As `Tracker`. Raises ConfigError where time does not rise."""
        config = self.config
        if self._time is not None and time <= self._time:
            raise ConfigError(f"a tracker's times must rise: {time} comes after {self._time}")
        if self._time is not None:
            self._motion = self._motion.after(time - self._time)
            self._steps.append(time - self._time)
        self._time = time
        self._forget(time)
        numbers = np.full(len(found), NO_TRACK, np.int64)
        sure = np.flatnonzero(found.scores >= config.sure)
        unsure = np.flatnonzero((found.scores < config.sure) & (found.scores >= config.unsure))
        tracks = np.arange(len(self._numbers))
        tracks = self._match(found, sure, tracks, config.overlap_sure, time, numbers)
        recent = tracks[time - self._seen_at[tracks] <= self._at_least(UNSURE_S)]
        self._match(found, unsure, recent, config.overlap_unsure, time, numbers)
        fresh = sure[(numbers[sure] == NO_TRACK) & (found.scores[sure] >= config.begin)]
        self._begin(found, fresh, time, numbers)
        return numbers

    def _match(
        self, found: Detections, rows: IntArray, tracks: IntArray, least: float, time: float, numbers: IntArray
    ) -> IntArray:
        """Matches detections and tracks, writes numbers, and returns the tracks that are left."""
        if not len(rows) or not len(tracks):
            return tracks
        overlap = self._overlaps(found.boxes[rows], tracks)
        gain = overlap * (0.5 + 0.5 * found.scores[rows][None])
        allowed = overlap >= least
        if found.embeddings is not None and self._looks is not None:
            similar = self._looks[tracks] @ found.embeddings[rows].T
            allowed &= similar >= self.config.similar
            gain = gain + similar
        gain = np.where(allowed, gain + 1, 0.0)
        first, second = scipy.optimize.linear_sum_assignment(gain, maximize=True)
        good = allowed[first, second]
        matched, taken = tracks[first[good]], rows[second[good]]
        self._motion.corrected(matched, found.boxes[taken])
        self._seen_at[matched] = time
        self._hits[matched] += 1
        if found.embeddings is not None and self._looks is not None:
            mixed = 0.9 * self._looks[matched] + 0.1 * found.embeddings[taken]
            self._looks[matched] = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
        numbers[taken] = self._numbers[matched]
        return np.setdiff1d(tracks, matched)

    def _overlaps(self, boxes: npt.NDArray[np.float32], tracks: IntArray) -> Values:
        """(t, n): IoU of tracks, where they are expected, and detections, both grown by the track's doubt."""
        motion = self._motion[tracks]
        most = self.config.most_grown * motion.place[:, 2:]
        margins = np.minimum(self.config.grow * motion.doubt(), most)
        return grown_ious(motion.boxes(), boxes, margins)

    def _begin(self, found: Detections, rows: IntArray, time: float, numbers: IntArray) -> None:
        if not len(rows):
            return
        fresh = np.arange(self._next, self._next + len(rows))
        self._next += len(rows)
        numbers[rows] = fresh
        self._motion = self._motion.joined(Motion.of(found.boxes[rows]))
        self._numbers = np.concatenate([self._numbers, fresh])
        self._seen_at = np.concatenate([self._seen_at, np.full(len(rows), time)])
        self._hits = np.concatenate([self._hits, np.ones(len(rows), np.int64)])
        if found.embeddings is not None:
            old = np.zeros((0, found.embeddings.shape[1]), np.float32) if self._looks is None else self._looks
            self._looks = np.concatenate([old, found.embeddings[rows]])

    def _at_least(self, seconds: float) -> float:
        """So many seconds, or longer where frames come so rarely that a track would never be looked for again."""
        return max(seconds, 1.5 * max(self._steps, default=0.0))

    def _forget(self, time: float) -> None:
        limit = np.where(self._hits > 1, self.config.memory_s, self._at_least(self.config.unproven_s))
        kept = np.flatnonzero(time - self._seen_at <= limit)
        self._motion = self._motion[kept]
        self._numbers, self._seen_at, self._hits = self._numbers[kept], self._seen_at[kept], self._hits[kept]
        if self._looks is not None:
            self._looks = self._looks[kept]
