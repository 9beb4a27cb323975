from __future__ import annotations

from dataclasses import replace
from zlib import compress

import pytest

import resight
from resight.data.formats.catalogue import open_dataset
from resight.embedding.card_text import model_card
from resight.embedding.packaged import DEFAULT, packaged_bundle, packaged_models
from resight.evaluation.evaluate import evaluate

MAX_BYTES = 17_000_000  # of all packaged models, compressed: the wheel is 17.5 MB


def test_the_default_is_what_is_loaded() -> None:
    assert packaged_models()[0] == DEFAULT
    assert resight.load().identity == packaged_bundle().manifest.identity


@pytest.mark.parametrize("name", packaged_models())
def test_each_tells_what_a_user_must_know(name: str) -> None:
    manifest = packaged_bundle(name).manifest
    assert manifest.rights != "not stated"
    assert manifest.weaknesses != "not stated"
    assert manifest.figures
    assert manifest.figures[0].mean_ap_interval is not None
    assert manifest.calibration is not None
    few_people = name.startswith("slicenet")  # 12 to calibrate on, who support no more
    assert manifest.calibration.accept_index(0.1 if few_people else 0.01) is not None


def test_the_wheel_stays_small() -> None:
    assert sum(len(compress(packaged_bundle(name).onnx)) for name in packaged_models()) < MAX_BYTES


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "city" else name for name in packaged_models()]
)
def test_its_figures_are_what_it_scores(name: str, request: pytest.FixtureRequest) -> None:
    model = resight.load(name)
    data = model.card.provenance.get("figures_on")  # drawn people
    if data is None:
        data = str(request.getfixturevalue("pku_reid" if name.startswith("slicenet") else "market501"))
    dataset = open_dataset(data)
    query, _ = model.embed_crops(dataset.query)
    gallery, _ = model.embed_crops(dataset.gallery)
    found, told = evaluate(query, gallery), model.card.figures[0]
    # int8 rounds a little otherwise on another processor, but none may saturate.
    tolerance = 0.0006 if model.card.network.startswith("fp32") else 0.004
    one_query = 1.01 / told.num_query
    assert (found.num_scored, found.num_gallery) == (told.num_query, told.num_gallery)
    assert found.rank(1) == pytest.approx(told.rank1, abs=one_query + 2 * tolerance)
    assert found.mean_ap == pytest.approx(told.mean_ap, abs=tolerance)


@pytest.mark.parametrize(
    ("rights", "head"),
    [
        ("Apache-2.0 (drawn by code)", "license: apache-2.0\nlibrary_name"),
        ("MIT", "license: mit\nlibrary_name"),
        ("MIT code; weights for research only", 'license: other\nlicense_name: "MIT code; weights for research only"'),
    ],
)
def test_a_card_names_a_licence_that_is_the_whole_of_the_rights(rights: str, head: str) -> None:
    card = replace(resight.load("city").card, rights=rights)
    assert model_card(card, "sha256:0").startswith(f"---\n{head}")
