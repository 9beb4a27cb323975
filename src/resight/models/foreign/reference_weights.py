"""Reads the reference paper's own PyTorch weights into our networks.

The paper's state dicts name the same layers otherwise (`bignet.residual_4.conv_1.0.weight`); the order
inside a block is the same, so a rename of each key is the whole mapping. The classifier (`cosine_weights`,
`k`) serves training only and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from resight.core.errors import ConfigError
from resight.core.pictures.preprocessing import Preprocessing
from resight.models.catalogue import Architecture, build_network
from resight.models.foreign.reading import read_tensors
from resight.models.saved import ModelConfig, TrainedNetwork, load_strictly

# The channel mean and deviation of the paper's training set, which its weights were trained with.
REFERENCE_MEAN = (0.4726, 0.4468, 0.4811)
REFERENCE_STD = (0.2765, 0.2747, 0.2764)
REFERENCE_HEIGHT, REFERENCE_WIDTH, REFERENCE_DIM, REFERENCE_SLICES = 128, 48, 128, 4

CLASSIFIER_KEYS = ("cosine_weights", "k")
RENAMES = (
    (re.compile(r"^bignet\.(conv_\d|residual_\d)\."), r"trunk.\1."),
    (re.compile(r"^bignet\.dense_10\."), r"dense10."),
    (re.compile(r"^dense_10\."), r"dense10."),
    (re.compile(r"\.bn_0\.0\."), r".pre.0."),
    (re.compile(r"\.conv_up\."), r".project."),
    (re.compile(r"(conv|residual)_(\d)"), r"\1\2"),
)
# In SliceNet1 a whole BigNet, dense layer included, stands inside.
PREFIXES = {"bignet": "", "slicenet1": "bignet.", "slicenet2": ""}


def rename(key: str, network: str) -> str:
    """The name in our network of a tensor of the paper's."""
    for pattern, replacement in RENAMES:
        key = pattern.sub(replacement, key)
    return PREFIXES[network] + key


def import_reference_weights(
    path: Path, network: str, mean: tuple[float, ...] = REFERENCE_MEAN, std: tuple[float, ...] = REFERENCE_STD
) -> TrainedNetwork:
    """Our network with the paper's weights. network: `bignet`, `slicenet1` or `slicenet2`.

    No pickled code is executed. Raises WeightsError where the file holds anything but tensors, or tensors
    that do not fit; ConfigError for an unknown network.
    """
    if network not in PREFIXES:
        raise ConfigError(f"no weights of the reference paper are known for {network!r}. Known: {', '.join(PREFIXES)}.")
    architecture = Architecture(network, REFERENCE_DIM, 1 if network == "bignet" else REFERENCE_SLICES)
    module = build_network(architecture, REFERENCE_HEIGHT, REFERENCE_WIDTH)
    tensors = read_tensors(path)
    renamed = {rename(key, network): value for key, value in tensors.items() if key not in CLASSIFIER_KEYS}
    load_strictly(module, renamed, str(path))
    config = ModelConfig(
        architecture,
        Preprocessing(REFERENCE_HEIGHT, REFERENCE_WIDTH, (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])),
        trained_on=f"imported from {path.name}; what it was trained on is not recorded in the file",
        rights="not stated by the file: ask whoever trained it",
    )
    return TrainedNetwork(module.eval(), config)


def told_network(tensors: Mapping[str, Tensor]) -> str | None:
    """Which of the paper's networks a file's names are of; None: none."""
    if "bignet.conv_1.0.weight" not in tensors:
        return None
    if "dense_10.2.weight" in tensors:
        return "slicenet2"
    dense = tensors.get("bignet.dense_10.2.weight")
    if dense is None:
        return None
    return "bignet" if len(dense) == REFERENCE_DIM else "slicenet1"
