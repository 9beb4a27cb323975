"""A bundle becomes a network to train on: it embeds as the bundle does, also while it trains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from resight.core.errors import WeightsError
from resight.core.pictures.images import Pixels
from resight.data.crops import Dataset
from resight.data.decoding import decode_crops
from resight.embedding.bundle import make_bundle
from resight.embedding.loading import load, of_bundle
from resight.embedding.packaged import packaged_bundle
from resight.models.catalogue import Architecture, build_network
from resight.models.inference import TorchNetwork
from resight.models.saved import load_model
from resight.training.loop import TrainOptions, train
from resight.training.pretrained import load_pretrained
from resight.training.recipes import find_recipe
from resight.training.unfolding import restore_statistics, unfold


@pytest.fixture(scope="module")
def pixels(small_city: Dataset) -> Pixels:
    return decode_crops(small_city.train[:48], 128, 64).pixels


@pytest.mark.parametrize(("name", "least"), [("default", 0.99999), ("city", 0.95)])
def test_it_embeds_as_the_bundle_does(name: str, least: float, pixels: Pixels) -> None:
    bundle = packaged_bundle(name)
    trained = unfold(bundle)
    kept = bundle.manifest.calibration if name == "default" else None  # city is int8
    assert trained.config.calibration == kept
    theirs = of_bundle(bundle).embed_pixels(pixels)
    assert (TorchNetwork(trained, "cpu")(pixels, trained.config.preprocessing) * theirs).sum(axis=1).min() > least
    restore_statistics(trained, pixels)
    ours = TorchNetwork(trained, "cpu")(pixels, trained.config.preprocessing)
    assert (ours * theirs).sum(axis=1).min() > least
    trained.network.train()  # normalised by the batch's own mean and variance, which are those measured
    with torch.no_grad():
        images = torch.from_numpy(trained.config.preprocessing.normalise(pixels))
        assert (trained.network(images).numpy() * ours).sum(axis=1).min() > 0.9999


def test_a_training_begins_with_it(small_city: Dataset, tmp_path: Path) -> None:
    recipe = find_recipe(
        "stripnet", dim=256, epochs=1, learning_rate=0.0, constant_epochs=0, average=0.0, batch_size=32
    )
    train(
        recipe,
        small_city,
        tmp_path,
        0,
        TrainOptions(device="cpu", compile="off", amp=False),
        pretrained=Path("default"),
    )
    model = load_model(tmp_path)
    assert "by way of other models" in model.config.trained_on
    crops = small_city.train[:16]
    same = load(tmp_path, device="cpu").embed_crops(crops)[0].embeddings * load().embed_crops(crops)[0].embeddings
    assert same.sum(axis=1).min() > 0.9  # its running statistics have followed the pictures


def test_dense_layers_of_another_size_stay_fresh(pixels: Pixels) -> None:
    network = build_network(Architecture("stripnet", 64, 4), 128, 64)
    fresh = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    load_pretrained(network, Path("default"), lambda: pixels)
    begun, theirs = network.state_dict(), unfold(packaged_bundle("default")).network.state_dict()
    assert torch.equal(begun["global_dense.0.weight"], fresh["global_dense.0.weight"])
    assert torch.equal(begun["trunk.0.weight"], theirs["trunk.0.weight"])


def test_what_cannot_be_unfolded_is_refused() -> None:
    with pytest.raises(WeightsError, match="of a stripnet alone"):
        unfold(packaged_bundle("slicenet2"))
    bundle = packaged_bundle("default")
    told = replace(bundle.manifest, provenance={"architecture": "stripnet, 2 slices"})
    with pytest.raises(WeightsError, match="cannot be made a network to train on"):
        unfold(make_bundle(told, bundle.onnx, "other.resight"))
