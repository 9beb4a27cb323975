"""BigNet: the 15-layer residual network of the reference paper, after Wojke and Bewley (WACV 2018)."""

from __future__ import annotations

from typing import Self

from torch import Tensor, nn
from torch.nn import functional

from resight.models.dropout import Dropout
from resight.models.network import Architecture, Network

DROPOUT = 0.4
TRUNK_CHANNELS = 128
TRUNK_STRIDE = 8  # the feature map is this many times smaller than the image, in height and in width


def pad_bottom_right(x: Tensor, value: float = 0.0) -> Tensor:
    """One row and column of `value` at the bottom and right: TensorFlow's SAME, at even sizes and stride 2."""
    return functional.pad(x, (0, 1, 0, 1), value=value)


class Residual(nn.Module):
    """Pre-activation residual block: raw input + conv(dropout(ELU(BN(conv(ELU(BN(input))))))).

    A block that widens halves height and width, and projects its raw input by a 1x1 / 2 convolution.
    preactivate: False for the block whose input has just been activated.
    """

    def __init__(self, channels_in: int, channels_out: int, *, preactivate: bool = True) -> None:
        super().__init__()
        self.widens = channels_out != channels_in
        self.pre = nn.Sequential(nn.BatchNorm2d(channels_in), nn.ELU()) if preactivate else nn.Identity()
        if self.widens:
            first = nn.Conv2d(channels_in, channels_out, 3, stride=2)
            self.project: nn.Module = nn.Conv2d(channels_in, channels_out, 1, stride=2)
        else:
            first = nn.Conv2d(channels_in, channels_out, 3, padding=1)
            self.project = nn.Identity()
        self.conv1 = nn.Sequential(first, nn.BatchNorm2d(channels_out), nn.ELU(), Dropout(DROPOUT))
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pre(x)
        if self.widens:
            y = pad_bottom_right(y)
        out: Tensor = self.project(x) + self.conv2(self.conv1(y))
        return out


class Trunk(nn.Module):
    """Convolution 1 to residual 9: (n, 3, h, w) to (n, 128, h / 8, w / 8).

    pool_padding: what stands beyond the edge where the maximum is taken. The paper's zeros, not minus infinity: ELU's
    outputs are negative too, so this changes the last row and column.
    """

    def __init__(self, pool_padding: float = 0.0) -> None:
        super().__init__()
        self.pool_padding = pool_padding
        self.conv1 = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ELU())
        self.conv2 = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ELU())
        self.residual4 = Residual(32, 32, preactivate=False)
        self.residual5 = Residual(32, 32)
        self.residual6 = Residual(32, 64)
        self.residual7 = Residual(64, 64)
        self.residual8 = Residual(64, 128)
        self.residual9 = Residual(128, TRUNK_CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(self.conv1(x))  # (n, 32, h, w)
        x = functional.max_pool2d(pad_bottom_right(x, self.pool_padding), 3, stride=2)  # (n, 32, h/2, w/2)
        x = self.residual5(self.residual4(x))
        x = self.residual7(self.residual6(x))  # (n, 64, h/4, w/4)
        out: Tensor = self.residual9(self.residual8(x))  # (n, 128, h/8, w/8)
        return out


class Dense(nn.Sequential):
    """Dense 10: flatten, dropout, linear, BN, ELU. (n, c, h, w) to (n, dim)."""

    def __init__(self, in_features: int, dim: int) -> None:
        super().__init__(
            nn.Flatten(),
            Dropout(DROPOUT),
            nn.Linear(in_features, dim),
            nn.BatchNorm1d(dim),
            nn.ELU(),
        )


class BigNet(Network):
    """(n, 3, height, width) float32, normalised, to embeddings (n, dim) float32 of unit length.

    height, width: multiples of 8 (`catalogue.build_network` checks, and says which sizes do).
    """

    stride = TRUNK_STRIDE

    def __init__(self, height: int, width: int, dim: int = 128) -> None:
        super().__init__()
        self.trunk = Trunk()
        cells = (height // TRUNK_STRIDE) * (width // TRUNK_STRIDE)
        self.dense10 = Dense(TRUNK_CHANNELS * cells, dim)

    @classmethod
    def build(cls, architecture: Architecture, height: int, width: int) -> Self:
        """With fresh weights."""
        return cls(height, width, architecture.dim)

    def forward(self, images: Tensor) -> Tensor:
        return functional.normalize(self.dense10(self.trunk(images)).float(), dim=1)
