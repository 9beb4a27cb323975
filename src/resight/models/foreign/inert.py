"""A reader of pickles that runs nothing of them: every class and function that it does not know becomes an empty one.

PyTorch's files are pickles, and a pickle may call anything. The few functions that put tensors and dictionaries
together are known here; whatever else a file names, a whole network's classes among them, is replaced by `Inert`, which
only keeps what it is given. The module is handed to `torch.load` as its `pickle_module`.
"""

from __future__ import annotations

import collections
import pickle
from collections.abc import Callable, Iterable
from typing import IO, Any, ClassVar

import numpy as np
import torch

__all__ = ["Inert", "Unpickler", "dump", "dumps", "load", "loads"]


class Sealed:
    """A function that can be called, and whose attributes no file can set."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a function has no state")


KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch", "Size"): torch.Size,
    ("torch._utils", "_rebuild_tensor"): Sealed(torch._utils._rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Sealed(torch._utils._rebuild_tensor_v2),
    ("torch._utils", "_rebuild_parameter"): Sealed(torch._utils._rebuild_parameter),
}


class Inert:
    """Stands for an object of any class of a file: keeps its attributes, and does nothing."""

    dump_patches: ClassVar[bool] = False
    kept: dict[str, Any]

    def __new__(cls, *arguments: Any, **named: Any) -> Inert:
        made = super().__new__(cls)
        made.kept = {}
        return made

    def __init__(self, *arguments: Any, **named: Any) -> None:
        pass

    def __call__(self, *arguments: Any, **named: Any) -> Inert:
        return Inert()

    def __setstate__(self, state: Any) -> None:
        self.kept = state if isinstance(state, dict) else {}

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """Forgotten."""

    def extend(self, values: Iterable[Any]) -> None:
        """Forgotten."""

    def add(self, value: Any) -> None:
        """Forgotten."""


class Unpickler(pickle._Unpickler):
    """Finds the known names only; for all others a class of its own that does nothing. Storages are torch.load's own.

    It is the one in Python: that in C makes room for whatever place a file names in its memory.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in KNOWN:
            return KNOWN[module, name]
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "scalar":
            return Sealed(lambda *arguments: np.float64("nan"))  # a figure beside the weights; nobody reads it
        return type(name.rsplit(".", 1)[-1], (Inert,), {"__module__": "inert"})


def load(file: IO[bytes], **options: Any) -> Any:
    """As pickle.load, by the reader of this module."""
    return Unpickler(file, **options).load()


def loads(data: bytes, **options: Any) -> Any:
    """Refused: torch.load has no use for it."""
    raise pickle.UnpicklingError("nothing is read from bytes")


def dump(*arguments: Any, **options: Any) -> None:
    """Refused: this module reads only."""
    raise pickle.PicklingError("nothing is written")


def dumps(*arguments: Any, **options: Any) -> bytes:
    """Refused: this module reads only."""
    raise pickle.PicklingError("nothing is written")
