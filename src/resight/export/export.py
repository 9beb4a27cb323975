"""A run to a bundle, checked before it is written."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from resight.core.errors import ConfigError, ParityError, unknown_name
from resight.core.progress import Progress, silent
from resight.core.version import VERSION
from resight.data.crops import Crop, Dataset
from resight.data.decoding import decode_crops
from resight.embedding.bundle import PRECISIONS, Bundle, Figure, Manifest, Network, Part, make_bundle
from resight.embedding.embedder import Embedder
from resight.evaluation.evaluate import Evaluation
from resight.export.graph import to_int8, to_onnx
from resight.export.parity import MAX_LOSS, Parity, drawn_pictures, measure_parity
from resight.models.catalogue import embedding_parts
from resight.models.saved import Model

PARITY_PICTURES = 256
CALIBRATION_PICTURES = 256


@dataclass(frozen=True, eq=False)
class Exported:
    """A bundle that has passed, and what was measured."""

    bundle: Bundle
    parity: Parity


def export(
    model: Model,
    name: str,
    *,
    precision: str = "fp32",
    pictures: Dataset,
    calibration_pictures: Sequence[Crop] = (),
    evaluation: Dataset | None = None,
    weaknesses: str = "not stated",
    provenance: dict[str, str] | None = None,
    max_loss: float = MAX_LOSS,
    progress: Progress = silent,
) -> Exported:
    """pictures: to compare embeddings on. calibration_pictures: for int8, to measure the ranges on. evaluation: data
    whose rank-1 and mAP are counted by both, and written into the bundle. max_loss: of mAP.

    Raises ParityError, and makes nothing, where the bundle does not give what the network gave.
    """
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    card = model.card
    onnx = to_onnx(model.network, card.preprocessing)
    if precision == "int8":
        if not calibration_pictures:
            raise ConfigError("int8 takes pictures to measure the ranges on: --calibration-images, or --data")
        step = max(1, len(calibration_pictures) // CALIBRATION_PICTURES)
        chosen = calibration_pictures[::step][:CALIBRATION_PICTURES]
        decoded = decode_crops(chosen, card.preprocessing.height, card.preprocessing.width)
        onnx = to_int8(onnx, card.preprocessing, decoded.pixels)
    manifest = Manifest(
        name,
        Network("nchw", card.architecture.dim, None, precision, hashlib.sha256(onnx).hexdigest()),
        card.preprocessing,
        tuple(Part(*part) for part in embedding_parts(card.architecture)),
        card.trained_on,
        card.rights,
        weaknesses,
        card.data_digest,
        # The thresholds of fp32 hold for fp32 alone; int8 is calibrated anew.
        calibration=card.calibration if precision == "fp32" else None,
        provenance={
            "architecture": f"{card.architecture.name}, {card.architecture.slices} slices",
            "weights_sha256": str(card.weights_sha256),
            "exported_by": f"resight {VERSION}",
            **(provenance or {}),
        },
    )
    bundle = make_bundle(manifest, onnx, name)
    embedder = Embedder(bundle)
    parity = measure_parity(
        model, embedder, drawn_pictures(pictures, PARITY_PICTURES), evaluation, max_loss=max_loss, progress=progress
    )
    if parity.failures:
        raise ParityError(f"the bundle does not give what the network gave: {'; '.join(parity.failures)}")
    if parity.comparison is not None and evaluation is not None:
        figure = figure_of(parity.comparison.second, str(evaluation))
        bundle = replace(bundle, manifest=replace(manifest, figures=(figure,)))
    return Exported(bundle, parity)


def figure_of(evaluation: Evaluation, data: str) -> Figure:
    """An evaluation as a bundle carries it."""
    return Figure(
        data,
        evaluation.protocol,
        evaluation.rank(1),
        (evaluation.rank1_interval.low, evaluation.rank1_interval.high),
        evaluation.mean_ap,
        (evaluation.mean_ap_interval.low, evaluation.mean_ap_interval.high),
        evaluation.num_scored,
        evaluation.num_gallery,
    )
