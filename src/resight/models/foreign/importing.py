"""A file of foreign weights into a network of ours: each key is used, or known to be unused, or the file is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resight.core.errors import ConfigError, WeightsError, unknown_name
from resight.models.catalogue import build_network
from resight.models.foreign import convolutional, reference_weights, transformers
from resight.models.foreign.kind import Converted, Kind, Tensors
from resight.models.foreign.reading import read_tensors
from resight.models.saved import ModelConfig, TrainedNetwork

KINDS: dict[str, Kind] = {kind.name: kind for kind in (*transformers.KINDS, *convolutional.KINDS)}
# Persons in a training set, where a file's classifier tells them.
DATA = {751: "Market-1501", 1041: "MSMT17", 702: "DukeMTMC-reID or Occluded-Duke", 767: "CUHK03", 576: "VeRi-776"}
COUNTER = "num_batches_tracked"
NAMED = 4  # keys in a message
WHOLE = ("height", "width", "stride", "heads", "views", "cameras", "rows")  # options that are whole numbers
YES_OR_NO = ("stem_relu", "ceil_pool")
OTHERS = (
    "Any other network comes in by ONNX: torch.onnx.export where it was trained, then `resight bundle NETWORK.onnx`; "
    "docs/import.md has the commands."
)


@dataclass(frozen=True, eq=False)
class Imported:
    """What came of a file: kind is its project's network; unused, its keys that serve training only; assumed, what no
    file holds and nobody said, and was taken for it."""

    trained: TrainedNetwork
    kind: str
    unused: tuple[str, ...]
    assumed: Mapping[str, Any]


def import_foreign(path: Path, kind: str | None = None, options: Mapping[str, Any] | None = None) -> Imported:
    """Reads the file, tells what it is, and makes it ours. No code in the file is run.

    kind: one of KINDS, where the keys are not to tell. options: what no file holds, as `shift`, `side_weight`,
    `unseen`, `neck`, `heads`, or the size, in place of what is told or assumed. Raises WeightsError naming what is
    missing, foreign or misshapen, ConfigError for an unknown kind or option.
    """
    tensors = read_tensors(path)
    paper = reference_weights.told_network(tensors) if kind is None else kind
    if paper in reference_weights.PREFIXES:
        if options:
            raise ConfigError(f"a {paper} of the reference paper takes no options: {', '.join(options)}")
        classifiers = tuple(name for name in tensors if name in reference_weights.CLASSIFIER_KEYS)
        return Imported(reference_weights.import_reference_weights(path, paper), paper, classifiers, {})
    found = _find_kind(tensors, kind, path)
    _check_options(options or {}, found)
    try:
        converted = found.convert(tensors, options or {})
        made = _make(tensors, found, converted, path)
        return replace(made, assumed={n: v for n, v in made.assumed.items() if n not in (options or {})})
    except WeightsError as error:
        raise WeightsError(f"{path} is not a {found.name} that can be imported: {error}") from None


def _find_kind(tensors: Tensors, name: str | None, path: Path) -> Kind:
    if name is not None:
        if name not in KINDS:
            raise unknown_name("kind of weights", name, [*KINDS, *reference_weights.PREFIXES])
        return KINDS[name]
    for kind in KINDS.values():
        if kind.tells(tensors):
            return kind
    first = ", ".join(list(tensors)[:NAMED])
    raise WeightsError(
        f"{path} is of no kind that is known here ({', '.join(KINDS)}): its keys begin with {first}. {OTHERS} If it is "
        "of a known kind all the same (`resight models --importable`), name that with --model."
    )


def _check_options(options: Mapping[str, Any], kind: Kind) -> None:
    """Raises ConfigError for an option that the kind does not take, or whose value is of another type."""
    for name, value in options.items():
        if name not in kind.options:
            raise unknown_name(f"option of {kind.name}", name, kind.options)
        if name in WHOLE and type(value) is not int:
            raise ConfigError(f"the option {name} is a whole number, not {value!r}")
        if name in YES_OR_NO and type(value) is not bool:
            raise ConfigError(f"the option {name} is true or false, not {value!r}")


def _make(tensors: Tensors, kind: Kind, converted: Converted, path: Path) -> Imported:
    architecture, preprocessing = converted.architecture, converted.preprocessing
    try:
        network = build_network(architecture, preprocessing.height, preprocessing.width)
    except ConfigError as error:
        raise WeightsError(str(error)) from None
    own = network.state_dict()
    weights: dict[str, Tensor] = {}
    unused: list[str] = []
    wrong: list[str] = []
    for key, tensor in tensors.items():
        name = _rename(key, converted)
        if name is None:
            unused.append(key)
        elif name not in own:
            wrong.append(f"{key} is foreign")
        elif name in weights:
            wrong.append(f"{key} is there twice")
        else:
            same = tensor.numel() == own[name].numel() and name in converted.reshaped
            weights[name] = tensor.reshape(own[name].shape) if same else tensor
            if weights[name].shape != own[name].shape:
                wrong.append(f"{key} is {tuple(tensor.shape)}, not {tuple(own[name].shape)}")
            elif name.endswith("running_var") and (weights[name] < 0).any():
                wrong.append(f"{key} holds negative variances")
    for name in own:
        if name not in weights and name.endswith(COUNTER):
            weights[name] = torch.zeros_like(own[name])  # older PyTorch did not count
        elif name not in weights:
            wrong.append(f"{name} (of ours) is missing")
    if wrong:
        more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        raise WeightsError(f"{'; '.join(wrong[:NAMED])}{more}")
    network.load_state_dict(weights, strict=True)
    config = ModelConfig(architecture, preprocessing, _trained_on(tensors, kind, converted, path), _rights(path))
    return Imported(TrainedNetwork(network.eval(), config), kind.name, tuple(unused), converted.assumed)


def _rename(key: str, converted: Converted) -> str | None:
    """Our name of a key; None where it is known to be unused, empty where no rule knows it."""
    for pattern, ours in converted.rules:
        if match := re.fullmatch(pattern, key):
            return None if ours is None else match.expand(ours)
    return ""


def _trained_on(tensors: Tensors, kind: Kind, converted: Converted, path: Path) -> str:
    classes = next((tensors[name].shape[0] for name in kind.classifiers if name in tensors and tensors[name].dim()), 0)
    data = f"{classes:,} classes, which suggests {DATA[classes]}" if classes in DATA else f"{classes:,} classes"
    text = f"imported from {path.name} ({kind.name}); " + (data if classes else "what it was trained on is not told")
    assumed = ", ".join(f"{name} {value}" for name, value in converted.assumed.items())
    return f"{text}; no file holds, and taken were: {assumed}" if assumed else text


def _rights(path: Path) -> str:
    return f"not stated by {path.name}: ask whoever trained it, and see the rights in its training data"
