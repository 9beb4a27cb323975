"""Embedding without PyTorch: images a second of bundles, by runtime and batch.

Measures, in one run and in turns, so that a busy moment hits all alike: from JPEG bytes to embeddings, through the
embedder; and the network alone, on pixels that are ready. Prints the median of the rounds, the ratio to the first of
the peers on the same runtime, and the share of this machine's own single-precision matrix rate that the network alone
reaches (a share above 1 is what 8 bits gain).

    python benchmarks/embed.py [MODEL.resight ...] [--peers PEER.resight ...] [--data FOLDER] [--rounds 5]

Without models: the packaged ones. Peers are made by `resight bundle`. --untrained adds transformers of published sizes
with random weights (PyTorch is needed to make them): what their accuracy, once trained, would cost.

    python benchmarks/embed.py default --untrained deit-small deit-small-int8 vit-base vit-base-int8
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx

from resight.core.cores import available_cores
from resight.core.errors import MissingExtra
from resight.core.pictures.preprocessing import Preprocessing
from resight.data.formats.catalogue import open_dataset
from resight.embedding.bundle import Bundle
from resight.embedding.loading import find_bundle, of_bundle
from resight.embedding.packaged import packaged_models
from resight.embedding.runtimes import Runtime, import_onnxruntime, open_runtime

RUNTIMES = ("onnxruntime", "openvino")
BATCHES = (1, 32, 128)
PICTURES = 128
LEAST_S = 0.4  # of one measurement


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="bundles, or packaged names")
    parser.add_argument("--peers", nargs="*", default=[], help="bundles of other networks")
    parser.add_argument("--untrained", nargs="*", default=[], metavar="FORM", help="deit-small, vit-base, ...[-int8]")
    parser.add_argument("--batches", nargs="*", type=int, default=BATCHES)
    parser.add_argument("--data", default="synthetic", help="whose pictures to decode")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=available_cores())
    options = parser.parse_args()
    names = [*options.peers, *(options.models or packaged_models())]
    bundles = {Path(name).stem: find_bundle(name) for name in names}
    bundles |= {name: untrained(name) for name in options.untrained}
    dataset = open_dataset(options.data)
    crops = [*dataset.query, *dataset.gallery][:PICTURES]
    files = [crop.read() for crop in crops]
    print(f"{len(files)} pictures of {dataset.name}, {options.threads} threads, median of {options.rounds} rounds")

    work: dict[tuple[str, str, int, str], Callable[[], object]] = {}
    for name, bundle in bundles.items():
        for runtime in RUNTIMES:
            for batch in options.batches:
                try:
                    embedder = of_bundle(bundle, runtime=runtime, batch_size=batch, threads=options.threads)
                except MissingExtra as error:
                    print(error)
                    continue
                size = bundle.manifest.preprocessing
                pixels = np.random.default_rng(0).integers(0, 256, (batch, size.height, size.width, 3), np.uint8)
                some = files[: max(batch, 16)]  # a stream of single pictures is still a stream
                work[name, runtime, batch, "from JPEG"] = partial(embedder.embed, some)
                work[name, runtime, batch, "network"] = _network(
                    bundle, open_runtime(bundle, runtime, options.threads), pixels
                )
    times: dict[tuple[str, str, int, str], list[float]] = {key: [] for key in work}
    matrix: list[float] = []
    for _ in range(options.rounds):
        matrix.append(_matrix_rate())
        for key, call in work.items():
            times[key].append(_seconds(call))
    matrix_rate = statistics.median(matrix)

    def speed(name: str, runtime: str, batch: int) -> tuple[float, float]:
        """Pictures a second: from JPEG, and of the network alone."""
        whole, alone = (statistics.median(times[name, runtime, batch, what]) for what in ("from JPEG", "network"))
        return len(files[: max(batch, 16)]) / whole, batch / alone

    print(f"matrix rate of this machine: {matrix_rate / 1e9:.0f} GFLOP/s")
    first = next(iter(bundles))
    ratios = f"   ratio to {first}" if options.peers else ""
    print(f"{'':34}{'batch':>6}{'from JPEG':>12}{'network':>10}{'GFLOP':>8}{'share':>7}{ratios}")
    for name, runtime, batch, what in work:
        if what == "network":
            own, flops = speed(name, runtime, batch), count_flops(bundles[name])
            line = f"{f'{name}, {runtime}':34}{batch:>6}{own[0]:>12.4g}{own[1]:>10.4g}{flops / 1e9:>8.2f}"
            line += f"{own[1] * flops / matrix_rate:>7.2f}"
            if options.peers:
                line += "".join(f"{a / b:>9.2f}" for a, b in zip(own, speed(first, runtime, batch), strict=True))
            print(line)


def untrained(name: str) -> Bundle:
    """A TransReID without side information and jigsaw, of a published size at 256 x 128, with random weights."""
    import torch

    from resight.export.export import export
    from resight.models.catalogue import build_network
    from resight.models.saved import ModelConfig, TrainedNetwork
    from resight.training.objective import architecture_of
    from resight.training.recipe import FORMS
    from resight.training.recipes import find_recipe

    form = name.removesuffix("-int8")
    recipe = find_recipe("transreid-small", form=form, dim=FORMS[form]["width"])
    torch.manual_seed(0)
    network = build_network(architecture_of(recipe), recipe.height, recipe.width).eval()
    size = Preprocessing(recipe.height, recipe.width, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    config = ModelConfig(architecture_of(recipe), size, "nothing", "none needed")
    city = open_dataset("synthetic:train_people=2,test_people=4")
    precision = "int8" if name.endswith("-int8") else "fp32"
    return export(
        TrainedNetwork(network, config), name, precision=precision, pictures=city, calibration_pictures=city.train
    ).bundle


def _network(bundle: Bundle, run: Runtime, pixels: np.ndarray) -> Callable[[], object]:
    """The runtime alone, on a batch that is normalised already; a network of fixed batch as often as it takes."""
    images = bundle.manifest.preprocessing.normalise(pixels)
    if bundle.manifest.network.layout == "nhwc":
        images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    step = bundle.manifest.network.batch or len(images)
    return lambda: [run(images[start : start + step]) for start in range(0, len(images), step)]


def _seconds(call: Callable[[], object]) -> float:
    """Of one call: the mean of as many as fill LEAST_S, after one that does not count."""
    call()
    began, calls = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < LEAST_S:
        call()
        calls += 1
    return passed / calls


def _matrix_rate() -> float:
    """FLOP/s of a large single-precision product."""
    a = np.ones((2048, 2048), np.float32)
    a @ a
    began = time.perf_counter()
    for _ in range(3):
        a @ a
    return 3 * 2 * 2048**3 / (time.perf_counter() - began)


def count_flops(bundle: Bundle) -> float:
    """Two for each multiplication and addition of convolutions and dense layers, a picture.

    The sizes are those of a run of one picture: the graph does not tell all of them (SliceNet1's strips).
    """
    model = onnx.load_model_from_string(bundle.onnx)
    weights = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    made_by = {output: node for node in model.graph.node for output in node.output}
    counted: list[tuple[str, str, float]] = []
    for node in model.graph.node:
        name = node.input[1] if len(node.input) > 1 else ""
        if name not in weights and name in made_by and made_by[name].op_type == "DequantizeLinear":
            name = made_by[name].input[0]
        if node.op_type in ("Conv", "Gemm", "MatMul") and name in weights:
            counted.append((node.op_type, node.output[0], 2 * float(np.prod(weights[name]))))
    for _, output, _ in counted:
        if output not in {port.name for port in model.graph.output}:
            model.graph.output.append(onnx.ValueInfoProto(name=output))
    session = import_onnxruntime().InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    batch = bundle.manifest.network.batch or 1
    rule = bundle.manifest.preprocessing
    sides = (rule.height, rule.width)
    image = (3, *sides) if bundle.manifest.network.layout == "nchw" else (*sides, 3)
    zeros = {session.get_inputs()[0].name: np.zeros((batch, *image), np.float32)}
    found = session.run([output for _, output, _ in counted], zeros)
    total = 0.0
    for (kind, _, size), out in zip(counted, found, strict=True):
        channels = out.shape[1] if kind == "Conv" else out.shape[-1]
        total += size * out.size / channels  # as often as the weights are used
    return total / batch


if __name__ == "__main__":
    main()
