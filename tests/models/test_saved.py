from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from resight.core.errors import ConfigError, WeightsError
from resight.core.pictures.preprocessing import Preprocessing
from resight.models import saved as module
from resight.models.catalogue import Architecture, build_network
from resight.models.saved import (
    CARD_FILE,
    WEIGHTS_FILE,
    ModelConfig,
    Origin,
    TrainedNetwork,
    copy_calibrated,
    load_model,
    load_strictly,
    save_calibration,
    save_model,
    with_origins,
)
from tests.core.test_calibration import CALIBRATION


def saved(directory: Path) -> TrainedNetwork:
    torch.manual_seed(1)
    architecture = Architecture("slicenet2", 32, 4)
    card = ModelConfig(architecture, Preprocessing(32, 16, (0.4,) * 3, (0.2,) * 3), "drawings", "anyone's")
    network = build_network(architecture, 32, 16).eval()
    save_model(directory, network, card)
    return TrainedNetwork(network, card)


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    before, after = saved(tmp_path), load_model(tmp_path)
    images = torch.randn(2, 3, 32, 16)
    assert torch.equal(before.network(images), after.network(images))
    assert after.config.preprocessing == before.config.preprocessing
    assert (after.config.trained_on, after.config.rights) == ("drawings", "anyone's")
    assert not after.network.training
    assert not list(tmp_path.glob("*.part"))


def test_saved_anew_it_keeps_its_calibration_and_another_model_does_not(tmp_path: Path) -> None:
    model = saved(tmp_path)
    identity = load_model(tmp_path).config.identity
    save_calibration(tmp_path, CALIBRATION, identity)
    saved(tmp_path)
    assert load_model(tmp_path).config.calibration == CALIBRATION
    other = replace(model.config, preprocessing=replace(model.config.preprocessing, image_centring=0.5))
    save_model(tmp_path, model.network, other)
    assert load_model(tmp_path).config.calibration is None
    with pytest.raises(WeightsError, match="another model by now"):
        save_calibration(tmp_path, CALIBRATION, identity)
    assert load_model(tmp_path).config.calibration is None


def test_a_calibrated_copy_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path / "run")
    written = module._write_card

    def full(directory: Path, card: ModelConfig) -> None:
        raise OSError("full")

    monkeypatch.setattr(module, "_write_card", full)
    with pytest.raises(OSError, match="full"):
        copy_calibrated(tmp_path / "run", CALIBRATION, tmp_path / "copies" / "one")
    assert not list((tmp_path / "copies").iterdir())
    monkeypatch.setattr(module, "_write_card", written)
    (tmp_path / "copies" / "one").mkdir()
    copy_calibrated(tmp_path / "run", CALIBRATION, tmp_path / "copies" / "one")
    assert [path.name for path in (tmp_path / "copies").iterdir()] == ["one"]
    copy = load_model(tmp_path / "copies" / "one").config
    assert (copy.identity, copy.calibration) == (load_model(tmp_path / "run").config.identity, CALIBRATION)
    with pytest.raises(ConfigError, match="not empty"):
        copy_calibrated(tmp_path / "run", CALIBRATION, tmp_path / "copies" / "one")


def test_damage_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no finished model"):
        load_model(tmp_path)
    saved(tmp_path)
    weights = (tmp_path / WEIGHTS_FILE).read_bytes()
    (tmp_path / WEIGHTS_FILE).write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    with pytest.raises(WeightsError, match="SHA-256 differs"):
        load_model(tmp_path)
    (tmp_path / WEIGHTS_FILE).unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "other/9"},
        {"architecture": {"name": "x"}},
        {"architecture": 3},
        {"preprocessing": {}},
        {"architecture": {"name": "slicenet2", "dim": "32", "slices": 4}},
        {"architecture": {"name": ["slicenet2"]}},
    ],
)
def test_a_card_that_is_none(tmp_path: Path, change: dict[str, object]) -> None:
    saved(tmp_path)
    card = json.loads((tmp_path / CARD_FILE).read_text())
    (tmp_path / CARD_FILE).write_text(json.dumps({**card, **change}))
    with pytest.raises((WeightsError,), match=r"card|schema"):
        load_model(tmp_path)


def test_loading_is_strict() -> None:
    module = torch.nn.Linear(2, 2)
    with pytest.raises(WeightsError, match=r"bias is missing.*extra is foreign.*weight is \(3, 3\), not \(2, 2\)"):
        load_strictly(module, {"weight": torch.zeros(3, 3), "extra": torch.zeros(1)}, "here")


def test_what_was_learnt_from_is_told_once(tmp_path: Path) -> None:
    card = saved(tmp_path).config
    first = with_origins(card, [Origin("1", "crops", "research")])
    assert first.trained_on == "drawings; by way of other models, crops"
    after = with_origins(card, [Origin("2", first.trained_on, first.rights), Origin("3", "films", "research")])
    assert after.trained_on == "drawings; by way of other models, crops; films"
    assert after.rights == "anyone's; of the models learnt from, research"
