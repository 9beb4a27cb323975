"""CosineNet: the network of deep cosine metric learning as it was published (Wojke and Bewley, WACV 2018, table 1).

BigNet is the reference paper's variant of it. What differs here: no biases where normalisation follows, no scales in
the normalisation, a projection without bias, weights drawn from a truncated normal of 1e-3, and a last normalisation
before the embedding is brought to unit length. At 128 x 64 it has 2,800,864 trainable parameters.
"""

from __future__ import annotations

from typing import Self

from torch import Tensor, nn
from torch.nn import functional

from resight.models.network import Architecture, Network
from resight.models.networks.bignet import TRUNK_CHANNELS, TRUNK_STRIDE, Dense, Residual, Trunk

WEIGHT_STD = 1e-3


class CosineNet(Network):
    """(n, 3, height, width) float32 in [0, 1] to embeddings (n, dim) float32 of unit length."""

    stride = TRUNK_STRIDE

    def __init__(self, height: int, width: int, dim: int = 128) -> None:
        super().__init__()
        self.trunk = Trunk(pool_padding=float("-inf"))
        self.dense10 = Dense(TRUNK_CHANNELS * (height // TRUNK_STRIDE) * (width // TRUNK_STRIDE), dim)
        self.ball = nn.BatchNorm1d(dim, affine=False)
        self._as_published()

    @classmethod
    def build(cls, architecture: Architecture, height: int, width: int) -> Self:
        """With fresh weights."""
        return cls(height, width, architecture.dim)

    def forward(self, images: Tensor) -> Tensor:
        return functional.normalize(self.ball(self.dense10(self.trunk(images))).float(), dim=1)

    def _as_published(self) -> None:
        before: nn.Module | None = None
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=WEIGHT_STD, a=-2 * WEIGHT_STD, b=2 * WEIGHT_STD)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.affine:
                module.weight.requires_grad_(False)  # it stays 1: the next layer scales
                if isinstance(before, nn.Conv2d | nn.Linear):
                    before.register_parameter("bias", None)
            if isinstance(module, Residual) and isinstance(module.project, nn.Conv2d):
                module.project.register_parameter("bias", None)
            before = module
