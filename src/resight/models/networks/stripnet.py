"""StripNet: a plain residual network of ReLUs with a global embedding and one for each horizontal strip.

Small on purpose, and of operations that every runtime is fast at: 3x3 convolutions, ReLU, pooling and dense
layers. The strips are pooled from the feature map, as SliceNet2's and PCB's are (Sun et al., ECCV 2018).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from resight.models.strips import StripEmbedding

STAGES = ((32, 2), (64, 1), (128, 2), (192, 1))  # channels, and the stride of the stage's first block
BLOCKS_A_STAGE = 2


class Block(nn.Module):
    """ReLU(shortcut + BN(conv(ReLU(BN(conv(x)))))): the basic block of He et al. (CVPR 2016)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        last = nn.BatchNorm2d(channels_out)
        self.body = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            last,
        )
        nn.init.zeros_(last.weight)  # each block begins as its shortcut (Goyal et al., 2017)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.shortcut(x) + self.body(x))


class StripNet(StripEmbedding):
    """A global embedding and one for each of K strips, as StripEmbedding has them.

    Any height of a multiple of 8 K and width of 8 is taken, whatever the network was built for: nothing in it depends
    on the size.
    """

    stride = 8
    channels = STAGES[-1][0]

    def __init__(self, dim: int = 256, slices: int = 4, pooling: str = "avg-max", strips: str = "own") -> None:
        super().__init__(dim, slices, pooling, strips)
        width = STAGES[0][0]
        trunk: list[nn.Module] = [
            nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        for channels, stride in STAGES:
            for index in range(BLOCKS_A_STAGE):
                trunk.append(Block(width, channels, stride if index == 0 else 1))
                width = channels
        self.trunk = nn.Sequential(*trunk)

    def features(self, images: Tensor) -> Tensor:
        """(n, 192, h/8, w/8)."""
        out: Tensor = self.trunk(images)
        return out
