"""CLIP-ReID's convolutional network (Li et al., AAAI 2023): CLIP's RN50 (Radford et al., ICML 2021), whose last feature
map's mean and attention pool, one after the other, are the embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from resight.core.errors import ConfigError
from resight.models.network import Architecture, Network, read_options
from resight.models.networks.resnet import BLOCKS, EXPANSION, STRIDES, WIDTHS

CHANNELS = WIDTHS[-1] * EXPANSION
PROJECTION = 1024
HEADS = 32
STEM = 32


@dataclass(frozen=True)
class ClipResNetForm:
    """neck: whether the embedding is taken before the batch norms of the classifiers, or after them."""

    neck: str = "before"

    def __post_init__(self) -> None:
        if self.neck not in ("before", "after"):
            raise ConfigError(f"neck is before or after, not {self.neck!r}")


class ClipBottleneck(nn.Module):
    """1x1, 3x3, a mean of the stride, 1x1, and the shortcut, which takes that mean first."""

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        channels_out = width * EXPANSION
        self.conv1 = nn.Conv2d(channels_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or channels_in != channels_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(self.pool(y)))
        shortcut = x if isinstance(self.downsample, nn.Identity) else self.downsample(self.pool(x))
        return functional.relu(y + shortcut)


class AttentionPool(nn.Module):
    """One query, the mean of all cells, attends to them and itself: (n, 2048, h, w) to (n, 1024)."""

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(1 + cells, CHANNELS) * CHANNELS**-0.5)
        self.q_proj = nn.Linear(CHANNELS, CHANNELS)
        self.k_proj = nn.Linear(CHANNELS, CHANNELS)
        self.v_proj = nn.Linear(CHANNELS, CHANNELS)
        self.c_proj = nn.Linear(CHANNELS, PROJECTION)

    def forward(self, x: Tensor) -> Tensor:
        cells = x.flatten(2).transpose(1, 2)  # (n, h * w, 2048)
        tokens = torch.cat([cells.mean(dim=1, keepdim=True), cells], dim=1) + self.positional_embedding
        size = CHANNELS // HEADS
        # (n, heads, 1 or 1 + h * w, size): of the mean token alone, and of all.
        q, k, v = (
            layer(part).reshape(-1, part.shape[1], HEADS, size).transpose(1, 2)
            for layer, part in ((self.q_proj, tokens[:, :1]), (self.k_proj, tokens), (self.v_proj, tokens))
        )
        y = (q * size**-0.5 @ k.transpose(2, 3)).softmax(dim=3) @ v  # (n, heads, 1, size)
        out: Tensor = self.c_proj(y.reshape(-1, CHANNELS))
        return out


class ClipResNet(Network):
    """(n, 3, height, width) float32, normalised, to (n, 3072) float32 of unit length."""

    stride = 16

    def __init__(self, form: ClipResNetForm, height: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, STEM, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.conv2 = nn.Conv2d(STEM, STEM, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(STEM)
        self.conv3 = nn.Conv2d(STEM, WIDTHS[0], 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(WIDTHS[0])
        channels = WIDTHS[0]
        for number, (blocks, stage_width, stride) in enumerate(zip(BLOCKS, WIDTHS, STRIDES, strict=True), 1):
            stage = []
            for block in range(blocks):
                stage.append(ClipBottleneck(channels, stage_width, stride if block == 0 else 1))
                channels = stage_width * EXPANSION
            setattr(self, f"layer{number}", nn.Sequential(*stage))
        self.attnpool = AttentionPool((height // self.stride) * (width // self.stride))
        after = form.neck == "after"
        self.bottleneck = nn.BatchNorm1d(CHANNELS) if after else nn.Identity()
        self.bottleneck_proj = nn.BatchNorm1d(PROJECTION) if after else nn.Identity()

    @classmethod
    def build(cls, architecture: Architecture, height: int, width: int) -> Self:
        """With fresh weights."""
        return cls(read_options(ClipResNetForm, architecture), height, width)

    @classmethod
    def check(cls, architecture: Architecture, height: int, width: int) -> None:
        """As Network's."""
        read_options(ClipResNetForm, architecture)
        super().check(architecture, height, width)
        architecture.check_dim(CHANNELS + PROJECTION)

    def joined(self, images: Tensor) -> Tensor:
        """The published embedding, not of unit length: (n, 3072)."""
        x = images
        for number in (1, 2, 3):
            x = functional.relu(getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(x)))
        x = functional.avg_pool2d(x, 2)  # (n, 64, h/4, w/4)
        for number in range(1, len(BLOCKS) + 1):
            x = getattr(self, f"layer{number}")(x)  # at last (n, 2048, h/16, w/16)
        return torch.cat([self.bottleneck(x.mean(dim=(2, 3))), self.bottleneck_proj(self.attnpool(x))], dim=1)

    def forward(self, images: Tensor) -> Tensor:
        return functional.normalize(self.joined(images).float(), dim=1)
