"""Opens the model that a verb names: a run's directory, a bundle's file, or a packaged model by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from resight.cli import output
from resight.core.calibration import Calibration
from resight.core.distances import unit_rows
from resight.core.images import Pixels
from resight.core.preprocessing import Preprocessing
from resight.core.records import EmbeddedCrops
from resight.data.crops import Crop, Dataset, Problem
from resight.data.embed import Embedded, embed_splits

if TYPE_CHECKING:
    from resight.models.saved import Model

Edit = Callable[[Pixels], Pixels] | None  # what is done to pictures of the network's size before it sees them
EmbedEdited = Callable[[Sequence[Crop], str, Edit], tuple[EmbeddedCrops, tuple[Problem, ...]]]
MODEL_HELP = "A run's directory, a bundle (.resight), or a packaged model's name (see `resight models`)."


@dataclass(frozen=True, eq=False)
class OpenedModel:
    """What the verbs need of either kind. identity: what to write beside figures. parts: of the
    embedding, by name. size: of the pictures that the network takes. run: of a run, its network."""

    path: Path
    identity: dict[str, str | None]
    trained_on: str
    rights: str
    calibration: Calibration | None
    parts: tuple[tuple[str, int, int], ...]
    size: Preprocessing
    embed_edited: EmbedEdited
    save_calibration: Callable[[Calibration], Path]
    run: Model | None = None

    flip: bool = False

    def embed(self, crops: Sequence[Crop], what: str) -> tuple[EmbeddedCrops, tuple[Problem, ...]]:
        """The crops that can be decoded, embedded in order, and those that cannot.

        flip: the mean with the mirrored picture's embedding, at unit length: a little better, at twice the time.
        """
        embedded, problems = self.embed_edited(crops, what, None)
        if self.flip:
            mirrored, _ = self.embed_edited(crops, f"{what}, mirrored", _mirror)
            embedded = replace(embedded, embeddings=unit_rows(embedded.embeddings + mirrored.embeddings))
        return embedded, problems

    def embed_dataset(self, dataset: Dataset) -> Embedded:
        """Query and gallery; says which pictures were left out."""
        embedded = embed_splits(self.embed, dataset)
        output.name_problems(embedded.problems)
        return embedded


def open_model(path: Path, device: str = "auto", strict: bool = False, runtime: str = "onnxruntime") -> OpenedModel:
    """Raises WeightsError where there is no such model, or it cannot be used."""
    return _open_run(path, device, strict) if path.is_dir() else _open_bundle(path, device, strict, runtime)


def _open_run(path: Path, device: str, strict: bool) -> OpenedModel:
    from resight.models.catalogue import embedding_parts
    from resight.models.saved import CARD_FILE, load_model, save_calibration
    from resight.training.embed import embed_crops

    model = load_model(path)

    def embed(crops: Sequence[Crop], what: str, edit: Edit) -> tuple[EmbeddedCrops, tuple[Problem, ...]]:
        return embed_crops(model, crops, device=device, strict=strict, progress=output.progress, what=what, edit=edit)

    def save(calibration: Calibration) -> Path:
        save_calibration(path, calibration)
        return path / CARD_FILE

    card = model.card
    identity = {"weights_sha256": card.weights_sha256}
    parts, size = embedding_parts(card.architecture), card.preprocessing
    return OpenedModel(path, identity, card.trained_on, card.rights, card.calibration, parts, size, embed, save, model)


def _open_bundle(path: Path, device: str, strict: bool, runtime: str) -> OpenedModel:
    from resight.core.errors import ConfigError
    from resight.embedding.bundle import with_calibration, write_bundle
    from resight.embedding.crops import embed_crops
    from resight.embedding.embedder import load

    model = load(path, device="cuda" if device.startswith("cuda") else device, runtime=runtime)

    def embed(crops: Sequence[Crop], what: str, edit: Edit) -> tuple[EmbeddedCrops, tuple[Problem, ...]]:
        return embed_crops(model, crops, strict=strict, progress=output.progress, what=what, edit=edit)

    def save(calibration: Calibration) -> Path:
        if not path.exists():
            raise ConfigError(
                f"{path} is a packaged model, which stays as it is; `resight models` says where to copy it from"
            )
        write_bundle(path, with_calibration(model.bundle, calibration))
        return path

    manifest = model.manifest
    return OpenedModel(
        path,
        {"model_identity": model.identity},
        manifest.trained_on,
        manifest.rights,
        manifest.calibration,
        tuple((part.name, part.start, part.stop) for part in manifest.parts),
        manifest.preprocessing,
        embed,
        save,
    )


def _mirror(pixels: Pixels) -> Pixels:
    return pixels[:, :, ::-1]
