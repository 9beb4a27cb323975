"""What a step minimises: network and loss as one module."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from resight.core.pictures.preprocessing import LEVEL, Preprocessing
from resight.losses.bnneck import BNNeckLoss
from resight.losses.joint import OF_LABELS, OF_TARGETS, JointLoss
from resight.losses.local_heads import LocalHeadsLoss
from resight.losses.mutual import MutualLoss
from resight.models.catalogue import Architecture, build_network, trained_parts
from resight.models.network import Network
from resight.training.recipe import Recipe


def architecture_of(recipe: Recipe) -> Architecture:
    """The network that a recipe trains."""
    options = recipe.network_options()
    return Architecture(recipe.network, recipe.dim, recipe.slices, recipe.pooling, recipe.strips, options)


class Objective(nn.Module):
    """Network and loss as one module: what is compiled, distributed and optimised."""

    mean: Tensor
    std: Tensor
    loss: nn.Module

    def __init__(self, network: nn.Module, loss: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std).view(1, 3, 1, 1) * 255, persistent=False)
        self.image_centring = preprocessing.image_centring

    @property
    def kappa(self) -> float:
        """The mean scale of its cosine classifiers; 1 of others."""
        return self.loss.kappa if isinstance(self.loss, JointLoss) else 1.0

    def normalise(self, pixels: Tensor) -> Tensor:
        """(n, h, w, 3) uint8 to (n, 3, h, w) float32, as the network takes it, by Preprocessing.normalise's formula."""
        # (n, h, w, 3) seen as (n, 3, h, w) is channels-last already: no copy.
        x = pixels.permute(0, 3, 1, 2).float()
        if self.image_centring:
            x = x + self.image_centring * (255 * LEVEL - x.mean(dim=(2, 3), keepdim=True))
        return (x - self.mean) / self.std

    def embed(self, pixels: Tensor) -> Tensor:
        """(n, h, w, 3) uint8 to (n, dim) float32."""
        out: Tensor = self.network(self.normalise(pixels))
        return out.float()

    def forward(self, pixels: Tensor, labels: Tensor, targets: Tensor | None = None) -> Tensor:
        """pixels: (n, h, w, 3) uint8, labels: (m,) int64 of the first m, targets: (n, target_dim); the mean loss."""
        embeddings = self.embed(pixels)
        with _full_precision(pixels):
            out: Tensor = self.loss(embeddings, labels, targets)
        return out


class BranchObjective(Objective):
    """A loss of the network's branches, before they are brought to unit length, each with a classifier of its own."""

    network: Network

    def forward(self, pixels: Tensor, labels: Tensor, targets: Tensor | None = None) -> Tensor:
        """As Objective's; there are no targets."""
        branches = self.network.branches(self.normalise(pixels)).float()
        with _full_precision(pixels):
            out: Tensor = self.loss(branches, labels)
        return out


class MutualObjective(Objective):
    """Two objectives that learn from each other; the first one's network is kept."""

    loss: JointLoss

    def __init__(self, network: nn.Module, loss: JointLoss, preprocessing: Preprocessing, peer: Objective) -> None:
        super().__init__(network, loss, preprocessing)
        self.peer = peer
        self.mutual = MutualLoss()

    def forward(self, pixels: Tensor, labels: Tensor, targets: Tensor | None = None) -> Tensor:
        """As Objective's; the sum of both losses and of what they think of each other."""
        own, other = self.embed(pixels), self.peer.embed(pixels)
        with _full_precision(pixels):
            peer = cast(JointLoss, self.peer.loss)
            both: Tensor = self.loss(own, labels, targets) + peer(other, labels, targets)
            return both + cast(Tensor, self.mutual(own, other, self.loss, peer))


def _full_precision(pixels: Tensor) -> torch.autocast:
    """For the loss, where the network runs in bfloat16: near 1, two of its cosines are 0.004 apart at the least."""
    return torch.autocast(pixels.device.type, enabled=False)


def make_objective(
    recipe: Recipe, network: nn.Module, num_classes: int, preprocessing: Preprocessing, target_dim: int = 0
) -> Objective:
    """The recipe's losses on the network; under mutual learning, a second network beside it, which begins elsewhere.

    target_dim: values of what teachers say an embedding should be; 0: there are no teachers.
    """
    if recipe.classifier != "cosine":
        return BranchObjective(network, _branch_loss(recipe, cast(Network, network), num_classes), preprocessing)
    loss = _loss(recipe, num_classes, target_dim)
    if not recipe.mutual:
        return Objective(network, loss, preprocessing)
    other = build_network(architecture_of(recipe), recipe.height, recipe.width)
    peer = Objective(other, _loss(recipe, num_classes, target_dim), preprocessing)
    return MutualObjective(network, loss, preprocessing, peer)


def _branch_loss(recipe: Recipe, network: Network, num_classes: int) -> nn.Module:
    with torch.no_grad():
        shape = network.eval().branches(torch.zeros(1, 3, recipe.height, recipe.width)).shape  # (1, branches, width)
    network.train()
    sizes = shape[2], shape[1], num_classes
    if recipe.classifier == "local":
        return LocalHeadsLoss(*sizes, label_smoothing=recipe.label_smoothing)
    return BNNeckLoss(*sizes, triplet=recipe.triplet, label_smoothing=recipe.label_smoothing)


def _loss(recipe: Recipe, num_classes: int, target_dim: int) -> JointLoss:
    return JointLoss(
        trained_parts(architecture_of(recipe)),
        num_classes,
        {name: getattr(recipe, name) for name in (*OF_LABELS, *OF_TARGETS)},
        kappa=recipe.kappa,
        label_smoothing=recipe.label_smoothing,
        softplus=recipe.kappa_softplus,
        margin=recipe.margin,
        identity=recipe.identity,
        aligned_strips=recipe.slices if recipe.aligned else 0,
        target_dim=target_dim,
    )
