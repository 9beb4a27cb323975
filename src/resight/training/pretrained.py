"""Weights to begin a training with: of a model of ours, or of a network that somebody else trained."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from resight.core.errors import ConfigError, WeightsError
from resight.core.pictures.images import Pixels
from resight.core.pictures.preprocessing import Preprocessing
from resight.embedding.bundle import SUFFIX
from resight.embedding.loading import find_bundle
from resight.embedding.packaged import packaged_models
from resight.models.foreign.reading import read_tensors
from resight.models.network import Architecture, Network
from resight.models.saved import CARD_FILE, Origin, TrainedNetwork, load_model, load_strictly, read_card
from resight.training.unfolding import restore_statistics, unfold

# What of a network a recipe's options say, but for the embedding's size, in which the two may differ.
_OPTIONS = {"name": "network", "slices": "slices", "pooling": "pooling", "strips": "strips"}


def load_trainable(source: Path) -> tuple[TrainedNetwork, bool]:
    """A model of ours as a network to train further: a run's directory, a bundle's file or a packaged model's name.

    The bool: it was folded, so `restore_statistics` belongs before the training. Raises WeightsError where there is no
    such model, or a bundle cannot be unfolded.
    """
    return (unfold(find_bundle(source)), True) if is_bundle(source) else (load_model(source), False)


def is_bundle(source: Path) -> bool:
    """Whether `load_trainable` takes it as a bundle, whose network is stored folded."""
    return _is_packaged(source) or not source.is_dir()


def weights_of(source: Path) -> str | None:
    """What `load_trainable` will have as `weights_sha256`, without loading the network. Raises WeightsError."""
    return find_bundle(source).manifest.network.sha256 if is_bundle(source) else read_card(source).weights_sha256


@dataclass(frozen=True)
class Beginning:
    """Where the weights are from; and, of a model of ours, how it takes pixels."""

    origin: Origin
    preprocessing: Preprocessing | None = None


def load_pretrained(
    network: Network, source: Path, pixels: Callable[[], Pixels], architecture: Architecture | None = None
) -> Beginning:
    """Copies the weights into the network. No code in the file is run.

    source: a model of ours, as `load_trainable` takes it, whose network has the same form, the embedding's dimension
    apart (dense layers of other sizes stay fresh); or a PyTorch file of the usual names, for a network that begins with
    such (`Network.begin_with`): a ResNet-50 trained on ImageNet, a ViT or DeiT. pixels: gives (n, height, width, 3)
    uint8 pictures that will be trained on. architecture: the network's own, to say by name in what a model of ours
    differs. Raises WeightsError where it does not fit.
    """
    if source.is_dir() or source.suffix == SUFFIX or _is_packaged(source):
        model, folded = load_trainable(source)
        if folded:
            restore_statistics(model, pixels())
        config = model.config
        try:
            load_strictly(network, _fitting(network, model.network.state_dict()), str(source))
        except WeightsError as error:
            raise WeightsError(f"{_difference(source, config.architecture, architecture)}{error}") from None
        origin = Origin(str(config.weights_sha256), config.trained_on, config.rights)
        return Beginning(origin, config.preprocessing)
    try:
        weights = network.begin_with(read_tensors(source))
    except ConfigError as error:
        raise WeightsError(f"{source} cannot begin this training: {error}") from None
    load_strictly(network, weights, str(source))
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Beginning(Origin(digest, f"what {source.name} was trained on", f"not stated by {source.name}"))


def _difference(source: Path, theirs: Architecture, ours: Architecture | None) -> str:
    """A sentence that says in which network the two differ, and the options that would train the file's."""
    names = [name for name in _OPTIONS if ours is not None and getattr(theirs, name) != getattr(ours, name)]
    if ours is None or not names:
        return ""
    told = [", ".join(f"{_OPTIONS[name]} {getattr(one, name)}" for name in names) for one in (theirs, ours)]
    options = " ".join(f"--{_OPTIONS[name]} {getattr(theirs, name)}" for name in names)
    return (
        f"{source} is of another network ({told[0]}) than this training's ({told[1]}): take a recipe of that network, "
        f"or {options}. "
    )


def _fitting(network: Network, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights, but for the network's own dense layers of another size: those as they are."""
    own = network.state_dict()
    return {
        name: own[name]
        if name.startswith(network.own_layers) and name in own and own[name].shape != tensor.shape
        else tensor
        for name, tensor in weights.items()
    }


def _is_packaged(source: Path) -> bool:
    """Whether it is a packaged model's name, and not a run of that name."""
    return str(source) in packaged_models() and not source.is_file() and not (source / CARD_FILE).exists()
