"""Batches changed at once, as on a GPU, beside pictures changed one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from resight.training.batches import at_once
from resight.training.batches.augmentation import augment, pad_and_crop, random_erasing, shrink
from resight.training.batches.views import cut_batch, view_boxes
from resight.training.recipe import Recipe
from resight.training.recipes import GENERAL, STRIPNET

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")


def pictures(height: int = 40, width: int = 20, count: int = 8) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(1, 256, (count, height, width, 3), np.uint8))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.mark.parametrize("size", [(16, 8), (40, 20), (64, 44)])
def test_resampling_is_that_of_torch(size: tuple[int, int]) -> None:
    images = pictures()
    boxes = np.concatenate([view_boxes(0, view, 2) for view in range(4)])
    one_by_one = cut_batch(images, boxes, *size)
    edges, mirrored = [], torch.from_numpy(boxes[:, 4] > 0)
    for top, left, height, width in boxes[:, :4]:
        first, start = min(round(top * 40), 39), min(round(left * 20), 19)
        edges.append([first, max(first + 1, round((top + height) * 40)), start, round((left + width) * 20)])
    found = at_once.resample(images, torch.tensor(edges), mirrored, *size)
    assert found.shape == (8, *size, 3)
    assert (found.int() - one_by_one.int()).abs().max() <= 1


def test_windows_and_rectangles() -> None:
    images = pictures()
    padded = torch.nn.functional.pad(images, (0, 0, 3, 3, 3, 3))
    tops, lefts = torch.randint(0, 7, (2, 8), generator=generator())
    assert torch.equal(at_once.shift(padded, tops, lefts, 40, 20), pad_and_crop(images, 3, generator()))
    noise = torch.zeros_like(images)
    filled = at_once.fill(images, torch.tensor([[2, 3, 5, 7], [0, 0, 0, 0], *[[0, 0, 40, 20]] * 6]), noise)
    assert (filled[0, 2:7, 3:10] == 0).all()
    assert int((filled[0] == 0).sum()) == 5 * 7 * 3
    assert torch.equal(filled[1], images[1])
    assert (filled[2:] == 0).all()


@needs_cuda
@pytest.mark.parametrize("recipe", [GENERAL, STRIPNET], ids=["general", "stripnet"])
def test_a_gpu_changes_pictures_as_the_cpu_does(recipe: Recipe) -> None:
    calm = replace(recipe, random_erasing=0.0, height=40, width=20, progressive="")
    images = pictures()
    on_gpu = augment(images.cuda(), calm, generator())
    assert (on_gpu.cpu().int() - augment(images, calm, generator()).int()).abs().max() <= 1
    assert (shrink(images.cuda(), 16, 8).cpu().int() - shrink(images, 16, 8).int()).abs().max() <= 1
    boxes = view_boxes(0, 2, 8)
    cut = cut_batch(images.cuda(), boxes, 16, 8).cpu()
    assert (cut.int() - cut_batch(images, boxes, 16, 8).int()).abs().max() <= 1
    erased = random_erasing(images.cuda(), 0.7, generator()).cpu()
    kept = (erased == images).all(dim=3).float().mean(dim=(1, 2))
    assert ((kept == 1) | (kept < 0.99)).all()
    assert 0 < int((kept < 1).sum()) < 8
    assert torch.equal(images, pictures())
