"""A folder that has all the files that the documents' examples name, drawn by the city."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest

import resight
from resight.data.city.synthetic import CityConfig, draw_city, save_city

SAVED = Path(__file__).parents[1] / "saved" / "v0.1.0" / "files.tar.xz"


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """my_data, frames/, some pictures, a run, its calibrated bundle, and a gallery of the packaged model's."""
    folder = tmp_path_factory.mktemp("furnished")
    city = draw_city(CityConfig(train_people=16, test_people=8, cameras=3, crops_per_camera=2, height=64, width=32))
    save_city(city, folder / "my_data")
    (folder / "frames").mkdir()
    for number, name in enumerate(("a.jpg", "b.jpg", "person.jpg", "frames/0001.jpg", "frames/0002.jpg")):
        (folder / name).write_bytes(city.gallery[number].read())
    with tarfile.open(SAVED) as archive:
        archive.extractall(folder / "saved", filter="data")
    (folder / "runs").mkdir()
    shutil.move(folder / "saved" / "run", folder / "runs" / "mine")
    shutil.move(folder / "saved" / "small.resight", folder / "mine.resight")
    shutil.rmtree(folder / "saved")
    with resight.open_gallery(folder / "site.db", resight.load()) as gallery:
        crops = city.gallery[:24]
        for number, crop in enumerate(crops):
            gallery.add(crop.read(), camera=f"gate {crop.camid}", time=1772352000.0 + number, pid=crop.pid or None)
    return folder


@pytest.fixture
def workplace(furnished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, and where the example runs."""
    shutil.copytree(furnished, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"
