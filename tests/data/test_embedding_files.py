from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resight.core.errors import ConfigError, DataError
from resight.core.records import EmbeddedCrops
from resight.data.embedding_files import EmbeddingFile
from resight.data.embeddings import read_embeddings

PLAN = {"model": "m", "pictures": "p"}
SUFFIXES = (".npz", ".parquet")


def read(*paths: Path, zeros: bool = False) -> tuple[EmbeddedCrops, EmbeddedCrops]:
    found = read_embeddings(*paths, zeros=zeros)
    return found.query, found.gallery


def _columns(start: int, stop: int) -> dict[str, Any]:
    rows = np.arange(start, stop)
    return {
        "vector": np.stack([rows, rows + 0.5], axis=1).astype(np.float32),
        "name": np.array([f"ä{'x' * row}.jpg" for row in rows], np.str_),  # texts of unequal widths
        "pid": rows // 2 + 1,
        "camid": rows % 2,
        "split": np.array(["query" if row % 2 else "gallery" for row in rows], np.str_),
    }


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_parts_become_one_file_that_evaluate_reads(tmp_path: Path, suffix: str) -> None:
    file = EmbeddingFile(tmp_path / f"it{suffix}", PLAN)
    assert file.begin() == 0
    for number, (start, stop) in enumerate([(0, 4), (4, 4), (4, 9)]):
        file.write_part(number, _columns(start, stop))
    assert file.finish(3, "sha256:abc") == 9
    assert [path.name for path in tmp_path.iterdir()] == [f"it{suffix}"]
    query, gallery = read(file.path)
    assert query.embeddings.tolist() == [[row, row + 0.5] for row in (1, 3, 5, 7)]
    assert gallery.pids.tolist() == [1, 2, 3, 4, 5]
    assert gallery.names[4] == "ä" + "x" * 8 + ".jpg"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_goes_on_where_it_was(tmp_path: Path, suffix: str) -> None:
    whole = EmbeddingFile(tmp_path / f"whole{suffix}", PLAN)
    broken = EmbeddingFile(tmp_path / f"broken{suffix}", PLAN)
    whole.begin()
    broken.begin()
    for number in range(3):
        whole.write_part(number, _columns(number, number + 1))
    broken.write_part(0, _columns(0, 1))
    (broken.parts / "part-000001.npz.part").write_bytes(b"half")  # killed while writing
    again = EmbeddingFile(broken.path, PLAN)
    assert again.begin() == 1
    for number in (1, 2):
        again.write_part(number, _columns(number, number + 1))
    whole.finish(3, "m")
    again.finish(3, "m")
    assert whole.path.read_bytes()[-400:] == again.path.read_bytes()[-400:] or suffix == ".npz"
    assert read(whole.path)[1].embeddings.tolist() == read(again.path)[1].embeddings.tolist()


def test_parts_of_other_work_are_left_alone(tmp_path: Path) -> None:
    EmbeddingFile(tmp_path / "it.npz", PLAN).begin()
    with pytest.raises(ConfigError, match="other work"):
        EmbeddingFile(tmp_path / "it.npz", {**PLAN, "model": "n"}).begin()
    with pytest.raises(ConfigError, match=r"\.npz or \.parquet"):
        EmbeddingFile(tmp_path / "it.csv", PLAN).begin()


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is locked there")
def test_a_file_that_another_writes_is_left_to_it(tmp_path: Path) -> None:
    first, second = (EmbeddingFile(tmp_path / "it.npz", PLAN) for _ in range(2))
    with first.alone():
        first.begin()
        with pytest.raises(ConfigError, match="another process writes"), second.alone():
            pass
        first.write_part(0, _columns(0, 2))
    with second.alone():
        assert second.begin() == 1
        second.finish(1, "m")
    assert [path.name for path in tmp_path.iterdir()] == ["it.npz"]


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    file = EmbeddingFile(tmp_path / "it.npz", PLAN)
    file.begin()
    file.write_part(0, _columns(0, 3))
    part = file.parts / "part-000000.npz"
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(DataError, match="part-000000"):
        file.finish(1, "m")


def test_shards_join_and_models_do_not_mix(tmp_path: Path) -> None:
    paths = []
    for number, model in enumerate(["m", "m", "n"]):
        file = EmbeddingFile(tmp_path / f"{number}.npz", PLAN)
        file.begin()
        file.write_part(0, _columns(4 * number, 4 * number + 4))
        file.finish(1, model)
        paths.append(file.path)
    query, gallery = read(*paths[:2])
    assert len(query) == len(gallery) == 4
    with pytest.raises(DataError, match="different models"):
        read(*paths)


def test_a_folder_of_parts_that_a_kill_left_empty_is_begun_anew(tmp_path: Path) -> None:
    file = EmbeddingFile(tmp_path / "e.npz", {"num": 1})
    file.parts.mkdir()
    assert file.begin() == 0
    for path in file.parts.iterdir():
        path.unlink()
    (file.parts / "plan.json.part").write_bytes(b"ha")  # the disk was full
    assert file.begin() == 0
    assert file.begin() == 0  # and goes on
    (file.parts / "plan.json").rename(file.parts / "plan.json.0123abcd.part")  # killed while it was written
    (file.parts / "part-000000.npz.0123abcd.part").write_bytes(b"ha")
    assert file.begin() == 0
    (file.parts / "plan.json").unlink()
    (file.parts / "part-000000.npz").write_bytes(b"left")  # killed while the folder was removed
    assert file.begin() == 0
    assert [path.name for path in file.parts.iterdir()] == ["plan.json"]
    (file.parts / "plan.json").unlink()
    (file.parts / "mine.txt").write_bytes(b"mine")
    with pytest.raises(ConfigError, match="other work"):
        file.begin()
