"""One plain vision transformer, of which TransReID, LA-Transformer and CLIP's image encoder are options.

Dosovitskiy et al. (ICLR 2021), eqs. 1 to 4, with pre-normalised blocks: x = x + attention(norm(x)), then
x = x + mlp(norm(x)). Patches may overlap (He et al., "TransReID", ICCV 2021, section 3.1). The parameters carry the
names that the common weight files use (`blocks.0.attn.qkv.weight`, ...).

Nothing here depends on the batch: the class token stands in a table that is added to all tokens, so that an exported
graph holds no shape that is computed from the batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional

from resight.core.errors import ConfigError

INIT_STD = 0.02
CLASSIFIERS = ("head", "dist_token", "pre_logits", "fc.")  # of files trained on ImageNet
MOST_WEIGHTS = 700_000_000  # those of the largest vision transformers that are in use; a card may ask for any
MOST = {"width": 4096, "depth": 64, "heads": 128, "patch": 64, "stride": 64}


@dataclass(frozen=True)
class VitForm:
    """The sizes of a vision transformer.

    width: of its tokens. mlp: hidden values of a block's network, in widths. scale: of the product of queries and keys;
    0: 1 / sqrt(width / heads). eps: of all layer norms. patch, stride: pixels of a patch's side, and from one to the
    next. quick_gelu: x * sigmoid(1.702 x) in place of the exact x * Phi(x). norm_before: a layer norm before the first
    block. drop_path: how often the last block is left out in training, for one picture; rising linearly over the depth
    (Huang et al., ECCV 2016).
    """

    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp: float = 4.0
    qkv_bias: bool = True
    scale: float = 0.0
    eps: float = 1e-6
    patch: int = 16
    stride: int = 16
    patch_bias: bool = True
    quick_gelu: bool = False
    norm_before: bool = False
    drop_path: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_type(field.name, str(field.type), getattr(self, field.name))
        for name, most in MOST.items():
            if not 1 <= getattr(self, name) <= most:
                raise ConfigError(f"a transformer's {name} is between 1 and {most}, not {getattr(self, name)}")
        if self.width % self.heads:
            raise ConfigError(f"a width of {self.width} does not divide into {self.heads} heads")
        if not (0 < self.mlp <= 16 and 0 < self.eps < 1 and 0 <= self.scale <= 100 and 0 <= self.drop_path < 1):
            raise ConfigError(
                "a transformer's mlp is in (0, 16], eps in (0, 1), scale in [0, 100], drop_path in [0, 1)"
            )
        if self.width**2 * self.depth * (4 + 2 * self.mlp) > MOST_WEIGHTS:
            raise ConfigError(f"{self.depth} blocks of width {self.width} have more than {MOST_WEIGHTS:,} weights")

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """(rows, columns) of patches of a picture. Raises ConfigError where not one fits."""
        if min(height, width) < self.patch:
            raise ConfigError(f"a picture of {height} x {width} is smaller than one patch of {self.patch} pixels")
        return (height - self.patch) // self.stride + 1, (width - self.patch) // self.stride + 1


class Attention(nn.Module):
    """Multi-head self-attention: softmax(scale * q k^T) v, (n, t, width) to the same."""

    def __init__(self, form: VitForm) -> None:
        super().__init__()
        self.heads = form.heads
        self.scale = form.scale or (form.width // form.heads) ** -0.5
        self.qkv = nn.Linear(form.width, 3 * form.width, bias=form.qkv_bias)
        self.proj = nn.Linear(form.width, form.width)

    def forward(self, x: Tensor) -> Tensor:
        tokens, width = x.shape[1:]
        qkv = self.qkv(x).reshape(-1, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (n, heads, t, d) each
        if self.training:
            y = functional.scaled_dot_product_attention(q, k, v, scale=self.scale)
        else:  # in the order of sums of the published networks, and of operations that every runtime has
            y = (q @ k.transpose(2, 3) * self.scale).softmax(dim=3) @ v
        out: Tensor = self.proj(y.transpose(1, 2).reshape(-1, tokens, width))
        return out


class Mlp(nn.Module):
    """Two dense layers with a GELU between them."""

    def __init__(self, form: VitForm) -> None:
        super().__init__()
        hidden = int(form.width * form.mlp)
        self.quick = form.quick_gelu
        self.fc1 = nn.Linear(form.width, hidden)
        self.fc2 = nn.Linear(hidden, form.width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc1(x)
        out: Tensor = self.fc2(y * torch.sigmoid(1.702 * y) if self.quick else functional.gelu(y))
        return out


class Block(nn.Module):
    """x + attention(norm1(x)), then x + mlp(norm2(x)). drop_path: how often either is left out, for one picture."""

    def __init__(self, form: VitForm, drop_path: float = 0.0) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(form.width, form.eps)
        self.attn = Attention(form)
        self.norm2 = nn.LayerNorm(form.width, form.eps)
        self.mlp = Mlp(form)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._kept(self.attn(self.norm1(x)))
        return x + self._kept(self.mlp(self.norm2(x)))

    def _kept(self, y: Tensor) -> Tensor:
        if not (self.training and self.drop_path):
            return y
        kept = torch.rand(y.shape[0], 1, 1, device=y.device) >= self.drop_path
        return y * kept / (1 - self.drop_path)


class Patches(nn.Module):
    """(n, 3, h, w) to tokens (n, patches, width), row by row."""

    def __init__(self, form: VitForm) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, form.width, form.patch, form.stride, bias=form.patch_bias)
        nn.init.normal_(self.proj.weight, std=math.sqrt(2 / (form.patch**2 * form.width)))

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.proj(images).flatten(2).transpose(1, 2)
        return out


class VisionTransformer(nn.Module):
    """(n, 3, height, width) float32, normalised, to tokens (n, 1 + patches, width): the class token first.

    depth: so many blocks in place of the form's. norm: whether a layer norm follows the last of them.
    """

    def __init__(self, form: VitForm, height: int, width: int, *, depth: int | None = None, norm: bool = True) -> None:
        super().__init__()
        self.size = height, width
        self.grid = rows, columns = form.grid(height, width)
        self.patch_embed = Patches(form)
        self.cls_token = nn.Parameter(torch.empty(1, 1, form.width))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + rows * columns, form.width))
        self.norm_pre = nn.LayerNorm(form.width, form.eps) if form.norm_before else nn.Identity()
        self.blocks = nn.Sequential(
            *(make_block(form, index) for index in range(form.depth if depth is None else depth))
        )
        self.norm = nn.LayerNorm(form.width, form.eps) if norm else nn.Identity()
        for table in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(table, std=INIT_STD)
        init_dense(self)

    def forward(self, images: Tensor, side: Tensor | None = None) -> Tensor:
        """side: added to all tokens besides the position, (n or 1, 1 or 1 + patches, width)."""
        if tuple(images.shape[2:]) != self.size:
            raise ConfigError(
                f"a transformer built for {self.size} does not take pictures of {tuple(images.shape[2:])}"
            )
        patches = self.patch_embed(images)  # (n, patches, width)
        # (1, 1 + patches, width): the class token in its first row, so that none is expanded over the batch.
        table = self.pos_embed + functional.pad(self.cls_token, (0, 0, 0, patches.shape[1]))
        tokens = functional.pad(patches, (0, 0, 1, 0)) + table
        if side is not None:
            tokens = tokens + side
        out: Tensor = self.norm(self.blocks(self.norm_pre(tokens)))
        return out


def make_block(form: VitForm, index: int) -> Block:
    """The block of that 0-based place in the depth, with its share of `drop_path`."""
    return Block(form, form.drop_path * index / max(1, form.depth - 1))


def init_dense(module: nn.Module) -> None:
    """Dense layers as transformers have them: a normal distribution of 0.02, cut at two, and no shift."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=INIT_STD)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def resample_positions(table: Tensor, grid: tuple[int, int], new_grid: tuple[int, int]) -> Tensor:
    """A table of positions for another grid: (1, 1 + h * w, width) to (1, 1 + H * W, width).

    The first row is the class token's and stays; the others are interpolated bilinearly, half-pixel centres, without
    antialiasing (TransReID, section 4.1).
    """
    first, cells = table[:, :1], table[:, 1:]
    if cells.shape[1] != grid[0] * grid[1]:
        raise ConfigError(f"a table of {cells.shape[1]} positions is not of a grid of {grid[0]} x {grid[1]}")
    cells = cells.reshape(1, *grid, -1).permute(0, 3, 1, 2)  # (1, width, h, w)
    cells = functional.interpolate(cells, new_grid, mode="bilinear", align_corners=False)
    return torch.cat([first, cells.flatten(2).transpose(1, 2)], dim=1)


def imagenet_weights(weights: Mapping[str, Tensor], new_grid: tuple[int, int]) -> dict[str, Tensor]:
    """A ViT's or DeiT's file of timm's names: without its classifiers and the token of distillation, its square table
    of positions resampled. Raises ConfigError where there is no such table."""
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith(CLASSIFIERS)}
    table = kept.get("pos_embed")
    if table is None or table.dim() != 3:
        raise ConfigError("it holds no pos_embed, a table of positions, as files of a ViT or DeiT do")
    if "dist_token" in weights:
        table = torch.cat([table[:, :1], table[:, 2:]], dim=1)
    side = math.isqrt(max(0, table.shape[1] - 1))
    kept["pos_embed"] = resample_positions(table, (side, side), new_grid)
    return kept


def _check_type(name: str, kind: str, value: object) -> None:
    fits = {
        "int": type(value) is int,
        "bool": type(value) is bool,
        "str": type(value) is str,
        "float": isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value),
    }
    if not fits[kind]:
        raise ConfigError(f"{name} must be of type {kind}, not {value!r}")
