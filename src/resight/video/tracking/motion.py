"""Where tracks will be: a Kalman filter a side of each box, of constant velocity, by time.

Middle, width and height of a box move independently of each other, so that each is a filter of two states (place and
speed), and all of them are computed at once. Noise is in heights of the person, so that it is the same near and far.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
# Of middle x, middle y, width, height: in heights of the box.
MEASURED = np.array([0.05, 0.05, 0.08, 0.05])  # how far detectors put a box beside the person
PUSHED = np.array([0.7, 0.5, 0.2, 0.2])  # how strongly speeds change, in heights a second and square root of a second
FIRST_SPEED = np.array([1.0, 0.6, 0.2, 0.2])  # in heights a second


@dataclass(eq=False)
class Motion:
    """n boxes in motion. place, speed: (n, 4) of middle x, middle y, width, height, in pixels and pixels a second.
    spread: (n, 4, 3): variances of place, of both, and of speed."""

    place: Values
    speed: Values
    spread: Values

    @classmethod
    def of(cls, boxes: npt.ArrayLike) -> Motion:
        """Boxes (n, 4), seen for the first time."""
        place = middles(boxes)
        height = place[:, 3:]
        spread = np.zeros((len(place), 4, 3))
        spread[..., 0] = (MEASURED * height) ** 2
        spread[..., 2] = (FIRST_SPEED * height) ** 2
        return cls(place, np.zeros_like(place), spread)

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> Motion:
        return Motion(self.place[rows], self.speed[rows], self.spread[rows])

    def joined(self, other: Motion) -> Motion:
        """Both, one after the other."""
        return Motion(
            np.concatenate([self.place, other.place]),
            np.concatenate([self.speed, other.speed]),
            np.concatenate([self.spread, other.spread]),
        )

    def after(self, seconds: float) -> Motion:
        """Where they will be."""
        push = (PUSHED * self.place[:, 3:]) ** 2
        a, b, c = np.moveaxis(self.spread, -1, 0)
        spread = np.stack(
            [
                a + 2 * seconds * b + seconds**2 * c + push * seconds**3 / 3,
                b + seconds * c + push * seconds**2 / 2,
                c + push * seconds,
            ],
            axis=-1,
        )
        place = self.place + seconds * self.speed
        place[:, 2:] = np.maximum(place[:, 2:], 0.5 * self.place[:, 2:])  # nobody shrinks to nothing unseen
        return Motion(place, self.speed, spread)

    def corrected(self, rows: npt.NDArray[np.int64], boxes: npt.ArrayLike) -> None:
        """Takes in the boxes (m, 4) at which some of them were found, in place."""
        seen = middles(boxes)
        noise = (MEASURED * seen[:, 3:]) ** 2
        a, b, c = np.moveaxis(self.spread[rows], -1, 0)
        gain, gain_speed = a / (a + noise), b / (a + noise)
        off = seen - self.place[rows]
        self.place[rows] += gain * off
        self.speed[rows] += gain_speed * off
        self.spread[rows] = np.stack([(1 - gain) * a, (1 - gain) * b, c - gain_speed * b], axis=-1)

    def boxes(self) -> Values:
        """(n, 4): left, top, right, bottom."""
        half = self.place[:, 2:] / 2
        return np.concatenate([self.place[:, :2] - half, self.place[:, :2] + half], axis=1)

    def doubt(self) -> Values:
        """(n, 2): how far the middle may be off, as standard deviations in pixels, across and down."""
        return np.sqrt(self.spread[:, :2, 0])


def middles(boxes: npt.ArrayLike) -> Values:
    """(n, 4) of middle x, middle y, width, height, of left, top, right, bottom."""
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    return np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], axis=1)
