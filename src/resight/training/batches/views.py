"""Views of a picture: where a teacher and its student look, the same for both."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from resight.core.pictures.images import Pixels
from resight.training.batches import at_once

LEAST_SHARE = 0.7  # of a picture's height, and of its width, that a cut view still shows

Boxes = npt.NDArray[np.float64]


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
