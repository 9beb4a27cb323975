from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from resight.core.errors import UnreadableImage
from resight.core.pictures.cells import cell_weights, mean_of_cells
from resight.core.pictures.images import Pixels, decode_image
from resight.data.city.synthetic import CityConfig, draw_city
from resight.data.crops import Crop, Dataset
from resight.data.doctor.duplicates import NEAR_BITS
from resight.data.doctor.survey import LARGE_VALUES, difference_hash, survey


def encoded(pixels: Pixels, kind: str = "PNG", **options: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def hash_of(pixels: Pixels) -> Pixels:
    return difference_hash(mean_of_cells(pixels[None]).sum(axis=3))


def of(*crops: Crop) -> Dataset:
    return Dataset("test", "folder", crops, (), ())


def test_what_is_known_of_each_picture(small_city: Dataset) -> None:
    s = survey(small_city)
    assert s.crops == small_city.train + small_city.query + small_city.gallery
    assert [len(s.rows(name)) for name in ("train", "query", "gallery")] == [
        len(small_city.train),
        len(small_city.query),
        len(small_city.gallery),
    ]
    assert set(s.height_px) == {64}
    assert set(s.width_px) == {32}
    assert len(np.unique(s.content_hashes)) == len(np.unique(s.files)) == len(s.crops)
    for flags in (s.blank, s.grey, s.misnamed):
        assert not flags.any()


def test_threads_and_chunks_change_nothing(small_city: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    one = survey(small_city, threads=1)
    monkeypatch.setattr("resight.data.doctor.survey.CHUNK", 3)
    other = survey(small_city, threads=4)
    assert one.crops == other.crops
    for field in ("content_hashes", "files", "hashes", "split", "height_px"):
        assert np.array_equal(getattr(one, field), getattr(other, field))


def test_flags_and_unreadable_files() -> None:
    grey = np.tile(np.arange(64, dtype=np.uint8)[:, None, None], (1, 32, 3))
    colour = grey.copy()
    colour[:32, :, 0] = 200
    crops = (
        Crop("blank.png", 1, 1, data=encoded(np.full((64, 32, 3), 90, np.uint8))),
        Crop("grey.png", 1, 1, data=encoded(grey)),
        Crop("liar.jpg", 2, 1, data=encoded(colour)),
        Crop("broken.jpg", 2, 1, data=b"no"),
        Crop("fine.png", 2, 1, data=encoded(colour)),
    )
    s = survey(of(*crops))
    assert [crop.name for crop in s.crops] == ["blank.png", "grey.png", "liar.jpg", "fine.png"]
    assert s.blank.tolist() == [True, False, False, False]
    assert s.grey.tolist() == [True, True, False, False]
    assert s.misnamed.tolist() == [False, False, True, False]
    assert [problem.name for problem in s.unreadable] == ["broken.jpg"]
    with pytest.raises(UnreadableImage, match=r"broken\.jpg"):
        survey(of(*crops), strict=True)


def test_an_empty_data_set_and_one_without_a_readable_picture() -> None:
    for dataset in (of(), of(Crop("x", 1, 1, data=b""))):
        s = survey(dataset)
        assert len(s.crops) == len(s.content_hashes) == len(s.hashes) == 0


def test_cells_are_means() -> None:
    assert np.allclose(cell_weights(34, 17), np.repeat(np.eye(17), 2, axis=1) / 2)
    for length in (1, 5, 17, 100, 128):
        weights = cell_weights(length, 17)
        assert np.allclose(weights.sum(axis=1), 1)
        assert np.allclose(weights.sum(axis=0), 17 / length)


def test_the_hash_survives_what_a_copy_suffers() -> None:
    city = draw_city(CityConfig(train_people=0, test_people=10, cameras=3))
    differing: dict[str, list[int]] = {"jpeg": [], "half": [], "bright": [], "other": []}
    pictures = [decode_image(crop.read()) for crop in city.query]
    for pixels, other in pairwise(pictures):
        own = hash_of(pixels)
        copies = {
            "jpeg": decode_image(encoded(pixels, "JPEG", quality=60)),
            "half": np.asarray(Image.fromarray(pixels).resize((32, 64), Image.Resampling.BILINEAR)),
            "bright": np.clip(pixels * 1.15, 0, 255).astype(np.uint8),
            "other": other,
        }
        for name, copy in copies.items():
            differing[name].append(int(np.bitwise_count(own ^ hash_of(copy)).sum()))
    for name in ("jpeg", "half", "bright"):
        assert np.quantile(differing[name], 0.8) <= NEAR_BITS, name
    assert min(differing["other"]) > NEAR_BITS


def test_a_large_picture_is_made_small_before_it_is_measured() -> None:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (32, 16, 3), dtype=np.uint8)
    large = np.repeat(np.repeat(small, 64, axis=0), 64, axis=1)
    assert large.size > LARGE_VALUES
    s = survey(of(Crop("a.png", 1, 1, data=encoded(small)), Crop("b.png", 1, 1, data=encoded(large))))
    assert s.height_px.tolist() == [32, 2048]
    assert np.bitwise_count(s.hashes[0] ^ s.hashes[1]).sum() <= NEAR_BITS


def test_a_crop_without_bytes_is_unreadable(small_city: Dataset) -> None:
    s = survey(replace(small_city, query=(Crop("nothing", 1, 1),)))
    assert [problem.name for problem in s.unreadable] == ["nothing"]
