from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resight.core.errors import ConfigError
from resight.core.pictures.histogram import colour_histogram
from resight.core.records import EmbeddedCrops
from resight.data.city.figure import GARMENT, FigurePainter, Pose, colour_figure
from resight.data.city.people import Looks, draw_lookalike, draw_looks
from resight.data.city.synthetic import CityConfig, draw_city, lookalikes, parse_city, save_city
from resight.data.city.variety import VARIED_PATTERNS, draw_varied_looks, weave
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


@pytest.mark.parametrize("draw", [draw_looks, draw_varied_looks])
def test_a_lookalike_differs_in_one_region(draw: Callable[[np.random.Generator], Looks]) -> None:
    regions = (
        {"hair", "hair_style"},
        {"upper", "upper_second", "upper_pattern"},
        {"lower", "lower_kind"},
        {"shoes"},
        {"bag", "bag_colour"},
    )
    rng = np.random.default_rng(0)
    for _ in range(40):
        double = draw(rng)
        other = draw_lookalike(double, rng, draw)
        differ = {name for name in double.__dataclass_fields__ if getattr(double, name) != getattr(other, name)}
        assert any(differ and differ <= region for region in regions)


def test_lookalikes_come_in_pairs_as_often_as_asked() -> None:
    assert lookalikes(replace(SMALL, lookalike_fraction=0.0)) == frozenset()
    assert len(lookalikes(replace(SMALL, lookalike_fraction=1.0))) == 10
    assert 0.3 < len(lookalikes(CityConfig(test_people=1000))) / 1000 < 0.5


def test_a_varied_city_has_the_same_people_places_and_times_in_other_clothes() -> None:
    plain, varied = draw_city(SMALL), draw_city(replace(SMALL, varied=1))
    assert digest(varied) == digest(draw_city(replace(SMALL, varied=1)))
    for one, other in zip(plain.train + plain.query, varied.train + varied.query, strict=True):
        assert replace(one, data=b"") == replace(other, data=b"")
        assert one.read() != other.read()


def test_a_cloth_is_the_same_in_all_pictures_and_is_on_its_garment_alone() -> None:
    """Whatever the figure's place and scale are: a texture belongs to the body."""

    def woven(cloth: int, scale: float) -> np.ndarray:
        rows, columns = np.ogrid[0 : int(scale), 0 : int(scale / 2)]
        across, down = (columns + 0.5) / scale - 0.25, (rows + 0.5) / scale
        rgb = np.full((int(scale), int(scale / 2), 3), 100, np.float32)
        upper = np.broadcast_to(down < 0.5, rgb.shape[:2])
        weave(rgb, [upper, ~upper], cloth, across, down)
        return rgb

    coarse, fine = woven(7, 64), woven(7, 192)[1::3, 1::3]  # the middles of the same places
    np.testing.assert_allclose(coarse, fine, atol=1e-2)
    assert np.abs(coarse - woven(8, 64)).mean() > 1
    assert coarse.min() >= 0
    assert coarse.max() <= 255
    assert coarse.std() > 1


@pytest.mark.parametrize("pattern", sorted(set(VARIED_PATTERNS)))
def test_every_pattern_shows_a_second_colour_somewhere_and_not_everywhere(pattern: str) -> None:
    shown = []
    for seed in range(12):
        looks = replace(draw_varied_looks(np.random.default_rng(seed)), upper_pattern=pattern, cloth=seed + 1)
        one, other = (replace(looks, upper=colour, upper_second=(200, 0, 0)) for colour in ((200, 0, 0), (0, 200, 0)))
        parts = FigurePainter((128, 64), looks, Pose("front", 0.0, 0.0), (32.0, 8.0), 112.0).paint()
        pictures = [colour_figure(parts, who, (32.0, 8.0), 112.0, 0.0) for who in (one, other)]
        garment = GARMENT[parts]
        shown.append(float((pictures[0] == pictures[1]).all(axis=-1)[garment].mean()))
    if pattern == "plain":
        assert max(shown) < 0.05
    else:
        assert 0.01 < np.mean(shown) < 0.95


def test_specs() -> None:
    assert parse_city("synthetic") == CityConfig()
    assert parse_city("synthetic:seed=3,lookalike_fraction=0.5") == CityConfig(seed=3, lookalike_fraction=0.5)
    for wrong in (
        "synthetic:sed=3",
        "synthetic:seed=three",
        "synthetic:cameras=1",
        "synthetic:height=99999",
        "synthetic:varied=2",
        "town",
    ):
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
