"""A site's pictures as an adaptation sees them: pixels, cameras, tracklets and times. Nobody's name is among them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resight.core.errors import DataError
from resight.core.progress import Progress, silent
from resight.core.records import FloatArray, IntArray
from resight.data.crops import Crop, Problem
from resight.data.labels import camera_names
from resight.data.unlabelled import hide_people
from resight.models.inference import TorchNetwork
from resight.models.saved import TrainedNetwork
from resight.site.clustering import Judges
from resight.site.criterion import tracklet_codes
from resight.site.crops import SiteCrops
from resight.site.fitting import LEAST_TRACKLETS, check_cameras
from resight.site.transform import SiteTransform
from resight.training.batches.images import MAX_MEMORY_MB, TrainingImages, load_training_images

EMBEDDED = 256  # pictures at a time
WHAT = "an adaptation"
LEAST_OF_BOTH = 2 * LEAST_TRACKLETS  # tracklets of two pictures: as many to judge by as a transform takes


@dataclass(frozen=True, eq=False)
class SitePictures:
    """n different pictures. `SitePictures.of` makes it of crops, of which it hides who is in them: no array of it says
    so, and no crop.

    rows: (n,) int64, where each lies in `images`. cameras: names. camera_codes, tracklets: (n,) int64 as
    `tracklet_codes` has them. times: (n,) seconds, NaN where not known. judging: (n,) bool, of the tracklets that are
    left out of learning. copies: pictures left out since the same camera has the very same one. site: what it is
    called.
    """

    images: TrainingImages
    rows: IntArray
    cameras: tuple[str, ...]
    camera_codes: IntArray
    tracklets: IntArray
    times: npt.NDArray[np.float64]
    judging: npt.NDArray[np.bool_]
    copies: int
    site: str

    @classmethod
    def of(
        cls,
        crops: Sequence[Crop],
        site: str,
        height: int,
        width: int,
        *,
        tracked: bool = True,
        held_out: float = 0.15,
        seed: int = 0,
        strict: bool = False,
        max_memory_mb: int = MAX_MEMORY_MB,
        progress: Progress = silent,
        resize: str = "bilinear-antialias",
    ) -> SitePictures:
        """Reads the pictures. tracked: whether tracks are looked at. held_out: the share of tracklets that judge.
        resize: the rule of the model that is shown them.

        Raises DatasetError where fewer than two can be read, DataError where there are too few cameras or tracklets.
        """
        check_cameras(camera_names(crops), what=WHAT)  # before the reading, which can only leave fewer
        images = load_training_images(
            hide_people(crops, seed),
            height,
            width,
            strict=strict,
            max_memory_mb=max_memory_mb,
            progress=progress,
            resize=resize,
        )
        rows = _distinct(images)
        kept = [images.crops[row] for row in rows.tolist()]
        names = camera_names(images.crops)
        cameras = tuple(names[row] for row in rows.tolist())
        camera_codes, tracklets = tracklet_codes(cameras, [crop.track if tracked else None for crop in kept])
        times = np.array([np.nan if crop.time is None else crop.time for crop in kept], np.float64)
        copies = len(images) - len(rows)
        check_cameras(cameras, copies=copies, what=WHAT)
        judging = _judging(tracklets, held_out, seed) if tracked else np.zeros(len(rows), np.bool_)
        return cls(images, rows, cameras, camera_codes, tracklets, times, judging, copies, site)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Pictures that cannot be read."""
        return self.images.problems

    @property
    def points(self) -> IntArray:
        """What clusters are made of: (n,) codes of tracklets, and of pictures that are of none."""
        alone = self.tracklets < 0
        return np.where(alone, int(self.tracklets.max(initial=-1)) + 1 + np.cumsum(alone), self.tracklets)

    def batches(self, batches: Sequence[IntArray] | IntArray) -> Iterator[npt.NDArray[np.uint8]]:
        """The pixels of batches of places, as `TrainingImages.batches` of rows."""
        return self.images.batches(self.rows[batch] for batch in batches)

    def embed(self, trained: TrainedNetwork, device: str, progress: Progress = silent, what: str = "") -> FloatArray:
        """(n, dim) float32 by a network, which moves to the device."""
        network = TorchNetwork(trained, device)
        found = []
        with progress(what or "embedding the site", len(self)) as advance:
            places = np.array_split(np.arange(len(self)), -(-len(self) // EMBEDDED))
            for pixels in self.batches(places):
                found.append(network(pixels, trained.config.preprocessing))
                advance(len(pixels))
        return np.concatenate(found)

    def fit(self, embeddings: FloatArray, model: str, judging: bool = False) -> SiteTransform:
        """The site transform. judging: of the tracklets that judge too, for the last one. Raises as `fit_site`."""
        tracks = tuple(str(code) if code >= 0 else None for code in self.tracklets.tolist())
        source = f"{self.site}, without identities"
        crops = SiteCrops(embeddings, self.cameras, tracks, self.times, model, source)
        if judging or not self.judging.any():
            return crops.fit()
        try:
            return crops.part(~self.judging).fit()
        except DataError as error:
            crops.fit()  # where all of them are too few as well, that is what is wrong
            raise self._not_counted(error) from None

    def _not_counted(self, error: DataError) -> DataError:
        """What is wrong with the pictures that learn, and that others are not among them."""
        try:
            check_cameras([self.cameras[row] for row in np.flatnonzero(~self.judging).tolist()], what=WHAT)
        except DataError as own:
            error = own
        return DataError(
            f"{error}. {int(self.judging.sum()):,} of {len(self):,} pictures are not counted here: they are left out "
            "of learning, to tell whether it helped"
        )

    def judges(self, embeddings: FloatArray) -> Judges | None:
        """The tracklets that judge; None where there are none."""
        rows = np.flatnonzero(self.judging)
        if not len(rows):
            return None
        cameras = tuple(self.cameras[row] for row in rows.tolist())
        return Judges(embeddings[rows], cameras, self.camera_codes[rows], self.tracklets[rows])


def _distinct(images: TrainingImages) -> IntArray:
    """The rows of the first of each camera's equal pictures, as the network is shown them."""
    seen: dict[tuple[int, bytes], int] = {}
    parts = np.array_split(np.arange(len(images)), -(-len(images) // EMBEDDED))
    for rows, pixels in zip(parts, images.batches(parts), strict=True):
        for row, picture in zip(rows.tolist(), pixels, strict=True):
            content = hashlib.blake2b(picture.tobytes(), digest_size=16).digest()
            seen.setdefault((images.crops[row].camid, content), row)
    return np.fromiter(seen.values(), np.int64, len(seen))


def _judging(tracklets: IntArray, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Which pictures are of the tracklets that judge, drawn among those of two pictures and more. Raises DataError."""
    names, counts = np.unique(tracklets[tracklets >= 0], return_counts=True)
    able = names[counts > 1]
    if len(able) < LEAST_OF_BOTH:
        raise DataError(
            f"there are {len(able)} tracklets of two different pictures and more; {LEAST_OF_BOTH} are needed, since "
            "those that are left out of learning tell whether it helped. Give `track` (equal for the pictures of one "
            "walk past one camera), or more pictures; or go on with --no-tracks, where nothing tells"
        )
    num = max(LEAST_TRACKLETS, round(share * len(able)))
    return np.isin(tracklets, np.random.default_rng(seed).permutation(able)[:num])
