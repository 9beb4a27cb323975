"""A trained network as ONNX, in fp32 or int8."""

from __future__ import annotations

import logging
import re
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from resight.core.errors import ConfigError, MissingExtra
from resight.core.pictures.images import Pixels
from resight.core.pictures.preprocessing import Preprocessing
from resight.embedding.runtimes import import_onnxruntime

OPSET = 17
INPUT, OUTPUT = "images", "embedding"
# What is quantised. Of convolutional networks the dense layers are a thousandth of the work and decide the angles: they
# stay fp32. Of transformers all products are, or all but attention's, or all but those, fc2 and the last block, whose
# inputs have values far out (docs/decisions/0270).
CONVOLUTIONS, ALL_PRODUCTS, DENSE, DENSE_BUT_LAST = "convolutions", "all products", "dense", "dense but the last block"
CALIBRATION_BATCH = 16


def to_onnx(network: nn.Module, preprocessing: Preprocessing) -> bytes:
    """The network in evaluation mode, as ONNX: (n, 3, height, width) float32 to (n, dim) float32, any n."""
    example = torch.zeros(2, 3, preprocessing.height, preprocessing.width)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        target = Path(folder) / "network.onnx"
        warnings.simplefilter("ignore")  # it is told that it will be superseded (docs/decisions/0010)
        torch.onnx.export(
            network.eval(),
            (example,),
            target,
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: "n"}, OUTPUT: {0: "n"}},
        )
        return _folded(target.read_bytes())


def _folded(onnx: bytes) -> bytes:
    """With its constants worked out, which a bundle's reader insists on; operators stay ONNX's own."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "folded.onnx"
        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(target)
        options.log_severity_level = 3
        onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        return target.read_bytes()


def int8_forms(onnx: bytes) -> tuple[str, ...]:
    """How the network can be quantised: of a transformer, from the fastest form to the most careful one."""
    operators = {node.op_type for node in import_onnx().load_model_from_string(onnx).graph.node}
    is_transformer = {"Softmax", "LayerNormalization", "MatMul"} <= operators
    return (ALL_PRODUCTS, DENSE, DENSE_BUT_LAST) if is_transformer else (CONVOLUTIONS,)


def import_onnx(what: str = "int8") -> Any:
    """The library. what: needs it. Raises MissingExtra where it is not installed."""
    try:
        import onnx as library
    except ImportError:
        raise MissingExtra(f"onnx, which {what} needs,", "train") from None
    return library


def _kept_in_float(model: Any, form: str) -> list[str]:
    """The names of the matrix products, or of the one convolution, that this form leaves alone."""
    if form == CONVOLUTIONS:  # the first one's, which sees the picture: 7 bits of a weight are too few for its colours
        return [node.name for node in model.graph.node if node.op_type == "Conv" and INPUT in node.input]
    weights = {tensor.name for tensor in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type == "MatMul"]
    numbers = [int(match[1]) for node in products if (match := re.search(r"blocks\.(\d+)/", node.name))]
    last = (
        ("/b1/", "/b2/") if any("/b2/" in node.name for node in products) else (f"blocks.{max(numbers, default=0)}/",)
    )

    def is_kept(node: Any) -> bool:
        if form in (DENSE, DENSE_BUT_LAST) and not weights.intersection(node.input):
            return True  # attention's: both factors are computed
        return form == DENSE_BUT_LAST and ("/fc2" in node.name or any(part in node.name for part in last))

    return [node.name for node in products if is_kept(node)]


def to_int8(onnx: bytes, preprocessing: Preprocessing, pixels: Pixels, form: str = CONVOLUTIONS) -> bytes:
    """Weights as int8 of 7 bits, each output channel with its own scale; what they are multiplied with, in 8.

    pixels: (n, height, width, 3) uint8 pictures of the kind that will come; the ranges are measured on them. form: one
    of `int8_forms`. Ranges are fixed here, so that an embedding does not depend on what else is in its batch.
    """
    library = import_onnx()
    import_onnxruntime()
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    if len(pixels) < 1:
        raise ConfigError("int8 takes pictures to measure the ranges on")
    # Its calibration keeps every intermediate value of all batches: so the batches are few.
    model = library.load_model_from_string(onnx)
    with tempfile.TemporaryDirectory() as folder, _Quiet():
        target = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            str(target),
            _Reader(preprocessing, pixels),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"] if form == CONVOLUTIONS else ["Conv", "MatMul"],
            nodes_to_exclude=_kept_in_float(model, form),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=True,  # 8 x 8 bits overflow the 16 that a CPU without VNNI adds pairs in (docs/decisions/0010)
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"CalibMovingAverage": True, "CalibStridedMinMax": None},
        )
        return target.read_bytes()


class _Reader:
    """The calibration pictures, as onnxruntime asks for them: a batch a call, then None."""

    def __init__(self, preprocessing: Preprocessing, pixels: Pixels) -> None:
        self._batches = iter(
            [
                {INPUT: preprocessing.normalise(pixels[start : start + CALIBRATION_BATCH])}
                for start in range(0, len(pixels), CALIBRATION_BATCH)
            ]
        )

    def get_next(self) -> dict[str, Any] | None:
        return next(self._batches, None)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._batches


class _Quiet:
    """onnxruntime's tools warn on the root logger of what they do not need."""

    def __enter__(self) -> None:
        self._level = logging.getLogger().level
        logging.getLogger().setLevel(logging.ERROR)

    def __exit__(self, *error: object) -> None:
        logging.getLogger().setLevel(self._level)
