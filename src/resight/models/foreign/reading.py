"""From a file of somebody else's weights to tensors by name, whatever is wrapped around them. No code of it is run."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from resight.core.errors import WeightsError
from resight.core.files import read_regular
from resight.models.foreign import inert

MAX_BYTES = 8 << 30
MAX_NAMES = 20_000
MAX_DEPTH = 32
WRAPPERS = ("state_dict", "model", "teacher")
PREFIX = "module."
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32)
DAMAGED = (
    pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError,
    AssertionError, OverflowError, MemoryError, RecursionError, ImportError, NotImplementedError, struct.error,
    zipfile.BadZipFile, OSError,
)  # fmt: skip


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a PyTorch or safetensors file by name: floats as float32, counts as int64.

    Taken off: mappings named `state_dict`, `model` or `teacher` around them, `module.` before every name, and numbers
    beside them. A whole pickled network gives its parameters and buffers. Raises WeightsError for what is no such file.
    """
    data = _read(path)
    if path.suffix == ".safetensors":
        try:
            found: Any = safetensors.torch.load(data)
        except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise WeightsError(f"{path} is not a safetensors file ({_line(error)})") from None
    else:
        found = _load(path, data)
    tensors = _named(found)
    if not tensors:
        raise WeightsError(f"{path} holds no weights by name: a state dict, or a network, is wanted")
    while all(name.startswith(PREFIX) for name in tensors):
        tensors = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    return {name: _checked(tensor, name, path) for name, tensor in tensors.items()}


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise WeightsError(f"{path} is larger than {MAX_BYTES >> 30} GiB")
        return read_regular(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror})") from None


def _load(path: Path, data: bytes) -> Any:
    stream = io.BytesIO(data)
    if data[:4] == b"PK\x03\x04":
        _check_zip(path, stream)
    elif tarfile.is_tarfile(stream):
        raise WeightsError(f"{path} is a tar archive, as PyTorch wrote before 2017; load and save it with a later one")
    stream.seek(0)
    try:
        return torch.load(stream, map_location="cpu", pickle_module=inert, weights_only=False)
    except DAMAGED:
        raise WeightsError(f"{path} cannot be read as a file of PyTorch weights{_other_way(path, data)}") from None


def _other_way(path: Path, data: bytes) -> str:
    """The command that takes such a file, where there is one."""
    if path.suffix.lower() == ".onnx":
        return f": it is named as ONNX, which `resight bundle {path}` takes"
    if data.startswith(b"PK\x03\x04") and b"manifest.json" in data[:200]:
        return ": it looks like a bundle, which is a model already: use it as it is"
    return ""


def _check_zip(path: Path, stream: io.BytesIO) -> None:
    """Refuses compiled programs, and archives that unfold into more than they hold."""
    try:
        entries = zipfile.ZipFile(stream).infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise WeightsError(f"{path} is damaged or cut short ({_line(error)})") from None
    if any(Path(entry.filename).name == "constants.pkl" for entry in entries):
        raise WeightsError(f"{path} is a TorchScript program; its `state_dict()`, saved where it was made, can be read")
    if sum(entry.file_size for entry in entries) > 2 * len(stream.getbuffer()) + 1_000_000:
        raise WeightsError(f"{path} unfolds into far more than it holds; weights are not compressed")


def _named(found: Any) -> dict[str, Tensor]:
    """The tensors of what was read, out of its wrappings."""
    for _ in range(len(WRAPPERS)):
        if isinstance(found, inert.Inert):
            tensors: dict[str, Tensor] = {}
            _collect(found, "", tensors, 0)
            return tensors
        if not isinstance(found, Mapping):
            return {}
        inner = [found[name] for name in WRAPPERS if isinstance(found.get(name), Mapping | inert.Inert)]
        if not inner:
            break
        found = inner[0]
    if not isinstance(found, Mapping):
        return {}
    return {str(name): value for name, value in found.items() if isinstance(value, Tensor)}


def _collect(module: inert.Inert, prefix: str, tensors: dict[str, Tensor], depth: int) -> None:
    """The parameters and buffers of a pickled network, by the names that its state dict would have."""
    for kind in ("_parameters", "_buffers"):
        values = module.kept.get(kind)
        for name, value in values.items() if isinstance(values, Mapping) else ():
            if isinstance(value, Tensor):
                tensors[f"{prefix}{name}"] = value
    children = module.kept.get("_modules")
    if depth < MAX_DEPTH and len(tensors) < MAX_NAMES and isinstance(children, Mapping):
        for name, child in children.items():
            if isinstance(child, inert.Inert):
                _collect(child, f"{prefix}{name}.", tensors, depth + 1)


def _checked(tensor: Tensor, name: str, path: Path) -> Tensor:
    tensor = tensor.detach()
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.dtype not in DTYPES:
        raise WeightsError(f"{path}: {name} is of {tensor.dtype} on {tensor.device}, which is not read as weights")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise WeightsError(f"{path}: {name} says that it has more values than the file holds")
    tensor = tensor.to(torch.float32 if tensor.is_floating_point() else torch.int64)
    if not torch.isfinite(tensor).all():
        raise WeightsError(f"{path}: {name} holds values that are not finite; the file is damaged, or its training was")
    return tensor


def _line(error: BaseException) -> str:
    """What an error says, in one short line."""
    return (str(error).strip().split("\n", 1)[0] or type(error).__name__)[:200]
