from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from resight.core.errors import ConfigError, DatasetError
from resight.core.pictures.images import decode_image
from resight.data.crops import SPLITS, Dataset
from resight.data.formats.catalogue import FORMATS, open_dataset
from resight.data.formats.manifest import write_manifest
from tests.data import layouts


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, small_city: Dataset) -> dict[str, Path]:
    roots = {name: tmp_path_factory.mktemp("layouts") / name for name in layouts.LAYOUTS}
    for name, write in layouts.LAYOUTS.items():
        write(roots[name], small_city)
    return roots


def test_every_format_has_a_layout() -> None:
    assert set(layouts.LAYOUTS) == set(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_found_by_looking_and_reads_its_true_names(
    name: str, written: dict[str, Path], small_city: Dataset
) -> None:
    data = open_dataset(written[name])
    assert data.format == name
    assert not data.problems
    if name == "viper":  # one picture a camera, no gallery of its own
        assert [len(getattr(data, split)) for split in SPLITS] == [12, 6, 6]
        return
    val = sum(number % 4 == 0 for number in range(len(small_city.train))) if name == "msmt17" else 0
    sizes = [len(small_city.train) - val, len(small_city.query), len(small_city.gallery)]
    assert [len(getattr(data, split)) for split in SPLITS] == sizes
    for split in SPLITS:
        crops, drawn = getattr(data, split), getattr(small_city, split)
        assert all(decode_image(crop.read()).shape == (64, 32, 3) for crop in crops)
        # The same people, cameras and pictures, by whatever numbers.
        per_person = sorted(sum(c.pid == pid for c in crops) for pid in {c.pid for c in crops})
        if not val or split != "train":
            assert per_person == sorted(sum(c.pid == pid for c in drawn) for pid in {c.pid for c in drawn})
        assert len({crop.camid for crop in crops}) == len({crop.camid for crop in drawn})
    assert not {c.pid for c in data.train} & {c.pid for c in data.query}
    assert {c.pid for c in data.query} <= {c.pid for c in data.gallery}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_manifest_of_each_reads_back_as_it_was(
    name: str, suffix: str, written: dict[str, Path], tmp_path: Path
) -> None:
    data = open_dataset(written[name])
    table = tmp_path / f"table.{suffix}"
    assert not write_manifest(data, table)
    back = open_dataset(table)
    assert back.rights == data.rights
    for split in SPLITS:
        before, after = getattr(data, split), getattr(back, split)
        for one, other in zip(before, after, strict=True):
            assert other.read() == one.read()
            assert replace(other, name="", path=None) == replace(one, name="", path=None)


def test_msmt17_says_whether_val_is_trained_on(written: dict[str, Path], small_city: Dataset, tmp_path: Path) -> None:
    without, joined = open_dataset(written["msmt17"]), open_dataset(written["msmt17"], "msmt17:trainval")
    assert "not trained on" in without.notes[0]
    assert "is trained on too" in joined.notes[0]
    assert len(joined.train) == len(small_city.train)
    layouts.msmt17(tmp_path / "MSMT17_V1", small_city, "train", "test")  # version 1
    assert len(open_dataset(tmp_path).gallery) == len(small_city.gallery)
    with (tmp_path / "MSMT17_V1" / "list_train.txt").open("a") as file:
        file.write("../../../etc/passwd 3\n")
    (problem,) = open_dataset(tmp_path).problems
    assert problem.name.startswith("list_train.txt, line ")


def test_viper_draws_its_split_by_number(written: dict[str, Path]) -> None:
    splits = [open_dataset(written["viper"], f"viper:{n}") for n in (0, 0, 1)]
    people = [{crop.pid for crop in split.train} for split in splits]
    assert people[0] == people[1] != people[2]
    for split in splits:
        assert [c.pid for c in split.query] == [c.pid for c in split.gallery]
        assert {c.camid for c in split.query} == {1}
        assert min(c.pid for c in split.train + split.query) == 1
    with pytest.raises(ConfigError, match="number"):
        open_dataset(written["viper"], "viper:x")


def test_cuhk03_in_either_layout_and_with_a_broken_split_file(
    written: dict[str, Path], small_city: Dataset, tmp_path: Path
) -> None:
    layouts.cuhk03_np(tmp_path / "np", small_city)
    np_data, extracted = open_dataset(tmp_path / "np"), open_dataset(written["cuhk03"], "cuhk03:labeled")
    assert np_data.format == "cuhk03"
    assert [c.pid for c in np_data.train] == [c.pid for c in extracted.train]
    with pytest.raises(DatasetError, match="images_detected"):
        open_dataset(written["cuhk03"], "cuhk03:detected")
    layouts.cuhk03(tmp_path / "broken", small_city)
    split_file = tmp_path / "broken" / "cuhk03_new_protocol_config_labeled.mat"
    whole = split_file.read_bytes()
    for damaged in (b"", b"x" * 500, whole[: len(whole) // 2]):
        split_file.write_bytes(damaged)
        with pytest.raises(DatasetError, match=r"cannot be read|is no split file"):
            open_dataset(tmp_path / "broken")
    split_file.unlink()
    with pytest.raises(DatasetError, match="does not exist"):
        open_dataset(tmp_path / "broken")
    ones = np.ones((1, 1), np.int64)
    names = np.array([["../../../etc/passwd"]], dtype=object)
    fields = {"filelist": names, "labels": ones, "camId": ones, "query_idx": ones, "gallery_idx": ones}
    savemat(split_file, {**fields, "train_idx": ones})
    assert open_dataset(tmp_path / "broken").train[0].path == tmp_path / "broken" / "images_labeled" / "passwd"
    savemat(split_file, {**fields, "train_idx": 7 * ones})
    with pytest.raises(DatasetError, match="outside"):
        open_dataset(tmp_path / "broken")


def test_a_wrong_guess_says_what_was_looked_for_and_found(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(DatasetError) as caught:
        open_dataset(tmp_path)
    for name in FORMATS:
        assert name in str(caught.value) or FORMATS[name].layout in str(caught.value)
    assert "it has pictures/" in str(caught.value)
    for name, looked_for in (
        ("market1501", "bounding_box_train"),
        ("dukemtmc", "0001_c2_f0046182.jpg"),
        ("cuhk03", "images_detected"),
        ("msmt17", "mask_train_v2"),
        ("viper", "cam_a"),
        ("manifest", "manifest.csv"),
        ("folder", "<person>"),
    ):
        with pytest.raises(DatasetError, match=looked_for) as caught:
            open_dataset(tmp_path, name)
        assert "ound" in str(caught.value)
        assert "pictures/" in str(caught.value)


def test_a_path_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        open_dataset(tmp_path / "nowhere")
    for name in ("x" * 5000, "synthetic:" + "x" * 5000, "a\0b"):
        with pytest.raises((DatasetError, ConfigError)):
            open_dataset(name)
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="it is a file"):
        open_dataset(tmp_path / "file")
    with pytest.raises(ConfigError, match="Known: cuhk03, dukemtmc, folder"):
        open_dataset(tmp_path, "coco")
    with pytest.raises(ConfigError, match="no variants"):
        open_dataset(tmp_path, "folder:strange")


def test_lists_of_msmt17_as_windows_writes_them(small_city: Dataset, tmp_path: Path) -> None:
    layouts.msmt17(tmp_path, small_city)
    for name in ("list_train.txt", "list_query.txt"):
        text = (tmp_path / name).read_text().replace("/", "\\").replace("\n", "\r\n")
        (tmp_path / name).write_text(text, encoding="utf-8-sig", newline="")
    data = open_dataset(tmp_path)
    assert not data.problems
    assert len(data.query) == len(small_city.query)
    assert data.query[0].read()
