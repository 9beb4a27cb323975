"""What teachers say each training picture's embedding should be, computed once and kept in the run's directory.

A teacher is anything that embeds. It sees the very views that the student sees, at its own size and from the picture's
file. What it thinks is kept as a float16 array (views, pictures, values) a teacher, written chunk by chunk: a killed
computation goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from resight.core.cores import available_cores
from resight.core.distances import unit_rows
from resight.core.errors import ConfigError
from resight.core.files import write_whole
from resight.core.pictures.images import Pixels, decode_image, resize_image
from resight.core.pictures.preprocessing import Preprocessing
from resight.core.progress import Progress, silent
from resight.core.records import FloatArray, IntArray
from resight.data.crops import Crop, camids_of
from resight.evaluation.centring import camera_means
from resight.models.saved import Origin
from resight.training.batches.views import Boxes, cut_picture, view_boxes
from resight.training.teaching.teachers import Teacher

TARGETS_DIR = "targets"
VIEWS_SEED = 0
MOST_VALUES = 256
CHUNK = 512  # pictures between two notes of how far it is

Half = npt.NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class Targets:
    """embeddings: (views, pictures, values) float16 of unit length. boxes: (views, pictures, 5), as `view_boxes`."""

    embeddings: Half
    boxes: Boxes
    origins: tuple[Origin, ...]

    @property
    def num_views(self) -> int:
        return len(self.embeddings)

    @property
    def dim(self) -> int:
        return int(self.embeddings.shape[2])

    def of(self, views: IntArray, rows: IntArray) -> FloatArray:
        """(b,), (b,): the targets of those views of those pictures, (b, dim) float32."""
        return self.embeddings[views, rows].astype(np.float32)


def load_targets(
    teachers: Sequence[Teacher],
    crops: Sequence[Crop],
    folder: Path,
    *,
    digest: str,
    views: int,
    progress: Progress = silent,
) -> Targets:
    """The targets of those pictures, computed as far as the folder does not hold them yet.

    digest: the pictures' fingerprint. The views are the same whatever a run's seed, so that runs can share a folder.
    Raises ConfigError where it holds those of other pictures, teachers or views.
    """
    folder.mkdir(parents=True, exist_ok=True)
    boxes = np.stack([view_boxes(VIEWS_SEED, view, len(crops)) for view in range(views)])
    raw = []
    for place, teacher in enumerate(teachers):
        described: dict[str, str | int] = {
            "teacher": teacher.origin.identity,
            "pictures": digest,
            "views": views,
            "seed": VIEWS_SEED,
        }
        raw.append(_embedded(teacher, crops, boxes, folder / f"teacher{place}", described, progress))
    return Targets(join_targets(raw, camids_of(crops)), boxes, tuple(teacher.origin for teacher in teachers))


def join_targets(raw: Sequence[npt.NDArray[np.floating]], cameras: IntArray, most_values: int = MOST_VALUES) -> Half:
    """One target for each view of each picture, out of all teachers': (views, n, values) float16 of unit length.

    raw: of each teacher (views, n, dim). Of each, what it thinks of a camera's pictures in general is taken out, since
    that is the camera and not the person; all are joined at equal weight, and the principal components kept. cameras:
    (n,). Means and components are those of view 0.
    """
    centred = [_centred(one, cameras) for one in raw]
    first = np.concatenate([next(views) for views in centred], axis=1)
    axes = np.linalg.eigh(first.T @ first)[1][:, ::-1][:, :most_values]  # (values of all, values kept)
    found = [first, *(np.concatenate(parts, axis=1) for parts in zip(*centred, strict=True))]
    return np.stack([_unit(view @ axes).astype(np.float16) for view in found])


def _centred(raw: npt.NDArray[np.floating], cameras: IntArray) -> Iterator[FloatArray]:
    means: dict[int, FloatArray] = {}
    for view in raw:
        unit = _unit(np.asarray(view, np.float32))
        means = means or camera_means(unit, cameras)
        yield _unit(unit - np.stack([means[camera] for camera in cameras.tolist()]))


def _unit(rows: FloatArray) -> FloatArray:
    """A picture that is no more than its camera's mean has no direction; it keeps length 0 and teaches nothing."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-6), np.float32)


def _embedded(
    teacher: Teacher,
    crops: Sequence[Crop],
    boxes: Boxes,
    path: Path,
    described: dict[str, str | int],
    progress: Progress,
) -> Half:
    """(views, n, dim) float16, a memory map of the teacher's embeddings of unit length."""
    state_path, array_path = path.with_suffix(".json"), path.with_suffix(".npy")
    total = boxes.shape[0] * boxes.shape[1]
    done = 0
    if state_path.exists():
        state = json.loads(state_path.read_text(encoding="utf-8"))
        differ = [name for name, value in described.items() if state.get(name) != value]
        if differ:
            raise ConfigError(f"{path.parent} holds the targets of another {', '.join(differ)}; name another directory")
        done = int(state["done"])
        kept = np.lib.format.open_memmap(array_path, "r+")
    else:
        kept = np.lib.format.open_memmap(array_path, "w+", np.float16, (*boxes.shape[:2], teacher.dim))
    flat, flat_boxes = kept.reshape(total, teacher.dim), boxes.reshape(total, 5)
    with (
        ThreadPoolExecutor(available_cores(), thread_name_prefix="decode") as pool,
        progress(f"asking teacher {teacher.origin.identity[:14]}", total, done) as advance,
    ):
        for start in range(done, total, CHUNK):
            stop = min(start + CHUNK, total)
            pixels = pool.map(
                lambda place: _view(crops[place % len(crops)], flat_boxes[place], teacher.preprocessing),
                range(start, stop),
            )
            flat[start:stop] = unit_rows(teacher.embed(np.stack(list(pixels))))
            kept.flush()  # before the note that says so
            write_whole(state_path, json.dumps({**described, "done": stop}).encode())
            advance(stop - start)
    return kept


def _view(crop: Crop, box: npt.NDArray[np.float64], size: Preprocessing) -> Pixels:
    """From the file, since a teacher may look at larger pictures than those that are trained on."""
    picture = cut_picture(decode_image(crop.read(), crop.name), box)
    return resize_image(picture, size.height, size.width, size.resize)
