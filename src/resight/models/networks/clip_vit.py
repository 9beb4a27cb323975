"""CLIP-ReID's vision transformer (Li et al., AAAI 2023): CLIP's image encoder (Radford et al., ICML 2021), whose class
token and its projection, one after the other, are the embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from resight.core.errors import ConfigError
from resight.models.network import Architecture, Network, read_options
from resight.models.networks.transreid import check_unseen, side_rows
from resight.models.vit import INIT_STD, VisionTransformer, VitForm


@dataclass(frozen=True)
class ClipVitForm(VitForm):
    """projection: values of the projected class token. cameras, side_weight, unseen: of the side information, as
    TransReIDForm has them; here a camera's row is added to the class token alone. neck: before or after the batch
    norms of the classifiers."""

    eps: float = 1e-5
    patch_bias: bool = False
    quick_gelu: bool = True
    norm_before: bool = True
    projection: int = 512
    cameras: int = 0
    side_weight: float = 1.0
    unseen: str = "mean"
    neck: str = "before"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (1 <= self.projection <= 4096 and 0 <= self.cameras <= 65536):
            raise ConfigError("projection is between 1 and 4,096, cameras between 0 and 65,536")
        if self.neck not in ("before", "after"):
            raise ConfigError(f"neck is before or after, not {self.neck!r}")
        check_unseen(self.unseen, self.cameras)


class ClipVit(Network):
    """(n, 3, height, width) float32, normalised, to (n, width + projection) float32 of unit length."""

    stride = 16

    def __init__(self, form: ClipVitForm, height: int, width: int) -> None:
        super().__init__()
        self.form = form
        self.base = VisionTransformer(form, height, width)
        self.proj = nn.Parameter(torch.randn(form.width, form.projection) * form.width**-0.5)
        if form.cameras:
            self.side = nn.Parameter(nn.init.trunc_normal_(torch.empty(form.cameras, form.width), std=INIT_STD))
        after = form.neck == "after"
        self.bottleneck = nn.BatchNorm1d(form.width) if after else nn.Identity()
        self.bottleneck_proj = nn.BatchNorm1d(form.projection) if after else nn.Identity()

    @classmethod
    def build(cls, architecture: Architecture, height: int, width: int) -> Self:
        """With fresh weights."""
        return cls(read_options(ClipVitForm, architecture), height, width)

    @classmethod
    def check(cls, architecture: Architecture, height: int, width: int) -> None:
        """As Network's; any size that holds a patch does."""
        form = read_options(ClipVitForm, architecture)
        form.grid(height, width)
        architecture.check_dim(form.width + form.projection)

    def joined(self, images: Tensor, places: Tensor | None = None) -> Tensor:
        """The published embedding, not of unit length. places: as TransReID's."""
        side = None
        if self.form.cameras:
            row = self.form.side_weight * side_rows(self.side, places, self.form.unseen)  # (n or 1, 1, width)
            side = functional.pad(row, (0, 0, 0, self.base.pos_embed.shape[1] - 1))  # of the class token alone
        token = self.base(images, side)[:, 0]  # (n, width)
        return torch.cat([self.bottleneck(token), self.bottleneck_proj(token @ self.proj)], dim=1)

    def forward(self, images: Tensor, places: Tensor | None = None) -> Tensor:
        return functional.normalize(self.joined(images, places).float(), dim=1)
