"""Augmentation of uint8 batches, (n, h, w, 3) RGB in and out, where they are; one normalisation follows, elsewhere.

Chances are drawn on the CPU, so that a GPU changes the pictures in the same way; the noise of erasing is its own.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional

from resight.training.batches import at_once
from resight.training.batches.tones import LUMA
from resight.training.recipe import Recipe


def augment(images: Tensor, recipe: Recipe, generator: Generator) -> Tensor:
    """All that the recipe asks for, in the order of its fields. The input is left as it is.

    Pixels of the recipe are those of its full size; smaller pictures are shifted by as much less.
    """
    if recipe.random_flip:
        images = flip_where(images, torch.rand(len(images), generator=generator) < 0.5)
    if recipe.pad_and_crop:
        pad = max(1, round(recipe.pad_and_crop * images.shape[1] / recipe.height))
        images = pad_and_crop(images, pad, generator)
    if recipe.colour_jitter:
        images = colour_jitter(images, recipe.colour_jitter, generator)
    if recipe.colour_cast:
        images = colour_cast(images, recipe.colour_cast, generator)
    if recipe.random_erasing:
        images = random_erasing(images, recipe.random_erasing, generator)
    return images


def shrink(images: Tensor, height: int, width: int) -> Tensor:
    """To (n, height, width, 3), bilinear with antialiasing; at that size already: the same."""
    if images.shape[1:3] == (height, width):
        return images
    if images.is_cuda:  # where no uint8 is interpolated
        edges = torch.tensor([0, images.shape[1], 0, images.shape[2]], device=images.device).expand(len(images), 4)
        return at_once.resample(images, edges, edges[:, 0] > 0, height, width)
    seen = images.permute(0, 3, 1, 2)  # (n, 3, h, w), channels last
    return functional.interpolate(seen, (height, width), mode="bilinear", antialias=True).permute(0, 2, 3, 1)


def flip_where(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirrors left and right the pictures that `chosen` (n,) bool names."""
    return torch.where(chosen.to(images.device)[:, None, None, None], images.flip(2), images)


def pad_and_crop(images: Tensor, pad: int, generator: Generator) -> Tensor:
    """Shifts each picture by up to `pad` pixels either way; what comes in at the edge is black."""
    n, height, width, _ = images.shape
    padded = functional.pad(images, (0, 0, pad, pad, pad, pad))
    tops, lefts = torch.randint(0, 2 * pad + 1, (2, n), generator=generator)
    if images.is_cuda:
        return at_once.shift(padded, tops.to(images.device), lefts.to(images.device), height, width)
    return torch.stack(
        [
            picture[top : top + height, left : left + width]
            for picture, top, left in zip(padded, tops.tolist(), lefts.tolist(), strict=True)
        ]
    )


def colour_jitter(images: Tensor, amount: float, generator: Generator) -> Tensor:
    """Brightness, then contrast, then saturation, each times 1 + u, u uniform in [-amount, amount]."""
    factors = 1 + amount * (2 * torch.rand(3, len(images), 1, 1, 1, generator=generator) - 1).to(images.device)
    x = images.float() * factors[0]
    grey = (x * torch.tensor(LUMA, device=images.device)).sum(dim=3, keepdim=True)
    mean = grey.mean(dim=(1, 2), keepdim=True)
    x = mean + (x - mean) * factors[1]
    grey = mean + (grey - mean) * factors[1]
    x = grey + (x - grey) * factors[2]
    return x.round().clamp(0, 255).to(torch.uint8)


def colour_cast(images: Tensor, amount: float, generator: Generator) -> Tensor:
    """Each channel of each picture times a gain of its own, as cameras differ in their white balance.

    The gains are exp(u), u uniform in [-amount, amount], divided by their mean: brightness is another matter.
    """
    gains = (amount * (2 * torch.rand(len(images), 1, 1, 3, generator=generator) - 1)).exp().to(images.device)
    x = images.float() * (gains / gains.mean(dim=3, keepdim=True))
    return x.round().clamp(0, 255).to(torch.uint8)


def random_erasing(images: Tensor, probability: float, generator: Generator) -> Tensor:
    """Fills one rectangle of noise (Zhong et al., AAAI 2020: 2 to 40% of the area, aspect 0.3 to 3.3)."""
    _, height, width, channels = images.shape
    if images.is_cuda:
        draws = torch.rand(len(images), 5, generator=generator).tolist()
        found = [_rectangle(u, probability, height, width) for u in draws]
        rectangles = torch.tensor([one or (0, 0, 0, 0) for one in found], device=images.device)
        noise = torch.randint(0, 256, images.shape, dtype=torch.uint8, device=images.device)
        return at_once.fill(images, rectangles, noise)
    images = images.clone()
    for picture in images:
        rectangle = _rectangle(torch.rand(5, generator=generator).tolist(), probability, height, width)
        if rectangle:
            top, left, h, w = rectangle
            picture[top : top + h, left : left + w] = torch.randint(
                0, 256, (h, w, channels), dtype=torch.uint8, generator=generator
            )
    return images


def _rectangle(u: list[float], probability: float, height: int, width: int) -> tuple[int, int, int, int] | None:
    """(top, left, height, width) out of five numbers in [0, 1); None: nothing is erased."""
    if u[0] >= probability:
        return None
    area = (0.02 + 0.38 * u[1]) * height * width
    aspect = 0.3 * (3.3 / 0.3) ** u[2]
    h = max(1, min(height, round((area * aspect) ** 0.5)))
    w = max(1, min(width, round((area / aspect) ** 0.5)))
    return int(u[3] * (height - h + 1)), int(u[4] * (width - w + 1)), h, w
