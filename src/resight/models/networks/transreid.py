"""TransReID (He et al., ICCV 2021): a vision transformer with overlapping patches, side information and jigsaw patches.

Side information (section 3.3): a learnt row for each camera, added to all tokens. Jigsaw patches (section 3.2): after
the last block but one the patch tokens are shifted, shuffled and dealt into parts, and a second last block, the same
for all parts, makes a feature of each of them beside the global one.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from resight.core.errors import ConfigError
from resight.models.network import Architecture, Network, read_options
from resight.models.vit import INIT_STD, VisionTransformer, VitForm, imagenet_weights, make_block

NECKS = ("before", "after")


@dataclass(frozen=True)
class TransReIDForm(VitForm):
    """jigsaw: whether there are parts. parts, shift, groups, rearrange: how their tokens are chosen. cameras, views: of
    the side information; 0: there is none. side_weight: what it is multiplied by (the paper's lambda). unseen: what a
    picture without a known camera gets: the mean of the rows, none, or a row's number. neck: whether the embedding is
    taken before the batch norms of the classifiers, as it was published, or after them."""

    jigsaw: bool = False
    parts: int = 4
    shift: int = 5
    groups: int = 2
    rearrange: bool = True
    cameras: int = 0
    views: int = 0
    side_weight: float = 3.0
    unseen: str = "mean"
    neck: str = "before"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.neck not in NECKS:
            raise ConfigError(f"neck is before or after, not {self.neck!r}")
        if not (1 <= self.parts <= 64 and 1 <= self.groups <= 64 and 1 <= self.shift <= 1024):
            raise ConfigError("parts and groups are between 1 and 64, shift between 1 and 1024")
        if not (0 <= self.cameras <= 65536 and 0 <= self.views <= 65536 and self.side_rows <= 65536):
            raise ConfigError("cameras and views are between 0 and 65,536")
        check_unseen(self.unseen, self.side_rows)

    @property
    def side_rows(self) -> int:
        """Rows of side information: of cameras, of views, or of both together; 0: none."""
        return max(1, self.cameras) * max(1, self.views) if self.cameras or self.views else 0

    @property
    def branches(self) -> int:
        """Features of one picture: the global one, and one of each part."""
        return 1 + self.parts if self.jigsaw else 1


class TransReID(Network):
    """(n, 3, height, width) float32 to (n, width) of unit length; with jigsaw (n, width * 5), [g, f1/4 ... f4/4]."""

    stride = 16

    def __init__(self, form: TransReIDForm, height: int, width: int) -> None:
        super().__init__()
        self.form = form
        rows, columns = form.grid(height, width)
        if form.jigsaw and rows * columns < max(form.parts, form.groups):
            raise ConfigError(f"{rows} x {columns} patches are too few for {form.parts} parts")
        self.base = VisionTransformer(form, height, width, depth=form.depth - form.jigsaw, norm=not form.jigsaw)
        if form.side_rows:
            self.side = nn.Parameter(nn.init.trunc_normal_(torch.empty(form.side_rows, form.width), std=INIT_STD))
        if form.jigsaw:
            last = make_block(form, form.depth - 1)
            self.b1 = nn.Sequential(last, nn.LayerNorm(form.width, form.eps))
            self.b2 = copy.deepcopy(self.b1)
        if form.neck == "after":
            self.necks = nn.ModuleList(nn.BatchNorm1d(form.width) for _ in range(form.branches))

    @classmethod
    def build(cls, architecture: Architecture, height: int, width: int) -> Self:
        """With fresh weights."""
        return cls(read_options(TransReIDForm, architecture), height, width)

    @classmethod
    def parts(cls, architecture: Architecture) -> tuple[tuple[str, int, int], ...]:
        """One: each jigsaw part is of patches from all over the picture."""
        return (("whole", 0, architecture.dim),)

    @classmethod
    def check(cls, architecture: Architecture, height: int, width: int) -> None:
        """As Network's; any size that holds a patch does."""
        form = read_options(TransReIDForm, architecture)
        form.grid(height, width)
        architecture.check_dim(form.width * form.branches)

    def branches(self, images: Tensor, places: Tensor | None = None) -> Tensor:
        """The global feature and those of the parts, before the neck: (n, branches, width).

        places: (n,) int64, each picture's row of side information; None: as the form's `unseen` says.
        """
        x: Tensor = self.base(images, self._side(places))  # (n, 1 + patches, width)
        if not self.form.jigsaw:
            return x[:, :1]
        token, patches = x[:, :1], x[:, 1:]
        features = [self.b1(x)[:, :1]]
        size = patches.shape[1] // self.form.parts
        if self.form.rearrange:
            patches = shuffle(patches, self.form.shift, self.form.groups)
        for k in range(self.form.parts):
            part = torch.cat([token, patches[:, k * size : (k + 1) * size]], dim=1)
            features.append(self.b2(part)[:, :1])
        return torch.cat(features, dim=1)

    def begin_with(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As Network's: a ViT or DeiT trained on ImageNet; its last block and norm begin both of the jigsaw's."""
        trained = imagenet_weights(weights, self.base.grid)
        last = f"blocks.{self.form.depth - 1}."
        found: dict[str, Tensor] = {n: t for n, t in self.state_dict().items() if n.startswith(("side", "necks."))}
        for name, tensor in trained.items():
            if self.form.jigsaw and name.startswith((last, "norm.")):
                ours = f"0.{name.removeprefix(last)}" if name.startswith(last) else f"1.{name.removeprefix('norm.')}"
                found |= {f"{branch}.{ours}": tensor for branch in ("b1", "b2")}
            else:
                found[f"base.{name}"] = tensor
        return found

    def forward(self, images: Tensor, places: Tensor | None = None) -> Tensor:
        return functional.normalize(self.joined(images, places).float(), dim=1)

    def joined(self, images: Tensor, places: Tensor | None = None) -> Tensor:
        """The published embedding, not of unit length: [g, f1/4 ... f4/4] of `branches`, or of their batch norms."""
        features = self.branches(images, places).unbind(1)  # of (n, width)
        if self.form.neck == "after":
            features = tuple(neck(feature) for neck, feature in zip(self.necks, features, strict=True))
        whole, *parts = features
        return torch.cat([whole, *(part / self.form.parts for part in parts)], dim=1)

    def _side(self, places: Tensor | None) -> Tensor | None:
        if not self.form.side_rows:
            return None
        return self.form.side_weight * side_rows(self.side, places, self.form.unseen)


def shuffle(patches: Tensor, shift: int, groups: int) -> Tensor:
    """The tokens (n, N, width) begun at number `shift` (from 1), the first ones at the end, and dealt out of `groups`
    equal runs in turn; where they do not divide, the last but one is repeated at the end."""
    patches = torch.cat([patches[:, shift - 1 :], patches[:, : shift - 1]], dim=1)
    tokens, width = patches.shape[1:]
    if tokens % groups:
        patches = torch.cat([patches, patches[:, -2:-1]], dim=1)
        tokens = tokens + 1
    runs = patches.reshape(-1, groups, tokens // groups, width)
    return runs.transpose(1, 2).reshape(-1, tokens, width)


def side_rows(table: Tensor, places: Tensor | None, unseen: str) -> Tensor:
    """Rows of side information as (n or 1, 1, width): those of `places`, (n,) int64 and each in the table; without
    them the mean row, zeros, or row N of `unseen` "N"."""
    if places is not None:
        return table[places][:, None]
    if unseen == "mean":
        return table.mean(dim=0)[None, None]
    return torch.zeros_like(table[:1, None]) if unseen == "none" else table[int(unseen), None, None]


def check_unseen(unseen: str, rows: int) -> None:
    """Raises ConfigError unless it is `mean`, `none` or the number of a row."""
    if unseen not in ("mean", "none") and not (unseen.isascii() and unseen.isdigit() and int(unseen) < rows):
        raise ConfigError(
            f"a camera that the network has not seen is mean, none, or one of 0 to {rows - 1}: {unseen!r}"
        )
