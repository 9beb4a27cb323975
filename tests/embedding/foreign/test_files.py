"""Files that people have: weights beside, and what is no ONNX."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest

from resight.core.errors import ConfigError, WeightsError
from resight.embedding.bundle import write_bundle
from resight.embedding.foreign.bundling import bundle_onnx
from resight.embedding.foreign.files import read_network
from resight.embedding.loading import of_bundle
from tests.embedding.networks import PREPROCESSING, linear, small_bundle, weights


def beside(folder: Path, location: str = "net.onnx.data") -> Path:
    """As torch's exporter of today writes a network: its weights in a second file."""
    onnx.save_model(
        linear(), folder / "net.onnx", save_as_external_data=True, location=location, size_threshold=0
    )  # fmt: skip
    return folder / "net.onnx"


def test_weights_beside_are_taken_in(tmp_path: Path) -> None:
    path = beside(tmp_path)
    assert path.stat().st_size < weights().nbytes
    bundle = bundle_onnx(read_network(path), PREPROCESSING, name="it", source="it")
    pixels = np.random.default_rng(1).integers(0, 256, (2, 8, 4, 3), np.uint8)
    assert np.array_equal(of_bundle(bundle).embed_pixels(pixels), of_bundle(small_bundle()).embed_pixels(pixels))


def test_weights_that_are_not_beside(tmp_path: Path) -> None:
    path = beside(tmp_path)
    data = path.with_name("net.onnx.data")
    data.write_bytes(data.read_bytes()[:-8])
    with pytest.raises(WeightsError, match=r"too short for its weights: copy both"):
        read_network(path)
    data.unlink()
    with pytest.raises(WeightsError, match=r"net\.onnx\.data, which cannot be read beside it.*external_data=False"):
        read_network(path)
    for location in ("../net.data", "/etc/passwd", "a/b", ".."):
        model = onnx.load(path, load_external_data=False)
        model.graph.initializer[0].external_data[0].value = location
        path.write_bytes(model.SerializeToString())
        with pytest.raises(WeightsError, match=r"not a file beside it.*external_data=False"):
            read_network(path)


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (zipped("archive/data.pkl", "archive/version"), r"PyTorch file, not ONNX: torch\.onnx\.export"),
        (zipped("models/osnet.onnx"), "take models/osnet.onnx out of it"),
        (zipped("readme.txt"), "a zip, not ONNX"),
        (b"\x80\x02}q\x00.", "pickle, not ONNX"),
        (b"\x89HDF\r\n\x1a\n", "Keras"),
        (b"\x1c\0\0\0TFL3", "TensorFlow Lite"),
        (b'\x30\0\0\0\0\0\0\0{"a":{}}', "safetensors"),
        (b'<?xml version="1.0"?><net name="x">', "OpenVINO"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"\x08\x07\xff", "not ONNX, or damaged"),
    ],
)
def test_what_is_no_onnx_is_named(data: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=says):
        read_network(path)


def test_a_bundle_a_folder_and_nothing(tmp_path: Path) -> None:
    write_bundle(tmp_path / "it.resight", small_bundle())
    with pytest.raises(WeightsError, match="a bundle already"):
        read_network(tmp_path / "it.resight")
    with pytest.raises(ConfigError, match="is a folder"):
        read_network(tmp_path)
    with pytest.raises(ConfigError, match="does not exist"):
        read_network(tmp_path / "gone.onnx")
