"""ResNet-50: its layers, for every network that has them, and ours with a global and a local branch.

He et al. (CVPR 2016), with stride 1 in the last stage, as re-identification has it (Luo et al., CVPRW 2019). The
parameters carry the names that the common weight files use (`conv1.weight`, `layer1.0.bn2.bias`, ...), so that such a
file loads as it is; its rights are its maker's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from resight.models.strips import StripEmbedding

BLOCKS = (3, 4, 6, 3)
WIDTHS = (64, 128, 256, 512)
STRIDES = (1, 2, 2, 1)
EXPANSION = 4
SE_REDUCTION = 16
NON_LOCAL = {2: 2, 3: 3}  # by the stage: after how many of its last blocks


@dataclass(frozen=True)
class ResNetForm:
    """What of a ResNet-50 differs from one project to another.

    ibn: the first batch norm of each block of stages 1 to 3 is half an instance norm (Pan et al., ECCV 2018). se:
    squeeze and excitation (Hu et al., CVPR 2018), with the stride in the first convolution of a block. stem_relu:
    whether a ReLU follows the first batch norm. ceil_pool: the maximum after it without padding, over what is left at
    the edge. non_local: blocks of Wang et al. (CVPR 2018) after the last ones of stages 2 and 3.
    """

    ibn: bool = False
    se: bool = False
    stem_relu: bool = True
    ceil_pool: bool = False
    non_local: bool = False


class HalfInstanceNorm(nn.Module):
    """Instance norm of the first half of the channels, batch norm of the second (IBN-a)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.IN = nn.InstanceNorm2d(channels // 2, affine=True)
        self.BN = nn.BatchNorm2d(channels - channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        half = x.shape[1] // 2
        return torch.cat([self.IN(x[:, :half].contiguous()), self.BN(x[:, half:].contiguous())], dim=1)


class SqueezeExcitation(nn.Module):
    """Each channel times a gate in (0, 1), from the means of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // SE_REDUCTION, 1)
        self.fc2 = nn.Conv2d(channels // SE_REDUCTION, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.fc2(functional.relu(self.fc1(x.mean(dim=(2, 3), keepdim=True))))  # (n, c, 1, 1)
        return x * torch.sigmoid(gate)


class NonLocal(nn.Module):
    """x + W((theta^T phi / positions) g), with one inner channel and no softmax."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.g = nn.Conv2d(channels, 1, 1)
        self.theta = nn.Conv2d(channels, 1, 1)
        self.phi = nn.Conv2d(channels, 1, 1)
        last = nn.BatchNorm2d(channels)
        nn.init.zeros_(last.weight)  # it begins as the identity
        self.W = nn.Sequential(nn.Conv2d(1, channels, 1), last)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        g, theta, phi = (layer(x).flatten(2) for layer in (self.g, self.theta, self.phi))  # (n, 1, h * w)
        attention = theta.transpose(1, 2) @ phi / (height * width)  # (n, h * w, h * w)
        y = (attention @ g.transpose(1, 2)).transpose(1, 2)  # (n, 1, h * w)
        out: Tensor = self.W(y.reshape(-1, 1, height, width)) + x
        return out


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1, and the shortcut."""

    def __init__(self, channels_in: int, width: int, stride: int, *, ibn: bool = False, se: bool = False) -> None:
        super().__init__()
        channels_out = width * EXPANSION
        first, second = (stride, 1) if se else (1, stride)
        self.conv1 = nn.Conv2d(channels_in, width, 1, first, bias=False)
        self.bn1 = HalfInstanceNorm(width) if ibn else nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, second, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.se_module = SqueezeExcitation(channels_out) if se else nn.Identity()
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        return functional.relu(self.downsample(x) + self.se_module(self.bn3(self.conv3(y))))


def add_layers(network: nn.Module, form: ResNetForm) -> None:
    """Adds the layers to a network: conv1, bn1, layer1 to layer4, and the non-local blocks NL_2 and NL_3."""
    network.conv1 = nn.Conv2d(3, WIDTHS[0], 7, stride=2, padding=3, bias=False)
    network.bn1 = nn.BatchNorm2d(WIDTHS[0])
    channels = WIDTHS[0]
    for number, (blocks, width, stride) in enumerate(zip(BLOCKS, WIDTHS, STRIDES, strict=True), 1):
        stage = []
        for block in range(blocks):
            ibn = form.ibn and number < len(BLOCKS)
            stage.append(Bottleneck(channels, width, stride if block == 0 else 1, ibn=ibn, se=form.se))
            channels = width * EXPANSION
        setattr(network, f"layer{number}", nn.Sequential(*stage))
    if form.non_local:
        for number, count in NON_LOCAL.items():
            width = WIDTHS[number - 1] * EXPANSION
            setattr(network, f"NL_{number}", nn.ModuleList(NonLocal(width) for _ in range(count)))


def run_layers(network: nn.Module, images: Tensor, form: ResNetForm) -> Tensor:
    """The layers that `add_layers` added: (n, 3, h, w) to (n, 2048, h/16, w/16)."""
    first, norm = network.get_submodule("conv1"), network.get_submodule("bn1")
    x: Tensor = norm(first(images))
    if form.stem_relu:
        x = functional.relu(x)
    padding = 0 if form.ceil_pool else 1
    x = functional.max_pool2d(x, 3, stride=2, padding=padding, ceil_mode=form.ceil_pool)  # (n, 64, h/4, w/4)
    for number, blocks in enumerate(BLOCKS, 1):
        alone = blocks - NON_LOCAL.get(number, 0) if form.non_local else blocks
        for place, block in enumerate(getattr(network, f"layer{number}")):
            x = block(x)
            if place >= alone:
                x = getattr(network, f"NL_{number}")[place - alone](x)
    return x


class ResNet50(StripEmbedding):
    """A global embedding and one for each of K strips, as StripEmbedding has them; sizes of multiples of 16."""

    stride = 16
    channels = WIDTHS[-1] * EXPANSION
    foreign_layers = ("fc.",)

    def __init__(self, dim: int = 256, slices: int = 4, pooling: str = "avg-max", strips: str = "own") -> None:
        super().__init__(dim, slices, pooling, strips)
        self.form = ResNetForm()
        add_layers(self, self.form)

    def features(self, images: Tensor) -> Tensor:
        """(n, 2048, h/16, w/16)."""
        return run_layers(self, images, self.form)
