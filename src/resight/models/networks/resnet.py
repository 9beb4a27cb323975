"""ResNet-50 with a global and a local branch, for those who bring weights trained on ImageNet.

He et al. (CVPR 2016), with stride 1 in the last stage, as re-identification has it (Luo et al., CVPRW 2019). Its
parameters carry the names that the common weight files use (`conv1.weight`, `layer1.0.bn2.bias`, ...), so that such a
file loads as it is; its rights are its maker's.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from resight.models.strips import StripEmbedding

BLOCKS = (3, 4, 6, 3)
WIDTHS = (64, 128, 256, 512)
STRIDES = (1, 2, 2, 1)
EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1, and the shortcut."""

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        channels_out = width * EXPANSION
        self.conv1 = nn.Conv2d(channels_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        return functional.relu(self.downsample(x) + self.bn3(self.conv3(y)))


class ResNet50(StripEmbedding):
    """A global embedding and one for each of K strips, as StripEmbedding has them; sizes of multiples of 16."""

    stride = 16
    channels = WIDTHS[-1] * EXPANSION
    foreign_layers = ("fc.",)

    def __init__(self, dim: int = 256, slices: int = 4, pooling: str = "avg-max", strips: str = "own") -> None:
        super().__init__(dim, slices, pooling, strips)
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        channels = WIDTHS[0]
        for number, (blocks, width, stride) in enumerate(zip(BLOCKS, WIDTHS, STRIDES, strict=True), 1):
            stage = []
            for block in range(blocks):
                stage.append(Bottleneck(channels, width, stride if block == 0 else 1))
                channels = width * EXPANSION
            setattr(self, f"layer{number}", nn.Sequential(*stage))

    def features(self, images: Tensor) -> Tensor:
        """(n, 2048, h/16, w/16)."""
        x = functional.relu(self.bn1(self.conv1(images)))
        x = functional.max_pool2d(x, 3, stride=2, padding=1)  # (n, 64, h/4, w/4)
        for number in range(1, len(BLOCKS) + 1):
            x = getattr(self, f"layer{number}")(x)
        return x
