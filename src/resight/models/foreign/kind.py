"""What a kind of foreign weights is: how it is told, and what of ours it becomes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from resight.core.errors import ConfigError, WeightsError
from resight.core.pictures.preprocessing import IMAGENET, Preprocessing
from resight.models.network import Architecture

Tensors = Mapping[str, Tensor]
Options = Mapping[str, Any]
# A pattern of a file's names, and the name in our network; None: it serves training only.
Rule = tuple[str, str | None]

HALF = (0.5, 0.5, 0.5)
UNUSED_CLASSIFIERS: Rule = (r"classifier(_\w+|\d+)?\..*", None)
NECKS = ("before", "after")
SIZE = ("height", "width")


@dataclass(frozen=True)
class Converted:
    """Our network for a file, and how its names become ours.

    reshaped: names of ours whose tensors may have another shape in the file, with the same values. assumed: what no
    file holds, and what was taken for it.
    """

    architecture: Architecture
    preprocessing: Preprocessing
    rules: Sequence[Rule]
    reshaped: frozenset[str] = frozenset()
    assumed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """A project's weights: `tells` whether a file's names are of it, and `convert` says what it becomes. options: the
    names of those that `convert` takes."""

    name: str
    tells: Callable[[Tensors], bool]
    convert: Callable[[Tensors, Options], Converted]
    options: tuple[str, ...]
    classifiers: tuple[str, ...] = ("classifier.weight",)


def imagenet(height: int, width: int, resize: str = "bilinear-antialias") -> Preprocessing:
    """ImageNet's mean and deviation."""
    return Preprocessing(height, width, *IMAGENET, resize)


def size_of(options: Options, height: int, width: int) -> tuple[int, int]:
    """(height, width): those of the options, or else those given."""
    return int(options.get("height", height)), int(options.get("width", width))


def form_options(options: Options, taken: Sequence[str] = SIZE) -> dict[str, Any]:
    """The options without those that are not of the network's form."""
    return {name: value for name, value in options.items() if name not in taken}


def tensor_of(tensors: Tensors, name: str, dimensions: int) -> Tensor:
    """A tensor that a kind needs to be told by. Raises WeightsError where it is not there, or has another shape."""
    if name not in tensors:
        raise WeightsError(f"{name} is missing")
    if tensors[name].dim() != dimensions:
        raise WeightsError(f"{name} is of shape {tuple(tensors[name].shape)}, which has not {dimensions} dimensions")
    return tensors[name]


def count_blocks(tensors: Tensors, prefix: str) -> int:
    """How many blocks there are of names prefix + number."""
    numbers = {int(m[1]) for name in tensors if (m := re.match(re.escape(prefix) + r"(\d{1,3})\.", name))}
    return len(numbers)


def neck_option(options: Options, default: str) -> str:
    """before or after. Raises ConfigError for another."""
    neck = str(options.get("neck", default))
    if neck not in NECKS:
        raise ConfigError(f"neck is before or after, not {neck!r}")
    return neck
