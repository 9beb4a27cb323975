"""Looks through the bytes of an ONNX graph before any runtime does.

A runtime trusts its model: it opens the files that a graph names for its weights, runs loops without end, and
fills as much memory as a few bytes ask for. So the bytes are read here first, as protocol buffers, and what a
network of crops to embeddings has no use for is refused. Field numbers: onnx.proto3 (ONNX 1.16).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod

from resight.core.errors import WeightsError

# Everything that a network needs in order to turn pixels into a vector. Absent on purpose: control flow and
# sequences (they need not end), what makes much out of little (ConstantOfShape, Range, Tile, Resize; Expand but to
# the size of what is there), randomness, strings, and the domains of extensions.
_OPERATORS = """
Abs Add And ArgMax AveragePool BatchNormalization Cast CastLike Clip Concat Constant Conv Cos DepthToSpace
DequantizeLinear Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Flatten Floor Gather Gelu Gemm
GlobalAveragePool GlobalMaxPool Greater GroupNormalization HardSigmoid HardSwish Identity InstanceNormalization
LayerNormalization LeakyRelu Less Log LpNormalization LRN MatMul MatMulInteger Max MaxPool Mean Min Mish Mul Neg
Not Or PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear Reciprocal ReduceL1 ReduceL2 ReduceMax ReduceMean
ReduceMin ReduceSum ReduceSumSquare Relu Reshape Round Selu Shape Sigmoid Sign Sin Size Slice Softmax Softplus
SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Transpose Unsqueeze Where
"""
OPERATORS = frozenset(_OPERATORS.split())
DOMAINS = ("", "ai.onnx")
MAX_NODES = 100_000
MAX_DEPTH = 16
MAX_TENSOR_VALUES = 1 << 28
ELEMENT_BITS = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 16: 16}
VALUE_BYTES = {4: 4, 5: 1, 7: 1, 10: 8, 11: 1}  # of the fields of numbers: integers take a byte at the least
EXTERNAL = 1


@dataclass(frozen=True)
class Port:
    """An input or output: its name and shape, None where a side is not fixed."""

    name: str
    shape: tuple[int | None, ...]


@dataclass
class GraphFacts:
    """What the bytes say. ops: how often each operator occurs. inputs: without those that are weights. shapes: the
    values that are the sizes of others."""

    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)
    ops: dict[str, int] = field(default_factory=dict)
    opset: int = 0
    num_weights: int = 0
    shapes: set[str] = field(default_factory=set)


def inspect_graph(data: bytes, name: str) -> GraphFacts:
    """Raises WeightsError for what is no ONNX graph, or one that is refused, and says why."""
    facts = GraphFacts()
    weights: set[str] = set()
    found = False
    try:
        for number, value in _fields(memoryview(data)):
            if number == 7:
                found = True
                _graph(_message(value), facts, weights, 0)
            elif number == 8:
                _opset(_message(value), facts)
            elif number == 25:
                raise _Refused("it brings functions of its own, which are not looked into")
    except _Refused as refusal:
        raise WeightsError(f"{name}: the network is refused: {refusal}") from None
    except (_Malformed, UnicodeDecodeError) as error:
        raise WeightsError(f"{name}: the network is not ONNX, or damaged ({error})") from None
    if not found or not facts.ops:
        raise WeightsError(f"{name}: the network is not ONNX: it holds no graph")
    facts.inputs = [port for port in facts.inputs if port.name not in weights]
    if len(facts.inputs) != 1 or len(facts.outputs) != 1:
        raise WeightsError(
            f"{name}: a network from crops to embeddings has one input and one output; this one has "
            f"{len(facts.inputs)} and {len(facts.outputs)}"
        )
    return facts


class _Refused(Exception):
    pass


class _Malformed(Exception):
    pass


Value = int | memoryview


def _fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """The fields of one message: numbers of varint and fixed fields, views of the others."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == 2:
            length, at = _varint(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise _Malformed(f"a field of kind {kind}")
        if number == 0 or length > end - at:
            raise _Malformed("a field that is longer than its message")
        yield number, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise _Malformed("a number that does not end")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _message(value: Value) -> memoryview:
    if isinstance(value, int):
        raise _Malformed("a number where a message belongs")
    return value


def _text(value: Value) -> str:
    return bytes(_message(value)).decode("utf-8")


def _numbers(value: Value) -> list[int]:
    """Of a repeated field, packed or not."""
    if isinstance(value, int):
        return [value]
    found, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(number)
    return found


def _opset(data: memoryview, facts: GraphFacts) -> None:
    domain, version = "", 0
    for number, value in _fields(data):
        if number == 1:
            domain = _text(value)
        elif number == 2 and isinstance(value, int):
            version = value
    if domain in DOMAINS:
        facts.opset = version


def _graph(data: memoryview, facts: GraphFacts, weights: set[str], depth: int) -> None:
    for number, value in _fields(data):
        if number == 1:
            _node(_message(value), facts, depth)
        elif number == 5:
            weights.add(_tensor(_message(value), facts))
        elif number == 11:
            facts.inputs.append(_port(_message(value)))
        elif number == 12:
            facts.outputs.append(_port(_message(value)))
        elif number == 15:
            raise _Refused("it holds sparse weights")


def _node(data: memoryview, facts: GraphFacts, depth: int) -> None:
    operator = domain = ""
    attributes: list[memoryview] = []
    takes: list[str] = []
    makes: list[str] = []
    for number, value in _fields(data):
        if number in (1, 2):
            (takes if number == 1 else makes).append(_text(value))
        elif number == 4:
            operator = _text(value)
        elif number == 7:
            domain = _text(value)
        elif number == 5:
            attributes.append(_message(value))
    if domain not in DOMAINS:
        raise _Refused(f"it needs the operator {operator} of the extension {domain!r}")
    if operator == "Shape":
        facts.shapes.update(makes)
    as_large_as_another = operator == "Expand" and facts.shapes.issuperset(takes[1:])
    if operator not in OPERATORS and not as_large_as_another:
        raise _Refused(
            f"it needs the operator {operator}, which can run or grow without bound or is not one that embedding "
            "networks need. Fix the sizes and fold the constants of the network (onnxsim does) and try again"
        )
    facts.ops[operator] = facts.ops.get(operator, 0) + 1
    if sum(facts.ops.values()) > MAX_NODES:
        raise _Refused(f"it has more than {MAX_NODES:,} operators")
    for attribute in attributes:
        _attribute(attribute, facts, depth + 1)


def _attribute(data: memoryview, facts: GraphFacts, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _Refused("it is nested too deep")
    for number, value in _fields(data):
        if number in (5, 10):
            _tensor(_message(value), facts)
        elif number in (6, 11):
            raise _Refused("it holds graphs within a graph")
        elif number in (22, 23):
            raise _Refused("it holds sparse weights")


def _tensor(data: memoryview, facts: GraphFacts) -> str:
    """Its name. What a tensor's shape says must be what it brings."""
    name, kind, brought, raw = "", 0, 0, 0  # brought: the most values that the fields could hold
    dims: list[int] = []
    for number, value in _fields(data):
        if number == 1:
            dims.extend(_numbers(value))
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 8:
            name = _text(value)
        elif number == 13 or (number == 14 and value == EXTERNAL):
            raise _Refused("its weights lie in another file; a bundle's network holds its own")
        elif number in (3, 6):
            raise _Refused(f"the weights {name!r} are strings or in segments")
        elif number == 9:
            raw += len(_message(value))
        elif number in VALUE_BYTES:
            brought += 1 if isinstance(value, int) else len(value) // VALUE_BYTES[number]
    count = prod(dims)
    if kind not in ELEMENT_BITS or count > MAX_TENSOR_VALUES:
        raise _Refused(f"the weights {name!r} are of {count:,} values of kind {kind}")
    if count > max(brought, raw * 8 // ELEMENT_BITS[kind]):
        raise _Refused(f"the weights {name!r} tell of {count:,} values and do not bring them")
    facts.num_weights += count
    return name


def _port(data: memoryview) -> Port:
    name = ""
    shape: tuple[int | None, ...] = ()
    for number, value in _fields(data):
        if number == 1:
            name = _text(value)
        elif number == 2:
            for kind, tensor in _fields(_message(value)):
                if kind == 1:
                    shape = _shape(_message(tensor))
    return Port(name, shape)


def _shape(data: memoryview) -> tuple[int | None, ...]:
    sides: list[int | None] = []
    for number, value in _fields(data):
        if number != 2:
            continue
        for kind, dimension in _fields(_message(value)):
            if kind != 1:
                continue
            side: int | None = None
            for part, number_of in _fields(_message(dimension)):
                if part == 1 and isinstance(number_of, int):
                    side = number_of
            sides.append(side)
    return tuple(sides)
