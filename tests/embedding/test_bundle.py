from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resight.core.errors import WeightsError
from resight.embedding.bundle import MANIFEST, NETWORK, Bundle, make_bundle, parse_bundle, read_bundle, write_bundle
from resight.embedding.card import Measurement, Part
from tests.embedding.networks import DIM, linear, manifest_of, small_bundle
from tests.embedding.test_graph import REFUSED

FIGURE = Measurement("some data", "market1501", 0.9, (0.8, 0.95), 0.7, (0.6, 0.8), 10, 50)


def _bytes(bundle: Bundle, folder: Path) -> bytes:
    path = folder / "it.resight"
    write_bundle(path, bundle)
    return path.read_bytes()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return _bytes(small_bundle(), tmp_path_factory.mktemp("bundle"))


def test_reads_what_was_written(tmp_path: Path) -> None:
    data = linear().SerializeToString()
    manifest = manifest_of(
        data,
        figures=(FIGURE,),
        parts=(Part("whole", 0, 2), Part("strip 1 of 2", 2, 4), Part("strip 2 of 2", 4, DIM)),
        data_digest="abc",
        weaknesses="the dark",
        provenance={"run": "first"},
    )
    bundle = make_bundle(manifest, data, "it")
    write_bundle(tmp_path / "it.resight", bundle)
    read = read_bundle(tmp_path / "it.resight")
    assert read.manifest == manifest
    assert read.onnx == data


def test_the_same_bundle_is_the_same_bytes(tmp_path: Path) -> None:
    assert _bytes(small_bundle(), tmp_path) == _bytes(small_bundle(), tmp_path)


def test_a_model_is_what_decides_its_embeddings() -> None:
    manifest = small_bundle().manifest
    named = replace(manifest, name="other", figures=(FIGURE,), rights="mine")
    assert named.identity == manifest.identity
    resized = replace(manifest, preprocessing=replace(manifest.preprocessing, resize="bilinear"))
    swapped = replace(manifest, preprocessing=replace(manifest.preprocessing, channel_order="bgr"))
    trained = replace(manifest, network=replace(manifest.network, sha256="0" * 64))
    assert len({one.identity for one in (manifest, resized, swapped, trained)}) == 4


def test_a_manifest_of_another_network_is_refused() -> None:
    data = linear().SerializeToString()
    manifest = manifest_of(data)
    with pytest.raises(WeightsError, match="SHA-256"):
        make_bundle(manifest, linear(batch=2).SerializeToString(), "it")
    with pytest.raises(WeightsError, match="the network has"):
        make_bundle(replace(manifest, network=replace(manifest.network, dim=7)), data, "it")
    with pytest.raises(WeightsError, match="the network has"):
        make_bundle(replace(manifest, preprocessing=replace(manifest.preprocessing, height=9)), data, "it")
    with pytest.raises(WeightsError, match="the network has"):
        make_bundle(replace(manifest, network=replace(manifest.network, layout="nhwc")), data, "it")


def _zip(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


def _changed(good: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """With another manifest, whose identity is put right where that can be."""
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        manifest, network = archive.read(MANIFEST), archive.read(NETWORK)
    values = json.loads(manifest)
    change(values)
    return _zip([(MANIFEST, json.dumps(values).encode()), (NETWORK, network)])


def _set(*keys: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(values: Any) -> None:
        for key in keys[:-1]:
            values = values[key]
        values[keys[-1]] = to

    return change


def _drop(*keys: str) -> Callable[[dict[str, Any]], None]:
    def change(values: Any) -> None:
        for key in keys[:-1]:
            values = values[key]
        del values[keys[-1]]

    return change


def _sets(*keys: str | int, values: list[Any]) -> list[Callable[[dict[str, Any]], None]]:
    return [_set(*keys, to=value) for value in values]


CHANGES: list[Callable[[dict[str, Any]], None]] = [
    *_sets("schema", values=[None, 7, [], {}, "other"]),
    *_sets("identity", values=[None, 7, [], {}, "other"]),
    *_sets("similarity", values=[None, 7, [], {}, "other"]),
    *(change for key in ("name", "trained_on", "rights", "weaknesses") for change in _sets(key, values=[None, 7, []])),
    *_sets("network", values=[None, 7, [], {}]),
    *_sets("network", "dim", values=[None, 0, -1, "6", 6.0, True, 1 << 40, [6]]),
    *_sets("network", "batch", values=[0, -1, "1", 1.5, 1 << 40, True]),
    *_sets("network", "layout", values=[None, "", "chwn", 3]),
    *_sets("network", "precision", values=[None, "", "fp16", 8]),
    *_sets("network", "sha256", values=[None, "", "0" * 64]),
    *_sets("preprocessing", values=[None, 7, [], {}]),
    *_sets("preprocessing", "height", values=[None, 0, -8, 8.0, "8", 1 << 30, True]),
    *_sets("preprocessing", "width", values=[None, 0, 5]),
    *_sets("preprocessing", "mean", values=[None, 1, [1, 1], [1, 1, "1"]]),
    *_sets("preprocessing", "std", values=[None, [0, 1, 1], [1, 1], [1, 1, "1"], 1, [1e-400, 1, 1]]),
    *_sets("preprocessing", "resize", values=[None, "", "nearest"]),
    *_sets("preprocessing", "channel_order", values=[None, "", "rbg"]),
    *_sets("parts", values=[None, 3, "x", [3], [{}], [{"name": "x", "start": 0, "stop": 7}]]),
    *_sets("parts", 0, "start", values=[-1, 1.5, "0", None, 6]),
    *_sets("parts", 0, "stop", values=[0, 1.5, "0", None, 7]),
    *_sets("figures", values=[None, 3, [3], [{}]]),
    *_sets("calibration", values=[3, {}, [], "x", {"schema": "other"}]),
    *_sets("provenance", values=[None, 3, {"run": 3}, ["x"]]),
    *(_set(*keys, "foreign", to=1) for keys in ((), ("network",), ("preprocessing",))),
    _set("data_digest", to=3),
    *(_drop(key) for key in ("schema", "identity", "name", "network", "preprocessing", "parts", "rights")),
    *(_drop("network", key) for key in ("layout", "dim", "batch", "precision", "sha256")),
    *(_drop("preprocessing", key) for key in ("height", "mean", "resize")),
]


def malformed(good: bytes) -> Iterator[bytes]:
    """Bundles that are none: their zip, their manifest, or their network."""
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        manifest, network = archive.read(MANIFEST), archive.read(NETWORK)
    whole = [(MANIFEST, manifest), (NETWORK, network)]
    yield from (b"", b"PK", b"not a zip at all" * 10, b"\x89PNG\r\n\x1a\n" + good, good + b"\0", good + good)
    yield from (good[: len(good) * part // 50] for part in range(50))
    yield _zip(whole, zipfile.ZIP_DEFLATED)
    yield _zip(whole, zipfile.ZIP_LZMA)
    yield _zip([(MANIFEST, manifest), (NETWORK, b"\0" * 10_000_000)], zipfile.ZIP_DEFLATED)
    yield _zip([(MANIFEST, b" " * 5_000_000), (NETWORK, network)])
    yield _zip(whole[:1])
    yield _zip(whole[1:])
    yield _zip([])
    yield _zip(whole).replace(b"PK\x01\x02", b"PK\x01\x03", 1)
    yield _zip([*whole, ("more", b"")])
    yield _zip([(MANIFEST, manifest), ("../" + NETWORK, network)])
    yield _zip([(MANIFEST, manifest), ("/etc/passwd", network)])
    yield _zip([(MANIFEST, manifest), ("NETWORK.ONNX", network)])
    yield _zip([("x" * 5000, manifest), (NETWORK, network)])
    for text in (b"", b"{", b"[]", b"3", b"null", b'"x"', b"[" * 100_000, b"\xff\xfe", b'{"schema": NaN}', b"\0" * 100):
        yield _zip([(MANIFEST, text), (NETWORK, network)])
    yield from (_changed(good, change) for change in CHANGES)
    for model, _ in REFUSED.values():
        data = model.SerializeToString()
        values = json.loads(manifest)
        values["network"]["sha256"] = manifest_of(data).network.sha256
        values["identity"] = manifest_of(data).identity
        yield _zip([(MANIFEST, json.dumps(values).encode()), (NETWORK, data)])


def test_malformed_bundles_end_in_clear_errors(good: bytes) -> None:
    number = 0
    for number, data in enumerate(malformed(good), 1):  # noqa: B007
        with pytest.raises(WeightsError) as caught:
            parse_bundle(data, "it.resight")
        assert "it.resight" in str(caught.value), data[:60]
    assert number >= 200


def test_damaged_bytes_are_found_or_mean_nothing(good: bytes) -> None:
    identity = small_bundle().manifest.identity
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.integers(0, len(good), 400).tolist():
        data = bytearray(good)
        data[place] ^= 1 << int(rng.integers(0, 8))
        try:
            found = parse_bundle(bytes(data), "it")
        except WeightsError:
            refused += 1
        else:  # a date or an attribute in the zip's own headers
            assert found.manifest.identity == identity
    assert refused > 300


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.resight"):
        with pytest.raises(WeightsError, match=str(path)):
            read_bundle(path)


def test_a_bundle_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.resight"
    with path.open("wb") as file:
        file.truncate((1 << 30) + 1)  # sparse: it takes no space
    with pytest.raises(WeightsError, match="larger than"):
        read_bundle(path)
