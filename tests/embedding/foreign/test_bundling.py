"""Networks as people have them: each becomes a bundle that gives what the network gives, or is refused with advice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from resight.core.distances import unit_rows
from resight.core.errors import ConfigError, ResightError, WeightsError
from resight.core.pictures.preprocessing import Preprocessing
from resight.embedding.bundle import Bundle, bundle_bytes, parse_bundle
from resight.embedding.foreign.bundling import bundle_onnx, layout_of, size_of
from resight.embedding.graph import inspect_graph, read_graph
from resight.embedding.loading import of_bundle
from tests.embedding.networks import DIM, HEIGHT, PREPROCESSING, WIDTH, linear, weights

AS_BYTES = Preprocessing(HEIGHT, WIDTH, (0.0,) * 3, (1 / 255,) * 3)
FLOAT, HALF, DOUBLE, BYTES = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.UINT8
NUMPY: dict[int, Any] = {FLOAT: np.float32, HALF: np.float16, DOUBLE: np.float64, BYTES: np.uint8}
Shape = Sequence[int | str]
IMAGE: Shape = ("n", 3, HEIGHT, WIDTH)
PIXELS = np.random.default_rng(5).integers(0, 256, (3, HEIGHT, WIDTH, 3), np.uint8)


def network(
    nodes: Sequence[Any],
    outputs: Sequence[tuple[str, int, Shape | None]],
    *,
    image: Shape = IMAGE,
    kind: int = FLOAT,
    more: Sequence[tuple[str, int, Shape]] = (),
    constants: dict[str, Any] | None = None,
    opset: int = 17,
    ir: int = 8,
) -> onnx.ModelProto:
    """Of these operators, with the matrix `w` among its weights."""
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info(name, of, shape) for name, of, shape in (("images", kind, image), *more)],
        [helper.make_tensor_value_info(name, of, shape) for name, of, shape in outputs],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in {"w": weights(), **(constants or {})}.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)


def node(operator: str, takes: str, makes: str, **attributes: Any) -> Any:
    return helper.make_node(operator, takes.split(), makes.split(), **attributes)


DENSE = (node("Flatten", "images", "flat"), node("MatMul", "flat w", "out"))
OUT = ("out", FLOAT, ("n", DIM))
OF_CLASSES = (node("MatMul", "out c", "logits"), ("logits", FLOAT, ("n", 5)), {"c": np.ones((DIM, 5), np.float32)})


def bundled(model: onnx.ModelProto, preprocessing: Preprocessing = PREPROCESSING, **options: Any) -> Bundle:
    return bundle_onnx(model.SerializeToString(), preprocessing, name="it", source="it.onnx", **options)


def by_hand(model: onnx.ModelProto, output: str, preprocessing: Preprocessing = PREPROCESSING) -> Any:
    """(n, dim) float32 of unit length, picture by picture."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    image = model.graph.input[0]
    shape = [side.dim_value for side in image.type.tensor_type.shape.dim]
    rows = []
    for pixels in PIXELS:
        images: Any = preprocessing.normalise(pixels[None])
        if shape[-1] == 3:
            images = images.transpose(0, 2, 3, 1)
        kind = NUMPY[image.type.tensor_type.elem_type]
        images = (np.rint(images) if kind is np.uint8 else images).astype(kind)
        rows.append(session.run([output], {image.name: images})[0].reshape(1, -1).astype(np.float32))
    return unit_rows(np.concatenate(rows))


def _typed(kind: int) -> onnx.ModelProto:
    nodes = (node("Flatten", "images", "flat"), node("MatMul", "flat v", "out"))
    return network(nodes, [("out", kind, ("n", DIM))], kind=kind, constants={"v": weights().astype(NUMPY[kind])})


def _shaped(*shape: int | str) -> onnx.ModelProto:
    sizes = [0 if isinstance(side, str) else side for side in shape]  # 0: as it is
    nodes = (*DENSE, node("Reshape", "out s", "shaped"))
    return network(nodes, [("shaped", FLOAT, shape)], constants={"s": np.array(sizes, np.int64)})


def of_bytes(kind: int = BYTES, image: Shape = ("n", HEIGHT, WIDTH, 3)) -> onnx.ModelProto:
    nodes = (node("Cast", "images", "values", to=FLOAT), node("Flatten", "values", "flat"), DENSE[1])
    return network(nodes, [OUT], kind=kind, image=image)


def _quantised() -> onnx.ModelProto:
    """As onnxruntime's quantize_static leaves it: QDQ."""
    nodes = (
        node("Flatten", "images", "flat"),
        node("QuantizeLinear", "flat scale zero", "q"),
        node("DequantizeLinear", "q scale zero", "d"),
        node("MatMul", "d w", "out"),
    )
    return network(nodes, [OUT], constants={"scale": np.float32(0.05), "zero": np.uint8(128)})


def _minus_one() -> onnx.ModelProto:
    model = linear()
    for port in (model.graph.input[0], model.graph.output[0]):
        port.type.tensor_type.shape.dim[0].dim_value = -1
    return model


def _normalised() -> onnx.ModelProto:
    """torch's legacy exporter of nn.functional.normalize: the number of values is left open."""
    nodes = (
        *DENSE,
        node("ReduceL2", "out", "length", axes=[1], keepdims=1),
        node("Shape", "out", "size"),
        node("Expand", "length size", "wide"),
        node("Div", "out wide", "unit"),
    )
    return network(nodes, [("unit", FLOAT, ("n", "Divunit_dim_1"))])


def _falsely_open() -> onnx.ModelProto:
    """Its batch is called open, and a constant within holds it at one."""
    nodes = (node("Reshape", "images s", "flat"), node("MatMul", "flat w", "out"))
    return network(nodes, [OUT], constants={"s": np.array([1, 3 * HEIGHT * WIDTH], np.int64)})


def with_classes(name: str = "logits") -> onnx.ModelProto:
    model = network((*DENSE, OF_CLASSES[0]), [OUT, OF_CLASSES[1]], constants=OF_CLASSES[2])
    return _renamed(model, "logits", name)


def _renamed(model: onnx.ModelProto, old: str, new: str) -> onnx.ModelProto:
    for names in (*(n.input for n in model.graph.node), *(n.output for n in model.graph.node)):
        names[:] = [new if name == old else name for name in names]
    for port in model.graph.output:
        port.name = new if port.name == old else port.name
    return model


def _no_shape() -> onnx.ModelProto:
    model = linear()
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return model


WORKING: dict[str, tuple[Callable[[], onnx.ModelProto], str, Preprocessing]] = {
    "unit length": (_normalised, "unit", PREPROCESSING),
    "an output of (n, dim, 1, 1)": (lambda: _shaped("n", DIM, 1, 1), "shaped", PREPROCESSING),
    "an output of (n, 1, dim)": (lambda: _shaped("n", 1, DIM), "shaped", PREPROCESSING),
    "an output without a shape": (_no_shape, "out", PREPROCESSING),
    "the classes besides": (with_classes, "out", PREPROCESSING),
    "features and classes": (lambda: _renamed(with_classes("cls_score"), "out", "features"), "features", PREPROCESSING),
    "float16": (lambda: _typed(HALF), "out", PREPROCESSING),
    "double": (lambda: _typed(DOUBLE), "out", PREPROCESSING),
    "bytes": (of_bytes, "out", AS_BYTES),
    "bytes, channels first": (lambda: of_bytes(image=IMAGE), "out", AS_BYTES),
    "float, channels last": (lambda: linear("nhwc"), "out", PREPROCESSING),
    "a batch of -1": (_minus_one, "out", PREPROCESSING),
    "a batch that is falsely called open": (_falsely_open, "out", PREPROCESSING),
    "quantised": (_quantised, "out", PREPROCESSING),
    "an old opset": (lambda: network(DENSE, [OUT], opset=9, ir=4), "out", PREPROCESSING),
    "every side open": (lambda: network(DENSE, [OUT], image=("n", "c", "h", "w")), "out", PREPROCESSING),
}


@pytest.mark.parametrize("case", WORKING)
def test_a_network_of_others_gives_in_a_bundle_what_it_gives_by_hand(case: str) -> None:
    make, output, preprocessing = WORKING[case]
    model = make()
    bundle = bundled(model, preprocessing)
    again = parse_bundle(bundle_bytes(bundle), "it.resight")
    assert again.manifest == bundle.manifest
    assert np.abs(of_bundle(again).embed_pixels(PIXELS) - by_hand(model, output, preprocessing)).max() < 2e-3
    assert again.manifest.network.batch == (1 if "falsely" in case else None)


@pytest.mark.parametrize(
    "case", ["float16", "bytes", "the classes besides", "an output of (n, dim, 1, 1)", "a batch of -1"]
)
def test_the_other_runtime_takes_it_too(case: str) -> None:
    pytest.importorskip("openvino")
    make, output, preprocessing = WORKING[case]
    found = of_bundle(bundled(make(), preprocessing), runtime="openvino").embed_pixels(PIXELS)
    assert np.abs(found - by_hand(make(), output, preprocessing)).max() < 2e-3


def test_what_needs_no_change_keeps_its_bytes_and_so_its_identity() -> None:
    for model in (linear(), linear("nhwc"), linear(batch=3)):
        assert bundled(model).onnx == model.SerializeToString()
    assert bundled(_typed(HALF)).manifest.network.precision == "fp16"
    assert bundled(_quantised()).manifest.network.precision == "int8"


def test_a_vector_for_a_single_picture() -> None:
    model = network((*DENSE, node("Reshape", "out s", "v")), [("v", FLOAT, (DIM,))], image=(1, 3, HEIGHT, WIDTH),
                    constants={"s": np.array([DIM], np.int64)})  # fmt: skip
    assert np.allclose(of_bundle(bundled(model)).embed_pixels(PIXELS), by_hand(model, "v"), atol=1e-5)


def test_an_output_is_chosen_by_name_also_one_within_the_network() -> None:
    model = with_classes()
    assert bundled(model, output="logits").manifest.network.dim == 5
    headless = network((*DENSE, OF_CLASSES[0]), [OF_CLASSES[1]], constants=OF_CLASSES[2])
    bundle = bundled(headless, output="out")
    assert np.allclose(of_bundle(bundle).embed_pixels(PIXELS), by_hand(model, "out"), atol=1e-5)
    with pytest.raises(ConfigError, match="no 'feat'; its outputs: logits"):
        bundled(headless, output="feat")


def _in_training() -> onnx.ModelProto:
    """Batch statistics are worked out anew for each batch, as where network.eval() was forgotten."""
    ones = np.ones(DIM, np.float32)
    nodes = (*DENSE, node("BatchNormalization", "out scale shift mean var", "normed m v", training_mode=1))
    constants = {"scale": ones, "shift": 0 * ones, "mean": 0 * ones, "var": ones}
    return network(nodes, [("normed", FLOAT, ("n", DIM))], constants=constants)


def _of_the_batchs_light() -> onnx.ModelProto:
    """Less the mean of all pictures, which is the same wherever they are noise."""
    nodes = (
        node("ReduceMean", "images", "mean", axes=[0, 1, 2, 3], keepdims=1),
        node("Sub", "images mean", "light"),
        node("Flatten", "light", "flat"),
        node("MatMul", "flat w", "out"),
    )
    return network(nodes, [OUT])


def _beyond(field: str) -> onnx.ModelProto:
    model = linear()
    if field == "ir_version":
        model.ir_version = 99
    else:
        model.opset_import[0].version = 99
    return model


def _of_another_domain() -> onnx.ModelProto:
    model = network((node("Flatten", "images", "flat"), helper.make_node("FusedMatMul", ["flat", "w"], ["out"], domain="com.microsoft")), [OUT])  # fmt: skip  # noqa: E501
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


REFUSED: dict[str, tuple[Callable[[], onnx.ModelProto], Preprocessing, str]] = {
    "bytes, and a mean": (of_bytes, PREPROCESSING, r"takes uint8.*--mean 0,0,0 --std 1/255, or .*float32"),
    "int8": (lambda: of_bytes(TensorProto.INT8), PREPROCESSING, "export it with float32 input"),
    "two embeddings": (
        lambda: network((*DENSE, node("Relu", "out", "part")), [OUT, ("part", FLOAT, ("n", DIM))]),
        PREPROCESSING,
        r"several outputs \(out \(2, 6\), part \(2, 6\)\).*--output NAME",
    ),
    "a map of features": (lambda: _shaped("n", 2, 3, 1), PREPROCESSING, r"--output, or end the network with pooling"),
    "an index": (
        lambda: network((*DENSE, node("ArgMax", "out", "best", axis=1)), [("best", TensorProto.INT64, ("n", 1))]),
        PREPROCESSING,
        "int64.*not an embedding of float32",
    ),
    "two inputs": (
        lambda: network(DENSE, [OUT], more=[("cam_label", TensorProto.INT64, ("n",))]),
        PREPROCESSING,
        r"2 inputs \(images \(any, 3, 8, 4\), cam_label \(any\)\).*fixed as constants",
    ),
    "video": (lambda: network(DENSE, [OUT], image=("n", 4, *IMAGE[1:])), PREPROCESSING, "network of video"),
    "grey": (lambda: network(DENSE, [OUT], image=("n", 1, HEIGHT, WIDTH)), PREPROCESSING, "grey pictures"),
    "in training": (_in_training, PREPROCESSING, r"other pictures of its batch.*network\.eval\(\)"),
    "of the batch's light": (_of_the_batchs_light, PREPROCESSING, r"other pictures of its batch.*network\.eval\(\)"),
    "an opset to come": (lambda: _beyond("opset"), PREPROCESSING, "opset_version=17"),
    "a format to come": (lambda: _beyond("ir_version"), PREPROCESSING, "opset_version=17"),
    "optimised": (_of_another_domain, PREPROCESSING, "before any runtime's optimiser"),
    "the size of another": (linear, Preprocessing(16, 4, (0.0,) * 3, (1.0,) * 3), "."),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_with_what_to_do(case: str) -> None:
    make, preprocessing, says = REFUSED[case]
    with pytest.raises(ResightError, match=says):
        bundled(make(), preprocessing)


def test_size_and_layout() -> None:
    facts = inspect_graph(linear("nhwc").SerializeToString(), "it")
    assert layout_of(facts) == "nhwc"
    assert size_of(facts, None) == (8, 4)
    assert size_of(facts, "8x4") == (8, 4)
    for wrong in ("4x8", "8", "0x4", "8x4x3", "big"):
        with pytest.raises(ConfigError, match="--size"):
            size_of(facts, wrong)
    every = read_graph(network(DENSE, [OUT], image=("n", "c", "h", "w")).SerializeToString(), "it")
    assert layout_of(every) == "nchw"
    with pytest.raises(ConfigError, match="--size HEIGHTxWIDTH"):
        size_of(every, None)
    four = read_graph(network(DENSE, [OUT], image=("n", 4, HEIGHT, WIDTH)).SerializeToString(), "it")
    with pytest.raises(WeightsError, match="neither"):
        layout_of(four)
