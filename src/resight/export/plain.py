"""A bundle's network as an ONNX file of its own, for other programs: what they must know of it is in its metadata.

A program that cannot feed the network as it was trained, in scale or in size, gets one that takes what the program
gives: the rest is done by operators before the network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from resight.core.distances import unit_rows
from resight.core.errors import ConfigError, ParityError, unknown_name
from resight.core.pictures.preprocessing import IMAGENET, LEVEL, Preprocessing
from resight.embedding.bundle import Bundle
from resight.embedding.foreign.rewriting import Feed, fed, with_metadata
from resight.embedding.loading import of_bundle
from resight.embedding.runtimes import import_onnxruntime

SUFFIX = ".onnx"
PREFIX = "resight."
OWN = "own"
# How the values come: (mean, std) of [0, 1] that the program takes off.
SCALES = {"0-255": ((0.0,) * 3, (1 / 255,) * 3), "0-1": ((0.0,) * 3, (1.0,) * 3), "imagenet": IMAGENET}
TRIED = 4  # pictures
LIMITS = {"fp32": 1e-4}  # of the largest difference of any value of an embedding
ROUNDED = 2e-2  # the same of int8 and float16, where a last bit of the input can move a level


@dataclass(frozen=True, eq=False)
class PlainNetwork:
    """onnx: the file's bytes. preprocessing, layout: what a program does to a crop before it. unit: whether its
    embeddings have unit length; where not, the program makes it so. facts: the file's metadata."""

    onnx: bytes
    preprocessing: Preprocessing
    layout: str
    unit: bool
    facts: Mapping[str, Any]


def plain_network(bundle: Bundle, scale: str = OWN, size: tuple[int, int] | None = None) -> PlainNetwork:
    """The bundle's network, checked to give what the bundle gives.

    scale: how the program's values come, `0-255`, `0-1` or `imagenet` (its mean and deviation), (n, 3, height, width);
    `own`: as the network was trained. size: (height, width) of the program's crops, whole multiples of the network's:
    each square of pixels counts by its mean; None: the network's.

    Raises ConfigError for another scale or size, ParityError where the embeddings differ.
    """
    manifest = bundle.manifest
    own, layout = manifest.preprocessing, manifest.network.layout
    told = left_to_the_program(own, scale, size)
    onnx = bundle.onnx
    if told != own or (scale != OWN and layout != "nchw"):
        onnx = fed(onnx, bundle.facts.inputs[0], bundle.facts.outputs[0], _feed(told, own, layout))
        layout = "nchw"
    unit = _check(onnx, bundle, told, layout)
    facts = {
        **asdict(told),  # height, width, mean, std, resize, channel_order, image_centring
        "layout": layout,
        "batch": manifest.network.batch,  # null: any
        "dim": manifest.network.dim,
        "precision": manifest.network.precision,
        "parts": [asdict(part) for part in manifest.parts],
        "unit_length": unit,
        "similarity": manifest.similarity,
        "name": manifest.name,
        "identity": manifest.identity,
        "trained_on": manifest.trained_on,
        "rights": manifest.rights,
        "weaknesses": manifest.weaknesses,
    }
    metadata = {PREFIX + name: json.dumps(value) for name, value in facts.items()}
    return PlainNetwork(with_metadata(onnx, metadata), told, layout, unit, facts)


def left_to_the_program(own: Preprocessing, scale: str, size: tuple[int, int] | None) -> Preprocessing:
    """What of a network's preprocessing the program does. Raises ConfigError."""
    if scale not in (OWN, *SCALES):
        raise unknown_name("scale", scale, (OWN, *SCALES))
    height, width = size or (own.height, own.width)
    if height % own.height or width % own.width:
        raise ConfigError(
            f"a size of {height}x{width} is no whole multiple of the network's {own.height}x{own.width}, height x width"
        )
    told = replace(own, height=height, width=width)
    if scale == OWN:
        return told
    mean, std = SCALES[scale]
    return replace(told, mean=mean, std=std, image_centring=0.0)


def _feed(told: Preprocessing, own: Preprocessing, layout: str) -> Feed:
    """From (x - told.mean) / told.std to (x - own.mean) / own.std, and the centring that the program does not do."""
    mean, std = np.array(own.mean), np.array(own.std)
    return Feed(
        (told.height, told.width),
        (told.height // own.height, told.width // own.width),
        (np.array(told.std) / std).tolist(),
        ((np.array(told.mean) - mean) / std).tolist(),
        own.image_centring - told.image_centring,
        ((LEVEL - mean) / std).tolist(),
        layout == "nhwc",
    )


def _check(onnx: bytes, bundle: Bundle, told: Preprocessing, layout: str) -> bool:
    """Runs the network on noise, prepared as a program is told to. Whether the embeddings have unit length."""
    own, network = bundle.manifest.preprocessing, bundle.manifest.network
    noise = np.random.default_rng(0)
    pixels = noise.integers(0, 256, (network.batch or TRIED, own.height, own.width, 3), np.uint8)
    # Where a square has one colour its mean is exact.
    shown = pixels.repeat(told.height // own.height, axis=1).repeat(told.width // own.width, axis=2)
    images = told.normalise(shown)
    images = images if layout == "nchw" else np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    session = import_onnxruntime().InferenceSession(onnx, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: images})
    far = float(np.abs(unit_rows(found) - of_bundle(bundle).embed_pixels(pixels)).max())
    if not far <= LIMITS.get(network.precision, ROUNDED):
        raise ParityError(f"the plain network gives other embeddings than the bundle (they differ by {far:.2g})")
    return bool(np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-3))


def in_words(network: PlainNetwork) -> list[str]:
    """How a program feeds it, in lines."""
    p, facts = network.preprocessing, network.facts
    order, centring = p.channel_order.upper(), p.image_centring
    batch = facts["batch"] or "n"
    sides = f"3, {p.height}, {p.width}" if network.layout == "nchw" else f"{p.height}, {p.width}, 3"
    lines = [
        f"it takes float32 ({batch}, {sides}), {order}: each crop stretched to {p.height} x {p.width} (height x width) "
        f"by {p.resize}, {_scaled(p)}"
    ]
    if centring:
        lines.append(
            f"before the mean, each picture's each channel x is shifted: x + {centring:g} ({LEVEL:g} - its own mean). "
            "For a program that cannot, --scale 0-255, 0-1 or imagenet puts that into the network"
        )
    parts = ", ".join(f"{part['name']} {part['start']} to {part['stop'] - 1}" for part in facts["parts"]) or "one whole"
    length = "of unit length" if network.unit else "to be brought to unit length"
    lines.append(f"it gives float32 ({batch}, {facts['dim']}), {length}, compared by {facts['similarity']}: {parts}")
    lines.append(f"the same is in the file's metadata_props, as {PREFIX}height and so on, each as JSON")
    return lines


def _scaled(p: Preprocessing) -> str:
    if (p.mean, p.std) == SCALES["0-255"]:
        return "its values as they are, 0 to 255"
    if (p.mean, p.std) == SCALES["0-1"]:
        return "divided by 255"
    return f"divided by 255, less the mean {_three(p.mean)}, divided by the deviation {_three(p.std)}"


def _three(values: tuple[float, float, float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
