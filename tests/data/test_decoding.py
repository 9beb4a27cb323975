from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resight.core.errors import DatasetError, UnreadableImage
from resight.core.pictures.images import decode_image, resize_image
from resight.data.crops import Crop, Dataset
from resight.data.decoding import decode_crops, iter_decoded, mean_picture
from resight.data.formats.folder import read_folder


def with_bad_ones(city: Dataset, folder: Path) -> list[Crop]:
    crops = list(city.query)
    crops[1] = replace(crops[1], data=b"")
    crops[3] = replace(crops[3], data=crops[3].read()[:400])
    crops[5] = Crop("gone.jpg", 1, 1, path=folder / "gone.jpg")
    return crops


def test_bad_ones_are_named_and_the_rest_stays_in_order(small_city: Dataset, tmp_path: Path) -> None:
    crops = with_bad_ones(small_city, tmp_path)
    seen: list[int] = []
    decoded = decode_crops(crops, 32, 16, on_progress=seen.append)
    assert [p.name for p in decoded.problems] == [crops[1].name, crops[3].name, "gone.jpg"]
    assert decoded.crops == tuple(c for i, c in enumerate(crops) if i not in (1, 3, 5))
    assert decoded.pixels.shape == (len(crops) - 3, 32, 16, 3)
    assert sum(seen) == len(crops)
    alone = decode_crops(crops[4:5], 32, 16)
    np.testing.assert_array_equal(alone.pixels[0], decoded.pixels[2])
    assert alone.content_hashes[0] == decoded.content_hashes[2]


def test_the_resize_rule_is_the_one_asked_for(small_city: Dataset) -> None:
    crop, rule = small_city.query[0], "bicubic-antialias"
    by_hand = resize_image(decode_image(crop.read(), crop.name), 24, 12, rule)
    np.testing.assert_array_equal(decode_crops([crop], 24, 12, resize=rule).pixels[0], by_hand)
    np.testing.assert_array_equal(mean_picture([crop], 24, 12, rule), by_hand)
    assert (decode_crops([crop], 24, 12).pixels[0] != by_hand).any()


def test_strict_stops_at_the_first(small_city: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="empty"):
        decode_crops(with_bad_ones(small_city, tmp_path), 32, 16, strict=True)


def test_nothing_decodable_is_an_error(small_city: Dataset) -> None:
    with pytest.raises(DatasetError, match=r"none of 1 pictures.*empty"):
        decode_crops([replace(small_city.query[0], data=b"")], 32, 16)
    assert list(iter_decoded([], 32, 16)) == []


def test_the_digest_tells_labels_and_bytes_apart(small_city: Dataset) -> None:
    crops = small_city.query[:4]
    digest = decode_crops(crops, 32, 16).digest
    assert decode_crops(crops, 32, 16, threads=1).digest == digest
    assert decode_crops([*crops[:3], replace(crops[3], pid=77)], 32, 16).digest != digest
    assert decode_crops([*crops[:3], replace(crops[3], camid=77)], 32, 16).digest != digest
    assert decode_crops(crops[::-1], 32, 16).digest != digest
    assert decode_crops([*crops[:3], replace(crops[3], data=crops[2].data)], 32, 16).digest != digest


def test_contents_are_of_the_pictures_before_resizing(small_city: Dataset) -> None:
    large, small = (decode_crops(small_city.query[:4], *size) for size in ((64, 32), (8, 4)))
    assert large.content_hashes.dtype == np.uint64
    np.testing.assert_array_equal(large.content_hashes, small.content_hashes)


def test_chunks_and_threads_change_nothing(small_city: Dataset) -> None:
    whole = decode_crops(small_city.query, 32, 16)
    parts = list(iter_decoded(small_city.query, 32, 16, chunk=3, threads=4))
    assert all(len(part.crops) <= 3 for part in parts)
    assert tuple(crop for part in parts for crop in part.crops) == whole.crops
    np.testing.assert_array_equal(np.concatenate([part.pixels for part in parts]), whole.pixels)


def test_seventeen_queries_of_the_reference_data_stand_in_its_gallery(pku_reid: Path) -> None:
    data = read_folder(pku_reid)
    query, gallery = decode_crops(data.query, 128, 48), decode_crops(data.gallery, 128, 48)
    assert int(np.isin(query.content_hashes, gallery.content_hashes).sum()) == 17
