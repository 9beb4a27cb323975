"""Small files of foreign weights, whole and damaged, and pickles that would do something if they were run."""

from __future__ import annotations

import collections
import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resight.models.catalogue import Architecture, build_network

WIDTH = 32
HEADS = {"heads": 2}


def transreid(*, jigsaw: bool = True, cameras: int = 6) -> dict[str, Tensor]:
    """Of 256 x 128 at stride 16, with the keys that its authors' files have."""
    options = {"width": WIDTH, "depth": 3, "heads": 2, "jigsaw": jigsaw}
    torch.manual_seed(0)
    network = build_network(Architecture("transreid", WIDTH * (5 if jigsaw else 1), options=options), 256, 128)
    found = dict(network.state_dict())
    if jigsaw:
        block = {name.removeprefix("b1.0."): value for name, value in found.items() if name.startswith("b1.0.")}
        found |= {f"base.blocks.2.{name}": value for name, value in block.items()}
        found |= {f"base.norm.{name}": found[f"b1.1.{name}"] for name in ("weight", "bias")}
    if cameras:
        found["base.sie_embed"] = torch.zeros(cameras, 1, WIDTH)
    found |= {"base.fc.weight": torch.zeros(1000, WIDTH), "base.fc.bias": torch.zeros(1000)}
    found |= {f"bottleneck.{name}": torch.ones(WIDTH) for name in ("weight", "bias", "running_mean", "running_var")}
    return {**found, "classifier.weight": torch.zeros(751, WIDTH)}


def osnet() -> dict[str, Tensor]:
    """x0_25, as torchreid has it."""
    torch.manual_seed(0)
    network = build_network(Architecture("osnet", 512, options={"size": "x0_25"}), 256, 128)
    return {**network.state_dict(), "classifier.weight": torch.zeros(51, 512), "classifier.bias": torch.zeros(51)}


def la_transformer() -> dict[str, Tensor]:
    """Of 224 x 224, with the tied keys and one classifier."""
    options = {"width": WIDTH, "depth": 2, "heads": 2}
    torch.manual_seed(0)
    network = build_network(Architecture("la-transformer", 14 * WIDTH, 14, options=options), 224, 224)
    found = {name.replace("base.", "model.", 1): value for name, value in network.state_dict().items()}
    found |= {"cls_token": found["model.cls_token"], "pos_embed": found["model.pos_embed"]}
    return {**found, "classifier0.classifier.0.weight": torch.zeros(751, 256)}


WHOLE: dict[str, Callable[[], dict[str, Tensor]]] = {
    "transreid": transreid,
    "osnet": osnet,
    "la-transformer": la_transformer,
}


def saved(found: Any, *, legacy: bool = False) -> bytes:
    """As torch writes it; legacy: as it did before version 1.6."""
    stream = io.BytesIO()
    torch.save(found, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


class Attack:
    """Unpickled by an ordinary reader, it calls what it is given."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call[0], tuple(self.call[1:])


def calls(module: str, name: str, *arguments: str) -> bytes:
    """A bare pickle, by hand: the function of that name, called with these words."""
    stack = b"".join(b"V" + word.encode() + b"\n" for word in arguments)
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n(" + stack + b"tR."


def in_zip(data: bytes, name: str = "archive/data.pkl") -> bytes:
    """A pickle in an archive as torch has it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, data)
        archive.writestr("archive/version", "3\n")
    return stream.getvalue()


def legacy(data: bytes) -> bytes:
    """A pickle as torch had it before version 1.6: after its magic number, its version and the machine."""
    head = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}]
    return b"".join(pickle.dumps(part, protocol=2) for part in head) + data + pickle.dumps([], protocol=2)


def torchscript() -> bytes:
    """An archive with a compiled program's constants."""
    stream = io.BytesIO(in_zip(pickle.dumps({})))
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("archive/constants.pkl", pickle.dumps(()))
        archive.writestr("archive/code/__torch__.py", "import os\n")
    return stream.getvalue()


def bomb() -> bytes:
    """An archive that unfolds into a thousand times what it holds."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/data/0", bytes(20_000_000))
    return stream.getvalue()


def safetensors_header(header: bytes, length: int | None = None) -> bytes:
    """A safetensors file of this header and no values."""
    return struct.pack("<Q", len(header) if length is None else length) + header


def nested(depth: int) -> bytes:
    """Lists within lists."""
    return b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."


def module_of(weights: dict[str, Tensor]) -> Any:
    """A network of a class that nobody has here, as BoT's users have it: weights a level deep by the dots of a name."""
    top = _Vanished()
    for name, value in weights.items():
        *path, last = name.split(".")
        place = top
        for part in path:
            place = place._modules.setdefault(part, _Vanished())
        place._parameters[last] = torch.nn.Parameter(value, requires_grad=value.is_floating_point())
    return top


class _Vanished:
    def __init__(self) -> None:
        self._parameters: dict[str, Tensor] = collections.OrderedDict()
        self._buffers: dict[str, Tensor] = collections.OrderedDict()
        self._modules: dict[str, Any] = collections.OrderedDict()


_Vanished.__module__, _Vanished.__qualname__ = "modeling.baseline", "Baseline"


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
