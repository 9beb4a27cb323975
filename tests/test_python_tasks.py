"""What a user does in Python, each in a line or two."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import resight
from resight.core.records import EmbeddedCrops
from resight.data.city.synthetic import CityConfig, draw_city, save_city
from resight.data.doctor.doctor import examine
from resight.data.embed import QueryGallery
from resight.evaluation.centring import centre_cameras
from resight.evaluation.compare import compare
from resight.evaluation.decisions.calibrate import calibrate
from resight.evaluation.rerank import Reranking

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
