"""Weights to begin a training with: of a run of ours, or of a network that somebody else trained."""

from __future__ import annotations

import hashlib
from pathlib import Path

from resight.core.errors import ConfigError, WeightsError
from resight.models.foreign.reading import read_tensors
from resight.models.network import Network
from resight.models.saved import Origin, load_model, load_strictly


def load_pretrained(network: Network, source: Path) -> Origin:
    """Copies the weights into the network, and tells where they are from. No code in the file is run.

    source: a run's directory, whose network has the same form; or a PyTorch file of the usual names, for a network that
    begins with such (`Network.begin_with`): a ResNet-50 trained on ImageNet, a ViT or DeiT. Raises WeightsError where
    it does not fit.
    """
    if source.is_dir():
        model = load_model(source)
        load_strictly(network, model.network.state_dict(), str(source))
        return Origin(str(model.config.weights_sha256), model.config.trained_on, model.config.rights)
    try:
        weights = network.begin_with(read_tensors(source))
    except ConfigError as error:
        raise WeightsError(f"{source} cannot begin this training: {error}") from None
    load_strictly(network, weights, str(source))
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Origin(digest, f"what {source.name} was trained on", f"not stated by {source.name}")
