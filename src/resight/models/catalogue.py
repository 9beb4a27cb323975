"""The networks by name. A new one is its own file in networks/, and a line here."""

from __future__ import annotations

from resight.core.errors import unknown_name
from resight.models.network import Architecture, Network
from resight.models.networks.bignet import BigNet
from resight.models.networks.clip_resnet import ClipResNet
from resight.models.networks.clip_vit import ClipVit
from resight.models.networks.cosinenet import CosineNet
from resight.models.networks.la_transformer import LATransformer
from resight.models.networks.neckednet import NeckedNet
from resight.models.networks.osnet import OSNet
from resight.models.networks.resnet import ResNet50
from resight.models.networks.slicenet import SliceNet1, SliceNet2
from resight.models.networks.stripnet import StripNet
from resight.models.networks.transreid import TransReID
from resight.models.pooling import POOLINGS
from resight.models.strips import STRIPS

__all__ = ["NETWORKS", "Architecture", "build_network", "embedding_parts", "trained_parts"]

NETWORKS: dict[str, type[Network]] = {
    "bignet": BigNet,
    "clip-resnet": ClipResNet,
    "clip-vit": ClipVit,
    "cosinenet": CosineNet,
    "la-transformer": LATransformer,
    "neckednet": NeckedNet,
    "osnet": OSNet,
    "resnet50": ResNet50,
    "slicenet1": SliceNet1,
    "slicenet2": SliceNet2,
    "stripnet": StripNet,
    "transreid": TransReID,
}


def find_network(name: str) -> type[Network]:
    """The network's class. Raises ConfigError for an unknown name, which lists those known."""
    if name not in NETWORKS:
        raise unknown_name("network", name, NETWORKS)
    return NETWORKS[name]


def build_network(architecture: Architecture, height: int, width: int) -> Network:
    """A network with fresh weights: (n, 3, height, width) float32 to (n, dim) float32 of unit length.

    Raises ConfigError for an unknown name, or sizes that the network does not take.
    """
    network = find_network(architecture.name)
    if architecture.pooling not in POOLINGS:
        raise unknown_name("pooling", architecture.pooling, POOLINGS)
    if architecture.strips not in STRIPS:
        raise unknown_name("strips", architecture.strips, STRIPS)
    network.check(architecture, height, width)
    return network.build(architecture, height, width)


def trained_parts(architecture: Architecture) -> tuple[tuple[int, int], ...]:
    """The parts of the embedding, (start, stop) each, that a loss is taken of separately. Raises ConfigError for an
    unknown network."""
    return find_network(architecture.name).trained_parts(architecture)


def embedding_parts(architecture: Architecture) -> tuple[tuple[str, int, int], ...]:
    """What of the person each part of the embedding is of: (name, start, stop), strips from top to bottom. Raises
    ConfigError for an unknown network."""
    return find_network(architecture.name).parts(architecture)
