"""Fits a site transform: no identities, no network, seconds.

Each camera's mean is subtracted, which takes out what the camera adds to all its pictures. Then the space is whitened
by the scatter within tracklets, which is what differs between pictures of one person (within-class covariance
normalisation; Hatch, Kajarekar and Stolcke, Interspeech 2006), to the power that tells tracklets which were left out
apart best. Without tracklets it is whitened a little by the scatter of all pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from resight.core.cores import blas_by_one_thread
from resight.core.distances import unit_rows
from resight.core.errors import DataError, EmbeddingError
from resight.core.records import FloatArray, IntArray
from resight.core.words import counted, first_of
from resight.evaluation.centring import camera_means
from resight.site.criterion import tracklet_codes, tracklet_eer
from resight.site.doubts import doubts_of, doubts_of_times
from resight.site.transform import CameraFacts, SiteFacts, SiteTransform

LEAST_PICTURES = 100  # of a camera: means of fewer are near single persons, and worth little
LEAST_TRACKLETS = 30  # of two pictures and more
RIDGE = 0.3  # of the mean eigenvalue, added to all
EXPONENTS = (0.0, 0.15, 0.25, 0.35, 0.5, 0.75)  # 0 is centring alone, 0.5 whitens fully
NEARLY = 1.05  # times the lowest EER is as good, by chance
USUAL_EXPONENT = 0.35  # of those that are as good the nearest to it is taken
TOTAL_EXPONENT = 0.1  # of total whitening, which nothing chooses: more of it harms good models
DOUBLES = npt.NDArray[np.float64]


@blas_by_one_thread
def fit_site(
    embeddings: npt.ArrayLike,
    cameras: Sequence[str],
    tracks: Sequence[str | None] | None = None,
    *,
    model: str = "",
    source: str = "",
    exponent: float | None = None,
    without: Sequence[str] = (),
    after: float | None = None,
    before: float | None = None,
    seed: int = 0,
    times: npt.ArrayLike | None = None,
) -> SiteTransform:
    """Fits a transform to a site's embeddings.

    embeddings: (n, dim) float32, as a model made them. cameras: the name of each one's camera. tracks: equal for the
    pictures of one walk past one camera, None where not known; without any the whitening is of all pictures. model: the
    identity of the model. exponent: of the whitening, in place of the one that the criterion chooses; 0: centring
    alone. without: cameras that get no mean. source, after, before: for `SiteFacts`. seed: of the halves that the
    criterion judges. times: (n,) seconds since 1970, NaN where not known; they change no embedding, but tell of a
    camera that was renamed and of a tracker that counts anew.

    Pictures with equal embeddings count once. A camera of fewer than 100 pictures gets no mean. Raises DataError where
    fewer than two cameras are left, or there are tracks but fewer than 30 tracklets of two pictures; EmbeddingError
    where an embedding is not finite or of no length.

    Example:
        >>> import numpy as np
        >>> import resight
        >>> rng = np.random.default_rng(0)
        >>> people = np.repeat(rng.normal(size=(60, 16)), 4, axis=0)
        >>> casts = {"north": rng.normal(size=16), "south": rng.normal(size=16)}  # what each camera adds
        >>> cameras = ["north"] * 240 + ["south"] * 240
        >>> seen = np.concatenate([people + cast + rng.normal(size=(240, 16)) / 2 for cast in casts.values()])
        >>> tracks = [str(row // 4) for row in range(480)]
        >>> site = resight.fit_site(seen, cameras, tracks)
        >>> site.facts.method, site.facts.criterion["raw"] >= site.facts.criterion[f"{site.facts.exponent:g}"]
        ('tracklets', True)
    """
    rows = _checked(embeddings)
    if len(cameras) != len(rows) or (tracks is not None and len(tracks) != len(rows)):
        raise EmbeddingError(
            f"{len(rows)} embeddings, but {len(cameras)} cameras, {0 if tracks is None else len(tracks)} tracks"
        )
    seen = np.full(len(rows), np.nan) if times is None else np.asarray(times, np.float64)
    if seen.shape != (len(rows),):
        raise EmbeddingError(f"{len(rows)} embeddings, but times of shape {seen.shape}")
    if exponent is not None and not 0 <= exponent <= 1:
        raise DataError(f"an exponent of whitening lies between 0 and 1, not at {exponent:g}")
    tracks = [None] * len(rows) if tracks is None else tracks
    kept = _distinct(rows, cameras)
    by_camera, left_out = check_cameras([cameras[row] for row in kept.tolist()], without, len(rows) - len(kept))
    known = tuple(name for name in by_camera if name not in left_out)
    kept = kept[np.isin(np.asarray(cameras, np.str_)[kept], known)]
    rows, own = rows[kept], [cameras[row] for row in kept.tolist()]
    codes, tracklets = tracklet_codes(own, [tracks[row] for row in kept.tolist()])
    tracked = _of_two(tracklets)
    num_tracklets = len(np.unique(tracklets[tracked]))
    if (tracklets >= 0).any() and num_tracklets < LEAST_TRACKLETS:
        raise DataError(
            f"{num_tracklets} tracklets of two pictures and more: whitening by tracklets takes {LEAST_TRACKLETS}. Give "
            "pictures of more, or fit without tracks (--no-tracks)"
        )
    means = np.stack(list(camera_means(rows, codes).values()))  # the codes count from 0 without a gap
    criterion: dict[str, float] = {}
    by_tracklets = num_tracklets > 0
    if by_tracklets:
        criterion = _criterion(rows - means[codes], rows, codes, np.where(tracked, tracklets, -1), seed)
        chosen = _best_exponent(criterion) if exponent is None else exponent
    else:
        chosen = TOTAL_EXPONENT if exponent is None else exponent
    centred = unit_rows(rows - means[codes])
    scatter = within_scatter(centred[tracked], tracklets[tracked]) if by_tracklets else total_scatter(centred)
    facts = {
        name: CameraFacts(
            int((codes == code).sum()),
            len(np.unique(tracklets[tracked & (codes == code)])),
            float(np.sqrt(((rows[codes == code] - means[code]) ** 2).sum(axis=1).mean())),
        )
        for code, name in enumerate(known)
    }
    few = {name: num for name, num in left_out.items() if name not in without}
    return SiteTransform(
        model,
        known,
        means,
        rows.mean(axis=0),
        whitening(scatter, chosen).astype(np.float32),
        SiteFacts(
            datetime.now(UTC).isoformat(timespec="seconds"),
            source,
            after,
            before,
            "tracklets" if by_tracklets else "total",
            chosen,
            criterion,
            facts,
            left_out,
            tuple(without),
            (
                *(
                    f"no picture is by the camera {name} that is to get no mean"
                    for name in without
                    if name not in by_camera
                ),
                *doubts_of(means, known, facts, criterion, chosen, few),
                *doubts_of_times(means, known, facts, codes, tracklets, seen[kept]),
            ),
        ),
    )


def check_cameras(
    cameras: Sequence[str], without: Sequence[str] = (), copies: int = 0, what: str = "a site transform"
) -> tuple[dict[str, int], dict[str, int]]:
    """How many pictures each camera has, by name, and those of them that get no mean. cameras: of different pictures.
    copies: pictures that were left out as equal ones. what: for the error, which takes the two. Raises DataError where
    fewer than two cameras are left."""
    names, counts = np.unique(np.asarray(cameras, np.str_), return_counts=True)
    by_camera = {str(name): int(num) for name, num in zip(names, counts, strict=True)}
    left_out = {name: num for name, num in by_camera.items() if num < LEAST_PICTURES or name in without}
    num = len(by_camera) - len(left_out)
    if num >= 2:
        return by_camera, left_out
    equal = f" ({copies:,} equal {'one counts' if copies == 1 else 'ones count'} once)" if copies else ""
    least = f"{what} takes two cameras with {LEAST_PICTURES} different pictures each{equal}"
    if not by_camera:
        raise DataError(f"there are no pictures; {least}")
    few = [
        f"camera {name} ({counted(count, 'picture')}{', to get none' if name in without else ''})"
        for name, count in sorted(left_out.items(), key=lambda item: -item[1])
    ]
    raise DataError(
        f"{least}; here {num} of {len(by_camera):,} {'has' if num == 1 else 'have'} as many"
        + (f". Without a mean: {first_of(few, 5)}" if few else "")
        + ("" if len(by_camera) > 1 else ". Pictures that name no camera count as one camera's")
    )


def within_scatter(rows: FloatArray, groups: IntArray) -> DOUBLES:
    """The covariance of rows about the mean of their group, (dim, dim) float64. rows: (n, dim); groups: (n,)."""
    if not len(rows):
        return np.zeros((rows.shape[1], rows.shape[1]))
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=groups[order[0]] - 1))
    num = np.diff(starts, append=len(rows))
    means = np.add.reduceat(rows[order].astype(np.float64), starts, axis=0) / num[:, None]
    left = rows[order] - np.repeat(means, num, axis=0)
    covariance: DOUBLES = left.T @ left / max(1, len(rows) - len(num))
    return covariance


def total_scatter(rows: FloatArray) -> DOUBLES:
    """The covariance of rows (n, dim) about their mean, (dim, dim) float64."""
    return within_scatter(rows, np.zeros(len(rows), np.int64))


def whitening(scatter: DOUBLES, exponent: float) -> DOUBLES:
    """(scatter + RIDGE of its mean eigenvalue) to the power -exponent, scaled to a mean eigenvalue of 1: (dim, dim)."""
    values, vectors = np.linalg.eigh(scatter)
    powers = (np.maximum(values, 0) + RIDGE * max(float(values.mean()), 1e-12)) ** -exponent
    matrix: DOUBLES = (vectors * (powers / powers.mean())) @ vectors.T
    return matrix


def _criterion(
    centred: FloatArray, rows: FloatArray, codes: IntArray, tracklets: IntArray, seed: int
) -> dict[str, float]:
    """The EER of raw embeddings and at each of EXPONENTS: of each half of the tracklets, by a fit on the other half."""
    rng = np.random.default_rng(seed)
    half = rng.integers(0, 2, int(tracklets.max()) + 1).astype(np.bool_)
    tracked = tracklets >= 0
    found: dict[str, list[float]] = {"raw": [], **{f"{power:g}": [] for power in EXPONENTS}}
    for side in (False, True):
        judges = tracked & (half[tracklets] == side)
        fits = tracked & ~judges
        scatter = within_scatter(unit_rows(centred[fits]), tracklets[fits])
        given = codes[judges], tracklets[judges]
        found["raw"].append(tracklet_eer(rows[judges], *given, seed=seed))
        for power in EXPONENTS:
            moved = centred[judges] @ whitening(scatter, power).astype(np.float32)
            found[f"{power:g}"].append(tracklet_eer(moved, *given, seed=seed))
    return {name: float(np.mean(both)) for name, both in found.items()}


def _best_exponent(criterion: dict[str, float]) -> float:
    lowest = min(criterion[f"{power:g}"] for power in EXPONENTS)
    good = [power for power in EXPONENTS if criterion[f"{power:g}"] <= NEARLY * lowest]
    return min(good, key=lambda power: abs(power - USUAL_EXPONENT))


def _of_two(tracklets: IntArray) -> npt.NDArray[np.bool_]:
    """Which rows are of a tracklet that has another row."""
    counts = np.bincount(tracklets + 1)
    counts[0] = 0
    return counts[tracklets + 1] > 1


def _checked(embeddings: npt.ArrayLike) -> FloatArray:
    """Unit rows. Raises EmbeddingError."""
    try:
        rows = np.asarray(embeddings, np.float32)
    except (TypeError, ValueError) as error:
        raise EmbeddingError(f"embeddings are numbers ({error})") from None
    if rows.ndim != 2:
        raise EmbeddingError(f"embeddings have shape (n, dim), not {rows.shape}")
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if bad.size:
        raise EmbeddingError(
            f"{bad.size} of {len(rows)} embeddings hold NaN or infinity, the first is row {bad[0]}: leave them out"
        )
    return unit_rows(rows)


def _distinct(rows: FloatArray, cameras: Sequence[str]) -> IntArray:
    """Which rows to keep: the first of each camera's equal ones."""
    seen: dict[tuple[str, bytes], int] = {}
    for row, camera in enumerate(cameras):
        seen.setdefault((camera, rows[row].tobytes()), row)
    return np.fromiter(seen.values(), np.int64, len(seen))
