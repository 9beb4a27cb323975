"""Networks that are told who took a picture: TransReID's and CLIP-ReID's side information."""

from __future__ import annotations

import copy
from dataclasses import replace

from resight.core.errors import ConfigError
from resight.models.networks.clip_vit import ClipVit
from resight.models.networks.transreid import TransReID
from resight.models.saved import TrainedNetwork


def with_camera(trained: TrainedNetwork, row: int) -> TrainedNetwork:
    """The same weights, told that every picture is by the camera of this 0-based row of its training.

    Raises ConfigError for a network that is not told cameras, or one that was trained without this one.
    """
    network = trained.network
    if not isinstance(network, TransReID | ClipVit) or not network.form.cameras:
        raise ConfigError(f"a {trained.config.architecture.name} without side information is not told cameras")
    if not 0 <= row < network.form.cameras:
        raise ConfigError(
            f"the network was trained with cameras 1 to {network.form.cameras}; the data have camera {row + 1}. "
            "Leave --cameras-as-trained out: pictures of other cameras get the mean of those that it knows."
        )
    told = copy.copy(network)  # the weights are shared
    architecture = trained.config.architecture
    if isinstance(told, TransReID):
        told.form = replace(told.form, unseen=str(row))
    else:
        told.form = replace(told.form, unseen=str(row))
    options = {**architecture.options, "unseen": str(row)}
    config = replace(trained.config, architecture=replace(architecture, options=options))
    return TrainedNetwork(told, config)
