"""Embeddings of a smaller dimension, after training: each part is projected onto its principal components."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from resight.core.errors import ConfigError, DataError
from resight.core.records import FloatArray, IntArray
from resight.models.catalogue import Architecture, build_network, embedding_parts
from resight.models.saved import TrainedNetwork, load_strictly
from resight.models.strips import StripEmbedding


def reduce_dimension(model: TrainedNetwork, embeddings: FloatArray, cameras: IntArray, dim: int) -> TrainedNetwork:
    """The same network with embeddings of dimension `dim`; only its last dense layers change.

    embeddings: (n, its dimension now), the model's own, of the pictures whose principal components are kept: those of
    the differences from their camera's mean, since values that tell cameras apart are none that tell people apart.
    cameras: (n,). Each part is reduced by itself, so that strips stay strips. The calibration is left out, since
    similarities change.

    Raises ConfigError where the network has no such layers or `dim` does not fit, DataError for too few pictures.
    """
    config = model.config
    smaller = replace(config.architecture, dim=dim)
    if not isinstance(model.network, StripEmbedding):
        raise ConfigError(f"{smaller.name} cannot be reduced; a stripnet or resnet50 can")
    if dim >= config.architecture.dim:
        raise ConfigError(f"its embeddings have dimension {config.architecture.dim}: {dim} is no reduction")
    network = build_network(smaller, config.preprocessing.height, config.preprocessing.width)
    if len(embeddings) < config.architecture.dim:
        raise DataError(f"{len(embeddings)} pictures are too few: dimension {config.architecture.dim} takes as many")
    embeddings = embeddings.astype(np.float64)
    for camera, number in zip(*np.unique(cameras, return_counts=True), strict=True):
        if number > 1:  # of a single picture nothing would be left
            embeddings[cameras == camera] -= embeddings[cameras == camera].mean(axis=0)
    weights = dict(model.network.state_dict())
    for layer, ranges in _layers(model.network, config.architecture).items():
        # Those of one layer together: strips may share it.
        rows = np.concatenate([embeddings[:, start:stop] for start, stop in ranges])
        kept = network.state_dict()[f"{layer}.0.weight"].shape[0]
        axes = np.linalg.eigh(rows.T @ rows)[1][:, ::-1][:, :kept]  # (values now, values kept)
        weights |= _projected(weights, layer, torch.from_numpy(axes.copy()))
    load_strictly(network, weights, "the reduced network")
    return TrainedNetwork(network.eval(), replace(config, architecture=smaller, calibration=None, weights_sha256=None))


def _layers(network: StripEmbedding, architecture: Architecture) -> dict[str, list[tuple[int, int]]]:
    """The dense layers by name, and of which values of the embedding (start, stop) each makes."""
    (_, start, stop), *strips = embedding_parts(architecture)
    layers = {"global_dense": [(start, stop)]}
    for k, (_, start, stop) in enumerate(strips):
        layers.setdefault(f"strip_dense.{k % len(network.strip_dense)}", []).append((start, stop))
    return layers


def _projected(weights: dict[str, Tensor], layer: str, axes: Tensor) -> dict[str, Tensor]:
    """A dense layer and its normalisation, as they stand in evaluation, and the axes after them: as one such pair."""
    dense, scale, shift, mean, variance = (
        weights[f"{layer}.{name}"].double()
        for name in ("0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var")
    )
    eps = torch.nn.BatchNorm1d(1).eps
    gain = scale / (variance + eps).sqrt()
    ones = torch.ones(axes.shape[1])
    return {
        f"{layer}.0.weight": (axes.T @ (gain[:, None] * dense)).float(),
        f"{layer}.1.weight": ones,
        f"{layer}.1.bias": (axes.T @ (shift - gain * mean)).float(),
        f"{layer}.1.running_mean": 0 * ones,
        f"{layer}.1.running_var": (1 - eps) * ones,  # so that the normalisation divides by 1
    }
