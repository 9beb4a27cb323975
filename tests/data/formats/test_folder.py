from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from resight.core.errors import DatasetError, UnreadableImage
from resight.data.city.synthetic import save_city
from resight.data.crops import Dataset, labels_of
from resight.data.formats.catalogue import open_dataset
from resight.data.formats.folder import read_folder


def put(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 8)).save(path, "PNG")
    return root


def test_numbers_are_kept(tmp_path: Path) -> None:
    put(tmp_path, "train/007/02_1.png", "train/12/1_x.png", "query/3/C4_a.png", "gallery/3/cam5_b.jpg")
    data = read_folder(tmp_path)
    assert [(c.name, c.pid, c.camid) for c in data.train] == [("train/007/02_1.png", 7, 2), ("train/12/1_x.png", 12, 1)]
    assert [(c.pid, c.camid) for c in data.query + data.gallery] == [(3, 4), (3, 5)]
    assert labels_of(data.train).tolist() == [0, 1]


def test_names_are_numbered_over_the_whole_set(tmp_path: Path) -> None:
    put(
        tmp_path,
        "train/bob/north_1.png",
        "query/alice/south_1.png",
        "gallery/alice/north_2.png",
        "gallery/7/north_3.png",
    )
    data = read_folder(tmp_path)
    assert {c.name.split("/")[1]: c.pid for c in data.train + data.query + data.gallery} == {
        "7": 1,
        "alice": 2,
        "bob": 3,
    }
    assert [c.camid for c in data.query] == [2]  # north, south


@pytest.mark.parametrize("below", ["", "val/", "test/"])
def test_query_and_gallery_may_stand_below(tmp_path: Path, below: str) -> None:
    data = read_folder(put(tmp_path, f"{below}query/1/1_a.png", f"{below}gallery/1/2_a.png", "val/all_imgs/1/1_a.png"))
    assert (len(data.train), len(data.query), len(data.gallery)) == (0, 1, 1)


def test_what_does_not_fit_is_named_and_counted(tmp_path: Path) -> None:
    put(tmp_path, "train/1/1_a.png", "train/1/noseparator.png", "train/1/_nocamera.png", "train/loose.png")
    put(tmp_path, "train/1/.hidden.png", "train/.git/1_a.png")
    (tmp_path / "train/1/notes.txt").write_text("not a picture")
    data = read_folder(tmp_path)
    assert [c.name for c in data.train] == ["train/1/1_a.png"]
    assert sorted(p.name for p in data.problems) == [
        "train/1/_nocamera.png",
        "train/1/noseparator.png",
        "train/loose.png",
    ]


def test_an_empty_folder_says_what_was_looked_for_and_found(tmp_path: Path) -> None:
    put(tmp_path, "pictures/1/1_a.png", "query/readme_not_in_a_person.png")
    with pytest.raises(DatasetError, match=r"train, query and gallery.*pictures/, query/.*readme_not"):
        read_folder(tmp_path)


def test_strange_names(tmp_path: Path) -> None:
    person = "ж" * 60
    long = "1_" + "é" * 100 + ".png"
    data = read_folder(put(tmp_path, f"train/{person}/{long}"))
    assert data.train[0].read()[:4] == b"\x89PNG"


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    put(tmp_path, "train/1/1_a.png")
    (tmp_path / "train/1/2_loop.png").symlink_to(tmp_path / "train")
    (tmp_path / "train/2").symlink_to(tmp_path / "train")
    assert [c.name for c in read_folder(tmp_path).train] == ["train/1/1_a.png"]


def test_a_link_to_itself_is_one_unreadable_picture(tmp_path: Path) -> None:
    put(tmp_path, "train/1/1_a.png")
    (tmp_path / "train/1/2_self.png").symlink_to("2_self.png")
    (tmp_path / "train/9").symlink_to("9")
    data = read_folder(tmp_path)
    assert [c.name for c in data.train] == ["train/1/1_a.png", "train/1/2_self.png"]
    assert [p.name for p in data.problems] == ["train/9"]
    with pytest.raises(UnreadableImage, match="symbolic links"):
        data.train[1].read()


def test_reads_what_the_city_wrote(tmp_path: Path, small_city: Dataset) -> None:
    save_city(small_city, tmp_path)
    data = read_folder(tmp_path)
    for split in ("train", "query", "gallery"):
        ours, theirs = getattr(data, split), getattr(small_city, split)
        assert sorted((c.pid, c.camid, c.read()) for c in ours) == sorted((c.pid, c.camid, c.read()) for c in theirs)


def test_the_reference_data(pku_reid: Path) -> None:
    data = read_folder(pku_reid)
    assert [len(split) for split in (data.train, data.query, data.gallery)] == [992, 28, 181]
    assert len({c.pid for c in data.train}) == 62
    assert {c.pid for c in data.query} == {c.pid for c in data.gallery}
    assert len({c.pid for c in data.query}) == 12
    assert {c.camid for c in data.train} == {1, 2}
    assert not data.problems


MARKET = (
    "train/0002/0002_c1s1_000451_03.jpg",
    "train/0002/0002_c3s1_000551_00.jpg",
    "query/0005/0005_c6s3_000001_00.jpg",
    "gallery/0005/0005_c2s1_000451_03.jpg",
    "gallery/0000/0000_c1s1_000151_01.jpg",
    "gallery/-1/-1_c3s2_000401_02.jpg",
)


def test_names_of_a_known_set_in_peoples_folders_are_read_by_its_pattern(tmp_path: Path) -> None:
    """Person_reID_baseline_pytorch's prepare.py leaves Market-1501 so."""
    put(tmp_path, *MARKET, "gallery/0005/odd.jpg")
    data = open_dataset(tmp_path)
    assert data.format == "folder"
    assert [(c.pid, c.camid) for c in (*data.train, *data.query)] == [(2, 1), (2, 3), (5, 6)]
    assert [(c.pid, c.camid) for c in data.gallery] == [(-1, 3), (0, 1), (5, 2)]
    assert [p.name for p in data.problems] == ["gallery/0005/odd.jpg"]
    assert not data.doubts


@pytest.mark.parametrize(
    "names",
    [
        ("0001_c2_f0046182.jpg", "0001_c7_f0046190.jpg"),  # DukeMTMC-reID
        ("0001_c2_1.png", "0001_c7_4.png"),  # CUHK03-np
        ("0001_c002_00016450_0.jpg", "0001_c007_00016460_0.jpg"),  # VeRi-776
        ("0001_000_02_0303morning_0015_0.jpg", "0001_001_07_0303noon_0015_0.jpg"),  # MSMT17
        ("0001C2T0001F001.jpg", "0001C7T0001F001.jpg"),  # MARS
    ],
)
@pytest.mark.parametrize("folder", ["query/0001", "query/1", "query"])
def test_and_so_are_those_of_the_other_sets(names: tuple[str, ...], folder: str, tmp_path: Path) -> None:
    data = read_folder(put(tmp_path, *(f"{folder}/{name}" for name in names)))
    assert [(c.pid, c.camid) for c in data.query] == [(1, 2), (1, 7)]
    assert not data.problems


def test_a_camera_that_is_its_persons_number_by_chance_stays_a_camera(tmp_path: Path) -> None:
    data = read_folder(put(tmp_path, "train/1/1_c2_3.jpg", "train/2/1_a.jpg", "train/2/3_b.jpg"))
    assert [(c.pid, c.camid) for c in data.train] == [(1, 1), (2, 1), (2, 3)]


def test_names_stand_beside_their_numbers(tmp_path: Path) -> None:
    data = read_folder(put(tmp_path, "train/bob/north_1.png", "gallery/7/north_1.png"))
    assert [(c.person, c.camera) for c in (*data.train, *data.gallery)] == [("bob", "north"), ("7", "north")]
    assert data.doubts[0].startswith("'bob' is no number")


def test_a_folder_in_a_persons_folder_is_a_camera_or_named(tmp_path: Path) -> None:
    data = read_folder(put(tmp_path, "train/1/1_a.png", "train/1/cam2/a.png", "train/north/2/1_a.png"))
    assert [(c.name, c.camera) for c in data.train] == [("train/1/1_a.png", None), ("train/1/cam2/a.png", None)]
    assert [c.camid for c in data.train] == [1, 2]
    assert [(p.name, p.reason) for p in data.problems] == [
        ("train/north/2/", "a folder in a person's folder is looked into where it is named as a camera is, as cam1")
    ]


def test_folders_of_cameras_are_not_taken_as_people(tmp_path: Path) -> None:
    put(tmp_path, "train/cam1/0001_a.png", "train/cam2/0001_a.png", "query/cam1/0002_a.png")
    with pytest.raises(DatasetError, match="where each is to be a person"):
        read_folder(tmp_path)


def test_names_that_no_data_set_of_boxes_has_are_told(tmp_path: Path) -> None:
    put(tmp_path, "bounding_box_train/0057_c1_f0075_0.png", "query/0057_c1_f0075_0.png")
    with pytest.raises(DatasetError, match=r"files named as 0002_c1s1_000451_03.jpg, 0001_c2_f0046182.jpg"):
        open_dataset(tmp_path)


def test_one_split_names_the_whole(tmp_path: Path) -> None:
    put(tmp_path, "train/1/1_a.png", "query/2/1_a.png")
    with pytest.raises(DatasetError, match="is one split of a data set; name the folder that holds them all"):
        open_dataset(tmp_path / "query")
