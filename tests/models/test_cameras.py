"""Cameras that a network was trained with, and those it has never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from resight.core.errors import ConfigError
from resight.core.pictures.images import Pixels
from resight.core.pictures.preprocessing import Preprocessing
from resight.data.crops import Crop, Dataset
from resight.data.decoding import decode_crops
from resight.embedding.loading import embed_as_trained, load
from resight.models.cameras import with_camera
from resight.models.catalogue import Architecture, build_network
from resight.models.networks.transreid import side_rows
from resight.models.saved import ModelConfig, TrainedNetwork, save_model
from resight.training.recipes import find_recipe

SIZE = Preprocessing(64, 32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
OPTIONS = {"width": 32, "depth": 2, "heads": 2, "cameras": 3}


def trained(name: str = "transreid", **more: object) -> TrainedNetwork:
    torch.manual_seed(0)
    options = {**OPTIONS, **more}
    dim = 32 if name == "transreid" else 48
    architecture = Architecture(name, dim, options=options | ({"projection": 16} if name == "clip-vit" else {}))
    network = build_network(architecture, SIZE.height, SIZE.width).eval()
    with torch.no_grad():
        network.get_parameter("side").normal_()
    return TrainedNetwork(network, ModelConfig(architecture, SIZE, "drawings", "anyone's"))


def test_rows_of_side_information() -> None:
    table = torch.arange(6.0).reshape(3, 2)
    assert side_rows(table, torch.tensor([2, 0]), "mean").tolist() == [[[4.0, 5.0]], [[0.0, 1.0]]]
    assert side_rows(table, None, "mean").tolist() == [[[2.0, 3.0]]]
    assert side_rows(table, None, "none").tolist() == [[[0.0, 0.0]]]
    assert side_rows(table, None, "1").tolist() == [[[2.0, 3.0]]]


@pytest.mark.parametrize("unseen", ["-1", "3", "last", "", "½"])
def test_no_row_is_taken_that_is_not_there(unseen: str) -> None:
    with pytest.raises(ConfigError, match="mean, none, or one of 0 to 2"):
        trained(unseen=unseen)


@pytest.mark.parametrize("name", ["transreid", "clip-vit"])
def test_a_told_camera_is_its_row(name: str) -> None:
    model = trained(name)
    images = torch.randn(2, 3, 64, 32)
    for row in range(3):
        told = with_camera(model, row).network(images)
        torch.testing.assert_close(told, model.network(images, torch.full((2,), row)))
        assert not torch.allclose(told, model.network(images))
    with pytest.raises(ConfigError, match="cameras 1 to 3; the data have camera 4"):
        with_camera(model, 3)
    with pytest.raises(ConfigError, match="camera 0"):
        with_camera(model, -1)
    with pytest.raises(ConfigError, match="not told cameras"):
        with_camera(plain(), 0)


def plain() -> TrainedNetwork:
    network = build_network(Architecture("stripnet", 32, 4), 64, 32)
    return TrainedNetwork(network, ModelConfig(Architecture("stripnet", 32, 4), SIZE, "drawings", "anyone's"))


def test_a_data_set_by_its_true_cameras(small_city: Dataset, tmp_path: Path) -> None:
    model = trained()
    save_model(tmp_path, model.network, model.config)
    # Cameras of data sets are counted from 1, those of the drawn city from 0.
    small_city = replace(small_city, query=counted(small_city.query), gallery=counted(small_city.gallery))
    plainly = load(tmp_path).embed_dataset(small_city)
    told = embed_as_trained(tmp_path, small_city)
    assert told.query.names == plainly.query.names
    assert told.gallery.names == plainly.gallery.names
    np.testing.assert_array_equal(told.gallery.content_hashes, plainly.gallery.content_hashes)
    assert np.abs(told.query.embeddings - plainly.query.embeddings).max() > 1e-3
    row = 0
    images = torch.from_numpy(SIZE.normalise(decoded(small_city, row)))
    place = torch.tensor([int(plainly.query.camids[row]) - 1])
    with torch.no_grad():
        np.testing.assert_allclose(told.query.embeddings[[row]], model.network(images, place).numpy(), atol=1e-5)
    with pytest.raises(ConfigError, match="not a run"):
        embed_as_trained(tmp_path / "model.json", small_city)


def counted(crops: Sequence[Crop]) -> tuple[Crop, ...]:
    return tuple(replace(crop, camid=crop.camid + 1) for crop in crops)


def decoded(dataset: Dataset, row: int) -> Pixels:
    return decode_crops([dataset.query[row]], SIZE.height, SIZE.width).pixels


def test_recipes_have_no_side_information() -> None:
    for name in ("transreid", "transreid-small"):
        assert "cameras" not in find_recipe(name).network_options()
