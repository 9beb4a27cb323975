"""Gives a network the form that a bundle's has: one input and one output of float32, the output (n, dim).

Field numbers: onnx.proto3 (ONNX 1.16). Nothing that is there is changed; operators are put before and behind it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from resight.embedding.graph import FLOAT32, Port
from resight.embedding.wire import encode, fields, message, raw_fields, text

HALF = "resight_half"


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
            extra = encode(5, encode(2, FLOAT32) + encode(9, struct.pack("<f", 0.5)) + encode(8, HALF))
            given = "resight_rounded"
        before += _node("Cast", [given], form.image.name, ("to", form.image.kind))
    behind, result = b"", form.output
    if form.kind != FLOAT32:
        behind += _node("Cast", [result], "resight_float32", ("to", FLOAT32))
        result = "resight_float32"
    if form.flatten is not None:
        behind += _node("Flatten", [result], "resight_embedding", ("axis", form.flatten))
        result = "resight_embedding"
    ports = encode(11, _port(source, form.shape)) + encode(12, _port(result, (form.shape[0], form.dim)))
    return _with_graph(onnx, before, behind + extra + ports, form.image.name)


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


def _node(operator: str, takes: Sequence[str], makes: str, attribute: tuple[str, int] | None = None) -> bytes:
    node = b"".join(encode(1, name) for name in takes) + encode(2, makes) + encode(4, operator)
    if attribute is not None:
        node += encode(5, encode(1, attribute[0]) + encode(3, attribute[1]) + encode(20, 2))  # 2: an integer
    return encode(1, node)


def _port(name: str, shape: Sequence[int | None]) -> bytes:
    sides = b"".join(encode(1, encode(2, "n") if side is None else encode(1, side)) for side in shape)
    return encode(1, name) + encode(2, encode(1, encode(1, FLOAT32) + encode(2, sides)))
