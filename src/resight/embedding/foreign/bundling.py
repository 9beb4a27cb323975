"""Networks made elsewhere, as bundles. No bundle leaves here that was not opened and run."""

from __future__ import annotations

import hashlib
import re

import numpy as np

from resight.core.distances import unit_rows
from resight.core.errors import ConfigError, WeightsError
from resight.core.pictures.preprocessing import MAX_SIDE_PX, Preprocessing, check_scale
from resight.core.version import VERSION
from resight.embedding.bundle import Bundle, Manifest, Network, bundle_bytes, make_bundle, parse_bundle
from resight.embedding.card import Part
from resight.embedding.foreign.rewriting import FLOATS, Form, rewritten
from resight.embedding.foreign.trial import Trial, try_network
from resight.embedding.graph import FLOAT32, GraphFacts, Port, read_graph
from resight.embedding.loading import of_bundle

SHOWN = 8  # outputs
SAME = 1e-2  # of embeddings of unit length, by the network and by its bundle: int8 and float16 round


def size_of(facts: GraphFacts, declared: str | None) -> tuple[int, int]:
    """(height, width) that the network takes. Raises ConfigError where that is open, or declared otherwise."""
    shape = _input(facts).shape
    sides = shape[1:3] if layout_of(facts) == "nhwc" else shape[2:4]
    if declared is None:
        if sides[0] is None or sides[1] is None:
            raise ConfigError("the network leaves the size of its pictures open: say it by --size HEIGHTxWIDTH")
        return sides[0], sides[1]
    size = parse_size(declared)
    if any(side not in (None, want) for side, want in zip(sides, size, strict=True)):
        raise ConfigError(f"--size {declared}: the network takes {sides[0]}x{sides[1]} (height x width)")
    return size


def parse_size(text: str) -> tuple[int, int]:
    """(height, width) in pixels. Raises ConfigError."""
    match = re.fullmatch(r"(\d{1,4})x(\d{1,4})", text)
    if not match or not 1 <= int(match[1]) <= MAX_SIDE_PX or not 1 <= int(match[2]) <= MAX_SIDE_PX:
        raise ConfigError(f"--size is HEIGHTxWIDTH in pixels, as 256x128, not {text!r}")
    return int(match[1]), int(match[2])


def layout_of(facts: GraphFacts) -> str:
    """nchw or nhwc, by where the three channels are. Raises WeightsError where the input is no picture."""
    port = _input(facts)
    shape = port.shape
    if len(shape) == 4 and shape[1] == 3:
        return "nchw"
    if len(shape) == 4 and shape[3] == 3:
        return "nhwc"
    if len(shape) == 4 and shape[1] is None and shape[3] is None:  # all sides are open: as most networks are
        return "nchw"
    hint = "Export it with a fixed number of three channels"
    if len(shape) == 5:
        hint = "It is a network of video: export the part that takes one picture"
    elif len(shape) == 4 and 1 in (shape[1], shape[3]):
        hint = "It takes grey pictures: put three equal channels to one before it"
    raise WeightsError(
        f"the network's input {port.name!r} is {_sides(shape)}: neither (n, 3, height, width) nor "
        f"(n, height, width, 3). {hint}"
    )


def _input(facts: GraphFacts) -> Port:
    if len(facts.inputs) != 1:
        names = ", ".join(f"{port.name} {_sides(port.shape)}" for port in facts.inputs) or "none"
        raise WeightsError(
            f"the network has {len(facts.inputs)} inputs ({names}), and a bundle's takes pictures alone: export it "
            "with the others fixed as constants"
        )
    return facts.inputs[0]


def _sides(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("any" if side is None else str(side) for side in shape) + ")"


def bundle_onnx(
    onnx: bytes,
    preprocessing: Preprocessing,
    *,
    name: str,
    source: str,
    output: str | None = None,
    trained_on: str = "not stated",
    rights: str = "not stated",
    weaknesses: str = "not stated",
) -> Bundle:
    """The bundle, after it was opened and has given what the network gives. output: the name of the embedding, where
    there are several.

    Networks of float16, double or whole numbers, with other outputs besides, or with an output of (n, dim, 1, 1) or of
    an open size, are put into the form of a bundle's. Raises WeightsError for a network that is refused or gives no
    embedding, ConfigError where it is not clear which output is meant, or mean and std are of pictures from 0 to 255;
    both say what to do.
    """
    check_scale(preprocessing)
    facts = read_graph(onnx, source)
    layout = layout_of(facts)
    trial = try_network(onnx, facts, layout, preprocessing, output, source)
    image = (3, preprocessing.height, preprocessing.width)
    shape = (trial.batch, *(image if layout == "nchw" else (*image[1:], 3)))
    if _needs_form(facts, trial, shape):
        form = Form(facts.inputs[0], shape, trial.output, trial.kind, trial.flatten, trial.dim)
        onnx = rewritten(onnx, form)
    manifest = Manifest(
        name,
        Network(layout, trial.dim, trial.batch, _precision(facts), hashlib.sha256(onnx).hexdigest()),
        preprocessing,
        (Part("whole", 0, trial.dim),),
        trained_on,
        rights,
        weaknesses,
        provenance={"bundled_by": f"resight {VERSION}", **_told_output(facts, trial)},
    )
    bundle = parse_bundle(bundle_bytes(make_bundle(manifest, onnx, source)), source)
    _check(bundle, trial)
    return bundle


def _told_output(facts: GraphFacts, trial: Trial) -> dict[str, str]:
    """Which output is the embedding, where there is a choice."""
    names = [port.name for port in facts.outputs]
    if names == [trial.output]:
        return {}
    shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return {"output": f"{trial.output}, of the outputs {shown}" if trial.output in names else f"{trial.output}, within"}


def _needs_form(facts: GraphFacts, trial: Trial, shape: tuple[int | None, ...]) -> bool:
    """Whether a bundle's reader would not take the network as it is."""
    image, outputs = facts.inputs[0], facts.outputs
    as_it_is = len(outputs) == 1 and outputs[0].name == trial.output and trial.flatten is None
    as_it_is = as_it_is and image.kind == trial.kind == FLOAT32 and image.shape[0] == shape[0]
    return not (as_it_is and len(outputs[0].shape) == 2 and outputs[0].shape[1] == trial.dim)


def _precision(facts: GraphFacts) -> str:
    if "QuantizeLinear" in facts.ops:
        return "int8"
    return "fp32" if facts.inputs[0].kind == FLOAT32 or facts.inputs[0].kind not in FLOATS else "fp16"


def _check(bundle: Bundle, trial: Trial) -> None:
    """Opens the bundle as any command does, and embeds the pictures of the trial."""
    embedded = of_bundle(bundle).embed_pixels(trial.pixels)
    far = float(np.abs(embedded - unit_rows(trial.embeddings)).max())
    if far > SAME:
        raise WeightsError(
            f"{bundle.source}: the bundle gives other embeddings than the network (they differ by {far:.2g}), so none "
            "is written"
        )
