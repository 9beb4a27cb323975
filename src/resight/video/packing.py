"""The boxes of a tracklet as short text, for an entry's attributes: times to a millisecond, sides to half a pixel."""

from __future__ import annotations

import base64
import binascii
import zlib

import numpy as np
import numpy.typing as npt

from resight.core.errors import DataError
from resight.core.records import FloatArray, IntArray
from resight.video.records import Times


def pack_boxes(times: Times, boxes: FloatArray) -> str:
    """times: (n,) seconds, rising. boxes: (n, 4). The first time is kept elsewhere: the entry's own."""
    milliseconds = np.round((times - times[0]) * 1000)[:, None]
    values = np.concatenate([milliseconds, np.round(boxes * 2)], axis=1).astype(np.int64)
    steps = np.diff(values, axis=0, prepend=np.zeros((1, 5), np.int64)).T  # column by column: alike beside alike
    return base64.b64encode(zlib.compress(np.ascontiguousarray(steps).astype("<i4").tobytes(), 9)).decode()


def unpack_boxes(text: str, start: float) -> tuple[Times, FloatArray]:
    """times (n,) and boxes (n, 4) of `pack_boxes`. start: the first time, seconds. Raises DataError."""
    try:
        steps = np.frombuffer(zlib.decompress(base64.b64decode(text, validate=True)), "<i4").reshape(5, -1)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise DataError(f"an entry's boxes cannot be read ({error}); add its video again") from None
    values: npt.NDArray[np.int64] = np.cumsum(steps.T, axis=0, dtype=np.int64)
    return start + values[:, 0] / 1000, (values[:, 1:] / 2).astype(np.float32)


def boxes_at(times: Times, boxes: FloatArray, moments: Times, gap_s: float, near_s: float) -> FloatArray:
    """(m, 4): where the person was at each of the moments, between boxes that lie at most `gap_s` apart; NaN elsewhere.
    near_s: at the ends, how far a moment may lie from a box."""
    found = np.stack([np.interp(moments, times, boxes[:, side]) for side in range(4)], axis=1)
    after = np.searchsorted(times, moments).clip(1, max(1, len(times) - 1))
    to_first = np.abs(moments - times[after - 1])
    to_second = np.abs(times[np.minimum(after, len(times) - 1)] - moments)
    inside = (moments >= times[0]) & (moments <= times[-1]) & (to_first + to_second <= gap_s)
    near = np.minimum(to_first, to_second) <= near_s
    found[~(inside | near)] = np.nan
    return found.astype(np.float32)


def boxes_nearest(times: Times, boxes: FloatArray, moments: Times, most_s: float) -> FloatArray:
    """(m, 4): each box at the one moment that lies nearest to it, at most `most_s` away; of two boxes at one moment the
    nearer; NaN elsewhere. moments: (m,) rising, one at the least."""
    place, away = nearest_moments(times, moments)
    order = np.flatnonzero(away <= most_s)
    order = order[np.argsort(-away[order], kind="stable")]  # the nearest is written last
    found = np.full((len(moments), 4), np.nan, np.float32)
    found[place[order]] = boxes[order]
    return found


def nearest_moments(times: Times, moments: Times) -> tuple[IntArray, Times]:
    """Of each time the place of the nearest moment, and how far away it lies, (n,) both. moments: as above."""
    after = np.searchsorted(moments, times).clip(1, max(1, len(moments) - 1))
    before, after = after - 1, np.minimum(after, len(moments) - 1)
    place = np.where(np.abs(times - moments[before]) <= np.abs(moments[after] - times), before, after)
    return place, np.abs(times - moments[place])
