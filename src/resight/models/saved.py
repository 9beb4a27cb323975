"""A model on disk: `model.safetensors` (the weights) and `model.json` (all that is needed to use them)."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from resight.core.calibration import Calibration
from resight.core.errors import CalibrationError, ConfigError, WeightsError
from resight.core.files import check_new, read_regular, write_whole
from resight.core.pictures.preprocessing import Preprocessing
from resight.core.version import VERSION
from resight.models.catalogue import Architecture, build_network

WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "model.json"
SCHEMA = "resight.model/1"


@dataclass(frozen=True)
class ModelConfig:
    """What a model carries with it, so that nobody sets it by hand at inference.

    trained_on: the data, in words. rights: who may do what with the weights. data_digest: the training
    data's fingerprint, where it is known. weights_sha256: set when the model is saved. calibration: what its
    similarities mean, where that was fitted.
    """

    architecture: Architecture
    preprocessing: Preprocessing
    trained_on: str
    rights: str
    data_digest: str | None = None
    weights_sha256: str | None = None
    calibration: Calibration | None = None

    @property
    def identity(self) -> str:
        """The model, as a hash of all that decides its embeddings: two are comparable where this is equal."""
        decides = {
            "weights": self.weights_sha256,
            "architecture": self.architecture.to_dict(),
            "preprocessing": self.preprocessing.to_dict(),
        }
        text = json.dumps(decides, sort_keys=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """For model.json."""
        calibration = self.calibration.to_dict() if self.calibration else None
        values = {
            **asdict(self),
            "architecture": self.architecture.to_dict(),
            "preprocessing": self.preprocessing.to_dict(),
            "calibration": calibration,
        }
        return {"schema": SCHEMA, "resight_version": VERSION, **values}


@dataclass(frozen=True)
class Origin:
    """Another model that this one has learnt from, as a teacher or by its first weights.

    identity: of its weights. trained_on, rights: as in its card, which bind what was learnt from it too.
    """

    identity: str
    trained_on: str
    rights: str


def with_origins(card: ModelConfig, origins: Sequence[Origin]) -> ModelConfig:
    """The card, with the data and rights of those models beside its own."""
    trained_on = beside(card.trained_on, "by way of other models, ", [origin.trained_on for origin in origins])
    rights = beside(card.rights, "of the models learnt from, ", [origin.rights for origin in origins])
    return replace(card, trained_on=trained_on, rights=rights)


def beside(own: str, whence: str, others: Sequence[str]) -> str:
    """What a card says, and after it what others say that is not the same, and what those learnt from, each once."""
    told = dict.fromkeys(part for text in others for part in text.split(f"; {whence}"))
    foreign = [part for part in told if part not in own.split(f"; {whence}")]
    return f"{own}; {whence}{'; '.join(foreign)}" if foreign else own


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A network in evaluation mode, and what its run keeps beside the weights."""

    network: nn.Module
    config: ModelConfig


def save_model(directory: Path, network: nn.Module, card: ModelConfig) -> None:
    """Writes both files, each whole or not at all; the calibration of the very same model, where it is there already,
    stays. Raises OSError where the disk refuses."""
    directory.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    data = safetensors.torch.save(weights)
    card = replace(card, weights_sha256=hashlib.sha256(data).hexdigest())
    with suppress(WeightsError):  # no model there, or a damaged card
        before = read_card(directory)
        if card.calibration is None and before.identity == card.identity:
            card = replace(card, calibration=before.calibration)
    write_whole(directory / WEIGHTS_FILE, data)
    _write_card(directory, card)


def save_calibration(directory: Path, calibration: Calibration, identity: str) -> None:
    """Into the card of the saved model; its weights stay as they are. identity: of the model that was calibrated.
    Raises WeightsError as `load_model` does, and where it is another model by now."""
    card = read_card(directory)
    if card.identity != identity:
        raise WeightsError(f"{directory} is another model by now than the one that was calibrated")
    _write_card(directory, replace(card, calibration=calibration))


def copy_calibrated(directory: Path, calibration: Calibration, out: Path) -> None:
    """The weights and the card with this calibration, without the rest of a run: the whole directory or none. Raises
    ConfigError where `out` is not empty, WeightsError as `load_model` does."""
    check_new(out)
    card = replace(read_card(directory), calibration=calibration)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f"{out.name}.{secrets.token_hex(4)}.part")
    unfinished.mkdir()
    try:
        write_whole(unfinished / WEIGHTS_FILE, read_regular(directory / WEIGHTS_FILE))
        _write_card(unfinished, card)
        if out.is_dir():
            out.rmdir()
        unfinished.replace(out)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _write_card(directory: Path, card: ModelConfig) -> None:
    write_whole(directory / CARD_FILE, json.dumps(card.to_dict(), indent=2).encode())


def load_model(directory: Path) -> TrainedNetwork:
    """The saved model, in evaluation mode on the CPU. Raises WeightsError where a file is missing or damaged."""
    card = read_card(directory)
    path = directory / WEIGHTS_FILE
    try:
        data = read_regular(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror})") from None
    if card.weights_sha256 != hashlib.sha256(data).hexdigest():
        raise WeightsError(f"{path} is not the file that {CARD_FILE} beside it describes: its SHA-256 differs")
    try:
        network = build_network(card.architecture, card.preprocessing.height, card.preprocessing.width)
    except ConfigError as error:
        raise WeightsError(f"{directory / CARD_FILE} is not a card of this version: {error}") from None
    try:
        weights = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise WeightsError(f"{path} is not a safetensors file ({error})") from None
    load_strictly(network, weights, str(path))
    return TrainedNetwork(network.eval(), card)


def load_strictly(module: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Copies the weights into the module. Raises WeightsError naming what is missing, foreign or misshapen."""
    own = module.state_dict()
    wrong = [f"{name} is missing" for name in own if name not in weights]
    wrong += [f"{name} is foreign" for name in weights if name not in own]
    wrong += [
        f"{name} is {tuple(weights[name].shape)}, not {tuple(own[name].shape)}"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    if wrong:
        more = f" and {len(wrong) - 4} more" if len(wrong) > 4 else ""
        raise WeightsError(f"{source} does not fit the network: {'; '.join(wrong[:4])}{more}.")
    module.load_state_dict(dict(weights), strict=True)


def read_card(directory: Path) -> ModelConfig:
    """The card of the saved model, whose weights are not read. Raises WeightsError where there is none."""
    path = directory / CARD_FILE
    try:
        fields = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise WeightsError(
            f"{path.parent} holds no finished model ({path.name} is not there). A run that was stopped is "
            "finished by the command that began it (`resight train`, `resight adapt`), with --resume."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path} cannot be read ({str(error) or type(error).__name__})") from None
    try:
        if fields["schema"] != SCHEMA:
            raise WeightsError(f"{path} is of schema {fields['schema']!r}; this version reads {SCHEMA!r}")
        return ModelConfig(
            architecture=Architecture(**fields["architecture"]),
            preprocessing=Preprocessing.from_dict(fields["preprocessing"]),
            trained_on=str(fields["trained_on"]),
            rights=str(fields["rights"]),
            data_digest=fields["data_digest"],
            weights_sha256=fields["weights_sha256"],
            calibration=Calibration.from_dict(fields["calibration"]) if fields.get("calibration") is not None else None,
        )
    except CalibrationError as error:
        raise WeightsError(f"{path}: {error}") from None
    except (KeyError, TypeError, ConfigError) as error:
        raise WeightsError(f"{path} is not a model's card: {type(error).__name__} {error}") from None
