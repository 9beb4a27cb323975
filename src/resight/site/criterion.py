"""How good embeddings are at a site, without identities: the EER of tracklets within a camera.

Two pictures of one tracklet are of one person; pictures of two tracklets of one camera are taken as of two, which is
wrong for whoever passed twice. It looks at single cameras only, and yet ranks linear transforms as the true mAP across
cameras does (docs/site.md has the figures).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from resight.core.distances import unit_rows
from resight.core.errors import DataError
from resight.core.records import FloatArray, IntArray
from resight.evaluation.decisions.verification import equal_error_rate

OF_A_TRACKLET = 8  # pictures at the most, so that who stood still does not decide
OF_A_CAMERA = 150  # tracklets at the most
AMONG = 1000  # pictures of a camera, and of the others, at the most


def tracklet_codes(cameras: Sequence[str], tracks: Sequence[str | None]) -> tuple[IntArray, IntArray]:
    """Codes of the cameras and of the tracklets, (n,) int64 each, -1 where there is no track. A tracklet is of one
    camera: the same track of another camera is another tracklet."""
    camera_codes = np.unique(np.asarray(cameras, np.str_), return_inverse=True)[1].astype(np.int64)
    known: dict[tuple[int, str], int] = {}
    codes = [
        -1 if track is None else known.setdefault((camera, track), len(known))
        for camera, track in zip(camera_codes.tolist(), tracks, strict=True)
    ]
    return camera_codes, np.array(codes, np.int64)


def tracklet_eer(embeddings: FloatArray, cameras: IntArray, tracklets: IntArray, *, seed: int = 0) -> float:
    """The equal error rate of pairs of one tracklet against pairs of two tracklets of one camera; lower is better.

    embeddings: (n, dim) float32. cameras, tracklets: as `tracklet_codes` has them. seed: of the sample, at most 8
    pictures of a tracklet and 150 tracklets of a camera.

    Raises DataError where there is no pair of the one or of the other kind.
    """
    genuine, impostor = [np.zeros(0, np.float32)], [np.zeros(0, np.float32)]
    for rows in rows_by_camera(cameras, tracklets, seed):
        similarity = unit_rows(embeddings[rows]) @ unit_rows(embeddings[rows]).T
        first, second = np.triu_indices(len(rows), 1)
        same = tracklets[rows][first] == tracklets[rows][second]
        genuine.append(similarity[first[same], second[same]])
        impostor.append(similarity[first[~same], second[~same]])
    one, two = np.concatenate(genuine), np.concatenate(impostor)
    if not len(one) or not len(two):
        raise DataError(f"{len(one)} pairs of one tracklet and {len(two)} of two: the criterion takes both")
    return equal_error_rate(one, two)


def rows_by_camera(cameras: IntArray, tracklets: IntArray, seed: int = 0) -> Iterator[IntArray]:
    """The rows of each camera that count, as `tracklet_eer` draws them."""
    rng = np.random.default_rng(seed)
    for camera in np.unique(cameras[tracklets >= 0]):
        yield _sample(np.flatnonzero((cameras == camera) & (tracklets >= 0)), tracklets, rng)


def _sample(rows: IntArray, tracklets: IntArray, rng: np.random.Generator) -> IntArray:
    """Of one camera's rows: tracklets drawn at random, and pictures of each."""
    rows = rng.permutation(rows)
    chosen = rng.permutation(np.unique(tracklets[rows]))[:OF_A_CAMERA]
    rows = rows[np.isin(tracklets[rows], chosen)]
    rows = rows[np.argsort(tracklets[rows], kind="stable")]
    starts = np.flatnonzero(np.diff(tracklets[rows], prepend=-1))
    place = np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))
    return rows[place < OF_A_TRACKLET]


def seen_again(embeddings: FloatArray, cameras: IntArray, *, seed: int = 0) -> float:
    """The share of pictures whose nearest one by the same camera is more alike than the nearest by others, among as
    many of each: high where a camera has several pictures of a person, about a half where each is of another.

    embeddings: (n, dim) float32, at the site. cameras: (n,) int64 codes. seed: of the pictures that are looked among.
    NaN where there is one camera.
    """
    rng, rows = np.random.default_rng(seed), unit_rows(embeddings)
    won, num = 0, 0
    for camera in np.unique(cameras):
        own, others = (rng.permutation(np.flatnonzero(side))[:AMONG] for side in (cameras == camera, cameras != camera))
        least = min(len(own), len(others))
        if least < 2:
            continue
        same = rows[own] @ rows[own[:least]].T
        np.fill_diagonal(same, -np.inf)  # a picture and itself: the columns are the first of the rows
        won += int((same.max(axis=1) > (rows[own] @ rows[others[:least]].T).max(axis=1)).sum())
        num += len(own)
    return won / num if num else float("nan")
