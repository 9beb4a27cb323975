from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resight.core.errors import ConfigError
from resight.core.pictures.histogram import colour_histogram
from resight.core.records import EmbeddedCrops
from resight.data.city.people import draw_lookalike, draw_looks
from resight.data.city.synthetic import CityConfig, draw_city, lookalikes, parse_city, save_city
from resight.data.crops import Crop, Dataset, camids_of, pids_of
from resight.data.decoding import decode_crops
from resight.data.formats.folder import read_folder
from resight.evaluation.evaluate import evaluate
from resight.report.page import contact_sheet

SMALL = CityConfig(train_people=4, test_people=10, cameras=3, crops_per_camera=2, height=64, width=32)


def digest(city: Dataset) -> str:
    crops = city.train + city.query + city.gallery
    return hashlib.sha256(b"".join(crop.read() for crop in crops)).hexdigest()


def test_the_seed_decides_every_byte() -> None:
    assert digest(draw_city(SMALL)) == digest(draw_city(SMALL))
    assert digest(draw_city(SMALL)) != digest(draw_city(replace(SMALL, seed=1)))


def test_more_people_leave_the_first_as_they_were() -> None:
    more = draw_city(replace(SMALL, train_people=6))
    assert more.train[: len(draw_city(SMALL).train)] == draw_city(SMALL).train


def test_the_splits() -> None:
    city = draw_city(SMALL)
    train, query, gallery = (set(pids_of(split).tolist()) for split in (city.train, city.query, city.gallery))
    assert not train & query
    assert query == gallery - {0}
    assert 0 in gallery
    seen = [(c.pid, c.camid) for c in city.query]
    assert len(seen) == len(set(seen))  # one query a person and camera
    assert all(len({c.camid for c in city.query if c.pid == pid}) >= 2 for pid in query)
    assert len({c.name for c in city.train + city.query + city.gallery}) == sum(
        map(len, (city.train, city.query, city.gallery))
    )


def test_a_person_before_a_camera_is_one_track() -> None:
    city = draw_city(SMALL)
    crops = [crop for crop in city.train + city.query + city.gallery if crop.pid]
    assert len({crop.track for crop in crops}) == len({(crop.pid, crop.camid) for crop in crops})
    assert len({(crop.track, crop.pid, crop.camid) for crop in crops}) == len({crop.track for crop in crops})
    for track in {crop.track for crop in crops}:
        times = sorted(crop.time or 0 for crop in crops if crop.track == track)
        assert len(times) == SMALL.crops_per_camera
        assert times[-1] - times[0] == pytest.approx(0.4 * (SMALL.crops_per_camera - 1))


def test_every_query_has_somebody_to_find_in_another_camera() -> None:
    city = draw_city(SMALL)
    for query in city.query:
        assert any(c.pid == query.pid and c.camid != query.camid for c in city.gallery), query.name


def test_a_saved_city_reads_back_as_a_folder(tmp_path: Path) -> None:
    city = draw_city(SMALL)
    save_city(city, tmp_path / "city")
    saved = read_folder(tmp_path / "city")
    assert not saved.problems
    for split in ("train", "query", "gallery"):
        was, now = (sorted((c.pid, c.camid, c.read()) for c in getattr(d, split)) for d in (city, saved))
        assert now == was


def test_a_lookalike_differs_in_one_region() -> None:
    regions = (
        {"hair", "hair_style"},
        {"upper", "upper_second", "upper_pattern"},
        {"lower", "lower_kind"},
        {"shoes"},
        {"bag", "bag_colour"},
    )
    rng = np.random.default_rng(0)
    for _ in range(40):
        double = draw_looks(rng)
        other = draw_lookalike(double, rng)
        differ = {name for name in double.__dataclass_fields__ if getattr(double, name) != getattr(other, name)}
        assert any(differ and differ <= region for region in regions)


def test_lookalikes_come_in_pairs_as_often_as_asked() -> None:
    assert lookalikes(replace(SMALL, lookalike_fraction=0.0)) == frozenset()
    assert len(lookalikes(replace(SMALL, lookalike_fraction=1.0))) == 10
    assert 0.3 < len(lookalikes(CityConfig(test_people=1000))) / 1000 < 0.5


def test_specs() -> None:
    assert parse_city("synthetic") == CityConfig()
    assert parse_city("synthetic:seed=3,lookalike_fraction=0.5") == CityConfig(seed=3, lookalike_fraction=0.5)
    for wrong in ("synthetic:sed=3", "synthetic:seed=three", "synthetic:cameras=1", "synthetic:height=99999", "town"):
        with pytest.raises(ConfigError):
            parse_city(wrong)


def test_a_colour_histogram_does_badly_but_better_than_chance() -> None:
    city = draw_city(CityConfig(train_people=0, test_people=32))

    def embed(crops: tuple[Crop, ...]) -> EmbeddedCrops:
        decoded = decode_crops(crops, 128, 64, strict=True)
        embeddings = np.stack([colour_histogram(pixels) for pixels in decoded.pixels])
        names = tuple(crop.name for crop in crops)
        return EmbeddedCrops(embeddings, pids_of(crops), camids_of(crops), decoded.content_hashes, names)

    found = evaluate(embed(city.query), embed(city.gallery))
    assert 0.1 < found.rank(1) < 0.33  # chance is 0.02
    assert 0.1 < found.mean_ap < 0.25


def test_the_grid_shows_every_crop() -> None:
    crops = draw_city(SMALL).query[:5]
    sheet = np.asarray(contact_sheet(crops, columns=3))
    assert sheet.shape == (2 * 128, 3 * 64, 3)
    assert sheet[128:, 128:].min() == 255  # the place that is left over
    assert sheet[:128, :64].std() > 10
