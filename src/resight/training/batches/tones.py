"""What cameras do to the same person: white balance, exposure, contrast, saturation, sharpness."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

TONES = 7  # three gains, gamma, contrast, saturation, sharpness
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's "L"
# Of a camera at strength 1: logarithms of the gains, of gamma, of contrast and of saturation lie within these.
GAIN, GAMMA, CONTRAST, SATURATION = 0.3, 0.5, 0.35, 0.6
SHARPNESS = (1.0, 1.0, 0.5, 0.35)  # the share of the height in pixels that the camera tells apart: one of these


def draw_tones(rng: np.random.Generator, num: int, strength: float) -> npt.NDArray[np.float32]:
    """Of each of `num` cameras, (num, TONES) float32: what `change_tones` takes. strength 0: changes nothing."""
    u = rng.uniform(-1, 1, (num, 6)) * np.array([GAIN, GAIN, GAIN, GAMMA, CONTRAST, SATURATION]) * strength
    values = np.exp(u)
    values[:, :3] /= values[:, :3].mean(axis=1, keepdims=True)  # brightness is gamma's
    sharpness = rng.choice(SHARPNESS, num) if strength else np.ones(num)
    return np.concatenate([values, sharpness[:, None]], axis=1).astype(np.float32)


def change_tones(images: Tensor, tones: Tensor) -> Tensor:
    """(n, h, w, 3) uint8 and (n, TONES): the pictures, made coarse and coloured as those cameras would, uint8."""
    tones = tones.to(images.device)
    x = images.float() / 255
    for share in sorted(set(SHARPNESS) - {1.0}):
        rows = torch.nonzero((tones[:, 6] - share).abs() < 1e-3)[:, 0]
        if len(rows):
            x[rows] = _coarse(x[rows], share)
    gains, gamma, contrast, saturation = (
        tones[:, None, None, start:stop] for start, stop in ((0, 3), (3, 4), (4, 5), (5, 6))
    )
    x = x.clamp(0, 1) ** gamma * gains
    luma = torch.tensor(LUMA, device=images.device)
    mean = (x * luma).sum(dim=3, keepdim=True).mean(dim=(1, 2), keepdim=True)
    x = mean + (x - mean) * contrast
    grey = (x * luma).sum(dim=3, keepdim=True)
    x = grey + (x - grey) * saturation
    return (x * 255).round().clamp(0, 255).to(torch.uint8)


def _coarse(x: Tensor, share: float) -> Tensor:
    """Fewer pixels, and as many again. (n, h, w, 3)."""
    height, width = x.shape[1:3]
    small = (max(1, round(share * height)), max(1, round(share * width)))
    seen = functional.interpolate(x.permute(0, 3, 1, 2), small, mode="bilinear", antialias=True)
    return functional.interpolate(seen, (height, width), mode="bilinear").permute(0, 2, 3, 1)
