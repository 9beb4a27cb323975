"""Which pictures make up each batch of an epoch: pure functions of the labels, the epoch and the seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from resight.core.errors import ConfigError
from resight.core.records import IntArray


def shuffled_batches(num_images: int, batch_size: int, epoch: int, seed: int) -> IntArray:
    """Each picture once, in random order: (num_batches, batch_size) int64. The incomplete rest is left out."""
    if num_images < batch_size:
        raise ConfigError(f"{num_images} training pictures do not fill one batch of {batch_size}")
    order = np.random.default_rng([seed, epoch]).permutation(num_images)
    num_batches = num_images // batch_size
    return order[: num_batches * batch_size].reshape(num_batches, batch_size).astype(np.int64)


def balanced_batches(
    labels: IntArray, batch_size: int, images_per_identity: int, epoch: int, seed: int, cameras: IntArray | None = None
) -> IntArray:
    """P identities x K pictures a batch (Hermans et al., 2017): (num_batches, batch_size) int64.

    labels: (n,) class indices. Each batch draws its P identities anew, without those of the batches before: in an epoch
    one comes more often than another by chance, and one may not come. An epoch shows about as many pictures as there
    are. The K pictures of an identity are different ones; where it has fewer than K, K are drawn with repetition, of
    any camera. cameras: (n,) who took each; of an identity with K pictures and more, the K are then by as many cameras
    as it has, K at most, so that a batch has pairs across cameras.
    """
    num_identities = batch_size // images_per_identity
    identities = np.unique(labels)
    if len(identities) < num_identities:
        raise ConfigError(
            f"a balanced batch of {batch_size} takes {num_identities} identities of {images_per_identity} "
            f"pictures; the training set has {len(identities)}"
        )
    rng = np.random.default_rng([seed, epoch])
    rows_of = {int(label): np.flatnonzero(labels == label) for label in identities}

    def pictures(label: int) -> IntArray:
        rows = rows_of[label]
        if cameras is not None:
            rows = _camera_by_camera(rows, cameras[rows], rng)
        if len(rows) < images_per_identity:
            return rng.choice(rows, images_per_identity)
        return rng.choice(rows, images_per_identity, replace=False) if cameras is None else rows[:images_per_identity]

    return np.stack(
        [
            np.concatenate([pictures(int(label)) for label in rng.choice(identities, num_identities, replace=False)])
            for _ in range(max(1, len(labels) // batch_size))
        ]
    ).astype(np.int64)


def batch_stream(turn_of: Callable[[int], IntArray], first: int, count: int) -> IntArray:
    """Batches `first` to `first` + `count` of turns one after the other, each of as many: (count, batch_size) int64."""
    found, length = [], len(turn_of(0))
    while count > 0:
        turn, skipped = divmod(first, length)
        found.append(turn_of(turn)[skipped : skipped + count])
        first, count = first + len(found[-1]), count - len(found[-1])
    return np.concatenate(found)


def _camera_by_camera(rows: IntArray, cameras: IntArray, rng: np.random.Generator) -> IntArray:
    """The rows in random order, but one of each camera before a second one of any."""
    order = rng.permutation(len(rows))
    turn = np.empty(len(rows), np.int64)  # the how-manieth of its camera each is
    seen: dict[int, int] = {}
    for place, camera in zip(order, cameras[order].tolist(), strict=True):
        turn[place] = seen.get(camera, 0)
        seen[camera] = turn[place] + 1
    return rows[order[np.argsort(turn[order], kind="stable")]]
