"""From a file of somebody else's to a run, a bundle and a comparison, by the verbs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resight.models.foreign.importable import IMPORTABLE
from resight.models.foreign.importing import KINDS
from tests.cli.calling import CITY, resight
from tests.models.foreign import files


@pytest.fixture(scope="module")
def osnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("osnet")
    weights = files.write(folder / "osnet.pth", files.saved({"state_dict": files.osnet(), "epoch": 60}))
    options = ("--option", "height=64", "--option", "width=32")
    done = resight("import", weights, *options, "-o", folder / "run")
    assert "imported osnet, 64 x 32 pixels, 512 values" in done.stdout
    assert "2 keys serve training only: classifier.weight" in done.stderr + done.stdout
    return folder / "run"


def test_the_card_says_what_is_known(osnet: Path, tmp_path: Path) -> None:
    card = json.loads((osnet / "model.json").read_text())
    assert card["architecture"]["options"] == {"size": "x0_25", "variant": "plain"}
    assert "51 classes" in card["trained_on"]
    assert "not stated by osnet.pth" in card["rights"]
    weights = files.write(tmp_path / "transformer_120.pth", files.saved(files.transreid()))
    options = ("--option", "heads=2", "--option", "unseen=3", "--rights", "research only")
    done = resight("import", weights, *options, "-o", tmp_path / "run")
    assert "shift=5" in done.stderr + done.stdout
    card = json.loads((tmp_path / "run" / "model.json").read_text())
    assert (card["architecture"]["options"]["unseen"], card["rights"]) == ("3", "research only")
    assert "suggests Market-1501" in card["trained_on"]
    assert "side_weight 3.0" in card["trained_on"]


def test_an_imported_run_is_a_model_as_any(osnet: Path, tmp_path: Path) -> None:
    assert "mAP" in resight("evaluate", osnet, CITY, "--protocol", "market1501", "--protocol", "top10").stdout
    done = resight("compare", osnet, "default", CITY)
    assert "mAP" in done.stdout
    bundle = tmp_path / "osnet.resight"
    resight("export", osnet, "-o", bundle, "--rights", "research only", "--data", CITY)
    assert "research only" in resight("model", "inspect", bundle).stdout
    resight("embed", bundle, CITY, "-o", tmp_path / "city.npz")


def test_what_can_be_imported_is_listed() -> None:
    listed = resight("models", "--importable").stdout
    for one in IMPORTABLE:
        assert one.source in listed
        assert one.rights in listed
        assert one.rank1 is None or (f"{one.rank1:.3f}" in listed and one.protocol in listed)
    assert set(KINDS) <= {one.kind for one in IMPORTABLE}


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", files.calls("os", "mkdir", "attacked")])
def test_a_bad_file_is_one_paragraph(data: bytes, tmp_path: Path) -> None:
    done = resight("import", files.write(tmp_path / "bad.pth", data), "-o", tmp_path / "run", code=4)
    assert "bad.pth" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_what_the_user_said_is_not_called_assumed(tmp_path: Path) -> None:
    weights = files.write(tmp_path / "transformer_120.pth", files.saved(files.transreid()))
    done = resight("import", weights, "--option", "heads=2", "--option", "shift=8", "-o", tmp_path / "run")
    assumed = next(line for line in done.stderr.splitlines() if "no file holds these" in line)
    assert "groups=2" in assumed
    assert "shift" not in assumed
    assert "heads" not in assumed
    assert json.loads((tmp_path / "run" / "model.json").read_text())["architecture"]["options"]["shift"] == 8
    done = resight("evaluate", weights, CITY, code=4)
    assert f"resight import {weights}" in done.stderr
    done = resight("import", weights, "--option", "heads=2", "--mean", "127.5", "-o", tmp_path / "b", code=2)
    assert "--mean 0.5,0.5,0.5 --std 0.5,0.5,0.5" in " ".join(done.stderr.split())
