"""Cutting, shifting and erasing all pictures of a batch at once, as a GPU is fast at; a CPU takes them one by one."""

from __future__ import annotations

import torch
from torch import Tensor


def resample(images: Tensor, edges: Tensor, mirrored: Tensor, height: int, width: int) -> Tensor:
    """(n, h, w, 3) uint8 to (n, height, width, 3): of each picture what is within its edges, bilinear, antialiased.

    edges: (n, 4) whole pixels: top, bottom, left, right. mirrored: (n,) bool. The filter is that of
    `torch.nn.functional.interpolate(mode="bilinear", antialias=True)`, as two products of matrices.
    """
    n, h, w, channels = images.shape
    rows = _triangles(edges[:, 0], edges[:, 1], h, height)  # (n, height, h)
    columns = _triangles(edges[:, 2], edges[:, 3], w, width)  # (n, width, w)
    columns = torch.where(mirrored[:, None, None], columns.flip(1), columns)
    x = rows @ images.float().reshape(n, h, w * channels)
    x = x.reshape(n, height, w, channels).transpose(1, 2).reshape(n, w, height * channels)
    x = (columns @ x).reshape(n, width, height, channels).transpose(1, 2)
    return x.round().clamp(0, 255).to(torch.uint8).contiguous()


def _triangles(start: Tensor, stop: Tensor, pixels: int, size: int) -> Tensor:
    """(n, size, pixels): how much each pixel within [start, stop) counts in each of `size` pixels made of them."""
    scale = ((stop - start).float() / size)[:, None, None]
    centre = start[:, None, None] + (torch.arange(size, device=start.device)[:, None] + 0.5) * scale
    place = torch.arange(pixels, device=start.device)
    weight = (1 - (place + 0.5 - centre).abs() / scale.clamp_min(1)).clamp_min(0)
    weight = weight * ((place >= start[:, None, None]) & (place < stop[:, None, None]))
    return weight / weight.sum(dim=2, keepdim=True)


def shift(padded: Tensor, tops: Tensor, lefts: Tensor, height: int, width: int) -> Tensor:
    """Of each of (n, h, w, 3), the (height, width) window at (top, left)."""
    rows = tops[:, None, None] + torch.arange(height, device=padded.device)[:, None]  # (n, height, 1)
    columns = lefts[:, None, None] + torch.arange(width, device=padded.device)  # (n, 1, width)
    return padded[torch.arange(len(padded), device=padded.device)[:, None, None], rows, columns]


def fill(images: Tensor, rectangles: Tensor, noise: Tensor) -> Tensor:
    """Noise in one rectangle of each picture. rectangles: (n, 4) top, left, height, width; of no height: none."""
    _, height, width, _ = images.shape
    top, left, h, w = rectangles[:, :, None, None].unbind(1)  # (n, 1, 1) each
    rows = torch.arange(height, device=images.device)[:, None]
    columns = torch.arange(width, device=images.device)
    inside = (rows >= top) & (rows < top + h) & (columns >= left) & (columns < left + w)  # (n, height, width)
    return torch.where(inside[..., None], noise, images)
