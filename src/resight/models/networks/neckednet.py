"""ResNet-50 with a batch norm before the classifier: "Bag of Tricks" and fast-reid's BoT and SBS.

Luo et al. (CVPRW 2019); He et al., "FastReID" (2020). What their projects' networks differ in is in the form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn
from torch.nn import functional

from resight.core.errors import ConfigError
from resight.models.network import Architecture, Network, read_options
from resight.models.networks.resnet import EXPANSION, WIDTHS, ResNetForm, add_layers, run_layers
from resight.models.pooling import POOLINGS

CHANNELS = WIDTHS[-1] * EXPANSION
LEAST_PX = 16


@dataclass(frozen=True)
class NeckedForm(ResNetForm):
    """gem: whether the generalised mean pools, in place of the mean. neck: whether the embedding is taken before the
    batch norm, or after it, as it was published."""

    gem: bool = False
    neck: str = "after"

    def __post_init__(self) -> None:
        if self.neck not in ("before", "after"):
            raise ConfigError(f"neck is before or after, not {self.neck!r}")


class Backbone(nn.Module):
    """The layers of a ResNet-50: (n, 3, h, w) to (n, 2048, h/16, w/16)."""

    def __init__(self, form: ResNetForm) -> None:
        super().__init__()
        self.form = form
        add_layers(self, form)

    def forward(self, x: Tensor) -> Tensor:
        return run_layers(self, x, self.form)


class NeckedNet(Network):
    """(n, 3, height, width) float32, normalised, to embeddings (n, 2048) float32 of unit length."""

    stride = 16

    def __init__(self, form: NeckedForm) -> None:
        super().__init__()
        self.form = form
        self.base = Backbone(form)
        self.pool = POOLINGS["gem" if form.gem else "avg"]()
        self.bottleneck = nn.BatchNorm1d(CHANNELS) if form.neck == "after" else nn.Identity()

    @classmethod
    def build(cls, architecture: Architecture, height: int, width: int) -> Self:
        """With fresh weights."""
        return cls(read_options(NeckedForm, architecture))

    @classmethod
    def check(cls, architecture: Architecture, height: int, width: int) -> None:
        """As Network's; any size of 16 pixels a side and more does."""
        read_options(NeckedForm, architecture)
        if min(height, width) < LEAST_PX:
            raise ConfigError(f"a {architecture.name} takes pictures of {LEAST_PX} x {LEAST_PX} pixels at the least")
        architecture.check_dim(CHANNELS)

    def begin_with(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As Network's: a ResNet-50 trained on ImageNet, of the usual names."""
        own = {n: t for n, t in self.state_dict().items() if n.startswith(("pool.", "bottleneck.", "base.NL_"))}
        return {**own, **{f"base.{n}": t for n, t in weights.items() if not n.startswith("fc.")}}

    def joined(self, images: Tensor) -> Tensor:
        """The published embedding, not of unit length: (n, 2048)."""
        out: Tensor = self.bottleneck(self.pool(self.base(images)))
        return out

    def forward(self, images: Tensor) -> Tensor:
        return functional.normalize(self.joined(images).float(), dim=1)

    def branches(self, images: Tensor) -> Tensor:
        """What is before the neck: (n, 1, 2048)."""
        out: Tensor = self.pool(self.base(images))[:, None]
        return out
