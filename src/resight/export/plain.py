"""A bundle's network as an ONNX file of its own, for other programs: what the bundle says of it is in its metadata."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from resight.core.pictures.preprocessing import LEVEL
from resight.embedding.bundle import Bundle
from resight.export.graph import import_onnx

SUFFIX = ".onnx"
PREFIX = "resight."


def plain_onnx(bundle: Bundle) -> bytes:
    """The network's ONNX with `facts_of` in its metadata_props: keys begin with PREFIX, values are JSON."""
    model = import_onnx("a file .onnx").load_model_from_string(bundle.onnx)
    for name, value in facts_of(bundle).items():
        model.metadata_props.add(key=PREFIX + name, value=json.dumps(value, ensure_ascii=False))
    return bytes(model.SerializeToString())


def facts_of(bundle: Bundle) -> dict[str, Any]:
    """What a program must know to get the bundle's embeddings out of its network, and its rights. No calibration."""
    m = bundle.manifest
    return {
        **asdict(m.preprocessing),  # height, width, mean, std, resize, channel_order, image_centring
        "layout": m.network.layout,
        "precision": m.network.precision,
        "parts": [asdict(part) for part in m.parts],
        "similarity": m.similarity,
        "name": m.name,
        "identity": m.identity,
        "trained_on": m.trained_on,
        "rights": m.rights,
        "weaknesses": m.weaknesses,
    }


def in_words(bundle: Bundle) -> list[str]:
    """How to use the plain network, in lines."""
    p, network = bundle.manifest.preprocessing, bundle.manifest.network
    order, centring = p.channel_order.upper(), p.image_centring
    taken, given = bundle.facts.inputs[0].name, bundle.facts.outputs[0].name
    lines = [
        f"{taken}: float32 (n, 3, {p.height}, {p.width}), {order}. Each crop stretched to {p.height} x {p.width} by "
        f"{p.resize}, divided by 255, less the mean {_three(p.mean)}, divided by the deviation {_three(p.std)}"
    ]
    if centring:
        lines.append(
            f"before the mean, each picture's each channel x is shifted: x + {centring:g} ({LEVEL:g} - its own mean)"
        )
    parts = ", ".join(f"{part.name} {part.start} to {part.stop - 1}" for part in bundle.manifest.parts)
    lines.append(
        f"{given}: float32 (n, {network.dim}), of unit length, compared by {bundle.manifest.similarity}: {parts}"
    )
    lines.append(f"the same is in the file's metadata_props, as {PREFIX}height and so on, each as JSON")
    return lines


def _three(values: tuple[float, float, float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
