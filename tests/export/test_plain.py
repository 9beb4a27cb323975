"""The network alone, for programs that have only its metadata: fed as that says, it gives what the bundle gives."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from resight.core.distances import unit_rows
from resight.core.errors import ConfigError, ParityError
from resight.core.pictures.preprocessing import LEVEL, Preprocessing
from resight.embedding.bundle import Bundle, make_bundle
from resight.embedding.foreign.bundling import bundle_onnx
from resight.embedding.foreign.rewriting import Feed
from resight.embedding.loading import find_bundle, of_bundle
from resight.export import plain as room
from resight.export.plain import PlainNetwork, in_words, plain_network
from tests.embedding.networks import HEIGHT, WIDTH, linear, manifest_of, small_bundle

CENTRED = Preprocessing(HEIGHT, WIDTH, (0.5, 0.4, 0.3), (0.25, 0.2, 0.1), image_centring=0.5)


def _bundle(preprocessing: Preprocessing, layout: str = "nchw", batch: int | None = None) -> Bundle:
    data = linear(layout, batch).SerializeToString()
    return make_bundle(manifest_of(data, layout, batch, preprocessing=preprocessing), data, "small")


def _by_metadata(network: PlainNetwork, pictures: list[Image.Image]) -> np.ndarray:
    """(n, dim) of unit length, by nothing but the file."""
    onnx.checker.check_model(onnx.load_model_from_string(network.onnx), full_check=True)
    session = onnxruntime.InferenceSession(network.onnx, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    ours = {name: value for name, value in metadata.items() if name.startswith("resight.")}
    facts = {name.removeprefix("resight."): json.loads(value) for name, value in ours.items()}
    size = facts["width"], facts["height"]
    pixels = np.array([np.asarray(picture.resize(size, Image.Resampling.BILINEAR)) for picture in pictures]) / 255
    pixels += facts["image_centring"] * (LEVEL - pixels.mean(axis=(1, 2), keepdims=True))
    pixels = (pixels - facts["mean"]) / facts["std"]
    pixels = pixels.transpose(0, 3, 1, 2) if facts["layout"] == "nchw" else pixels
    (found,) = session.run(None, {session.get_inputs()[0].name: pixels.astype(np.float32)})
    return unit_rows(found)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("scale", ["own", "0-255", "0-1", "imagenet"])
def test_whatever_a_program_gives_the_embeddings_are_the_bundles(scale: str, layout: str) -> None:
    bundle = _bundle(CENTRED, layout)
    pixels = np.random.default_rng(1).integers(0, 256, (3, HEIGHT, WIDTH, 3), np.uint8)
    expected = of_bundle(bundle).embed_pixels(pixels)
    network = plain_network(bundle, scale)
    assert network.layout == (layout if scale == "own" else "nchw")  # what a program gives has channels first
    found = _by_metadata(network, [Image.fromarray(one) for one in pixels])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_larger_size_is_brought_down_by_means() -> None:
    bundle = _bundle(CENTRED, batch=2)
    large = np.random.default_rng(1).integers(0, 256, (2, 2 * HEIGHT, 3 * WIDTH, 3), np.uint8)
    small = large.reshape(2, HEIGHT, 2, WIDTH, 3, 3).mean(axis=(2, 4))
    network = plain_network(bundle, "0-255", (2 * HEIGHT, 3 * WIDTH))
    found = _by_metadata(network, [Image.fromarray(one) for one in large])
    near = of_bundle(bundle).embed_pixels(np.rint(small).astype(np.uint8))  # it takes whole numbers alone
    np.testing.assert_allclose(found, near, atol=0.02)
    assert network.facts["image_centring"] == 0
    assert in_words(network)[0].startswith("it takes float32 (2, 3, 16, 12)")
    with pytest.raises(ConfigError, match="no whole multiple of the network's 8x4"):
        plain_network(bundle, "0-255", (2 * HEIGHT, WIDTH + 1))
    with pytest.raises(ConfigError, match="unknown scale"):
        plain_network(bundle, "0-1000")


def test_the_packaged_model_of_int8_takes_imagenets_scale() -> None:
    bundle = find_bundle("default-int8")
    size = bundle.manifest.preprocessing
    pixels = np.random.default_rng(1).integers(0, 256, (3, size.height, size.width, 3), np.uint8)
    network = plain_network(bundle, "imagenet", (2 * size.height, 2 * size.width))
    shown = [Image.fromarray(one.repeat(2, axis=0).repeat(2, axis=1)) for one in pixels]
    assert np.sum(_by_metadata(network, shown) * of_bundle(bundle).embed_pixels(pixels), axis=1).min() > 0.999
    assert network.unit


def test_a_plain_network_that_became_a_bundle_becomes_plain_again() -> None:
    first = plain_network(_bundle(CENTRED), "0-255", (2 * HEIGHT, WIDTH))
    told = Preprocessing(2 * HEIGHT, WIDTH, (0.0,) * 3, (1 / 255,) * 3)
    again = plain_network(bundle_onnx(first.onnx, told, name="it", source="it.onnx"), "imagenet", (4 * HEIGHT, WIDTH))
    pixels = np.random.default_rng(1).integers(0, 256, (3, HEIGHT, WIDTH, 3), np.uint8)
    found = _by_metadata(again, [Image.fromarray(one.repeat(4, axis=0)) for one in pixels])
    np.testing.assert_allclose(found, of_bundle(_bundle(CENTRED)).embed_pixels(pixels), atol=1e-5)
    keys = [entry.key for entry in onnx.load_model_from_string(again.onnx).metadata_props]
    assert len(keys) == len(set(keys))


def test_the_length_of_embeddings_is_told() -> None:
    network = plain_network(small_bundle())  # a product: of any length
    assert not network.unit
    assert any("to be brought to unit length" in line for line in in_words(network))


def test_one_that_gives_other_embeddings_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    right = room._feed

    def wrong(told: Preprocessing, own: Preprocessing, layout: str) -> Feed:
        return replace(right(told, own, layout), centring=0.0)

    monkeypatch.setattr(room, "_feed", wrong)
    with pytest.raises(ParityError, match="other embeddings than the bundle"):
        plain_network(_bundle(CENTRED), "0-255")
