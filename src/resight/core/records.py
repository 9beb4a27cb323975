"""Typed records that pass between rooms."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from resight.core.errors import EmbeddingError

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
DISTRACTOR_PID = 0  # nobody in particular, and nobody's match
UNKNOWN_CAMERA = -1
NO_PERSON_PID = -1  # no identity: no person at all, or nobody knows who


_PICTURES = count(2**62)  # numbers for pictures of which no content is known


def whole_numbers(values: npt.ArrayLike, named: str) -> IntArray:
    """(n,) int64, of whole numbers of any type. Raises EmbeddingError, which begins with `named`, for other values."""
    given = np.asarray(values)
    if given.ndim != 1:
        raise EmbeddingError(f"{named} must have one number for each embedding, not the shape {given.shape}")
    if given.dtype.kind not in "iufb":
        raise EmbeddingError(f"{named} must be whole numbers, not {given.dtype}")
    if given.dtype.kind in "uf" and given.size:
        bad = np.flatnonzero(~((given > -(2.0**63)) & (given < 2.0**63)) | (given != np.floor(given)))
        if bad.size:
            raise EmbeddingError(f"{named} must be whole numbers of 64 bits, not {given[bad[0]]} (row {bad[0]})")
    return given.astype(np.int64, copy=False)


@dataclass(frozen=True, eq=False)
class EmbeddedCrops:
    """Embeddings of n crops, and who is in each crop.

    embeddings: (n, dim) float32. pids: (n,) int64, the person in each crop; 0 is a distractor, nobody's match, and -1
    no person at all. camids: (n,) int64, its camera. content_hashes: (n,) uint64, equal where two crops are the same
    picture; left out: each is a picture of its own. names: what to call each crop in a listing, its path usually.
    cameras: what the data call each one's camera; empty where its number is its name.

    Numbers of other types are converted; names are to be numbered first, those of query and gallery together, as by
    numpy.unique(names, return_inverse=True).

    Raises EmbeddingError where lengths differ, numbers are none, or an embedding is not finite.
    """

    embeddings: FloatArray
    pids: IntArray
    camids: IntArray
    content_hashes: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    names: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._convert()
        num = len(self.embeddings)
        for name in ("pids", "camids", "content_hashes", "names"):
            if len(getattr(self, name)) != num:
                raise EmbeddingError(f"{num} embeddings but {len(getattr(self, name))} {name}")
        if self.cameras and len(self.cameras) != num:
            raise EmbeddingError(f"{num} embeddings but {len(self.cameras)} cameras")
        bad = np.flatnonzero(~np.isfinite(self.embeddings).all(axis=1))
        if bad.size:
            raise EmbeddingError(
                f"{bad.size} of {num} embeddings hold NaN or infinity, the first is {self.names[bad[0]]}. If a network "
                "of resight made them, its weights are likely damaged, or training diverged; else leave these out."
            )

    def _convert(self) -> None:
        embeddings = np.asanyarray(self.embeddings)
        if embeddings.ndim != 2:
            raise EmbeddingError(f"embeddings must be (n, dim), got shape {embeddings.shape}")
        if embeddings.dtype.kind not in "fiu":
            raise EmbeddingError(f"embeddings must be real numbers, not {embeddings.dtype}")
        num = len(embeddings)
        changed: dict[str, Any] = {"embeddings": embeddings.astype(np.float32, copy=False)}
        for name in ("pids", "camids"):
            given = np.asarray(getattr(self, name))
            if given.dtype.kind in "USO":
                raise EmbeddingError(
                    f"{name} must be whole numbers, not {given.dtype}: number the names of query and gallery together, "
                    "by numpy.unique(names, return_inverse=True)"
                )
            changed[name] = whole_numbers(given, name)
        hashes = np.asarray(self.content_hashes)
        if not hashes.size and num:
            hashes = np.fromiter(_PICTURES, np.uint64, num)
        elif hashes.dtype.kind not in "iu":
            raise EmbeddingError(f"content_hashes must be whole numbers, not {hashes.dtype}; or leave them out")
        changed["content_hashes"] = hashes.astype(np.uint64, copy=False)
        changed["names"] = tuple(self.names) if len(self.names) else tuple(f"row {row}" for row in range(num))
        changed["cameras"] = tuple(self.cameras)
        for name, value in changed.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.embeddings)

    def take(self, rows: npt.NDArray[Any]) -> EmbeddedCrops:
        """The crops of these rows: (m,) numbers, or (n,) truth values."""
        chosen = np.arange(len(self))[rows]
        names = [tuple(each[row] for row in chosen) if each else () for each in (self.names, self.cameras)]
        return EmbeddedCrops(
            self.embeddings[chosen], self.pids[chosen], self.camids[chosen], self.content_hashes[chosen], *names
        )

    @property
    def camera_names(self) -> tuple[str, ...]:
        """The name of each crop's camera, or its number in digits."""
        return self.cameras or tuple(map(str, self.camids.tolist()))
