from __future__ import annotations

from pathlib import Path

import pytest

from resight.core.errors import ConfigError, DatasetError
from resight.data.formats import FORMATS, open_dataset
from tests.data.test_folder import put


def test_each_format_is_found_by_looking(tmp_path: Path) -> None:
    put(tmp_path / "mine", "train/1/1_a.png", "query/1/1_a.png")
    put(tmp_path / "market", "bounding_box_train/0002_c1s1_000451_03.jpg", "query/0002_c2s1_000451_03.jpg")
    assert open_dataset(tmp_path / "mine").format == "folder"
    assert open_dataset(tmp_path / "market").format == "market1501"
    assert open_dataset("synthetic:train_people=2,test_people=2").format == "synthetic"


def test_a_wrong_guess_says_what_was_looked_for_and_found(tmp_path: Path) -> None:
    put(tmp_path, "pictures/1.png")
    with pytest.raises(DatasetError) as caught:
        open_dataset(tmp_path)
    for name in FORMATS:
        assert f"{name}: " in str(caught.value)
    assert "Found: pictures/" in str(caught.value)
    with pytest.raises(DatasetError, match="bounding_box_train"):
        open_dataset(tmp_path, "market1501")


def test_a_path_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        open_dataset(tmp_path / "nowhere")
    for name in ("x" * 5000, "synthetic:" + "x" * 5000, "a\0b"):
        with pytest.raises((DatasetError, ConfigError)):
            open_dataset(name)
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="is a file"):
        open_dataset(tmp_path / "file")
    with pytest.raises(ConfigError, match="Known: folder, market1501, synthetic"):
        open_dataset(tmp_path, "coco")
