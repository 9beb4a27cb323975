"""What is counted at a site without identities."""

from __future__ import annotations

import numpy as np

from resight.site.criterion import seen_again


def test_whether_a_camera_sees_a_person_again() -> None:
    """People of three cameras, who look otherwise on each walk, four pictures of it."""
    rng = np.random.default_rng(0)
    walks = rng.normal(size=(150, 1, 24)) + 0.7 * rng.normal(size=(150, 3, 24))
    rows = (walks[:, :, None] + 0.3 * rng.normal(size=(150, 3, 4, 24))).reshape(-1, 24).astype(np.float32)
    cameras = np.tile(np.repeat(np.arange(3), 4), 150)
    assert seen_again(rows, cameras) > 0.9
    assert seen_again(rows[::4], cameras[::4]) < 0.5
    assert np.isnan(seen_again(rows, np.zeros_like(cameras)))


def test_the_share_by_hand() -> None:
    """Of camera 0 both pictures are nearer to each other; of camera 1 each is nearer to one by camera 0."""
    angles = np.radians([0, 10, -30, 60])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert seen_again(rows, np.array([0, 0, 1, 1])) == 0.5
