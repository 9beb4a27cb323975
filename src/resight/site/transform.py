"""The site transform: a mean for each camera and one matrix, which are applied to a model's embeddings.

A transformed embedding is (raw - mean of its camera) @ matrix, at unit length. Raw embeddings stay as they are: nothing
is embedded again. `fit_site` makes one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from resight.core.calibration import Calibration
from resight.core.distances import unit_rows
from resight.core.errors import DataError, EmbeddingError
from resight.core.records import FloatArray
from resight.data.labels import camera_label

CHUNK_ROWS = 16_384  # transformed at a time


@dataclass(frozen=True)
class CameraFacts:
    """What a camera's mean was taken of. pictures: different ones. tracklets: of two pictures and more. spread: the
    root mean square distance of its pictures' embeddings from their mean."""

    pictures: int
    tracklets: int
    spread: float


@dataclass(frozen=True)
class SiteFacts:
    """How a transform was fitted. None of it changes embeddings.

    date: ISO 8601, UTC. source: which crops, in words. after, before: the period of the crops that were taken, in
    seconds since 1970; None: no limit. method: `tracklets` (whitened by the scatter within them) or `total`. exponent:
    of the whitening; 0 is centring alone. criterion: within-camera EER of tracklets that were left out of the fit, by
    variant (`raw`, `0`, `0.35`, ...); empty without tracklets. cameras: by name. left_out: cameras that got no
    mean, with the number of their pictures. without: those of them that were to get none. warnings: what
    the fit found strange.
    """

    date: str = ""
    source: str = ""
    after: float | None = None
    before: float | None = None
    method: str = "total"
    exponent: float = 0.0
    criterion: Mapping[str, float] = field(default_factory=dict)
    cameras: Mapping[str, CameraFacts] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def no_better(self) -> bool:
        """Whether tracklets of one camera that were left out of the fit are told apart no better than raw; False where
        nothing tells. Of what the means do between cameras this says nothing."""
        return is_no_better(self.criterion, self.exponent)


def is_no_better(criterion: Mapping[str, float], exponent: float) -> bool:
    """As `SiteFacts.no_better`, of its fields."""
    best = criterion.get(f"{exponent:g}")
    return best is not None and best > criterion["raw"]


@dataclass(frozen=True, eq=False)
class SiteTransform:
    """What one site's cameras add to a model's embeddings, and the matrix that makes up for it.

    model: the identity of the model; empty: not known. cameras: the c cameras' names. means: (c, dim) float32, what is
    subtracted from each camera's embeddings. site_mean: (dim,) float32, for cameras that are not among them. matrix:
    (dim, dim) float32, applied from the right. calibration: what transformed similarities mean, where that was fitted.

    Raises DataError where the arrays do not fit together or are not finite.

    Example:
        >>> import numpy as np
        >>> from resight.site.transform import SiteTransform
        >>> two = SiteTransform("", ("north",), np.array([[0.6, 0.0]]), np.zeros(2), np.eye(2))
        >>> two.apply(np.array([[0.6, 0.8], [0.6, 0.8]]), ["north", "of no mean"]).round(2).tolist()
        [[0.0, 1.0], [0.6000000238418579, 0.800000011920929]]
    """

    model: str
    cameras: tuple[str, ...]
    means: FloatArray
    site_mean: FloatArray
    matrix: FloatArray
    facts: SiteFacts = field(default_factory=SiteFacts)
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        for name in ("means", "site_mean", "matrix"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), np.float32))
        dim = self.dim
        fits = self.means.shape == (len(self.cameras), dim) and self.matrix.shape == (dim, dim)
        if self.site_mean.ndim != 1 or not fits or len(set(self.cameras)) != len(self.cameras):
            raise DataError(
                f"a site transform of {len(self.cameras)} cameras, means {self.means.shape} and a matrix "
                f"{self.matrix.shape} does not fit together"
            )
        if not all(np.isfinite(part).all() for part in (self.means, self.site_mean, self.matrix)):
            raise DataError("a site transform that is not finite cannot be used; fit it anew")

    @property
    def dim(self) -> int:
        """The dimension of the embeddings."""
        return len(self.site_mean)

    @cached_property
    def identity(self) -> str:
        """A hash of all that decides transformed embeddings: two are comparable where this is equal."""
        found = hashlib.sha256("\0".join((self.model, *self.cameras)).encode("utf-8", "surrogateescape"))
        for part in (self.means, self.site_mean, self.matrix):
            found.update(part.astype("<f4").tobytes())
        return "site:" + found.hexdigest()

    def knows(self, camera: str | None) -> bool:
        """Whether it has a mean of the camera."""
        return self._rows.of(camera) >= 0

    def own_name(self, camera: str | None) -> str | None:
        """What the camera is called here; None where it has no mean. c2 is 2, unless both are cameras here: data sets
        whose cameras have numbers name them so, and galleries as they were told."""
        row = self._rows.of(camera)
        return None if row < 0 else self.cameras[row]

    def apply(self, embeddings: npt.ArrayLike, cameras: Sequence[str | None] | str | None) -> FloatArray:
        """The transformed embeddings, (n, dim) float32 of unit length.

        embeddings: (n, dim), of any length, as they are fitted too. cameras: the name of each one's camera, or one for
        all; one that has no mean gets the site's. Raises EmbeddingError for another shape, or embeddings that are not
        finite, or all zeros.
        """
        rows = np.asarray(embeddings, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.dim:
            raise EmbeddingError(f"this site's embeddings have shape (n, {self.dim}), not {rows.shape}")
        if isinstance(cameras, str) or cameras is None:
            cameras = [cameras] * len(rows)
        if len(cameras) != len(rows):
            raise EmbeddingError(f"{len(rows)} embeddings, but {len(cameras)} cameras")
        known = np.fromiter(map(self._rows.of, cameras), np.int64, len(cameras))
        subtracted = np.concatenate([self.means, self.site_mean[None]])  # row -1 is the site's mean
        found = np.empty_like(rows)
        for start in range(0, len(rows), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            unit = unit_rows(rows[part])
            moved = (unit - subtracted[known[part]]) @ self.matrix
            lengths = np.sqrt(np.einsum("ij,ij->i", moved, moved, dtype=np.float64))
            if not np.isfinite(lengths).all():
                raise EmbeddingError("embeddings that are not finite cannot be transformed")
            at_mean = lengths < 1e-9  # a picture just like the mean has no direction: it keeps the raw one
            moved[at_mean] = unit[at_mean]
            found[part] = moved / np.where(at_mean, 1, lengths)[:, None]
        return found

    def with_calibration(self, calibration: Calibration | None) -> SiteTransform:
        """The same transform with another calibration."""
        return replace(self, calibration=calibration)

    @cached_property
    def _rows(self) -> CameraRows:
        return CameraRows(self.cameras)


class CameraRows:
    """The row of each camera of a site by its name, or by another spelling of its number."""

    def __init__(self, cameras: Sequence[str]) -> None:
        labels = [camera_label(camera, ()) for camera in cameras]
        self._by_name = {camera: row for row, camera in enumerate(cameras)}
        self._by_label = {label: row for row, label in enumerate(labels) if labels.count(label) == 1}

    def of(self, camera: Any) -> int:
        """-1 where it has no mean. A camera's number is its name, as in `fit_site`."""
        if camera is None:
            return -1
        row = self._by_name.get(str(camera))  # of a million rows nearly all are found so
        return self._by_label.get(camera_label(str(camera), ()), -1) if row is None else row


def short_of_site(identity: str) -> str:
    """Enough of an identity to tell transforms apart in a message."""
    return identity.removeprefix("site:")[:12]
