"""A run to a bundle, checked before it is written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from resight.core.errors import ConfigError, ParityError, unknown_name
from resight.core.files import write_whole
from resight.core.pictures.preprocessing import Preprocessing
from resight.core.progress import Progress, silent
from resight.core.version import VERSION
from resight.data.crops import Crop, Dataset
from resight.data.decoding import decode_crops
from resight.data.formats.catalogue import open_dataset
from resight.embedding.bundle import PRECISIONS, Bundle, Manifest, Network, make_bundle, write_bundle
from resight.embedding.card import Measurement, Part
from resight.evaluation.evaluate import Evaluation
from resight.export.graph import int8_forms, to_int8, to_onnx
from resight.export.parity import MAX_LOSS, Parity, drawn_pictures, measure_parity
from resight.export.plain import OWN, SUFFIX, PlainNetwork, left_to_the_program, plain_network
from resight.models.catalogue import embedding_parts
from resight.models.saved import TrainedNetwork, load_model

PARITY_PICTURES = 256
CALIBRATION_PICTURES = 256
DRAWN = "synthetic"  # for the parity of embeddings, where no data are given


@dataclass(frozen=True, eq=False)
class Exported:
    """A bundle that has passed, and what was measured. calibration_left_out: the run's is of fp32, the bundle int8.
    plain: its network for other programs, where that was written."""

    bundle: Bundle
    parity: Parity
    calibration_left_out: bool = False
    plain: PlainNetwork | None = None


def export_run(
    run: str | Path,
    out: str | Path,
    *,
    precision: str = "fp32",
    data: Dataset | None = None,
    calibration_pictures: Sequence[Crop] | None = None,
    name: str | None = None,
    weaknesses: str = "not stated",
    rights: str | None = None,
    max_loss: float = MAX_LOSS,
    scale: str = OWN,
    size: tuple[int, int] | None = None,
    progress: Progress = silent,
) -> Exported:
    """Makes a bundle of a run and writes it to `out`, by custom NAME.resight, unless it gives other embeddings. An
    `out` that ends in .onnx gets its network alone, as `plain_network` makes it by scale and size.

    data: rank-1 and mAP of network and bundle are counted on its query and gallery; None: embeddings are compared on
    drawn pictures alone. calibration_pictures: for int8, of the kind that will come; None: those of `data`. name,
    rights: for its card; None: the file's name, and what the run states.

    Raises ConfigError for options that do not fit, WeightsError where there is no finished run, ParityError, and writes
    nothing, where the bundle does not give what the network gave.
    """
    out = Path(out)
    if not out.parent.is_dir():
        raise ConfigError(f"the folder {out.parent} does not exist")
    if calibration_pictures is not None and precision != "int8":
        raise ConfigError("calibration pictures are for the precision int8")
    if calibration_pictures is None and data is not None:
        calibration_pictures = data.train or data.gallery
    trained = load_model(Path(run))
    left_to_the_program(trained.config.preprocessing, scale, size)  # a mistake is told before the work
    if rights is not None:
        trained = replace(trained, config=replace(trained.config, rights=rights))
    exported = export(
        trained,
        name or out.stem,
        precision=precision,
        pictures=data or open_dataset(DRAWN),
        calibration_pictures=calibration_pictures or (),
        evaluation=data,
        weaknesses=weaknesses,
        provenance={"run": Path(run).resolve().name},
        max_loss=max_loss,
        progress=progress,
    )
    if out.suffix.lower() != SUFFIX:
        write_bundle(out, exported.bundle)
        return exported
    plain = plain_network(exported.bundle, scale, size)
    write_whole(out, plain.onnx)
    return replace(exported, plain=plain)


def export(
    model: TrainedNetwork,
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
    whose rank-1 and mAP are counted by both, and written into the bundle. max_loss: of mAP. Of a transformer's forms of
    int8 the first one that passes is taken.

    Raises ParityError, and makes nothing, where the bundle does not give what the network gave.
    """
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    config = model.config
    onnx = to_onnx(model.network, config.preprocessing)
    graphs: Iterator[tuple[str, bytes]] = iter([("", onnx)])
    if precision == "int8":
        graphs = _quantised(onnx, config.preprocessing, calibration_pictures)
    failures: list[str] = []
    for form, graph in graphs:
        made = dict(provenance or {}, int8=form) if form else provenance or {}
        bundle = make_bundle(_manifest(model, name, precision, graph, weaknesses, made), graph, name)
        parity = measure_parity(
            model, bundle, drawn_pictures(pictures, PARITY_PICTURES), evaluation, max_loss=max_loss, progress=progress
        )
        if not parity.failures:
            break
        failures += [f"{form}: {failure}" if form else failure for failure in parity.failures]
    else:
        raise ParityError(f"the bundle does not give what the network gave: {'; '.join(failures)}")
    if parity.comparison is not None and evaluation is not None:
        figure = measurement_of(parity.comparison.second, str(evaluation))
        bundle = replace(bundle, manifest=replace(bundle.manifest, figures=(figure,)))
    return Exported(bundle, parity, precision != "fp32" and config.calibration is not None)


def _quantised(onnx: bytes, size: Preprocessing, pictures: Sequence[Crop]) -> Iterator[tuple[str, bytes]]:
    """Each form of int8 and the network in it, from the fastest to the most careful one."""
    if not pictures:
        raise ConfigError("int8 takes pictures to measure the ranges on: --calibration-images, or --data")
    step = -(-len(pictures) // CALIBRATION_PICTURES)
    decoded = decode_crops(pictures[::step], size.height, size.width, resize=size.resize)
    for form in int8_forms(onnx):
        yield form, to_int8(onnx, size, decoded.pixels, form)


def _manifest(
    model: TrainedNetwork, name: str, precision: str, onnx: bytes, weaknesses: str, provenance: Mapping[str, str]
) -> Manifest:
    config = model.config
    return Manifest(
        name,
        Network("nchw", config.architecture.dim, None, precision, hashlib.sha256(onnx).hexdigest()),
        config.preprocessing,
        tuple(Part(*part) for part in embedding_parts(config.architecture)),
        config.trained_on,
        config.rights,
        weaknesses,
        config.data_digest,
        # The thresholds of fp32 hold for fp32 alone; int8 is calibrated anew.
        calibration=config.calibration if precision == "fp32" else None,
        provenance={
            "architecture": f"{config.architecture.name}, {config.architecture.slices} slices",
            "weights_sha256": str(config.weights_sha256),
            "exported_by": f"resight {VERSION}",
            **provenance,
        },
    )


def measurement_of(evaluation: Evaluation, data: str) -> Measurement:
    """An evaluation as a bundle carries it."""
    return Measurement(
        data,
        evaluation.protocol,
        evaluation.rank(1),
        (evaluation.rank1_interval.low, evaluation.rank1_interval.high),
        evaluation.mean_ap,
        (evaluation.mean_ap_interval.low, evaluation.mean_ap_interval.high),
        evaluation.num_scored,
        evaluation.num_gallery,
    )
