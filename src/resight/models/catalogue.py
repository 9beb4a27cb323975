"""The networks by name, and the sizes that each of them takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from resight.core.errors import ConfigError, unknown_name
from resight.models.bignet import TRUNK_STRIDE, BigNet
from resight.models.cosinenet import CosineNet
from resight.models.pooling import POOLINGS
from resight.models.resnet import STRIDE as RESNET_STRIDE
from resight.models.resnet import ResNet50
from resight.models.slicenet import SliceNet1, SliceNet2
from resight.models.stripnet import StripNet
from resight.models.strips import STRIPS

MAX_SIDE_PX = 4096
HALVED = ("resnet50", "stripnet")  # half of the embedding is global, half are the strips
UNSLICED = ("bignet", "cosinenet")


@dataclass(frozen=True)
class Architecture:
    """A network by name: embeddings of `dim` values, `slices` horizontal strips (1: not sliced). pooling, strips: of a
    stripnet or resnet50."""

    name: str
    dim: int = 128
    slices: int = 1
    pooling: str = "avg-max"
    strips: str = "own"


NETWORKS: dict[str, Callable[[Architecture, int, int], nn.Module]] = {
    "bignet": lambda arch, height, width: BigNet(height, width, arch.dim),
    "cosinenet": lambda arch, height, width: CosineNet(height, width, arch.dim),
    "resnet50": lambda arch, height, width: ResNet50(arch.dim, arch.slices, arch.pooling, arch.strips),
    "slicenet1": lambda arch, height, width: SliceNet1(height, width, arch.dim, arch.slices),
    "slicenet2": lambda arch, height, width: SliceNet2(height, width, arch.dim, arch.slices),
    "stripnet": lambda arch, height, width: StripNet(arch.dim, arch.slices, arch.pooling, arch.strips),
}


def build_network(architecture: Architecture, height: int, width: int) -> nn.Module:
    """A network with fresh weights: (n, 3, height, width) float32 to (n, dim) float32 of unit length.

    Raises ConfigError for an unknown name or a size that the network does not take.
    """
    if architecture.name not in NETWORKS:
        raise unknown_name("network", architecture.name, NETWORKS)
    if architecture.pooling not in POOLINGS:
        raise unknown_name("pooling", architecture.pooling, POOLINGS)
    if architecture.strips not in STRIPS:
        raise unknown_name("strips", architecture.strips, STRIPS)
    _check_size(architecture, height, width)
    return NETWORKS[architecture.name](architecture, height, width)


def trained_parts(architecture: Architecture) -> tuple[tuple[int, int], ...]:
    """The parts of the embedding, (start, stop) each, that a loss is taken of separately."""
    if architecture.name in HALVED:
        return ((0, architecture.dim // 2), (architecture.dim // 2, architecture.dim))
    return ((0, architecture.dim),)


def embedding_parts(architecture: Architecture) -> tuple[tuple[str, int, int], ...]:
    """What of the person each part of the embedding is of: (name, start, stop), strips from top to bottom."""
    if architecture.name in UNSLICED:
        return (("whole", 0, architecture.dim),)
    first = architecture.dim // 2 if architecture.name in HALVED else 0
    step = (architecture.dim - first) // architecture.slices
    starts = range(first, architecture.dim, step)
    strips = tuple((f"strip {k + 1} of {architecture.slices}", start, start + step) for k, start in enumerate(starts))
    return (("whole", 0, first), *strips) if first else strips


def equal_strips(architecture: Architecture) -> int:
    """Of how many equal parts, a strip each from top to bottom, the embedding consists; 1: of none."""
    return architecture.slices if architecture.name.startswith("slicenet") else 1


def _check_size(architecture: Architecture, height: int, width: int) -> None:
    dim, slices = architecture.dim, architecture.slices
    shared = dim // 2 if architecture.name in HALVED and dim % 2 == 0 else dim
    if slices < 1 or dim < 1 or shared % slices:
        raise ConfigError(f"an embedding of {dim} values does not divide into {slices} equal parts")
    if architecture.name in UNSLICED and slices != 1:
        raise ConfigError(f"{architecture.name} does not slice: use slicenet1 or slicenet2, or slices 1")
    stride = RESNET_STRIDE if architecture.name == "resnet50" else TRUNK_STRIDE
    step = stride * slices  # every strip is one cell of the feature map high at least
    if height < step or height % step or width < stride or width % stride:
        near = max(step, round(height / step) * step), max(stride, round(width / stride) * stride)
        raise ConfigError(
            f"{architecture.name} with {slices} slice(s) does not take images of {height} x {width}: the "
            f"height must be a multiple of {step} and the width of {stride}. "
            f"The nearest that does is {near[0]} x {near[1]}."
        )
    if max(height, width) > MAX_SIDE_PX:
        raise ConfigError(f"images of {height} x {width} are larger than {MAX_SIDE_PX} on a side")
