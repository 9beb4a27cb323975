"""Operators put before and behind a network, and nothing that is there changed.

So a network gets the form that a bundle's has (one input and one output of float32, the output (n, dim)), and takes
pictures as another program gives them. Field numbers: onnx.proto3 (ONNX 1.16).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from resight.embedding.graph import FLOAT32, Port
from resight.embedding.wire import encode, fields, message, raw_fields, text

HALF = "resight_half"
TO_NHWC = (0, 2, 3, 1)


@dataclass(frozen=True)
class Form:
    """What is there, and what is to be.

    image: the network's own input. shape: of the pictures, float32, None where the batch is open. output: the value
    that is the embedding; kind: of its numbers, as ONNX counts. flatten: the axis from which on its sides become one;
    None: it has two. dim: of the embedding.
    """

    image: Port
    shape: tuple[int | None, ...]
    output: str
    kind: int
    flatten: int | None
    dim: int


def rewritten(onnx: bytes, form: Form) -> bytes:
    """The network in that form. Pictures for a network of whole numbers are rounded."""
    source, before, extra = form.image.name, b"", b""
    if form.image.kind != FLOAT32:
        source = "resight_images"
        given = source
        if form.image.kind not in FLOATS:
            before += _node("Add", [source, HALF], "resight_rounded")  # a cast cuts off what stands behind the point
            extra = _tensor(HALF, (0.5,))
            given = "resight_rounded"
        before += _node("Cast", [given], form.image.name, {"to": form.image.kind})
    behind, result = b"", form.output
    if form.kind != FLOAT32:
        behind += _node("Cast", [result], "resight_float32", {"to": FLOAT32})
        result = "resight_float32"
    if form.flatten is not None:
        behind += _node("Flatten", [result], "resight_embedding", {"axis": form.flatten})
        result = "resight_embedding"
    ports = encode(11, _port(source, form.shape)) + encode(12, _port(result, (form.shape[0], form.dim)))
    return _with_graph(onnx, before, behind + extra + ports, form.image.name)


@dataclass(frozen=True)
class Feed:
    """What comes in place of the network's own pictures: (n, 3, height, width) float32.

    squares: (height, width) of the pixels whose mean is one of the network's. scale, shift: by channel, from what comes
    to what the network takes: x * scale + shift. centring, level: each channel of each picture is then shifted so far
    towards a mean of `level`. to_nhwc: the network has its channels last.
    """

    size: tuple[int, int]
    squares: tuple[int, int]
    scale: Sequence[float]
    shift: Sequence[float]
    centring: float
    level: Sequence[float]
    to_nhwc: bool


def fed(onnx: bytes, image: Port, output: Port, feed: Feed) -> bytes:
    """The network, fed so. image, output: its own."""
    nodes: list[bytes] = []
    tensors: list[bytes] = []
    stem = "resight_fed"
    while stem.encode() in onnx:  # it was fed otherwise before
        stem += "_"
    last = crops = f"{stem}_crops"

    def put(operator: str, *takes: str, attributes: Mapping[str, int | Sequence[int]] = {}) -> str:
        made = f"{stem}_{len(nodes)}"
        nodes.append(_node(operator, takes, made, attributes))
        return made

    def channels(values: Sequence[float]) -> str:
        name = f"{stem}_channels_{len(tensors)}"
        tensors.append(_tensor(name, values, (1, len(values), 1, 1)))
        return name

    if feed.squares != (1, 1):
        last = put("AveragePool", last, attributes={"kernel_shape": feed.squares, "strides": feed.squares})
    last = put("Add", put("Mul", last, channels(feed.scale)), channels(feed.shift))
    if feed.centring:
        mean = put("Mul", put("GlobalAveragePool", last), channels([-feed.centring]))
        last = put("Add", last, put("Add", mean, channels([feed.centring * value for value in feed.level])))
    last = put("Transpose", last, attributes={"perm": TO_NHWC}) if feed.to_nhwc else last
    nodes.append(_node("Identity", [last], image.name))
    batch = image.shape[0]
    ports = encode(11, _port(crops, (batch, 3, *feed.size))) + encode(12, _port(output.name, (batch, output.shape[1])))
    return _with_graph(onnx, b"".join(nodes), b"".join(tensors) + ports, image.name)


def with_metadata(onnx: bytes, values: Mapping[str, str]) -> bytes:
    """The network with these in its metadata_props, besides those that are there."""
    kept = [
        raw
        for number, value, raw in raw_fields(memoryview(onnx))
        if not (number == 14 and _name(message(value)) in values)
    ]
    return b"".join([*kept, *(encode(14, encode(1, name) + encode(2, value)) for name, value in values.items())])


def with_output(onnx: bytes, name: str) -> bytes:
    """The network, whose only output is that value, of whatever kind and shape."""
    return _with_graph(onnx, b"", encode(12, encode(1, name)), None)


FLOATS = frozenset([1, 10, 11, 16])  # float32, float16, double, bfloat16


def _with_graph(onnx: bytes, before: bytes, behind: bytes, dropped: str | None) -> bytes:
    """Its graph between these fields, without its outputs and without the input `dropped`."""
    parts: list[bytes | memoryview] = []
    for number, value, raw in raw_fields(memoryview(onnx)):
        if number != 7:
            parts.append(raw)
            continue
        kept = [
            field
            for kind, port, field in raw_fields(message(value))
            if kind != 12 and not (kind == 11 and _name(message(port)) == dropped)
        ]
        parts.append(encode(7, b"".join([before, *kept, behind])))
    return b"".join(parts)


def _name(port: memoryview) -> str:
    return next((text(value) for number, value in fields(port) if number == 1), "")


def _node(operator: str, takes: Sequence[str], makes: str, attributes: Mapping[str, int | Sequence[int]] = {}) -> bytes:
    node = b"".join(encode(1, name) for name in takes) + encode(2, makes) + encode(4, operator)
    for name, value in attributes.items():
        if isinstance(value, int):
            node += encode(5, encode(1, name) + encode(3, value) + encode(20, 2))  # 2: an integer
        else:
            node += encode(5, encode(1, name) + b"".join(encode(8, one) for one in value) + encode(20, 7))  # 7: several
    return encode(1, node)


def _tensor(name: str, values: Sequence[float], shape: Sequence[int] = ()) -> bytes:
    sides = b"".join(encode(1, side) for side in shape)
    return encode(5, sides + encode(2, FLOAT32) + encode(9, struct.pack(f"<{len(values)}f", *values)) + encode(8, name))


def _port(name: str, shape: Sequence[int | None]) -> bytes:
    sides = b"".join(encode(1, encode(2, "n") if side is None else encode(1, side)) for side in shape)
    return encode(1, name) + encode(2, encode(1, encode(1, FLOAT32) + encode(2, sides)))
