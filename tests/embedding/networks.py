"""Small networks as ONNX, drawn by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from resight.core.pictures.preprocessing import Preprocessing
from resight.embedding.bundle import Bundle, Manifest, Network, make_bundle
from resight.embedding.card import Part

HEIGHT, WIDTH, DIM = 8, 4, 6
PREPROCESSING = Preprocessing(HEIGHT, WIDTH, (0.5, 0.4, 0.3), (0.25, 0.2, 0.1))


def weights(seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(3 * HEIGHT * WIDTH, DIM) float32."""
    return np.random.default_rng(seed).normal(size=(3 * HEIGHT * WIDTH, DIM)).astype(np.float32)


def linear(
    layout: str = "nchw", batch: int | None = None, *, more: Sequence[Any] = (), extra: Sequence[Any] = ()
) -> onnx.ModelProto:
    """Flatten, then a matrix: embedding = pixels @ weights(). more: nodes, extra: weights that join it."""
    image = [3, HEIGHT, WIDTH] if layout == "nchw" else [HEIGHT, WIDTH, 3]
    nodes = [helper.make_node("Flatten", ["images"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["out"])]
    graph = helper.make_graph(
        [*nodes, *more],
        "linear",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch or "n", *image])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [batch or "n", DIM])],
        [numpy_helper.from_array(weights(), "w"), *extra],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def manifest_of(data: bytes, layout: str = "nchw", batch: int | None = None, **changes: Any) -> Manifest:
    """A manifest that fits these bytes."""
    network = Network(layout, DIM, batch, "fp32", hashlib.sha256(data).hexdigest())
    fields: dict[str, Any] = {
        "name": "linear",
        "network": network,
        "preprocessing": PREPROCESSING,
        "parts": (Part("whole", 0, DIM),),
        "trained_on": "nothing",
        "rights": "anyone's",
        **changes,
    }
    return Manifest(**fields)


def small_bundle(layout: str = "nchw", batch: int | None = None) -> Bundle:
    """Of the linear network."""
    data = linear(layout, batch).SerializeToString()
    return make_bundle(manifest_of(data, layout, batch), data, "small")
