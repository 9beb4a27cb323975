"""Typed records that pass between rooms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resight.core.errors import EmbeddingError

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
DISTRACTOR_PID = 0  # nobody in particular, and nobody's match
NO_PERSON_PID = -1  # no identity: no person at all, or nobody knows who


@dataclass(frozen=True, eq=False)
class EmbeddedCrops:
    """Embeddings of n crops, and who is in each crop.

    embeddings: (n, dim) float32. pids: (n,) int64, the person in each crop; 0 is a distractor, nobody's match, and -1
    no person at all. camids: (n,) int64, its camera. content_hashes: (n,) uint64, equal where two crops are the same
    picture. names: what to call each crop in a listing, its path usually. cameras: what the data call each one's
    camera; empty where its number is its name.

    Raises EmbeddingError where lengths differ or an embedding is not finite.
    """

    embeddings: FloatArray
    pids: IntArray
    camids: IntArray
    content_hashes: npt.NDArray[np.uint64]
    names: tuple[str, ...]
    cameras: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.embeddings.ndim != 2:
            raise EmbeddingError(f"embeddings must be (n, dim), got shape {self.embeddings.shape}")
        num = len(self.embeddings)
        for field in ("pids", "camids", "content_hashes", "names"):
            if len(getattr(self, field)) != num:
                raise EmbeddingError(f"{num} embeddings but {len(getattr(self, field))} {field}")
        if self.cameras and len(self.cameras) != num:
            raise EmbeddingError(f"{num} embeddings but {len(self.cameras)} cameras")
        bad = np.flatnonzero(~np.isfinite(self.embeddings).all(axis=1))
        if bad.size:
            raise EmbeddingError(
                f"{bad.size} of {num} embeddings hold NaN or infinity, the first is {self.names[bad[0]]}. "
                "The network's weights are likely damaged, or training diverged."
            )

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def camera_names(self) -> tuple[str, ...]:
        """The name of each crop's camera, or its number in digits."""
        return self.cameras or tuple(map(str, self.camids.tolist()))
