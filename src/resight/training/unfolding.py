"""A bundle back into a network that can be trained on: its ONNX holds each normalisation folded into the layer before.

Quantised weights become what they stand for; that the layers' inputs were rounded too is left behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from resight.core.errors import MissingExtra, WeightsError
from resight.core.pictures.images import Pixels
from resight.embedding.bundle import Bundle, Manifest
from resight.embedding.networks import BundleNetwork
from resight.models.catalogue import build_network
from resight.models.inference import TorchNetwork
from resight.models.network import Architecture
from resight.models.saved import ModelConfig, TrainedNetwork

CAN_BE = "stripnet"  # a plain chain of layers, each with its normalisation; others keep theirs between other things
TRIED = 8  # pictures of noise that both must embed alike
LEAST_ALIKE = {"fp32": 0.99999, "int8": 0.95}  # cosine of the two embeddings of a picture

Array = npt.NDArray[np.float32]


def unfold(bundle: Bundle) -> TrainedNetwork:
    """The bundle's network in PyTorch, which gives its embeddings (of an int8 one, nearly).

    Its normalisations do nothing until `restore_statistics`. Raises WeightsError for a network that is none of ours,
    or not of a kind whose layers can be told apart; MissingExtra without onnx.
    """
    manifest = bundle.manifest
    architecture = _architecture(manifest, bundle.source)
    size = manifest.preprocessing
    network = build_network(architecture, size.height, size.width)
    layers = dict(_layers(network))
    for name, weight, bias in _folded_layers(bundle):
        if name not in layers:
            raise _unknown(bundle.source, f"its layer {name} is foreign")
        layer, norm = layers.pop(name)
        if weight.shape != tuple(layer.weight.shape):
            raise _unknown(bundle.source, f"its layer {name} is {weight.shape}, not {tuple(layer.weight.shape)}")
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weight))
            norm.bias.copy_(torch.from_numpy(bias))
            norm.weight.fill_(1)
            norm.running_var.fill_(1 - norm.eps)  # it divides by 1
    if layers:
        raise _unknown(bundle.source, f"it lacks the layer {next(iter(layers))}")
    kept = manifest.network.precision == "fp32"  # an int8 one's similarities are those of rounded inputs
    config = ModelConfig(
        architecture,
        size,
        manifest.trained_on,
        manifest.rights,
        manifest.data_digest,
        manifest.network.sha256,
        manifest.calibration if kept else None,
    )
    trained = TrainedNetwork(network.eval(), config)
    _compare(trained, bundle)
    return trained


def restore_statistics(trained: TrainedNetwork, pixels: Pixels) -> None:
    """Gives each normalisation the mean and variance that those pictures have before it; what comes out stays the same.

    A training begins where the model was only if its normalisations, which take the batch's own, change little. pixels:
    (n, height, width, 3) uint8, of the kind that will be trained on, some hundreds.
    """
    network, images = trained.network.eval(), torch.from_numpy(trained.config.preprocessing.normalise(pixels))
    handles = [layer.register_forward_hook(_measured(norm)) for _, (layer, norm) in _layers(network)]
    with torch.no_grad():
        network(images.contiguous(memory_format=torch.channels_last))
    for handle in handles:
        handle.remove()


def _measured(norm: Any) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    """A hook on the layer before the normalisation. What the layer gives is normalised right after: in its order."""

    def measure(layer: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        axes = [axis for axis in range(out.dim()) if axis != 1]
        variance, mean = torch.var_mean(out.double(), dim=axes, correction=0)
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        shift = norm.bias - gain * norm.running_mean
        norm.weight.copy_(gain * (variance + norm.eps).sqrt())
        norm.bias.copy_(shift + gain * mean)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)

    return measure


def _layers(network: nn.Module) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Each convolution or dense layer that a normalisation follows, by name, and that normalisation."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Sequential):
            for (place, layer), following in zip(module.named_children(), list(module)[1:], strict=False):
                if isinstance(following, (nn.BatchNorm1d, nn.BatchNorm2d)):
                    yield f"{name}.{place}", (layer, following)


def _folded_layers(bundle: Bundle) -> Iterator[tuple[str, Array, Array]]:
    """(name in the network, weight, bias) of each convolution and dense layer of the graph."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise MissingExtra("onnx, which reading a bundle's weights needs,", "train") from None
    graph = onnx.load_model_from_string(bundle.onnx).graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}

    def value(name: str) -> Array:
        if name in stored:
            return np.array(numpy_helper.to_array(stored[name]))
        node = made_by.get(name)
        if node is None or node.op_type != "DequantizeLinear":
            raise _unknown(bundle.source, "a weight of it is computed")
        levels, scale = value(node.input[0]).astype(np.float32), value(node.input[1]).astype(np.float32)
        zero = value(node.input[2]).astype(np.float32) if len(node.input) > 2 else np.float32(0)
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        if scale.size == 1:
            return np.asarray((levels - zero.reshape(())) * scale.reshape(()), np.float32)
        along = [-1 if at == axis % levels.ndim else 1 for at in range(levels.ndim)]
        return np.asarray((levels - zero.reshape(along)) * scale.reshape(along), np.float32)

    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm") or len(node.input) < 3:
            continue
        # The exporter names what a layer gives by its path: /trunk/trunk.3/body/body.0/Conv_output_0; a dense layer
        # has been joined with the normalisation after it, whose name it has.
        path = node.output[0].split("/")[:-1]
        name = _module_name(path)
        weight, bias = value(node.input[1]), value(node.input[2])
        if node.op_type == "Gemm":
            before, _, place = name.rpartition(".")
            name = f"{before}.{int(place) - 1}" if place.isdigit() else name
            if not any(attribute.name == "transB" and attribute.i for attribute in node.attribute):
                weight = weight.T
        yield name, np.ascontiguousarray(weight), bias


def _module_name(path: list[str]) -> str:
    """/trunk/trunk.3/body/body.0 names trunk.3.body.0: each entry repeats the container's name before the place."""
    name: list[str] = []
    for entry in path:
        if entry and (not name or not entry.startswith(name[-1] + ".")):
            name.append(entry)
        elif entry:
            name[-1] = entry
    return ".".join(name)


def _architecture(manifest: Manifest, source: str) -> Architecture:
    """As the exporter tells it in `provenance`: "stripnet, 4 slices"."""
    told = manifest.provenance.get("architecture", "")
    name, _, slices = told.removesuffix(" slices").partition(", ")
    if name != CAN_BE or not slices.isdigit():
        raise _unknown(source, f"it is {told or 'of no known network'}, and of a {CAN_BE} alone this is known")
    return Architecture(name, manifest.network.dim, int(slices))


def _compare(trained: TrainedNetwork, bundle: Bundle) -> None:
    """Raises WeightsError where the two do not embed noise alike."""
    size = trained.config.preprocessing
    noise = np.random.default_rng(0).integers(0, 256, (TRIED, size.height, size.width, 3), dtype=np.uint8)
    theirs = BundleNetwork(bundle, "onnxruntime", 1, "cpu", TRIED)(noise, size)
    ours = TorchNetwork(trained, "cpu")(noise, size)
    if float((ours * theirs).sum(axis=1).min()) < LEAST_ALIKE.get(bundle.manifest.network.precision, 1):
        raise _unknown(bundle.source, "what was made of it gives other embeddings")


def _unknown(source: str, reason: str) -> WeightsError:
    return WeightsError(f"{source} cannot be made a network to train on: {reason}")
