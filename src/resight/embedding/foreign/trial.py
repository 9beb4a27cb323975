"""Runs a network of others before anything is written of it: which output is the embedding, and of what form."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from resight.core.errors import ConfigError, WeightsError
from resight.core.pictures.preprocessing import Preprocessing
from resight.core.records import FloatArray
from resight.embedding.foreign.rewriting import FLOATS, with_output
from resight.embedding.graph import GraphFacts
from resight.embedding.runtimes import open_session, short

KINDS: dict[int, type[np.generic]] = {
    1: np.float32,
    10: np.float16,
    11: np.float64,
    2: np.uint8,
    6: np.int32,
    7: np.int64,
}
NUMBERS = {np.dtype(kind).name: number for number, kind in KINDS.items()}
OF_CLASSES = re.compile(r"logit|class|cls|score|prob|softmax|pred|label|attr|gender|age", re.IGNORECASE)
BYTES_MEAN, BYTES_STD = (0.0,) * 3, (1 / 255,) * 3
ALIKE = 0.99  # cosine similarity of one picture's embedding, alone and among others
Values = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Trial:
    """output: the name of the value that is the embedding. kind: of its numbers, as ONNX counts. flatten: from which
    axis on its sides become one; None: it has two. dim: of the embedding. batch: pictures a run; None: any.
    pixels: the pictures that were given, (n, height, width, 3) uint8. embeddings: (n, dim) float32, as the network gave
    them."""

    output: str
    kind: int
    flatten: int | None
    dim: int
    batch: int | None
    pixels: npt.NDArray[np.uint8]
    embeddings: FloatArray


def try_network(
    onnx: bytes, facts: GraphFacts, layout: str, preprocessing: Preprocessing, output: str | None, source: str
) -> Trial:
    """Feeds it pictures of noise. output: the embedding's name; None: the only one that may be.

    Raises WeightsError for a network that cannot be run or gives no embedding, ConfigError where it is not clear which
    output is meant; both say what to do.
    """
    image = facts.inputs[0]
    _check_kind(image.kind, preprocessing, source)
    names = [port.name for port in facts.outputs]
    if output is not None and output not in names:
        if output not in facts.values:
            raise ConfigError(f"--output: {source} has no {output!r}; its outputs: {', '.join(names)}")
        onnx, names = with_output(onnx, output), [output]
    try:
        session = open_session(onnx, source, threads=None)
    except WeightsError as error:
        raise WeightsError(f"{error}. {_advice(str(error))}") from None
    wanted = [output] if output is not None else names

    def run(chosen: Sequence[int]) -> dict[str, Values]:
        """The outputs for those of the pictures."""
        images: Values = preprocessing.normalise(pixels[list(chosen)])
        if layout == "nhwc":
            images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        kind = KINDS[image.kind]
        images = (images if image.kind in FLOATS else np.rint(images)).astype(kind)
        try:
            return dict(zip(wanted, session.run(wanted, {image.name: images}), strict=True))
        except Exception as error:  # what a runtime raises has no common base
            told = short(error)
            raise WeightsError(f"{source}: the network cannot be run ({told}). {_advice(told)}") from None

    size = (preprocessing.height, preprocessing.width)
    batch = image.shape[0] if image.shape else None
    noise = np.random.default_rng(0)
    # Dark ones too, and a last one that is bright: the statistics of their batches differ.
    ranges = [*((0, 64 if number % 2 else 256) for number in range(batch or 2)), (192, 256)]
    pixels = np.stack([noise.integers(low, high, (*size, 3), np.uint8) for low, high in ranges])
    first = list(range(batch or 2))
    if batch is None:
        try:
            found = run(first)
            of_two = all(values.ndim and len(values) == 2 for values in found.values())
        except WeightsError:
            of_two = False
        if not of_two:  # its batch is called open, and is not
            batch, first = 1, [0]
            found = run(first)
    else:
        found = run(first)
    name = _chosen(found, len(first), source)
    values = found[name]
    dim, flatten = _form(values, len(first))
    if dim is None or str(values.dtype) not in NUMBERS or NUMBERS[str(values.dtype)] not in FLOATS:
        raise WeightsError(
            f"{source}: the output {name!r} is {values.dtype} {values.shape}, not an embedding of float32, (n, dim). "
            "Name another by --output, or end the network with pooling and flattening"
        )
    embeddings = values.reshape(len(first), dim).astype(np.float32)
    _check_steady(embeddings, run(first)[name].reshape(len(first), dim), source, "it gives another one each time")
    if len(first) > 1:
        others = [first[0], *reversed([*first[1:], len(pixels) - 1])][: len(first)]
        again = run(others)[name].reshape(len(first), dim)
        _check_steady(embeddings[:1], again[:1], source, "it depends on the other pictures of its batch")
    return Trial(name, NUMBERS[str(values.dtype)], flatten, dim, batch, pixels[first], embeddings)


def _check_kind(kind: int, preprocessing: Preprocessing, source: str) -> None:
    if kind not in KINDS:
        raise WeightsError(f"{source}: the network takes values of ONNX's kind {kind}; export it with float32 input")
    as_they_are = np.allclose(preprocessing.mean, BYTES_MEAN) and np.allclose(preprocessing.std, BYTES_STD)
    if kind not in FLOATS and not as_they_are:
        raise ConfigError(
            f"{source}: the network takes {np.dtype(KINDS[kind]).name}, so pictures from 0 to 255, and scales them "
            "itself: say --mean 0,0,0 --std 1/255, or export it with an input of float32"
        )


def _chosen(found: dict[str, Values], num: int, source: str) -> str:
    if len(found) == 1:
        return next(iter(found))
    fits = [name for name, values in found.items() if _form(values, num)[0] is not None and values.dtype.kind == "f"]
    left = [name for name in fits if not OF_CLASSES.search(name)]
    if len(left) != 1:
        shapes = ", ".join(f"{name} {values.shape}" for name, values in found.items())
        raise ConfigError(f"{source} has several outputs ({shapes}): say which is the embedding by --output NAME")
    return left[0]


def _form(values: Values, num: int) -> tuple[int | None, int | None]:
    """The dimension, and from which axis on to flatten: (n, dim) is as it must be, (n, dim, 1, 1) and (n, 1, dim) are
    one vector a picture too, and (dim,) is of a single picture."""
    if values.ndim == 1 and num == 1:
        return len(values), 0
    if values.ndim < 2 or len(values) != num or values.size // max(num, 1) != max(values.shape[1:]):
        return None, None
    return max(values.shape[1:]), None if values.ndim == 2 else 1


def _check_steady(one: FloatArray, other: Values, source: str, what: str) -> None:
    a, b = one.astype(np.float64), other.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    if np.isfinite(lengths).all() and ((a * b).sum(axis=1) < ALIKE * lengths).any():
        raise WeightsError(
            f"{source}: the embedding of a picture is not the picture's own: {what}. Export the network in evaluation "
            "mode (network.eval()), without dropout and with fixed statistics"
        )


def _advice(told: str) -> str:
    """What to do about what a runtime said."""
    if "opset" in told.lower() or "IR version" in told:
        return "Export it with opset_version=17"
    if "float16" in told or "double" in told or "bfloat16" in told or "NOT_IMPLEMENTED" in told:
        return "Export it in float32"
    return "Export it anew, with an open batch and a fixed size of its pictures"
