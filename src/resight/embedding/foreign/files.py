"""The file of a network: what it is where it is no ONNX, and its weights where they lie in a file beside it."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

from resight.core.errors import ConfigError, WeightsError
from resight.core.files import read_regular
from resight.embedding.bundle import MANIFEST, MAX_BUNDLE_BYTES
from resight.embedding.graph import EXTERNAL
from resight.embedding.wire import MalformedError, Value, encode, fields, message, raw_fields, text

# What people have in place of ONNX: how it begins, what it is, and what to do.
_EXPORT = "torch.onnx.export makes ONNX of the network"
_FOREIGN: tuple[tuple[re.Pattern[bytes], str, str], ...] = tuple(
    (re.compile(start, re.DOTALL | re.IGNORECASE), what, do)
    for start, what, do in (
        (rb"\x80[\x02-\x05]", "a PyTorch checkpoint or another pickle", _EXPORT),
        (rb"\x89HDF", "a Keras model (HDF5)", "tf2onnx makes ONNX of it"),
        (rb"....TFL3", "a model of TensorFlow Lite", "tf2onnx makes ONNX of it"),
        (rb"....ORTM", "a model in onnxruntime's own format", "take the ONNX file that it was made from"),
        (rb".{8}\{", "a file of safetensors", f"it holds weights without a network; {_EXPORT}"),
        (rb"\s*<(\?xml|net)", "XML, as OpenVINO's models are", "take the ONNX file that it was made from"),
        (rb"version https://git-lfs", "a pointer of Git LFS", "`git lfs pull` fetches the network"),
        (rb"\s*<(!doctype )?html", "a web page", "it was likely saved in place of the network: fetch that again"),
    )
)


def read_network(path: Path) -> bytes:
    """The ONNX bytes of a file, with the weights that lie in files beside it.

    Raises ConfigError where there is no such file or it is too large, WeightsError where a file of weights is missing,
    and for what is no ONNX: it says what it is and what to do.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ConfigError(f"{path} {what}; name the network's .onnx file")
    if path.stat().st_size > MAX_BUNDLE_BYTES:
        raise ConfigError(f"{path} is larger than the {MAX_BUNDLE_BYTES >> 20} MiB that a bundle may have")
    data = read_regular(path)
    if not data:
        raise WeightsError(f"{path} is empty")
    if data.startswith(b"PK\x03\x04"):
        raise WeightsError(f"{path} is {_told_zip(data)}")
    for start, what, do in _FOREIGN:
        if start.match(data):
            raise WeightsError(f"{path} is {what}, not ONNX: {do}")
    try:
        return with_weights(data, path.parent, str(path))
    except (MalformedError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: the network is not ONNX, or damaged ({error})") from None


def with_weights(onnx: bytes, folder: Path, source: str) -> bytes:
    """The same network, its weights within. folder: where its files of weights are. Raises WeightsError."""
    files: dict[str, bytes] = {}
    parts: list[bytes | memoryview] = []
    for number, value, raw in raw_fields(memoryview(onnx)):
        parts.append(encode(7, _graph(message(value), folder, source, files)) if number == 7 else raw)
    return b"".join(parts) if files else onnx


def _graph(data: memoryview, folder: Path, source: str, files: dict[str, bytes]) -> bytes:
    return b"".join(
        encode(5, _tensor(message(value), folder, source, files)) if number == 5 else raw
        for number, value, raw in raw_fields(data)
    )


def _tensor(data: memoryview, folder: Path, source: str, files: dict[str, bytes]) -> bytes:
    found = list(raw_fields(data))
    if not any(number == 14 and value == EXTERNAL for number, value, _ in found):
        return bytes(data)
    entries = dict(_entry(value) for number, value, _ in found if number == 13)
    location = entries.get("location", "")
    if location in ("", ".", "..") or "/" in location or "\\" in location:
        raise WeightsError(
            f"{source}: its weights lie in {location!r}, which is not a file beside it. Export it with "
            "torch.onnx.export(..., external_data=False), or save it anew by onnx.save_model"
        )
    if location not in files:
        files[location] = _beside(folder / location, source, sum(map(len, files.values())))
    try:
        start = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(len(files[location]) - start)))
    except ValueError:
        raise MalformedError("a place of weights that is no number") from None
    if start < 0 or length < 0 or start + length > len(files[location]):
        raise WeightsError(f"{source}: {folder / location} is too short for its weights: copy both files again")
    kept = b"".join(raw for number, _, raw in found if number not in (13, 14))
    return kept + encode(9, memoryview(files[location])[start : start + length])


def _entry(value: Value) -> tuple[str, str]:
    parts = {number: text(part) for number, part in fields(message(value))}
    return parts.get(1, ""), parts.get(2, "")


def _beside(path: Path, source: str, read: int) -> bytes:
    try:
        size = path.stat().st_size
        if size + read > MAX_BUNDLE_BYTES:
            raise ConfigError(f"{path} is larger than the {MAX_BUNDLE_BYTES >> 20} MiB that a bundle may have")
        return read_regular(path)
    except OSError as error:
        raise WeightsError(
            f"{source}: its weights lie in {path.name}, which cannot be read beside it ({error.strerror}): copy that "
            "file too, or export it with torch.onnx.export(..., external_data=False)"
        ) from None


def _told_zip(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        names = []
    if MANIFEST in names:
        return "a bundle already: use it as it is"
    if any(name.endswith("data.pkl") for name in names):
        return f"a PyTorch file, not ONNX: {_EXPORT}"
    onnx = next((name for name in names if name.lower().endswith(".onnx")), None)
    return f"a zip: take {onnx} out of it" if onnx else "a zip, not ONNX"
