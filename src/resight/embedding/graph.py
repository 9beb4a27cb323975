"""Looks through the bytes of an ONNX graph before any runtime does.

A runtime trusts its model: it opens the files that a graph names for its weights, runs loops without end, and
fills as much memory as a few bytes ask for. So the bytes are read here first, as protocol buffers, and what a
network of crops to embeddings has no use for is refused. Field numbers: onnx.proto3 (ONNX 1.16).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod

from resight.core.errors import WeightsError
from resight.embedding.wire import MalformedError, fields, message, numbers, text

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
FLOAT32 = 1
UNENDING = 1 << 63  # a side from here on is a negative number: any, as some exporters write it


@dataclass(frozen=True)
class Port:
    """An input or output: its name, its shape, None where a side is not fixed, and the kind of its values by ONNX's
    number (1: float32)."""

    name: str
    shape: tuple[int | None, ...]
    kind: int = FLOAT32


@dataclass
class GraphFacts:
    """What the bytes say. ops: how often each operator occurs. inputs: without those that are weights. shapes: the
    values that are the sizes of others. values: what the operators make."""

    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)
    ops: dict[str, int] = field(default_factory=dict)
    opset: int = 0
    num_weights: int = 0
    shapes: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)


def inspect_graph(data: bytes, name: str) -> GraphFacts:
    """As `read_graph`. Raises WeightsError too where there is not one input and one output."""
    facts = read_graph(data, name)
    if len(facts.inputs) != 1 or len(facts.outputs) != 1:
        raise WeightsError(
            f"{name}: a network from crops to embeddings has one input and one output; this one has "
            f"{len(facts.inputs)} and {len(facts.outputs)}"
        )
    return facts


def read_graph(data: bytes, name: str) -> GraphFacts:
    """Raises WeightsError for what is no ONNX graph, or one that is refused, and says why."""
    facts = GraphFacts()
    weights: set[str] = set()
    found = False
    try:
        for number, value in fields(memoryview(data)):
            if number == 7:
                found = True
                _graph(message(value), facts, weights, 0)
            elif number == 8:
                _opset(message(value), facts)
            elif number == 25:
                raise _Refused(
                    "it brings functions of its own, which are not looked into: inline them (onnx.inliner) or export "
                    "it with torch.onnx.export(..., dynamo=False)"
                )
    except _Refused as refusal:
        raise WeightsError(f"{name}: the network is refused: {refusal}") from None
    except (MalformedError, UnicodeDecodeError) as error:
        raise WeightsError(f"{name}: the network is not ONNX, or damaged ({error})") from None
    if not found or not facts.ops:
        raise WeightsError(f"{name}: the network is not ONNX: it holds no graph")
    facts.inputs = [port for port in facts.inputs if port.name not in weights]
    return facts


class _Refused(Exception):
    pass


def _opset(data: memoryview, facts: GraphFacts) -> None:
    domain, version = "", 0
    for number, value in fields(data):
        if number == 1:
            domain = text(value)
        elif number == 2 and isinstance(value, int):
            version = value
    if domain in DOMAINS:
        facts.opset = version


def _graph(data: memoryview, facts: GraphFacts, weights: set[str], depth: int) -> None:
    for number, value in fields(data):
        if number == 1:
            _node(message(value), facts, depth)
        elif number == 5:
            weights.add(_tensor(message(value), facts))
        elif number == 11:
            facts.inputs.append(_port(message(value)))
        elif number == 12:
            facts.outputs.append(_port(message(value)))
        elif number == 15:
            raise _Refused("it holds sparse weights")


def _node(data: memoryview, facts: GraphFacts, depth: int) -> None:
    operator = domain = ""
    attributes: list[memoryview] = []
    takes: list[str] = []
    makes: list[str] = []
    for number, value in fields(data):
        if number in (1, 2):
            (takes if number == 1 else makes).append(text(value))
        elif number == 4:
            operator = text(value)
        elif number == 7:
            domain = text(value)
        elif number == 5:
            attributes.append(message(value))
    if domain not in DOMAINS:
        raise _Refused(
            f"it needs the operator {operator} of the extension {domain!r}. Take the file before any runtime's "
            "optimiser went over it, or export it with ONNX's own operators alone"
        )
    facts.values.update(makes)
    if operator == "Shape":
        facts.shapes.update(makes)
    if operator == "BatchNormalization" and (len([name for name in makes if name]) > 1 or _is_training(attributes)):
        raise _Refused(
            "its batch normalisation is in training mode, so that an embedding depends on the other pictures of its "
            "batch. Export it in evaluation mode (network.eval())"
        )
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


def _is_training(attributes: Iterable[memoryview]) -> bool:
    """Whether one of these is training_mode, and not 0."""
    for attribute in attributes:
        found = dict(fields(attribute))
        if text(found.get(1, memoryview(b""))) == "training_mode" and found.get(3, 0):
            return True
    return False


def _attribute(data: memoryview, facts: GraphFacts, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _Refused("it is nested too deep")
    for number, value in fields(data):
        if number in (5, 10):
            _tensor(message(value), facts)
        elif number in (6, 11):
            raise _Refused("it holds graphs within a graph")
        elif number in (22, 23):
            raise _Refused("it holds sparse weights")


def _tensor(data: memoryview, facts: GraphFacts) -> str:
    """Its name. What a tensor's shape says must be what it brings."""
    name, kind, brought, raw = "", 0, 0, 0  # brought: the most values that the fields could hold
    dims: list[int] = []
    for number, value in fields(data):
        if number == 1:
            dims.extend(numbers(value))
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 8:
            name = text(value)
        elif number == 13 or (number == 14 and value == EXTERNAL):
            raise _Refused(
                "its weights lie in another file; a bundle's network holds its own. Export it with "
                "torch.onnx.export(..., external_data=False), or save it anew by onnx.save_model"
            )
        elif number in (3, 6):
            raise _Refused(f"the weights {name!r} are strings or in segments")
        elif number == 9:
            raw += len(message(value))
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
    name, values = "", FLOAT32
    shape: tuple[int | None, ...] = ()
    for number, value in fields(data):
        if number == 1:
            name = text(value)
        elif number == 2:
            for kind, tensor in fields(message(value)):
                if kind == 1:
                    values, shape = _tensor_type(message(tensor))
    return Port(name, shape, values)


def _tensor_type(data: memoryview) -> tuple[int, tuple[int | None, ...]]:
    sides: list[int | None] = []
    values = FLOAT32
    for number, value in fields(data):
        if number == 1 and isinstance(value, int):
            values = value
        if number != 2:
            continue
        for kind, dimension in fields(message(value)):
            if kind != 1:
                continue
            side: int | None = None
            for part, number_of in fields(message(dimension)):
                if part == 1 and isinstance(number_of, int) and 0 < number_of < UNENDING:
                    side = number_of
            sides.append(side)
    return values, tuple(sides)
