from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from resight.core.errors import WeightsError
from resight.embedding.graph import inspect_graph
from tests.embedding.networks import DIM, HEIGHT, WIDTH, linear, weights


def test_says_what_is_there() -> None:
    facts = inspect_graph(linear().SerializeToString(), "it")
    assert facts.inputs[0].name == "images"
    assert facts.inputs[0].shape == (None, 3, HEIGHT, WIDTH)
    assert facts.outputs[0].shape == (None, DIM)
    assert facts.ops == {"Flatten": 1, "MatMul": 1}
    assert facts.opset == 17
    assert facts.num_weights == weights().size


def test_a_fixed_batch_and_weights_among_the_inputs() -> None:
    model = linear(batch=3)
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, weights().shape))
    facts = inspect_graph(model.SerializeToString(), "it")
    assert [port.name for port in facts.inputs] == ["images"]
    assert facts.inputs[0].shape[0] == 3


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int64, np.int32, np.uint8, np.int8, np.bool_])
def test_weights_of_every_kind_and_in_every_field(kind: type) -> None:
    values: np.ndarray[Any, Any] = np.arange(12).reshape(3, 4).astype(kind)
    raw = numpy_helper.from_array(values, "raw")
    listed = helper.make_tensor("listed", raw.data_type, (3, 4), values.reshape(-1).tolist())
    facts = inspect_graph(linear(extra=[raw, listed]).SerializeToString(), "it")
    assert facts.num_weights == weights().size + 24


def test_expanding_to_the_size_of_something_is_taken() -> None:
    nodes = [helper.make_node("Shape", ["flat"], ["size"]), helper.make_node("Expand", ["flat", "size"], ["wide"])]
    assert inspect_graph(linear(more=nodes).SerializeToString(), "it").ops["Expand"] == 1


def _external(tensor: TensorProto) -> TensorProto:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return tensor


def _graph_attribute() -> Any:
    node = helper.make_node("Relu", ["out"], ["x"])
    attribute = node.attribute.add()
    attribute.name, attribute.type = "body", AttributeProto.GRAPH
    attribute.g.CopyFrom(linear().graph)
    return node


def _huge() -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "huge")
    tensor.dims[:] = [1 << 20, 1 << 20]
    return tensor


def _empty_promise() -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "promise")
    tensor.dims[:] = [1000]
    return tensor


def _negative() -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "negative")
    tensor.dims[:] = [-4]
    return tensor


def _strings() -> TensorProto:
    return TensorProto(name="words", data_type=TensorProto.STRING, dims=[1], string_data=[b"a"])


def _sparse() -> onnx.ModelProto:
    model = linear()
    model.graph.sparse_initializer.add().dims.extend([4])
    return model


def _function() -> onnx.ModelProto:
    model = linear()
    model.functions.add().name = "mine"
    return model


def _constant(value: TensorProto) -> Any:
    return helper.make_node("Constant", [], ["c"], value=value)


def _two_outputs() -> onnx.ModelProto:
    model = linear()
    model.graph.output.append(model.graph.output[0])
    return model


REFUSED: dict[str, tuple[onnx.ModelProto, str]] = {
    "external weights": (linear(extra=[_external(numpy_helper.from_array(weights(), "v"))]), "another file"),
    "external constant": (linear(more=[_constant(_external(numpy_helper.from_array(weights(), "v")))]), "another file"),
    "loop": (linear(more=[helper.make_node("Loop", ["out"], ["x"])]), "operator Loop"),
    "if": (linear(more=[helper.make_node("If", ["out"], ["x"])]), "operator If"),
    "fill": (linear(more=[helper.make_node("ConstantOfShape", ["out"], ["x"])]), "ConstantOfShape"),
    "tile": (linear(more=[helper.make_node("Tile", ["out", "w"], ["x"])]), "operator Tile"),
    "expand": (linear(more=[helper.make_node("Expand", ["out", "w"], ["x"])]), "operator Expand"),
    "range": (linear(more=[helper.make_node("Range", ["out"], ["x"])]), "operator Range"),
    "random": (linear(more=[helper.make_node("RandomNormalLike", ["out"], ["x"])]), "RandomNormalLike"),
    "extension": (linear(more=[helper.make_node("Run", ["out"], ["x"], domain="evil")]), "extension 'evil'"),
    "nested graph": (linear(more=[_graph_attribute()]), "graphs within"),
    "huge": (linear(extra=[_huge()]), "huge"),
    "empty promise": (linear(extra=[_empty_promise()]), "do not bring"),
    "negative": (linear(extra=[_negative()]), "negative"),
    "strings": (linear(extra=[_strings()]), "are strings"),
    "sparse": (_sparse(), "sparse"),
    "function": (_function(), "functions"),
    "two outputs": (_two_outputs(), "one output"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case: str) -> None:
    model, why = REFUSED[case]
    with pytest.raises(WeightsError, match=why):
        inspect_graph(model.SerializeToString(), "it")


def test_what_is_no_graph_is_an_error() -> None:
    for data in (
        b"",
        b"\x00",
        b"\xff" * 40,
        b"PK\x03\x04",
        b"hello, this is a text",
        onnx.ModelProto().SerializeToString(),
    ):
        with pytest.raises(WeightsError):
            inspect_graph(data, "it")


def test_damage_anywhere_is_an_error_or_harmless() -> None:
    good = linear().SerializeToString()
    rng = np.random.default_rng(0)
    for _ in range(500):
        data = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(0, 200)] = rng.integers(0, 256)
        cut = bytes(data[: rng.integers(1, len(data) + 1)])
        for candidate in (bytes(data), cut):
            with contextlib.suppress(WeightsError):  # anything else that is raised fails this test
                inspect_graph(candidate, "it")
