"""The bundle: one file that holds a network as ONNX and everything that is needed to use it.

A zip of two members, stored and not compressed: `manifest.json` and `network.onnx`. Why so: docs/decisions/0009.
Opening one runs no code and reads no more than the file's own size.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from resight.core.calibration import Calibration
from resight.core.errors import CalibrationError, ConfigError, WeightsError
from resight.core.files import read_regular, write_whole
from resight.core.pictures.preprocessing import MAX_SIDE_PX, Preprocessing
from resight.embedding.card import Card, Measurement, Part
from resight.embedding.graph import GraphFacts, inspect_graph

SCHEMA = "resight.bundle/1"
SUFFIX = ".resight"
MANIFEST, NETWORK = "manifest.json", "network.onnx"
LAYOUTS = ("nchw", "nhwc")
PRECISIONS = ("fp32", "int8")  # that resight exports; networks of others may be of float16 too
MAX_BUNDLE_BYTES = 1 << 30
MAX_MANIFEST_BYTES = 1 << 22
MAX_DIM = 65_536
_END = struct.Struct("<4s4H2LH")  # the end of a zip's central directory (PKWARE APPNOTE 4.3.16)
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same bundle is the same bytes


@dataclass(frozen=True)
class Network:
    """layout: of the input's axes. dim: values of the embedding. batch: where the network takes that many pictures
    and no other number. sha256: of the ONNX bytes."""

    layout: str
    dim: int
    batch: int | None
    precision: str
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a model carries with it, so that nobody sets it by hand.

    trained_on: the data, in words. rights: who may do what with the weights. weaknesses: what it is bad at.
    provenance: how it came about, by name.
    """

    name: str
    network: Network
    preprocessing: Preprocessing
    parts: tuple[Part, ...]
    trained_on: str
    rights: str
    weaknesses: str = "not stated"
    data_digest: str | None = None
    figures: tuple[Measurement, ...] = ()
    calibration: Calibration | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    similarity: str = "cosine"

    @property
    def identity(self) -> str:
        """The model, as a hash of all that decides its embeddings: two are comparable where this is equal.

        Its name, figures and calibration may change and the embeddings stay comparable, so they are no part of it.
        """
        decides = {"network": asdict(self.network), "preprocessing": self.preprocessing.to_dict()}
        text = json.dumps(decides, sort_keys=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """For manifest.json."""
        calibration = self.calibration.to_dict() if self.calibration else None
        own = {**asdict(self), "preprocessing": self.preprocessing.to_dict(), "calibration": calibration}
        return {"schema": SCHEMA, "identity": self.identity, **own}


@dataclass(frozen=True, eq=False)
class Bundle:
    """A manifest and the network's ONNX bytes, which have been looked through. source: for messages."""

    manifest: Manifest
    onnx: bytes
    facts: GraphFacts
    source: str

    @property
    def card(self) -> Card:
        """What the model says of itself."""
        m = self.manifest
        size = f"{self.facts.num_weights:,} weights, {len(self.onnx) / 1e6:.1f} MB of ONNX"
        return Card(
            m.name,
            f"{m.network.precision}, {size}",
            m.network.dim,
            m.preprocessing,
            m.parts,
            m.trained_on,
            m.rights,
            m.weaknesses,
            m.data_digest,
            m.figures,
            m.calibration,
            m.provenance,
        )


def make_bundle(manifest: Manifest, onnx: bytes, source: str) -> Bundle:
    """Checks that they belong together. Raises WeightsError where they do not, or the network is refused."""
    facts = inspect_graph(onnx, source)
    network, size = manifest.network, manifest.preprocessing
    if network.sha256 != hashlib.sha256(onnx).hexdigest():
        raise WeightsError(f"{source}: the network is not the one that its manifest describes: its SHA-256 differs")
    image = (3, size.height, size.width) if network.layout == "nchw" else (size.height, size.width, 3)
    for port, expected in (
        (facts.inputs[0], (network.batch, *image)),
        (facts.outputs[0], (network.batch, network.dim)),
    ):
        # A side that the graph leaves open may be anything; the embedder checks what comes out.
        agree = len(port.shape) == len(expected) and all(
            side is None or side == want for side, want in zip(port.shape, expected, strict=True)
        )
        if not agree:
            raise WeightsError(
                f"{source}: its manifest tells of {_sides(expected)} at {port.name!r}; the network has "
                f"{_sides(port.shape)}"
            )
    return Bundle(manifest, onnx, facts, source)


def _sides(shape: tuple[int | None, ...]) -> str:
    return " x ".join("any" if side is None else str(side) for side in shape) or "no shape"


def write_bundle(path: Path, bundle: Bundle) -> None:
    """Whole or not at all. Raises OSError where the disk refuses."""
    write_whole(path, bundle_bytes(bundle))


def bundle_bytes(bundle: Bundle) -> bytes:
    """What its file holds; the same bundle is the same bytes."""
    manifest = json.dumps(bundle.manifest.to_dict(), indent=2).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in ((MANIFEST, manifest), (NETWORK, bundle.onnx)):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)
    return buffer.getvalue()


def read_bundle(path: Path) -> Bundle:
    """Raises WeightsError for whatever is no bundle, damaged, of another version, or refused."""
    if path.is_dir():
        raise WeightsError(
            f"{path} is a folder, not a bundle; of a run, `resight export {path} -o NAME{SUFFIX}` makes one"
        )
    try:
        size = path.stat().st_size
        if size > MAX_BUNDLE_BYTES:
            raise WeightsError(f"{path} is larger than the {MAX_BUNDLE_BYTES >> 20} MiB that a bundle may have")
        data = read_regular(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror})") from None
    return parse_bundle(data, str(path))


def parse_bundle(data: bytes, source: str) -> Bundle:
    """The bundle in these bytes. Raises as `read_bundle`."""
    members = _members(data, source)
    try:
        values = json.loads(members[MANIFEST], parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{source}: its {MANIFEST} cannot be read ({str(error) or type(error).__name__})") from None
    manifest = _parse_manifest(values, source)
    bundle = make_bundle(manifest, members[NETWORK], source)
    if values.get("identity") != manifest.identity:
        raise WeightsError(f"{source}: its manifest has been changed: the model's identity does not follow from it")
    return bundle


def with_calibration(bundle: Bundle, calibration: Calibration) -> Bundle:
    """The same model, whose similarities mean something."""
    return replace(bundle, manifest=replace(bundle.manifest, calibration=calibration))


def _members(data: bytes, source: str) -> dict[str, bytes]:
    # Checked before zipfile reads the directory, whose length a hostile file chooses.
    if len(data) < _END.size or not data.startswith(b"PK\x03\x04"):
        raise WeightsError(
            f"{source} is not a bundle (a bundle is a {SUFFIX} file, made by `resight export` of a run or by `resight "
            f"bundle` of an ONNX file){_way_in(data, source)}"
        )
    signature, _, _, here, total, length, start, comment = _END.unpack(data[-_END.size :])
    if (
        signature != b"PK\x05\x06"
        or comment
        or not here == total == 2
        or length > 4096
        or start + length + _END.size != len(data)
    ):
        way = _way_in(data, source)
        raise WeightsError(
            f"{source} is not a bundle{way}"
            if way
            else f"{source} is damaged, cut short or no bundle: it does not end as one"
        )
    found: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                limit = MAX_MANIFEST_BYTES if info.filename == MANIFEST else len(data)
                stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
                if not stored or info.flag_bits & 1 or info.file_size > limit:
                    raise WeightsError(f"{source}: {info.filename!r} is compressed, encrypted or too large")
                if info.filename not in (MANIFEST, NETWORK) or info.filename in found:
                    raise WeightsError(f"{source} holds {info.filename!r}, which does not belong into a bundle")
                found[info.filename] = archive.read(info)
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        ValueError,
        EOFError,
        OSError,
        struct.error,
    ) as error:
        raise WeightsError(f"{source} is damaged ({error})") from None
    if len(found) != 2:
        raise WeightsError(f"{source} is damaged: it holds {', '.join(found) or 'nothing'} alone")
    return found


def _way_in(data: bytes, source: str) -> str:
    """The command that makes a model of such a file; empty where there is none."""
    if source.lower().endswith(".onnx"):
        return f": make one of it, `resight bundle {source} --mean M --std S --channel-order rgb -o NAME{SUFFIX}`"
    pytorch = b"/data.pkl" in data[:1024] if data.startswith(b"PK\x03\x04") else data[:1] == b"\x80"
    if pytorch or source.lower().endswith(".safetensors"):
        return f": it holds weights of PyTorch, which `resight import {source} -o RUN` makes a run of"
    return ""


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number")


def _parse_manifest(values: Any, source: str) -> Manifest:
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        schema = values.get("schema") if isinstance(values, dict) else None
        raise WeightsError(f"{source} is a bundle of schema {schema!r}; this version reads {SCHEMA!r}")
    try:
        fields = {name: value for name, value in values.items() if name not in ("schema", "identity")}
        calibration = fields["calibration"]
        manifest = Manifest(
            **{
                **fields,
                "network": Network(**fields["network"]),
                "preprocessing": Preprocessing.from_dict(fields["preprocessing"]),
                "parts": tuple(Part(**part) for part in fields["parts"]),
                "figures": tuple(_measurement(figure) for figure in fields["figures"]),
                "calibration": Calibration.from_dict(calibration) if calibration is not None else None,
            }
        )
        _check(manifest)
    except CalibrationError as error:
        raise WeightsError(f"{source}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, ConfigError) as error:
        raise WeightsError(f"{source}: its manifest is not one: {type(error).__name__} {error}") from None
    return manifest


def _measurement(values: Mapping[str, Any]) -> Measurement:
    pairs = {n: tuple(map(float, v)) for n, v in values.items() if n.endswith("interval") and v is not None}
    figure = Measurement(**{**values, **pairs})
    numbers = (figure.rank1, figure.mean_ap, *(figure.rank1_interval or ()), *(figure.mean_ap_interval or ()))
    if not all(isinstance(number, (int, float)) and 0 <= number <= 1 for number in numbers):
        raise ValueError("figures lie between 0 and 1")
    return figure


def _check(manifest: Manifest) -> None:
    network, size = manifest.network, manifest.preprocessing
    texts = (manifest.name, manifest.trained_on, manifest.rights, manifest.weaknesses, network.sha256)
    if not all(isinstance(text, str) for text in (*texts, *manifest.provenance.values())):
        raise ValueError("a text is not one")
    if (
        network.layout not in LAYOUTS
        or network.precision not in (*PRECISIONS, "fp16")
        or manifest.similarity != "cosine"
    ):
        raise ValueError(f"layout {network.layout!r}, precision {network.precision!r}, {manifest.similarity!r}")
    if max(size.height, size.width) > MAX_SIDE_PX:
        raise ValueError(f"pictures of {size.height} x {size.width} are larger than {MAX_SIDE_PX} on a side")
    if type(network.dim) is not int or not 1 <= network.dim <= MAX_DIM:
        raise ValueError(f"an embedding of {network.dim!r} values")
    if network.batch is not None and (type(network.batch) is not int or not 1 <= network.batch <= 4096):
        raise ValueError(f"a batch of {network.batch!r}")
    if not isinstance(manifest.data_digest, str | None):
        raise ValueError("the data's digest is not a text")
    for part in manifest.parts:
        whole = type(part.start) is int and type(part.stop) is int and isinstance(part.name, str)
        if not whole or not 0 <= part.start < part.stop <= network.dim:
            raise ValueError(f"the part {part.name!r} lies outside the embedding")
