from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from resight.core.errors import DataError
from resight.core.pictures.preprocessing import Preprocessing
from resight.data.crops import Crop, Dataset
from resight.data.decoding import DecodedCrops, decode_crops
from resight.data.formats.catalogue import open_dataset
from resight.embedding.foreign import probing
from resight.embedding.foreign.bundling import bundle_onnx
from resight.embedding.foreign.probing import CENTRED, SCALES, probe_preprocessing
from resight.embedding.loading import of_bundle
from resight.evaluation.evaluate import evaluate


def _colours() -> bytes:
    """Mean colour by sixteenths of the height; values beyond [0, 1] are cut, so that another scale sees nothing."""
    nodes = [
        helper.make_node("Clip", ["images", "zero", "one"], ["cut"]),
        helper.make_node("AveragePool", ["cut"], ["cells"], kernel_shape=[4, 32], strides=[4, 32]),
        helper.make_node("Sub", ["cells", "middle"], ["apart"]),
        helper.make_node("Flatten", ["apart"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 64, 32])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 48])],
        [
            numpy_helper.from_array(np.float32(value), name)  # type: ignore[arg-type]
            for name, value in (("zero", 0), ("one", 1), ("middle", 0.4))
        ],
    )
    data: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return data


def _declared(scale: str, channel_order: str = "rgb") -> Preprocessing:
    mean, std = SCALES[scale]
    return Preprocessing(64, 32, (mean[0], mean[1], mean[2]), (std[0], std[1], std[2]), channel_order=channel_order)


@pytest.fixture(scope="module")
def blocks() -> Dataset:
    """12 people, each a pattern of middling colours of its own, seen three times by two cameras with noise."""
    rng = np.random.default_rng(0)
    crops = []
    for pid in range(1, 13):
        pattern = np.kron(rng.integers(60, 200, (16, 1, 3)), np.ones((4, 32, 1), np.int64))
        for shot in range(6):
            pixels = pattern + rng.integers(-40, 40, pattern.shape)
            file = io.BytesIO()
            Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
            crops.append(Crop(f"{pid}_{shot}", pid, shot % 2, data=file.getvalue()))
    return Dataset("blocks", "drawn", (), tuple(crops[::3]), tuple(crop for k, crop in enumerate(crops) if k % 3))


def test_the_probe_agrees_with_what_is_right(blocks: Dataset) -> None:
    bundle = bundle_onnx(_colours(), _declared("0 to 1"), name="it", source="it")
    probe = probe_preprocessing(bundle, blocks)
    assert probe.warnings == ()
    assert probe.num_people == 12
    assert sum(trial.declared for trial in probe.trials) == 1
    assert [t.mean_ap for t in probe.trials] == sorted((t.mean_ap for t in probe.trials), reverse=True)


def test_the_probe_resizes_by_the_declared_rule(blocks: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    rules: list[str] = []

    def decode(*given: Any, resize: str = "none", **named: Any) -> DecodedCrops:
        rules.append(resize)
        return decode_crops(*given, resize=resize, **named)

    monkeypatch.setattr(probing, "decode_crops", decode)
    declared = replace(_declared("0 to 1"), resize="bicubic-antialias")
    probe_preprocessing(bundle_onnx(_colours(), declared, name="it", source="it"), blocks)
    assert rules == ["bicubic-antialias"]


def test_the_probe_warns_of_what_is_wrong(blocks: Dataset) -> None:
    bundle = bundle_onnx(_colours(), _declared("0 to 255"), name="it", source="it")
    probe = probe_preprocessing(bundle, blocks)
    assert len(probe.warnings) == 1
    assert "better than as it is declared" in probe.warnings[0]
    assert not probe.trials[0].declared


def test_the_probe_tries_to_take_the_pictures_own_colour_out(blocks: Dataset) -> None:
    """The two cameras' exposures differ by far more than the people do."""

    def seen(crop: Crop) -> Crop:
        pixels = np.asarray(Image.open(io.BytesIO(crop.data or b""))) // 2 + (30, 80)[crop.camid]
        file = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
        return replace(crop, data=file.getvalue())

    query, gallery = (tuple(seen(crop) for crop in part) for part in (blocks.query, blocks.gallery))
    dataset = replace(blocks, query=query, gallery=gallery)
    bundle = bundle_onnx(_colours(), _declared("0 to 1"), name="it", source="it")
    probe = probe_preprocessing(bundle, dataset)
    assert probe.trials[0].scale == CENTRED
    assert "--image-centring 0.5" in probe.warnings[0]
    centred = bundle_onnx(_colours(), replace(_declared("0 to 1"), image_centring=0.5), name="it", source="it")
    again = probe_preprocessing(centred, dataset)
    assert again.trials[0].declared
    assert again.trials[0].mean_ap == probe.trials[0].mean_ap
    assert centred.manifest.identity != bundle.manifest.identity


def test_the_probe_takes_people_by_two_cameras(small_city: Dataset) -> None:
    few = Dataset("few", "synthetic", (), small_city.query[:2], small_city.gallery[:2])
    with pytest.raises(DataError, match="five people"):
        probe_preprocessing(bundle_onnx(_colours(), _declared("0 to 1"), name="it", source="it"), few)


@pytest.mark.parametrize(
    ("file", "mean", "std", "order", "rank1", "mean_ap"),
    [
        ("osnet_x0_25_msmt17.onnx", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "rgb", 0.760, 0.587),
        ("person-reidentification-retail-0248.onnx", (0,) * 3, (1 / 255,) * 3, "bgr", 0.860, 0.671),
        ("person-reidentification-retail-0287.onnx", (0,) * 3, (1 / 255,) * 3, "bgr", 0.844, 0.658),
    ],
)
def test_the_ready_made_networks_work(
    market501: Path,
    peers: Path,
    file: str,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    order: str,
    rank1: float,
    mean_ap: float,
) -> None:
    """Figures of docs/results.md, on every fourth person, within what that draw changes."""
    bundle = bundle_onnx(
        (peers / file).read_bytes(), Preprocessing(256, 128, mean, std, channel_order=order), name=file, source=file
    )
    dataset = open_dataset(str(market501))
    keep = set(sorted({crop.pid for crop in dataset.query})[::4])
    model = of_bundle(bundle)
    query, _ = model.embed_crops([crop for crop in dataset.query if crop.pid in keep])
    gallery, _ = model.embed_crops([crop for crop in dataset.gallery if crop.pid in keep])
    found = evaluate(query, gallery)
    assert found.mean_ap > mean_ap
    assert found.rank(1) > rank1 - 0.1
