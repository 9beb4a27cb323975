"""What a site transform is fitted to: embeddings, and where and when each was seen; never who."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from resight.core.records import FloatArray
from resight.data.crops import Crop
from resight.data.embeddings import EmbeddingRows
from resight.data.labels import camera_names
from resight.site.fitting import fit_site
from resight.site.transform import SiteTransform


@dataclass(frozen=True, eq=False)
class SiteCrops:
    """n embedded crops of one site. embeddings: (n, dim) float32, raw. cameras: names. tracks: None where not known.
    times: (n,) float64, seconds since 1970, NaN where not known. model: the identity of what embedded them. source:
    where they are from, in words."""

    embeddings: FloatArray
    cameras: tuple[str, ...]
    tracks: tuple[str | None, ...]
    times: npt.NDArray[np.float64]
    model: str
    source: str

    def __len__(self) -> int:
        return len(self.embeddings)

    @classmethod
    def of(cls, crops: Sequence[Crop], embeddings: FloatArray, model: str, source: str) -> SiteCrops:
        """Of a data set's crops and their embeddings, in one order. Nobody's pid is looked at."""
        times = np.array([np.nan if crop.time is None else crop.time for crop in crops], np.float64)
        return cls(embeddings, camera_names(crops), tuple(crop.track for crop in crops), times, model, source)

    @classmethod
    def of_rows(cls, rows: EmbeddingRows, source: str) -> SiteCrops:
        """Of a file of embeddings; pictures that show nothing are left out."""
        kept = np.flatnonzero(~rows.blank)
        names, tracks = rows.camera_names, rows.tracks.tolist()
        return cls(
            rows.vectors[kept],
            tuple(names[row] for row in kept.tolist()),
            tuple(tracks[row] or None for row in kept.tolist()),
            rows.times[kept],
            rows.model,
            source,
        )

    def part(self, rows: npt.NDArray[np.generic]) -> SiteCrops:
        """Some rows: a mask (n,)."""
        kept = np.flatnonzero(rows).tolist()
        cameras = tuple(self.cameras[row] for row in kept)
        tracks = tuple(self.tracks[row] for row in kept)
        return replace(self, embeddings=self.embeddings[kept], cameras=cameras, tracks=tracks, times=self.times[kept])

    def within(self, after: float | None, before: float | None) -> SiteCrops:
        """Those of a period, after <= time < before; crops of no time are in none, unless neither is given."""
        if after is None and before is None:
            return self
        low, high = -np.inf if after is None else after, np.inf if before is None else before
        return self.part((self.times >= low) & (self.times < high))

    def fit(
        self,
        *,
        tracked: bool = True,
        exponent: float | None = None,
        without: Sequence[str] = (),
        after: float | None = None,
        before: float | None = None,
    ) -> SiteTransform:
        """As `fit_site`, of those of a period. tracked: whether to use tracks, where there are any."""
        used = self.within(after, before)
        return fit_site(
            used.embeddings,
            used.cameras,
            used.tracks if tracked else None,
            model=self.model,
            source=self.source,
            exponent=exponent,
            without=without,
            after=after,
            before=before,
            times=used.times,
        )
