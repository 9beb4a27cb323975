"""OSNet: features of several scales at once (Zhou et al., ICCV 2019; OSNet-AIN: Zhou et al., TPAMI 2021).

Its parameters carry the names of torchreid's files, so that they load as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from resight.core.errors import ConfigError
from resight.models.network import Architecture, Network, read_options

WIDTHS = {
    "x1_0": (64, 256, 384, 512),
    "x0_75": (48, 192, 288, 384),
    "x0_5": (32, 128, 192, 256),
    "x0_25": (16, 64, 96, 128),
}
DIM = 512
STREAMS = 4
VARIANTS = ("plain", "ibn", "ain")
# Of OSNet-AIN: which of the two blocks of conv2, conv3 and conv4 have an instance norm.
AIN_BLOCKS = ((True, True), (False, True), (True, False))
GATE_REDUCTION = 16
LEAST_PX = 16


@dataclass(frozen=True)
class OSNetForm:
    """size: one of WIDTHS. variant: plain, ibn (instance norms) or ain (instance norms where a search put them)."""

    size: str = "x1_0"
    variant: str = "plain"

    def __post_init__(self) -> None:
        if self.size not in WIDTHS or self.variant not in VARIANTS:
            raise ConfigError(
                f"an osnet's size is one of {', '.join(WIDTHS)}, its variant one of {', '.join(VARIANTS)}: "
                f"{self.size!r}, {self.variant!r}"
            )


class ConvNorm(nn.Module):
    """Convolution, normalisation and, where wanted, ReLU. instance: the norm is of each picture by itself."""

    def __init__(
        self, channels_in: int, channels_out: int, size: int = 1, *, stride: int = 1, instance: bool = False,
        relu: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, size, stride, padding=size // 2, bias=False)
        self.bn: nn.Module = nn.InstanceNorm2d(channels_out, affine=True) if instance else nn.BatchNorm2d(channels_out)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.conv(x))
        return functional.relu(x) if self.relu else x


class LightConv(nn.Module):
    """1x1, depthwise 3x3, batch norm, ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv2(self.conv1(x))))


class LightStream(nn.Module):
    """So many light convolutions one after the other, under the name that OSNet-AIN's files have for them."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(LightConv(channels) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class Gate(nn.Module):
    """Each channel times a gate in (0, 1), from the means of all channels (section 3.2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // GATE_REDUCTION, 1)
        self.fc2 = nn.Conv2d(channels // GATE_REDUCTION, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.fc2(functional.relu(self.fc1(x.mean(dim=(2, 3), keepdim=True))))  # (n, c, 1, 1)
        return x * torch.sigmoid(gate)


class OSBlock(nn.Module):
    """Four streams of 1 to 4 light convolutions, gated, added up; and the shortcut.

    instance: whether there is an instance norm: of OSNet-IBN on the sum before the ReLU, of OSNet-AIN before the sum,
    in place of the last batch norm.
    """

    def __init__(self, channels_in: int, channels_out: int, variant: str, *, instance: bool) -> None:
        super().__init__()
        middle = channels_out // 4
        self.ain = variant == "ain"
        self.conv1 = ConvNorm(channels_in, middle)
        if self.ain:
            self.conv2 = nn.ModuleList(LightStream(middle, depth) for depth in range(1, STREAMS + 1))
        else:
            self.conv2a = LightConv(middle)
            self.conv2b, self.conv2c, self.conv2d = (
                nn.Sequential(*(LightConv(middle) for _ in range(depth))) for depth in range(2, STREAMS + 1)
            )
        self.gate = Gate(middle)
        self.conv3 = ConvNorm(middle, channels_out, relu=False)
        if instance:
            self.IN = nn.InstanceNorm2d(channels_out, affine=True)
        if instance and self.ain:
            self.conv3.bn = nn.Identity()
        self.instance = instance
        self.downsample: nn.Module = nn.Identity()
        if channels_in != channels_out:
            self.downsample = ConvNorm(channels_in, channels_out, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv1(x)
        streams = list(self.conv2) if self.ain else [self.conv2a, self.conv2b, self.conv2c, self.conv2d]
        gated = [self.gate(stream(first)) for stream in streams]
        y = self.conv3(gated[0] + gated[1] + gated[2] + gated[3])
        if self.instance and self.ain:
            return functional.relu(self.IN(y) + self.downsample(x))
        y = y + self.downsample(x)
        return functional.relu(self.IN(y) if self.instance else y)


class Shrink(nn.Sequential):
    """1x1 convolution, and a mean of 2x2."""

    def __init__(self, channels: int) -> None:
        super().__init__(ConvNorm(channels, channels), nn.AvgPool2d(2, stride=2))


class OSNet(Network):
    """(n, 3, height, width) float32, normalised, to embeddings (n, 512) float32 of unit length, none negative."""

    stride = 16

    def __init__(self, form: OSNetForm) -> None:
        super().__init__()
        self.form = form
        first, *widths = WIDTHS[form.size]
        self.conv1 = ConvNorm(3, first, 7, stride=2, instance=form.variant != "plain")
        channels, stages = first, []
        for stage, width in enumerate(widths):
            blocks: list[nn.Module] = []
            for place in range(2):
                instance = AIN_BLOCKS[stage][place] if form.variant == "ain" else form.variant == "ibn" and stage == 0
                blocks.append(OSBlock(channels, width, form.variant, instance=instance))
                channels = width
            stages.append(nn.Sequential(*blocks))
        self.conv2, self.conv3, self.conv4 = stages
        shrinks = Shrink(widths[0]), Shrink(widths[1])
        if form.variant == "ain":
            self.pool2, self.pool3 = shrinks
        else:
            self.conv2.append(shrinks[0])
            self.conv3.append(shrinks[1])
        self.conv5 = ConvNorm(channels, channels)
        self.fc = nn.Sequential(nn.Linear(channels, DIM), nn.BatchNorm1d(DIM), nn.ReLU())

    @classmethod
    def build(cls, architecture: Architecture, height: int, width: int) -> Self:
        """With fresh weights."""
        return cls(read_options(OSNetForm, architecture))

    @classmethod
    def check(cls, architecture: Architecture, height: int, width: int) -> None:
        """As Network's; any size of 16 pixels a side and more does."""
        read_options(OSNetForm, architecture)
        if min(height, width) < LEAST_PX:
            raise ConfigError(f"an osnet takes pictures of {LEAST_PX} x {LEAST_PX} pixels at the least")
        architecture.check_dim(DIM)

    def features(self, images: Tensor) -> Tensor:
        """(n, channels, h/16, w/16)."""
        x = functional.max_pool2d(self.conv1(images), 3, stride=2, padding=1)  # (n, c, h/4, w/4)
        x = self.conv2(x)
        x = self.conv3(self.pool2(x) if self.form.variant == "ain" else x)
        x = self.conv4(self.pool3(x) if self.form.variant == "ain" else x)
        out: Tensor = self.conv5(x)
        return out

    def joined(self, images: Tensor) -> Tensor:
        """The published embedding, not of unit length: (n, 512)."""
        x = functional.adaptive_avg_pool2d(self.features(images), 1).flatten(1)
        out: Tensor = self.fc(x)
        return out

    def forward(self, images: Tensor) -> Tensor:
        return functional.normalize(self.joined(images).float(), dim=1)

    def branches(self, images: Tensor) -> Tensor:
        """(n, 1, 512)."""
        return self.joined(images)[:, None]
