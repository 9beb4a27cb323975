from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from resight.core.errors import ConfigError, ParityError
from resight.core.pictures import images
from resight.core.pictures.preprocessing import Preprocessing
from resight.data import decoding
from resight.data.crops import Dataset
from resight.data.decoding import decode_crops
from resight.embedding.loading import of_bundle
from resight.embedding.model import Model
from resight.export import export as room
from resight.export.export import export
from resight.export.graph import to_onnx
from resight.export.parity import Parity, measure_parity
from resight.models.catalogue import Architecture, build_network
from resight.models.saved import ModelConfig, TrainedNetwork

SIZE = Preprocessing(64, 32, (0.5, 0.4, 0.45), (0.25, 0.2, 0.3))
ARCHITECTURES = [
    Architecture("bignet", 24),
    Architecture("cosinenet", 24),
    Architecture("slicenet1", 24, 4),
    Architecture("slicenet2", 24, 4),
    Architecture("stripnet", 48, 4),
    Architecture("stripnet", 48, 2, "gem"),
    Architecture("transreid", 64, options={"width": 64, "depth": 2, "heads": 4}),
    Architecture(
        "transreid", 320, options={"width": 64, "depth": 3, "heads": 4, "jigsaw": True, "stride": 8, "cameras": 6}
    ),
    Architecture("la-transformer", 256, 4, options={"width": 64, "depth": 2, "heads": 4, "rows": 4}),
    Architecture("clip-vit", 96, options={"width": 64, "depth": 2, "heads": 4, "projection": 32, "cameras": 3}),
    Architecture("osnet", 512, options={"size": "x0_25", "variant": "ain"}),
]
TRANSFORMER = ARCHITECTURES[6]
FORMS = ("all products", "dense", "dense but the last block")


def _model(architecture: Architecture, seed: int = 0) -> TrainedNetwork:
    """With statistics of normalisation that are not those of a fresh network."""
    torch.manual_seed(seed)
    network = build_network(architecture, SIZE.height, SIZE.width)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.affine and module.running_mean is not None:
            module.running_mean.normal_(0, 0.1)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return TrainedNetwork(network.eval(), ModelConfig(architecture, SIZE, "drawings", "anyone's", "abc", "def"))


@pytest.fixture(scope="module")
def stripnet() -> TrainedNetwork:
    return _model(Architecture("stripnet", 48, 4))


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_every_network_gives_the_same_as_a_bundle(architecture: Architecture, small_city: Dataset) -> None:
    exported = export(_model(architecture), "it", pictures=small_city, evaluation=small_city)
    parity = exported.parity
    assert parity.max_difference < 1e-5
    assert parity.decoder_difference == 0
    assert parity.comparison is not None
    assert parity.comparison.differences["mean_ap"].mean == pytest.approx(
        0, abs=0.01
    )  # untrained, all people are nearly alike
    manifest = exported.bundle.manifest
    assert manifest.figures[0].mean_ap == pytest.approx(parity.comparison.second.mean_ap)
    assert [part.start for part in manifest.parts] == sorted(part.start for part in manifest.parts)
    assert manifest.parts[-1].stop == manifest.network.dim == architecture.dim
    assert (manifest.trained_on, manifest.rights, manifest.data_digest) == ("drawings", "anyone's", "abc")


def test_int8_is_close_and_smaller(stripnet: TrainedNetwork, small_city: Dataset) -> None:
    fp32 = export(stripnet, "it", pictures=small_city).bundle
    made = export(stripnet, "it", precision="int8", pictures=small_city, calibration_pictures=small_city.train)
    assert len(made.bundle.onnx) < 0.4 * len(fp32.onnx)
    assert 0.95 < made.parity.mean_cosine < 0.999999
    assert made.bundle.manifest.network.precision == "int8"
    assert "QuantizeLinear" in made.bundle.facts.ops
    assert made.bundle.manifest.identity != fp32.manifest.identity
    graph = onnx.load_model_from_string(made.bundle.onnx).graph
    stored = [numpy_helper.to_array(value) for value in graph.initializer]
    (first,) = (node for node in graph.node if "images" in node.input)
    assert (
        first.op_type,
        *(value.dtype for value, own in zip(stored, graph.initializer, strict=True) if own.name == first.input[1]),
    ) == ("Conv", np.float32)
    kernels = [values for values in stored if values.dtype == np.int8 and values.ndim == 4]
    # Two products of int8 and uint8 must fit into 16 bits, where a CPU without VNNI adds them up.
    assert kernels
    assert max(np.abs(values.astype(int)).max() for values in kernels) * 255 * 2 < 2**15


def test_int8_takes_pictures(stripnet: TrainedNetwork, small_city: Dataset) -> None:
    with pytest.raises(ConfigError, match="calibration-images"):
        export(stripnet, "it", precision="int8", pictures=small_city)
    with pytest.raises(ConfigError, match="Known: fp32, int8"):
        export(stripnet, "it", precision="fp16", pictures=small_city)


def test_int8_that_loses_too_much_is_refused(stripnet: TrainedNetwork, small_city: Dataset) -> None:
    with pytest.raises(ParityError, match="points of mAP"):
        export(
            stripnet,
            "it",
            precision="int8",
            pictures=small_city,
            calibration_pictures=small_city.train,
            evaluation=small_city,
            max_loss=-1.0,  # whatever it is, it is too much
        )


def test_a_wrong_channel_order_is_found(
    stripnet: TrainedNetwork, small_city: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mistake that the field's exports make: the bundle's pictures are fed in another order than in training."""
    original = Model.embed_pixels

    def swapped(self: Model, pixels: np.ndarray, **rest: object) -> np.ndarray:
        return original(self, np.ascontiguousarray(pixels[..., ::-1]))

    monkeypatch.setattr(Model, "embed_pixels", swapped)
    with pytest.raises(ParityError, match="the embeddings differ"):
        export(stripnet, "it", pictures=small_city)


def test_a_decoder_that_differs_is_found(
    stripnet: TrainedNetwork, small_city: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = images.decode_image
    monkeypatch.setattr(decoding, "decode_image", lambda data, name: original(data, name) // 2 * 2)
    with pytest.raises(ParityError, match="the embeddings differ"):
        export(stripnet, "it", pictures=small_city)


def test_a_resizer_that_differs_is_found(
    stripnet: TrainedNetwork, small_city: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The city's pictures are of the network's size already, so the network's is changed."""
    config = replace(stripnet.config, preprocessing=replace(SIZE, height=32))
    model = TrainedNetwork(stripnet.network, config)
    export(model, "it", pictures=small_city)
    original = images.resize_image
    monkeypatch.setattr(decoding, "resize_image", lambda pixels, h, w, rule: original(pixels, h, w, "bilinear"))
    with pytest.raises(ParityError, match="the embeddings differ"):
        export(model, "it", pictures=small_city)


def test_the_ranges_of_int8_are_of_pictures_from_all_and_by_the_models_rule(
    small_city: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, crops = replace(SIZE, height=32, resize="bicubic-antialias"), small_city.train[:7]
    monkeypatch.setattr(room, "CALIBRATION_PICTURES", 4)
    monkeypatch.setattr(room, "int8_forms", lambda onnx: ["all"])
    monkeypatch.setattr(room, "to_int8", lambda onnx, size, pixels, form: pixels)
    ((_, pixels),) = room._quantised(b"", size, crops)
    expected = decode_crops(crops[::2], size.height, size.width, resize=size.resize).pixels
    np.testing.assert_array_equal(pixels, expected)


def test_weights_that_are_lost_on_the_way_are_found(
    stripnet: TrainedNetwork, small_city: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = _model(Architecture("stripnet", 48, 4), seed=1)
    monkeypatch.setattr(room, "to_onnx", lambda network, size: to_onnx(other.network, size))
    with pytest.raises(ParityError, match="the embeddings differ"):
        export(stripnet, "it", pictures=small_city)


def test_a_transformers_int8_is_static_and_falls_back(small_city: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """The products are quantised, with ranges that no batch changes; the careful forms keep some in float."""
    monkeypatch.setattr(room, "CALIBRATION_PICTURES", 16)
    model = _model(TRANSFORMER)
    few = replace(small_city, train=small_city.train[:8], query=(), gallery=())
    counted = []
    for refused in range(3):
        tried: list[str] = []

        def measured(*arguments: Any, refused: int = refused, tried: list[str] = tried, **named: Any) -> Parity:
            found = measure_parity(*arguments, **named)
            tried.append("")
            return replace(found, failures=("too much",) if len(tried) <= refused else ())

        monkeypatch.setattr(room, "measure_parity", measured)
        made = export(model, "it", precision="int8", pictures=few, calibration_pictures=few.train, max_loss=1.0)
        nodes = onnx.load_model_from_string(made.bundle.onnx).graph.node
        assert not {"DynamicQuantizeLinear", "MatMulInteger"} & {node.op_type for node in nodes}
        counted.append(sum(node.op_type == "QuantizeLinear" for node in nodes))
        assert made.bundle.manifest.provenance["int8"] == FORMS[refused]
        together = of_bundle(made.bundle).embed_crops(small_city.train[:6])[0].embeddings
        for crop, row in zip(small_city.train[:6], together, strict=True):
            alone = of_bundle(made.bundle).embed_crops([crop])[0].embeddings
            np.testing.assert_allclose(alone[0], row, atol=1e-6)
    assert counted[0] > counted[1] > counted[2]
