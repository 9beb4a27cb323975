"""Views of a picture: where a teacher and its student look, the same for both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from resight.core.pictures.images import Pixels
from resight.core.records import IntArray
from resight.training.batches import at_once
from resight.training.batches.tones import change_tones, draw_tones

LEAST_SHARE = 0.7  # of a picture's height, and of its width, that a cut view still shows
PICTURES_A_CAMERA = 250  # of a drawn camera: enough for their mean
JOINED = (0.35, 0.65)  # where two pictures are joined, as shares of the height

Boxes = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Views:
    """What each of v views shows of each of n pictures.

    boxes: (v, n, 5), as `view_boxes`. cameras: (v, n) int64: which camera, or drawn camera, the picture is of. tones:
    (v, n, TONES) float32, that camera's, as `change_tones` takes them, or None. partners: (v, n) int64, the picture
    whose lower part takes the place of this one's, this one itself where nothing does. joins: (v, n), from which share
    of the height on.
    """

    boxes: Boxes
    cameras: IntArray
    tones: npt.NDArray[np.float32] | None
    partners: IntArray
    joins: npt.NDArray[np.float64]

    def show(
        self, views: IntArray, rows: IntArray, images: Tensor, partners: Tensor | None, size: tuple[int, int]
    ) -> Tensor:
        """(b, h, w, 3) uint8 pictures and partners to the views (b, *size, 3). views, rows: (b,)."""
        shown = cut_batch(images, self.boxes[views, rows], *size)
        if partners is not None:
            other = cut_batch(partners, self.boxes[views, self.partners[views, rows]], *size)
            shown = join(shown, other, self.joins[views, rows])
        return self.toned(views, rows, shown)

    def toned(self, views: IntArray, rows: IntArray, shown: Tensor) -> Tensor:
        """(b, h, w, 3) uint8, as their cameras have their colours."""
        return shown if self.tones is None else change_tones(shown, torch.from_numpy(self.tones[views, rows]))

    def joined(self, views: IntArray, rows: IntArray) -> bool:
        """Whether any of them is joined with another."""
        return bool((self.partners[views, rows] != rows).any())


def draw_views(
    seed: int, num_views: int, cameras: IntArray, labels: IntArray, *, colours: float = 0.0, joins: float = 0.0
) -> Views:
    """Each view a function of the seed, its number and the pictures. cameras, labels: (n,), -1 of unlabelled pictures.

    colours: from view 1 on, each camera's pictures fall to drawn cameras with tones of their own, 1: as different as
    cameras get. joins: from view 1 on, of the unlabelled pictures, the share whose lower part is another one's.
    """
    n = len(cameras)
    boxes = np.stack([view_boxes(seed, view, n) for view in range(num_views)])
    codes = np.tile(cameras.astype(np.int64), (num_views, 1))
    tones = np.tile(draw_tones(np.random.default_rng(seed), 1, 0.0), (num_views, n, 1)) if colours else None
    partners, places = np.tile(np.arange(n), (num_views, 1)), np.ones((num_views, n))
    for view in range(1, num_views):
        if tones is not None:
            rng = np.random.default_rng([seed, view, 1])
            codes[view] = _draw_cameras(rng, cameras)
            tones[view] = draw_tones(rng, int(codes[view].max()) + 1, colours)[codes[view]]
        if joins:
            rng = np.random.default_rng([seed, view, 2])
            chosen = (rng.random(n) < joins) & (labels < 0)
            places[view] = np.where(chosen, rng.uniform(*JOINED, n), 1.0)
            for code in np.unique(codes[view][labels < 0]):
                of_camera = np.flatnonzero((codes[view] == code) & (labels < 0))
                mine = of_camera[chosen[of_camera]]
                partners[view, mine] = rng.choice(of_camera, len(mine))
    return Views(boxes, codes, tones, partners, places)


def _draw_cameras(rng: np.random.Generator, cameras: IntArray) -> IntArray:
    """Each camera's pictures, by chance, to as many drawn ones as have enough pictures: (n,) codes from 0 on."""
    codes, first = np.zeros(len(cameras), np.int64), 0
    for camera in np.unique(cameras):
        rows = rng.permutation(np.flatnonzero(cameras == camera))
        groups = max(1, len(rows) // PICTURES_A_CAMERA)
        codes[rows] = first + np.arange(len(rows)) % groups
        first += groups
    return codes


def view_boxes(seed: int, view: int, num_pictures: int) -> Boxes:
    """(n, 5), of each picture: top, left, height and width as shares of the picture, and 1 where it is mirrored.

    View 0 is the picture, view 1 the picture mirrored; of further ones each picture is cut at random, and every second
    one mirrored. The same seed gives the same views.
    """
    boxes = np.tile([0.0, 0.0, 1.0, 1.0, float(view == 1)], (num_pictures, 1))
    if view > 1:
        u = np.random.default_rng([seed, view]).random((num_pictures, 5))
        sides = LEAST_SHARE + (1 - LEAST_SHARE) * u[:, 2:4]
        boxes = np.concatenate([u[:, :2] * (1 - sides), sides, u[:, 4:] < 0.5], axis=1)
    return boxes


def join(images: Tensor, others: Tensor, shares: npt.NDArray[np.float64]) -> Tensor:
    """(n, h, w, 3) each: of each the rows of pixels above the share of the height, and below it the other's."""
    height = images.shape[1]
    first = torch.from_numpy(np.round(shares * height)).to(images.device)
    below = torch.arange(height, device=images.device) >= first[:, None]  # (n, h)
    return torch.where(below[:, :, None, None], others, images)


def cut_picture(pixels: Pixels, box: npt.NDArray[np.float64]) -> Pixels:
    """(h, w, 3), a row of `view_boxes`: what the view shows, by whole pixels, one at the least."""
    top, bottom, left, right = _edges_of(box, *pixels.shape[:2])
    cut = pixels[top:bottom, left:right]
    return np.ascontiguousarray(cut[:, ::-1]) if box[4] else np.ascontiguousarray(cut)


def cut_batch(images: Tensor, boxes: Boxes, height: int, width: int) -> Tensor:
    """(n, h, w, 3) uint8, (n, 5): the views at (n, height, width, 3), bilinear with antialiasing."""
    if images.is_cuda:
        edges = [_edges_of(box, images.shape[1], images.shape[2]) for box in boxes]
        mirrored = torch.from_numpy(boxes[:, 4] > 0).to(images.device)
        return at_once.resample(images, torch.tensor(edges, device=images.device), mirrored, height, width)
    views = []
    for image, box in zip(images.numpy(), boxes, strict=True):
        cut = torch.from_numpy(cut_picture(image, box)).permute(2, 0, 1)[None]  # (1, 3, h, w), channels last
        views.append(functional.interpolate(cut, (height, width), mode="bilinear", antialias=True))
    return torch.cat(views).permute(0, 2, 3, 1)


def _edges_of(box: npt.NDArray[np.float64], height: int, width: int) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) in whole pixels."""
    return *_edges(float(box[0]), float(box[2]), height), *_edges(float(box[1]), float(box[3]), width)


def _edges(start: float, share: float, length: int) -> tuple[int, int]:
    first = min(round(start * length), length - 1)
    return first, max(first + 1, round((start + share) * length))
