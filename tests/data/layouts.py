"""The synthetic city written in each data set's true names."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from resight.data.city.synthetic import save_city
from resight.data.crops import Crop, Dataset
from resight.data.formats.manifest import write_manifest

BOXES = (("train", "bounding_box_train"), ("query", "query"), ("gallery", "bounding_box_test"))


def put(path: Path, crop: Crop) -> None:
    """As a picture of the suffix's kind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {".jpg": "JPEG", ".png": "PNG", ".bmp": "BMP"}[path.suffix]
    data = io.BytesIO(crop.read())
    if kind == "JPEG":
        path.write_bytes(data.getvalue())
    else:
        Image.open(data).save(path, kind)


def splits(city: Dataset) -> Iterable[tuple[str, int, Crop]]:
    """Split, a number within the split, crop."""
    for split, _ in BOXES:
        for number, crop in enumerate(getattr(city, split)):
            yield split, number, crop


def boxes(root: Path, city: Dataset, name: Callable[[Crop, int], str]) -> None:
    folders = dict(BOXES)
    for split, number, crop in splits(city):
        put(root / folders[split] / name(crop, number), crop)


def market1501(root: Path, city: Dataset) -> None:
    boxes(root, city, lambda crop, n: f"{crop.pid:04d}_c{crop.camid + 1}s1_{n:06d}_00.jpg")


def dukemtmc(root: Path, city: Dataset) -> None:
    boxes(root / "DukeMTMC-reID", city, lambda crop, n: f"{crop.pid:04d}_c{crop.camid + 1}_f{n:07d}.jpg")


def cuhk03_np(root: Path, city: Dataset) -> None:
    boxes(root / "detected", city, lambda crop, n: f"{crop.pid:04d}_c{crop.camid + 1}_{n}.png")


def cuhk03(root: Path, city: Dataset) -> None:
    names, pids, camids = [], [], []
    rows: dict[str, list[int]] = {"train": [], "query": [], "gallery": []}
    for row, (split, number, crop) in enumerate(splits(city)):
        names.append(f"{crop.camid + 1}_{crop.pid:03d}_1_{number:02d}.png")
        pids.append(crop.pid)
        camids.append(crop.camid + 1)
        rows[split].append(row + 1)  # MATLAB counts from 1
        put(root / "images_labeled" / names[-1], crop)
    cells = np.empty((len(names), 1), dtype=object)
    cells[:, 0] = names
    fields = {"filelist": cells, "labels": np.array(pids)[:, None], "camId": np.array(camids)[:, None]}
    fields |= {f"{split}_idx": np.array(found)[:, None] for split, found in rows.items()}
    savemat(root / "cuhk03_new_protocol_config_labeled.mat", fields)


def msmt17(root: Path, city: Dataset, train: str = "mask_train_v2", test: str = "mask_test_v2") -> None:
    lines: dict[str, list[str]] = {"train": [], "val": [], "query": [], "gallery": []}
    numbers: dict[tuple[bool, int], int] = {}
    for split, number, crop in splits(city):
        in_train = split == "train"
        pid = numbers.setdefault((in_train, crop.pid), sum(key[0] == in_train for key in numbers))
        name = f"{pid:04d}/{pid:04d}_{number:03d}_{crop.camid + 1:02d}_0303morning_{number:04d}_0.jpg"
        put(root / (train if in_train else test) / name, crop)
        lines["val" if in_train and number % 4 == 0 else split].append(f"{name} {pid}")
    for split, found in lines.items():
        (root / f"list_{split}.txt").write_text("\n".join(found) + "\n")


def viper(root: Path, city: Dataset) -> None:
    for person, pid in enumerate(sorted({crop.pid for crop in city.train})):
        first, *others = (crop for crop in city.train if crop.pid == pid)
        second = next(crop for crop in others if crop.camid != first.camid)
        put(root / "VIPeR" / "cam_a" / f"{person:03d}_45.bmp", first)
        put(root / "VIPeR" / "cam_b" / f"{person:03d}_90.bmp", second)


def four_digits(crop: Crop) -> int:
    """The drawn people of the test part are 10,001 and on; a name of MARS has four digits."""
    return crop.pid - 9500 if crop.pid > 9999 else crop.pid


def mars(root: Path, city: Dataset) -> None:
    names, rows, queries = [], [], []
    for split, number, crop in splits(city):
        pid = four_digits(crop)
        track = number + 5000 * (split == "gallery")
        name = f"{pid:04d}C{crop.camid + 1}T{track:04d}F001.jpg"
        put(root / ("bbox_train" if split == "train" else "bbox_test") / f"{pid:04d}" / name, crop)
        if split != "train":
            names.append(name)
            rows.append([len(names), len(names), pid, crop.camid + 1])  # MATLAB counts from 1
        if split == "query":
            queries.append(len(names))
    (root / "info").mkdir()
    (root / "info" / "test_name.txt").write_text("\n".join(names) + "\n")
    savemat(root / "info" / "tracks_test_info.mat", {"track_test_info": np.array(rows)})
    savemat(root / "info" / "query_IDX.mat", {"query_IDX": np.array(queries)[None]})


def veri776(root: Path, city: Dataset) -> None:
    folders = {"train": "image_train", "query": "image_query", "gallery": "image_test"}
    for split, number, crop in splits(city):
        put(root / folders[split] / f"{crop.pid:04d}_c{crop.camid + 1:03d}_{number:08d}_0.jpg", crop)


def manifest(root: Path, city: Dataset) -> None:
    root.mkdir(parents=True)
    write_manifest(city, root / "manifest.csv", root / "pictures")


def folder(root: Path, city: Dataset) -> None:
    save_city(city, root)


LAYOUTS: dict[str, Callable[[Path, Dataset], None]] = {
    "market1501": market1501,
    "dukemtmc": dukemtmc,
    "cuhk03": cuhk03,
    "msmt17": msmt17,
    "viper": viper,
    "mars": mars,
    "veri776": veri776,
    "manifest": manifest,
    "folder": folder,
}
