"""What a user does in Python, each in a line or two."""

from __future__ import annotations

import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import resight
from resight.core import progress
from resight.core.errors import ConfigError, WeightsError
from resight.core.records import EmbeddedCrops
from resight.data.city.synthetic import CityConfig, draw_city, save_city
from resight.data.doctor.doctor import examine
from resight.data.embed import QueryGallery
from resight.embedding.packaged import FOLDER
from resight.evaluation.centring import centre_cameras
from resight.evaluation.compare import compare
from resight.evaluation.decisions.calibrate import calibrate
from resight.evaluation.rerank import Reranking
from resight.export.export import export_run

CITY = CityConfig(train_people=2, test_people=12, cameras=3, crops_per_camera=2, height=64, width=32)


@pytest.fixture(scope="module")
def data() -> resight.Dataset:
    return draw_city(CITY)


@pytest.fixture(scope="module")
def model() -> resight.Model:
    return resight.load("city")


@pytest.fixture(scope="module")
def embedded(model: resight.Model, data: resight.Dataset) -> QueryGallery:
    return model.embed_dataset(data)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of version 0.1.0, with a calibration."""
    folder = tmp_path_factory.mktemp("saved")
    with tarfile.open(Path(__file__).parent / "saved" / "v0.1.0" / "files.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "run"


def test_loading_a_run_a_bundle_or_a_packaged_model(run: Path) -> None:
    loaded, bundle = resight.load(run), resight.load(run.parent / "small.resight")
    picture = next((run.parent / "city" / "query").rglob("*.png"))
    assert np.allclose(loaded.embed(picture), bundle.embed(picture), atol=1e-4)
    assert loaded.identity != bundle.identity  # a gallery keeps to one of them
    assert [part.name for part in loaded.parts] == [part.name for part in bundle.parts]
    assert loaded.preprocessing == bundle.preprocessing
    assert loaded.calibration == bundle.calibration is not None
    one = loaded.embed(picture)[0]
    assert loaded.decide(one, one, false_accept_rate=0.5).verdict == "same"
    assert resight.load().card.name == resight.load("default").card.name


def test_a_packaged_name_is_the_packaged_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    packaged = resight.load("city").identity
    (tmp_path / "city").mkdir()
    assert resight.load("city").identity == packaged
    (tmp_path / "default").write_text("no model")
    assert resight.load("default").identity == resight.load().identity
    shutil.copy(FOLDER / "slicenet1.resight", tmp_path / "slicenet2")
    assert resight.load("slicenet2").identity == resight.load("slicenet1").identity  # the path holds a model
    with pytest.raises(WeightsError, match="no finished model"):
        resight.load(tmp_path / "city")


def test_embedding_a_folder_with_progress(
    model: resight.Model, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_city(draw_city(CITY), tmp_path / "mine")
    monkeypatch.setattr(progress, "LOG_EVERY_S", -1.0)

    crops, problems = model.embed_crops(resight.open_pictures(tmp_path / "mine"), progress=resight.progress_bar)
    assert crops.embeddings.shape == (len(list((tmp_path / "mine").rglob("*.jpg"))), model.dim)
    assert not problems
    assert f"{len(crops):,} of {len(crops):,}" in capsys.readouterr().err


def test_evaluating_a_model_on_data(embedded: QueryGallery) -> None:
    figures = resight.evaluate(embedded.query, embedded.gallery)
    assert 0.5 < figures.mean_ap <= figures.mean_ap_interval.high <= 1


def test_exporting_a_run(run: Path, tmp_path: Path) -> None:
    exported = export_run(run, tmp_path / "mine.resight", weaknesses="everything")
    assert exported.parity.max_difference < 1e-4
    assert resight.load(tmp_path / "mine.resight").card.weaknesses == "everything"
    with pytest.raises(resight.ResightError, match="does not exist"):
        export_run(run, tmp_path / "nowhere" / "mine.resight")


def test_keeping_a_calibration(run: Path, tmp_path: Path) -> None:
    calibration = resight.load(run).calibration
    assert calibration is not None
    copy = shutil.copy(run.parent / "small.resight", tmp_path / "copy.resight")
    model = resight.load(copy)
    model.save_calibration(replace(calibration, data="elsewhere"))
    again = resight.load(copy).calibration
    assert again == model.calibration == replace(calibration, data="elsewhere")
    with pytest.raises(ConfigError, match="packaged model, which stays as it is"):
        resight.load("city").save_calibration(calibration)


def test_what_version_0_1_called_otherwise(model: resight.Model) -> None:
    with pytest.warns(DeprecationWarning, match=r"Model\.card"):
        assert model.manifest is model.card
    with pytest.warns(DeprecationWarning, match=r"resight\.Model"):
        assert resight.Embedder is resight.Model


def test_re_ranking(embedded: QueryGallery) -> None:
    found = resight.evaluate(embedded.query, embedded.gallery, reranking=Reranking(k1=4, k2=2))
    assert found.distance == "cosine, k-reciprocal re-ranking (k1=4, k2=2, lambda=0.3)"
    assert found.mean_ap != resight.evaluate(embedded.query, embedded.gallery).mean_ap


def test_calibrating(model: resight.Model, data: resight.Dataset) -> None:
    crops, _ = model.embed_crops([*data.query, *data.gallery])
    calibration = calibrate(crops, data=str(data), rights=data.rights).calibration
    assert calibration.decide_pair(1.0, false_accept_rate=0.5).verdict == "same"
    assert calibration.num_people == 12
    assert calibration.rights == data.rights


def test_comparing_two_models(data: resight.Dataset, embedded: QueryGallery) -> None:
    other = resight.load("slicenet2").embed_dataset(data)
    found = compare((other.query, other.gallery), (embedded.query, embedded.gallery))
    difference = found.second.mean_ap - found.first.mean_ap
    assert difference > 0  # it was trained on drawn people
    assert found.differences["mean_ap"].mean == pytest.approx(difference)


def test_what_is_wrong_with_a_folder(tmp_path: Path) -> None:
    save_city(draw_city(CITY), tmp_path / "mine")
    query = sorted((tmp_path / "mine" / "query").rglob("*.jpg"))[0]
    shutil.copy(query, tmp_path / "mine" / "gallery" / query.parent.name / "c9_copy.jpg")

    found = {finding.code: finding for finding in examine(resight.open_dataset(tmp_path / "mine")).findings}
    assert found["query-in-gallery"].severity == "error"
    assert found["query-in-gallery"].count == 1
    assert "finds itself first" in found["query-in-gallery"].effect


def test_centring_the_cameras_of_a_site(embedded: QueryGallery) -> None:
    rng = np.random.default_rng(0)
    dim = embedded.query.embeddings.shape[1]
    cast = rng.normal(size=(4, dim)).astype(np.float32)  # what each camera adds to every picture

    def seen(crops: EmbeddedCrops) -> EmbeddedCrops:
        shifted = crops.embeddings + cast[crops.camids % 4] / np.sqrt(dim)
        return EmbeddedCrops(shifted, crops.pids, crops.camids, crops.content_hashes, crops.names)

    query, gallery = seen(embedded.query), seen(embedded.gallery)
    centred = resight.evaluate(*centre_cameras(query, gallery))
    assert centred.mean_ap > resight.evaluate(query, gallery).mean_ap + 0.1
