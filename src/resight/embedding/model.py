"""The model, as everything above uses it: pictures to embeddings, and what they mean."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resight.core.calibration import FALSE_ACCEPT_RATE, FALSE_REJECT_RATE, Calibration, Decision
from resight.core.cores import available_cores
from resight.core.distances import unit_rows
from resight.core.errors import ConfigError, DatasetError, EmbeddingError
from resight.core.pictures.cells import shows_nothing
from resight.core.pictures.images import Pixels, content_of, is_one
from resight.core.pictures.preprocessing import Preprocessing
from resight.core.progress import Progress, silent
from resight.core.records import EmbeddedCrops, FloatArray, IntArray
from resight.core.visibility import Parts
from resight.data.crops import Crop, Dataset, Problem, camids_of, pids_of
from resight.data.decoding import DecodedCrops, iter_decoded
from resight.data.embed import QueryGallery
from resight.data.labels import camera_names
from resight.embedding.card import Card, Part
from resight.embedding.networks import Network
from resight.embedding.pictures import (
    Box,
    Picture,
    ahead,
    check_channel_order,
    cut_boxes,
    decode_batches,
    name_of,
    read_picture,
)

BATCH = 32


@dataclass(frozen=True, eq=False)
class EmbeddedBatch:
    """positions: (n,) int64, which of all the pictures these are. names: their paths, or `picture 7`. embeddings:
    (n, dim) float32. problems: the pictures of this batch that could not be read."""

    positions: IntArray
    names: tuple[str, ...]
    embeddings: FloatArray
    problems: tuple[Problem, ...]


class Model:
    """What finds people again: a network and all that is needed to use it, whatever it was made from (a run, a
    bundle, a packaged name). `resight.load` opens one. It may be used by several threads at once.

    card: what it says of itself. identity: its hash; embeddings are comparable where it is equal. source: for messages.
    reopening: opens it anew, in another process too: a model that `resight.load` opened is pickled and copied so.
    """

    reopening: Callable[[], Model] | None = None

    def __init__(
        self,
        card: Card,
        identity: str,
        network: Network,
        source: str,
        *,
        threads: int | None = None,
        batch_size: int = BATCH,
        write_calibration: Callable[[Calibration], Path] | None = None,
    ) -> None:
        """threads: to decode; None: one a core. batch_size: pictures that are decoded and embedded at once.
        write_calibration: keeps a calibration beside the weights, and tells where; None: the model stays as it is.

        Raises WeightsError where the network does not give what the card tells.
        """
        check_counts(threads, batch_size)
        self.card = card
        self.identity = identity
        self.source = source
        self.batch_size = batch_size
        self._network = network
        self._threads = threads or available_cores()
        self._write_calibration = write_calibration
        size = card.preprocessing
        noise = np.random.default_rng(0).integers(0, 256, (1, size.height, size.width, 3), np.uint8)
        self.embed_pixels(noise)  # a network that is not what it says fails here, not in the midst of the work

    @property
    def manifest(self) -> Card:
        """What version 0.1 called `card`."""
        warnings.warn("Model.manifest is Model.card now", DeprecationWarning, stacklevel=2)
        return self.card

    @property
    def name(self) -> str:
        """What it calls itself."""
        return self.card.name

    @property
    def dim(self) -> int:
        """The dimension of its embeddings."""
        return self.card.dim

    @property
    def parts(self) -> tuple[Part, ...]:
        """What of the person each part of the embedding is of."""
        return self.card.parts

    @property
    def strips(self) -> Parts:
        """Where the whole and the strips lie in an embedding. Raises ConfigError where it has no strips."""
        return Parts.of([(part.name, part.start, part.stop) for part in self.parts])

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to a picture before the network sees it."""
        return self.card.preprocessing

    @property
    def calibration(self) -> Calibration | None:
        """What its similarities mean, where that was fitted."""
        return self.card.calibration

    @property
    def can_keep_calibration(self) -> bool:
        """Whether `save_calibration` has a file to keep it in: not of a packaged model."""
        return self._write_calibration is not None

    @property
    def no_calibration(self) -> str:
        """Why it cannot keep a calibration, where it cannot."""
        name = Path(self.source).stem
        return (
            f"{name} is a packaged model, which stays as it is. Write a calibrated copy: `resight calibrate {name} "
            f"DATA -o mine.resight`, for `--model mine.resight` of a gallery's commands (in Python: "
            "`embedding.loading.calibrated_copy`); or name a site of `resight site fit` to keep it in (--site)"
        )

    @property
    def runtime(self) -> str:
        """What runs the network, in words."""
        return self._network.name

    def __repr__(self) -> str:
        return f"<resight model {self.name}: dimension {self.dim}, {self.runtime}>"

    def __reduce__(self) -> tuple[Callable[[], Model], tuple[()]]:
        if self.reopening is None:
            raise ConfigError(
                f"{self.source} cannot be pickled or copied: it was not opened by resight.load from a file or by a "
                "packaged name. Save it, and open it by resight.load"
            )
        return self.reopening, ()

    def embed(
        self,
        pictures: Picture | Iterable[Picture],
        *,
        boxes: Iterable[Box] | None = None,
        channel_order: str = "rgb",
        strict: bool = True,
    ) -> FloatArray:
        """(n, dim) float32 of unit length, in the order of the pictures; one picture makes one row.

        pictures: one or many of: a path, the bytes of a file, an open file, a PIL image, or an array (h, w, 3) uint8;
        or an array (n, h, w, 3). channel_order: of arrays, `rgb`, or `bgr` as OpenCV has them. boxes: (left, top,
        right, bottom) in pixels, of one full frame, each of which is embedded.

        Raises UnreadableImage for the first that cannot be read, or shows nothing. With strict=False its row is NaN
        instead.
        """
        items = self._cut(pictures, boxes, channel_order) if boxes is not None else _items(pictures)
        rows: list[FloatArray] = []
        done = 0
        for batch in self.stream(items, channel_order="rgb" if boxes is not None else channel_order, strict=strict):
            part = np.full((len(batch.positions) + len(batch.problems), self.dim), np.nan, np.float32)
            part[batch.positions - done] = batch.embeddings
            rows.append(part)
            done += len(part)
        return np.concatenate(rows) if rows else np.zeros((0, self.dim), np.float32)

    def stream(
        self, pictures: Iterable[Picture], *, channel_order: str = "rgb", strict: bool = False
    ) -> Iterator[EmbeddedBatch]:
        """Batch by batch, in order and in bounded memory: `pictures` need not end. Threads decode what comes next
        while the network runs; who leaves the loop waits for the one that is being fetched.

        A picture that cannot be read, or shows nothing (a covered lens), is named among the batch's problems; with
        strict=True it raises UnreadableImage.
        """
        check_channel_order(channel_order)
        with ThreadPoolExecutor(self._threads, thread_name_prefix="decode") as pool:
            batches = decode_batches(
                map(content_of, pictures), self.preprocessing, self.batch_size, channel_order, pool
            )
            for decoded in ahead(batches):
                if strict and decoded.problems:
                    raise decoded.problems[0][1]
                problems = tuple(Problem(error.name, error.reason) for _, error in decoded.problems)
                positions = np.array(decoded.positions, np.int64)
                yield EmbeddedBatch(positions, decoded.names, self.embed_pixels(decoded.pixels), problems)

    def embed_pixels(self, pixels: Pixels, *, preprocessing: Preprocessing | None = None) -> FloatArray:
        """(n, height, width, 3) uint8 RGB, of the network's size already, to (n, dim) float32 of unit length.

        preprocessing: another than the model's own, to find out what it would be worth. Raises ConfigError for pixels
        of another type.
        """
        if pixels.dtype != np.uint8:
            raise ConfigError(f"pixels are uint8, from 0 to 255, not {pixels.dtype}")
        return self._network(pixels, preprocessing or self.preprocessing)

    def embed_crops(
        self,
        crops: Sequence[Crop],
        *,
        flip: bool = False,
        edit: Callable[[Pixels], Pixels] | None = None,
        on_blank: Callable[[str], object] | None = None,
        leave_blank: bool = False,
        strict: bool = False,
        progress: Progress = silent,
        what: str = "embedding",
    ) -> tuple[EmbeddedCrops, tuple[Problem, ...]]:
        """The crops that can be decoded, embedded in order, and those that cannot. what: the progress bar's text.

        flip: the mean with the mirrored picture's embedding, at unit length: a little better, at twice the time. edit:
        what is done to pictures (n, height, width, 3) of the network's size before it sees them. on_blank: told the
        name of each picture that shows nothing (a covered lens); it is embedded all the same, since figures are of all
        pictures. leave_blank: it is left out instead, as one that cannot be decoded. Raises UnreadableImage for the
        first that cannot be decoded if strict.
        """
        size = self.preprocessing
        kept: list[Crop] = []
        problems: list[Problem] = []
        embeddings: list[FloatArray] = [np.zeros((0, self.dim), np.float32)]
        content_hashes: list[npt.NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
        decoded = iter_decoded(crops, size.height, size.width, strict=strict, resize=size.resize)
        with progress(what, len(crops)) as advance:
            for part in ahead(decoded):
                problems.extend(part.problems)
                done = len(part.crops) + len(part.problems)
                if leave_blank:
                    part, blank = _without_blank(part)
                    problems.extend(blank)
                kept.extend(part.crops)
                content_hashes.append(part.content_hashes)
                if on_blank is not None:
                    for row in np.flatnonzero(shows_nothing(part.pixels)):
                        on_blank(part.crops[row].name)
                pixels = part.pixels if edit is None else edit(part.pixels)
                rows = self.embed_pixels(pixels)
                if flip:
                    rows = unit_rows(rows + self.embed_pixels(pixels[:, :, ::-1]))
                embeddings.append(rows)
                advance(done)
        names = tuple(crop.name for crop in kept)
        columns = (pids_of(kept), camids_of(kept), np.concatenate(content_hashes), names)
        cameras = camera_names(kept) if any(crop.camera is not None for crop in kept) else ()
        return EmbeddedCrops(np.concatenate(embeddings), *columns, cameras), tuple(problems)

    def embed_dataset(
        self, dataset: Dataset, *, flip: bool = False, strict: bool = False, progress: Progress = silent
    ) -> QueryGallery:
        """Its query and gallery, as `embed_crops` does. Raises DatasetError where either is empty."""
        for name, crops in (("query", dataset.query), ("gallery", dataset.gallery)):
            if not crops:
                raise DatasetError(f"{dataset.name} has no {name} pictures, so there is nothing to evaluate")
        blank: list[str] = []
        options: dict[str, Any] = {"flip": flip, "strict": strict, "progress": progress, "on_blank": blank.append}
        query, query_problems = self.embed_crops(dataset.query, **options, what="embedding the query")
        gallery, gallery_problems = self.embed_crops(dataset.gallery, **options, what="embedding the gallery")
        return QueryGallery(query, gallery, query_problems + gallery_problems, tuple(blank), self.identity)

    def similarity(self, first: npt.ArrayLike, second: npt.ArrayLike) -> float | FloatArray:
        """Cosine similarity in [-1, 1]: of two embeddings a float, of (n, dim) and (m, dim) an array (n, m).

        Embeddings of any length are compared. Raises EmbeddingError for another dimension, and for one that holds NaN
        or infinity, or is all zeros.
        """
        one, other = np.asarray(first, np.float32), np.asarray(second, np.float32)
        if any(given.shape[-1:] != (self.dim,) or given.ndim > 2 for given in (one, other)):
            raise EmbeddingError(
                f"this model's embeddings have dimension {self.dim}; these have shape {one.shape} and {other.shape}"
            )
        found = np.clip(_of_unit_length(one) @ _of_unit_length(other).T, -1, 1)
        return float(found) if found.ndim == 0 else found

    def decide(
        self,
        first: npt.ArrayLike,
        second: npt.ArrayLike,
        *,
        false_accept_rate: float = FALSE_ACCEPT_RATE,
        false_reject_rate: float = FALSE_REJECT_RATE,
    ) -> Decision:
        """`same`, `different` or `unsure`, of two embeddings, by the model's calibration.

        Raises ConfigError where it has none, and what `similarity` raises.
        """
        if self.calibration is None:
            raise ConfigError(f"{self.source} is not calibrated: run `resight calibrate` on people of your site")
        similarity = self.similarity(first, second)
        if not isinstance(similarity, float):
            raise EmbeddingError("decide takes two embeddings, (dim,) each; call it once for each pair")
        return self.calibration.decide_pair(
            similarity, false_accept_rate=false_accept_rate, false_reject_rate=false_reject_rate
        )

    def save_calibration(self, calibration: Calibration) -> Path:
        """Keeps it with the model's file, and returns where. Raises ConfigError for a packaged model."""
        if self._write_calibration is None:
            raise ConfigError(self.no_calibration)
        written = self._write_calibration(calibration)
        self.card = replace(self.card, calibration=calibration)
        return written

    def _cut(self, frame: Any, boxes: Iterable[Box], channel_order: str) -> Iterator[Any]:
        check_channel_order(channel_order)
        if not is_one(frame):
            raise ConfigError("boxes are of one full frame; call embed once for each frame")
        name = name_of(frame, 0)
        return cut_boxes(read_picture(content_of(frame), name, channel_order), boxes, name)


def check_counts(threads: object, batch_size: object) -> None:
    """Raises ConfigError where one is no whole number from 1 on; threads may be None."""
    for name, number in (("threads", 1 if threads is None else threads), ("batch_size", batch_size)):
        if not isinstance(number, int | np.integer) or number < 1:
            raise ConfigError(f"{name} is a whole number, 1 at the least, not {number!r}")


def _of_unit_length(embeddings: FloatArray) -> FloatArray:
    """(dim,) or (n, dim), at unit length. Raises EmbeddingError where one has no direction."""
    rows = np.atleast_2d(embeddings)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1) | ~rows.any(axis=1))
    if bad.size:
        which = "an embedding" if embeddings.ndim == 1 else f"embedding {bad[0]} ({bad.size} such)"
        raise EmbeddingError(
            f"{which} is all zeros, or holds NaN or infinity, and cannot be compared: `embed` with strict=False gives "
            "NaN for a picture that cannot be read; leave such rows out"
        )
    scaled = rows / np.abs(rows).max(axis=1, keepdims=True)  # so that no square is too large, or 0, for float32
    return unit_rows(scaled).reshape(embeddings.shape)


def _without_blank(part: DecodedCrops) -> tuple[DecodedCrops, list[Problem]]:
    blank = shows_nothing(part.pixels)
    kept = np.flatnonzero(~blank)
    crops = tuple(part.crops[row] for row in kept)
    problems = [Problem(part.crops[row].name, "it shows nothing, one even colour") for row in np.flatnonzero(blank)]
    return replace(part, crops=crops, pixels=part.pixels[kept], content_hashes=part.content_hashes[kept]), problems


def _items(pictures: Any) -> Iterable[Any]:
    if is_one(pictures):
        return [pictures]
    if isinstance(pictures, Iterable):
        return pictures
    raise ConfigError(f"{type(pictures).__name__} is no picture and no series of them")
