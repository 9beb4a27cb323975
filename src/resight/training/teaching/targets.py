"""What teachers say each training picture's embedding should be, computed once and kept in the run's directory.

A teacher is anything that embeds. It sees the very views that the student sees, at its own size and from the picture's
file. What it thinks is kept as a float16 array (views, pictures, values) a teacher, written chunk by chunk: a killed
computation goes on where it was.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from resight.core.cores import available_cores
from resight.core.distances import unit_rows
from resight.core.errors import ConfigError
from resight.core.files import write_whole
from resight.core.pictures.images import Pixels, decode_image, resize_image
from resight.core.pictures.preprocessing import Preprocessing
from resight.core.progress import Progress, silent
from resight.core.records import FloatArray, IntArray
from resight.data.crops import Crop, camids_of, labels_of
from resight.evaluation.centring import camera_means
from resight.models.saved import Origin
from resight.training.batches.views import Views, cut_picture, draw_views, join
from resight.training.teaching.teachers import Teacher

TARGETS_DIR = "targets"
VIEWS_SEED = 0
MOST_VALUES = 256
CHUNK = 512  # pictures between two notes of how far it is
TOGETHER = 64  # of them, as many as are in memory at the teacher's size

Half = npt.NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class Targets:
    """embeddings: (views, pictures, values) float16 of unit length. views: what each is of."""

    embeddings: Half
    views: Views
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
    colours: float = 0.0,
    joins: float = 0.0,
    progress: Progress = silent,
) -> Targets:
    """The targets of those pictures, computed as far as the folder does not hold them yet.

    digest: the pictures' fingerprint. views, colours, joins: as `draw_views`. The views are the same whatever a run's
    seed, so that runs can share a folder. Raises ConfigError where it holds those of other pictures, teachers or views.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = draw_views(VIEWS_SEED, views, camids_of(crops), labels_of(crops), colours=colours, joins=joins)
    raw = []
    for place, teacher in enumerate(teachers):
        described: dict[str, str | int | float] = {
            "teacher": teacher.origin.identity,
            "pictures": digest,
            "views": views,
            "seed": VIEWS_SEED,
        }
        described |= {"colours": colours} if colours else {}
        described |= {"joins": joins} if joins else {}
        raw.append(_embedded(teacher, crops, drawn, folder / f"teacher{place}", described, progress))
    return Targets(join_targets(raw, drawn.cameras), drawn, tuple(teacher.origin for teacher in teachers))


def join_targets(raw: Sequence[npt.NDArray[np.floating]], cameras: IntArray, most_values: int = MOST_VALUES) -> Half:
    """One target for each view of each picture, out of all teachers': (views, n, values) float16 of unit length.

    raw: of each teacher (views, n, dim). Of each, what it thinks of a camera's pictures in general is taken out, since
    that is the camera and not the person; all are joined at equal weight, and the principal components kept. cameras:
    (views, n). A view of the same cameras as view 0 has its means; the components are those of view 0.
    """
    views = (np.concatenate(parts, axis=1) for parts in zip(*(_centred(one, cameras) for one in raw), strict=True))
    first = next(views)
    axes = np.linalg.eigh(first.T @ first)[1][:, ::-1][:, :most_values]  # (values of all, values kept)
    # One view at a time: all of them in float32 are gigabytes.
    return np.stack([_unit(view @ axes).astype(np.float16) for view in itertools.chain([first], views)])


def _centred(raw: npt.NDArray[np.floating], cameras: IntArray) -> Iterator[FloatArray]:
    means: dict[int, FloatArray] = {}
    for view, of_view in zip(raw, cameras, strict=True):
        unit = _unit(np.asarray(view, np.float32))
        if not means or (of_view != cameras[0]).any():
            means = camera_means(unit, of_view)
        yield _unit(unit - np.stack([means[camera] for camera in of_view.tolist()]))


def _unit(rows: FloatArray) -> FloatArray:
    """A picture that is no more than its camera's mean has no direction; it keeps length 0 and teaches nothing."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-6), np.float32)


def _embedded(
    teacher: Teacher,
    crops: Sequence[Crop],
    views: Views,
    path: Path,
    described: dict[str, str | int | float],
    progress: Progress,
) -> Half:
    """(views, n, dim) float16, a memory map of the teacher's embeddings of unit length."""
    state_path, array_path = path.with_suffix(".json"), path.with_suffix(".npy")
    total = views.cameras.size
    done = 0
    if state_path.exists():
        state = json.loads(state_path.read_text(encoding="utf-8"))
        differ = [name for name, value in described.items() if state.get(name) != value]
        if differ:
            raise ConfigError(f"{path.parent} holds the targets of another {', '.join(differ)}; name another directory")
        done = int(state["done"])
        kept = np.lib.format.open_memmap(array_path, "r+")
    else:
        kept = np.lib.format.open_memmap(array_path, "w+", np.float16, (*views.cameras.shape, teacher.dim))
    flat, size = kept.reshape(total, teacher.dim), teacher.preprocessing
    with (
        ThreadPoolExecutor(available_cores(), thread_name_prefix="decode") as pool,
        progress(f"asking teacher {teacher.origin.identity[:14]}", total, done) as advance,
    ):
        for start in range(done, total, CHUNK):
            stop = min(start + CHUNK, total)
            for first in range(start, stop, TOGETHER):
                last = min(first + TOGETHER, stop)
                of_views, rows = np.divmod(np.arange(first, last), len(crops))
                flat[first:last] = unit_rows(teacher.embed(shown_views(crops, views, of_views, rows, size, pool)))
            kept.flush()  # before the note that says so
            write_whole(state_path, json.dumps({**described, "done": stop}).encode())
            advance(stop - start)
    return kept


def shown_views(
    crops: Sequence[Crop],
    views: Views,
    of_views: IntArray,
    rows: IntArray,
    size: Preprocessing,
    pool: ThreadPoolExecutor,
) -> Pixels:
    """Those views of those pictures, as the student sees them, at the teacher's size and from the files, since a
    teacher may look at larger pictures than those that are trained on."""

    def cut(view: int, row: int) -> Pixels:
        crop = crops[row]
        picture = cut_picture(decode_image(crop.read(), crop.name), views.boxes[view, row])
        return resize_image(picture, size.height, size.width, size.resize)

    shown = torch.from_numpy(np.stack(list(pool.map(cut, of_views, rows))))
    partners = views.partners[of_views, rows]
    joined = np.flatnonzero(partners != rows)
    if len(joined):
        others = torch.from_numpy(np.stack(list(pool.map(cut, of_views[joined], partners[joined]))))
        shown[joined] = join(shown[joined], others, views.joins[of_views, rows][joined])
    return views.toned(of_views, rows, shown).numpy()
