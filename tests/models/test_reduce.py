from __future__ import annotations

import numpy as np
import pytest
import torch

from resight.core.calibration import Calibration
from resight.core.distances import unit_rows
from resight.core.errors import ConfigError, DataError
from resight.core.pictures.preprocessing import Preprocessing
from resight.core.records import FloatArray
from resight.models.catalogue import Architecture, build_network, embedding_parts
from resight.models.reduce import reduce_dimension
from resight.models.saved import ModelConfig, TrainedNetwork


def model(architecture: Architecture) -> TrainedNetwork:
    torch.manual_seed(0)
    network = build_network(architecture, 64, 16)
    with torch.no_grad():  # normalisation that is not the identity
        for name, tensor in network.state_dict().items():
            if "dense" in name and name.endswith(("1.weight", "1.bias", "running_mean", "running_var")):
                tensor.uniform_(0.5, 1.5)
    card = ModelConfig(architecture, Preprocessing(64, 16, (0.4,) * 3, (0.2,) * 3), "drawings", "anyone's")
    return TrainedNetwork(network.eval(), card)


@torch.no_grad()
def embed(of: TrainedNetwork, images: torch.Tensor) -> FloatArray:
    return np.asarray(of.network(images).numpy())


CAMERAS = np.arange(40) % 2


@pytest.mark.parametrize("strips", ["own", "shared", "image"])
def test_the_parts_are_projected_onto_their_principal_components(strips: str) -> None:
    before = model(Architecture("stripnet", 32, 4, strips=strips))
    chosen, others = torch.randn(2, 40, 3, 64, 16)
    rows = embed(before, chosen)
    after = reduce_dimension(before, rows, CAMERAS, 16)
    rows = rows.astype(np.float64)
    rows -= np.stack([rows[::2].mean(axis=0), rows[1::2].mean(axis=0)])[CAMERAS]
    assert after.config.architecture.dim == 16
    whole, *parts = [(start, stop) for _, start, stop in embedding_parts(before.config.architecture)]
    projected = []
    for piece in ([whole], parts):  # the oracle: each part by itself, but strips of one layer by the same axes
        columns = []
        for start, stop in piece:
            alike = piece if strips == "shared" else [(start, stop)]
            seen = np.concatenate([rows[:, a:b] for a, b in alike])
            axes = np.linalg.svd(seen.T.astype(float) @ seen)[0][:, : (stop - start) // 2]
            columns.append(embed(before, others)[:, start:stop] @ axes)
        projected.append(unit_rows(np.concatenate(columns, axis=1)))
    expected = sum(part @ part.T for part in projected) / 2
    found = embed(after, others)
    np.testing.assert_allclose(found @ found.T, expected, atol=3e-5)  # float32, and short projections


def test_what_few_values_can_tell_is_kept() -> None:
    """An embedding that uses but half of its values loses nothing with the other half."""
    before = model(Architecture("stripnet", 32, 2))
    with torch.no_grad():
        for layer in (before.network.global_dense, *before.network.strip_dense):  # type: ignore[misc]
            half = len(layer[0].weight) // 2
            layer[0].weight[half:] = layer[0].weight[:half]
            for tensor in (layer[1].weight, layer[1].bias, layer[1].running_mean, layer[1].running_var):
                tensor[half:] = tensor[:half]
    images = torch.randn(40, 3, 64, 16)
    rows = embed(before, images)
    found = embed(reduce_dimension(before, rows, CAMERAS, 16), images)
    np.testing.assert_allclose(found @ found.T, rows @ rows.T, atol=1e-5)


def test_values_that_tell_cameras_apart_are_not_kept() -> None:
    before = model(Architecture("stripnet", 32, 4))
    rows = np.random.default_rng(0).normal(size=(40, 32)).astype(np.float32) * 0.1
    rows[:, 0] = 0.001 * rows[:, 0] + np.where(CAMERAS, 3.0, -3.0)  # what is most of all, and the camera alone
    after = reduce_dimension(before, rows, CAMERAS, 16)
    own, less = (found.network.state_dict()["global_dense.0.weight"] for found in (before, after))
    gain = (
        before.network.state_dict()["global_dense.1.weight"]
        / before.network.state_dict()["global_dense.1.running_var"].add(1e-5).sqrt()
    )
    axes = np.linalg.lstsq((own * gain[:, None]).numpy().T, less.numpy().T, rcond=None)[0]  # (values before, kept)
    assert np.abs(axes[0]).max() < 0.02


def test_a_camera_for_each_picture() -> None:
    """Such data have no differences within a camera: the pictures themselves tell which values matter."""
    before = model(Architecture("stripnet", 32, 4))
    rows = embed(before, torch.randn(40, 3, 64, 16))
    images = torch.randn(10, 3, 64, 16)
    found = embed(reduce_dimension(before, rows, np.arange(40), 16), images)
    whole = embed(before, images)
    np.testing.assert_allclose(found @ found.T, whole @ whole.T, atol=0.01)


def test_a_calibration_is_left_out() -> None:
    before = model(Architecture("stripnet", 32, 4))
    object.__setattr__(before.config, "calibration", object.__new__(Calibration))
    assert reduce_dimension(before, embed(before, torch.randn(40, 3, 64, 16)), CAMERAS, 16).config.calibration is None


def test_what_cannot_be_reduced() -> None:
    of = model(Architecture("stripnet", 32, 4))
    rows = embed(of, torch.randn(40, 3, 64, 16))
    with pytest.raises(ConfigError, match="no reduction"):
        reduce_dimension(of, rows, CAMERAS, 32)
    with pytest.raises(ConfigError, match="does not divide"):
        reduce_dimension(of, rows, CAMERAS, 12)
    with pytest.raises(DataError, match="31 pictures are too few"):
        reduce_dimension(of, rows[:31], CAMERAS[:31], 16)
    with pytest.raises(ConfigError, match="cannot be reduced"):
        reduce_dimension(model(Architecture("slicenet2", 32, 4)), rows, CAMERAS, 16)
