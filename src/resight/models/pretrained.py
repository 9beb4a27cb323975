"""Weights to begin a training with: of a run of ours, or of a network that somebody else trained."""

from __future__ import annotations

import hashlib
from pathlib import Path

from resight.core.errors import WeightsError
from resight.models.network import Network
from resight.models.reference_weights import read_state_dict
from resight.models.saved import Origin, load_model, load_strictly


def load_pretrained(network: Network, source: Path) -> Origin:
    """Copies the weights into the network, and tells where they are from. No code in the file is run.

    source: a run's directory, whose network has the same form; or, for a network with `foreign_layers` (a ResNet-50), a
    PyTorch state dict of the usual names, of which those layers are left out, while our `own_layers` stay as they are.
    Raises WeightsError where it does not fit.
    """
    if source.is_dir():
        model = load_model(source)
        load_strictly(network, model.network.state_dict(), str(source))
        return Origin(str(model.config.weights_sha256), model.config.trained_on, model.config.rights)
    left_out = network.foreign_layers
    if left_out is None:
        raise WeightsError(f"{source} is not a run; only a resnet50 begins with a file of weights")
    weights = {name: tensor for name, tensor in read_state_dict(source).items() if not name.startswith(left_out)}
    own = {name: tensor for name, tensor in network.state_dict().items() if name.startswith(network.own_layers)}
    load_strictly(network, {**weights, **own}, str(source))
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Origin(digest, f"what {source.name} was trained on", f"not stated by {source.name}")
