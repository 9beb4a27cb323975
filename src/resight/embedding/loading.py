"""Opens a model: a run's directory, a bundle's file, or a packaged model by its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resight.core.calibration import Calibration
from resight.core.errors import ConfigError, WeightsError
from resight.core.progress import Progress, silent
from resight.core.records import EmbeddedCrops
from resight.data.crops import Dataset, Problem
from resight.data.embed import QueryGallery, in_order
from resight.embedding.bundle import Bundle, read_bundle, with_calibration, write_bundle
from resight.embedding.card import Card, Part
from resight.embedding.model import BATCH, Model, check_counts
from resight.embedding.networks import BundleNetwork
from resight.embedding.packaged import packaged_bundle, packaged_models

if TYPE_CHECKING:
    from resight.models.saved import TrainedNetwork

CUDA_NUMBER = re.compile(r"cuda:\d+")
OF_A_RUN = "onnxruntime"  # what `runtime` is where nothing is said
RUN_CARD = "model.json"  # in the directory of a finished run


def load(
    model: str | Path | None = None,
    *,
    runtime: str = "onnxruntime",
    threads: int | None = None,
    device: str = "auto",
    batch_size: int = BATCH,
) -> Model:
    """Opens a model. model: a run's directory, a bundle's path, the name of a packaged one (`resight models`), or None,
    the default. A packaged name means the packaged model, unless the path of that name holds a model.

    runtime: of a bundle, `onnxruntime`, or `openvino` where resight[openvino] is installed; a run is PyTorch's. device:
    auto, cpu or cuda (of a run cuda:N too). threads: of the network, and as many to decode; None: one a core. Nothing
    is ever downloaded, and PyTorch is imported only for a run.

    The model can be pickled, for a process of its own: its source is opened anew there.

    Raises WeightsError for whatever is no model, ConfigError for an unknown runtime or a device that is not there, and
    MissingExtra where a part is not installed.

    Example:
        >>> import resight
        >>> resight.load("city").dim
        256
    """
    if model is not None and not isinstance(model, str | PathLike):
        raise ConfigError(f"a model is opened by a path or a packaged name, not by {type(model).__name__} {model!r}")
    check_counts(threads, batch_size)  # before a runtime meets them
    if not isinstance(device, str):
        raise ConfigError(f"device is auto, cpu or cuda, not {device!r}")
    options: dict[str, Any] = {"runtime": runtime, "threads": threads, "device": device, "batch_size": batch_size}
    opened = _opened(model, **options)
    packaged = model is None or not Path(model).exists() or _means_the_packaged(Path(model))
    where = model if packaged or model is None else Path(model).absolute()
    opened.reopening = partial(_again, where, opened.identity, options)
    return opened


def _opened(model: str | Path | None, *, runtime: str, threads: int | None, device: str, batch_size: int) -> Model:
    path = Path(model) if model is not None else None
    if path is not None and is_run(path):
        from resight.models.saved import load_model

        if runtime != OF_A_RUN:
            raise ConfigError(f"{path} is a run, which PyTorch runs; `resight export` makes a bundle for {runtime}")
        return of_run(load_model(path), path, device=device, threads=threads, batch_size=batch_size)
    bundle = find_bundle(model)
    write = None
    if path is not None and path.is_file() and not _means_the_packaged(path):
        write = _writer(path, bundle)
    device = "cuda" if CUDA_NUMBER.fullmatch(device) else device
    return of_bundle(
        bundle, runtime=runtime, threads=threads, device=device, batch_size=batch_size, write_calibration=write
    )


def _again(model: str | Path | None, identity: str, options: dict[str, Any]) -> Model:
    """The model that was opened so. Raises WeightsError where it is another by now."""
    opened = load(model, **options)
    if opened.identity != identity:
        raise WeightsError(f"{opened.source} is another model by now than the one that was pickled or copied")
    return opened


def of_bundle(
    bundle: Bundle,
    *,
    runtime: str = "onnxruntime",
    threads: int | None = None,
    device: str = "auto",
    batch_size: int = BATCH,
    write_calibration: Callable[[Calibration], Path] | None = None,
) -> Model:
    """A bundle's network, ready to embed. Raises as `load`."""
    return Model(
        bundle.card,
        bundle.manifest.identity,
        BundleNetwork(bundle, runtime, threads, device, batch_size),
        bundle.source,
        threads=threads,
        batch_size=batch_size,
        write_calibration=write_calibration,
    )


def of_run(
    trained: TrainedNetwork,
    path: Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    batch_size: int = BATCH,
) -> Model:
    """A network in PyTorch, ready to embed. path: of its run, which takes a calibration. Raises ConfigError where the
    device is not there."""
    from resight.models.inference import TorchNetwork
    from resight.models.saved import save_calibration

    def write(calibration: Calibration) -> Path:
        save_calibration(path, calibration, trained.config.identity)
        return path / RUN_CARD

    return Model(
        _card_of_run(trained, path),
        trained.config.identity,
        TorchNetwork(trained, device),
        str(path),
        threads=threads,
        batch_size=batch_size,
        write_calibration=write,
    )


def embed_as_trained(
    run: str | Path, dataset: Dataset, *, device: str = "auto", strict: bool = False, progress: Progress = silent
) -> QueryGallery:
    """Query and gallery by a run that is told which camera took each picture, as its authors scored it: camera 1 of
    the data is the first that it was trained with. Raises ConfigError where it is not told cameras, or not those."""
    from resight.models.cameras import with_camera
    from resight.models.saved import load_model

    path = Path(run)
    if not path.is_dir():
        raise ConfigError(f"{run} is not a run's directory: a bundle knows one camera, or their mean, alone")
    trained = load_model(path)
    cameras = sorted({crop.camid for crop in (*dataset.query, *dataset.gallery)})
    models = {camid: of_run(with_camera(trained, camid - 1), path, device=device) for camid in cameras}
    sides: list[EmbeddedCrops] = []
    problems: list[Problem] = []
    for name, crops in (("query", dataset.query), ("gallery", dataset.gallery)):
        parts = []
        for camid, model in models.items():
            taken = [crop for crop in crops if crop.camid == camid]
            if taken:
                part, bad = model.embed_crops(taken, strict=strict, progress=progress, what=f"{name}, camera {camid}")
                parts.append(part)
                problems.extend(bad)
        sides.append(in_order(parts, [crop.name for crop in crops]))
    return QueryGallery(sides[0], sides[1], tuple(problems))


def calibrated_copy(model: str | Path, calibration: Calibration, out: Path) -> Path:
    """Writes the model with this calibration into a file of its own, a run's into a directory of its own, and leaves
    the model as it is; what holds the calibration then. Embeddings stay comparable: the identity is the same.

    Raises ConfigError where the directory is not empty, WeightsError where there is no model.
    """
    path = Path(model)
    if is_run(path):
        from resight.models.saved import copy_calibrated

        copy_calibrated(path, calibration, out)
        return out / RUN_CARD
    write_bundle(out, with_calibration(find_bundle(model), calibration))
    return out


def find_card(model: str | Path) -> tuple[Card, str, dict[str, Any]]:
    """The card of a model, its identity, and all that its file says; the network is not run. Raises WeightsError where
    there is none."""
    path = Path(model)
    if is_run(path):
        from resight.models.saved import load_model

        trained = load_model(path)
        return _card_of_run(trained, path), trained.config.identity, trained.config.to_dict()
    bundle = find_bundle(model)
    return bundle.card, bundle.manifest.identity, bundle.manifest.to_dict()


def is_run(model: str | Path) -> bool:
    """Whether it means a run's directory, and so no bundle and no packaged model."""
    return Path(model).is_dir() and not _means_the_packaged(Path(model))


def find_bundle(model: str | Path | None) -> Bundle:
    """The bundle that a path or a packaged name means. Raises WeightsError where there is none, and of a run: how to
    make one."""
    if model is not None and Path(model).exists() and not _means_the_packaged(Path(model)):
        return read_bundle(Path(model))
    return packaged_bundle(model)


def _card_of_run(trained: TrainedNetwork, path: Path) -> Card:
    from resight.models.catalogue import embedding_parts

    config = trained.config
    return Card(
        path.resolve().name,
        f"fp32, {sum(weight.numel() for weight in trained.network.parameters()):,} weights",
        config.architecture.dim,
        config.preprocessing,
        tuple(Part(*part) for part in embedding_parts(config.architecture)),
        config.trained_on,
        config.rights,
        data_digest=config.data_digest,
        calibration=config.calibration,
        provenance={"architecture": f"{config.architecture.name}, {config.architecture.slices} slices"},
    )


def _means_the_packaged(path: Path) -> bool:
    """Whether a packaged model has that name and the path holds no model."""
    if str(path) not in packaged_models():
        return False
    if path.is_dir():
        return not (path / RUN_CARD).exists()
    try:
        with path.open("rb") as file:
            return file.read(4) != b"PK\x03\x04"
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror})") from None


def _writer(path: Path, bundle: Bundle) -> Callable[[Calibration], Path]:
    def write(calibration: Calibration) -> Path:
        there = read_bundle(path)
        if there.manifest.identity != bundle.manifest.identity:
            raise WeightsError(f"{path} is another model by now than the one that was calibrated")
        write_bundle(path, with_calibration(there, calibration))
        return path

    return write
