"""Draws the documents' pictures anew: `python docs/pictures.py`. All of them show the synthetic city.

With `--pages DIR` it also writes a doctored city's page to DIR/doctor/index.html. The screenshots are of that, of
the demo's page, and of the demo's two models compared:

    make demo && python docs/pictures.py --pages pages
    resight compare demo/baseline-aug-quick demo/slicenet2-quick synthetic -o pages/compare.html
    chromium --headless --hide-scrollbars --window-size=1250,2150 --screenshot=docs/images/demo.png demo/index.html
    chromium --headless --window-size=1100,1900 --screenshot=docs/images/compare.png pages/compare.html
    chromium --headless --window-size=1100,1500 --screenshot=docs/images/doctor.png pages/doctor/index.html
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from resight.data.city.synthetic import CityConfig, draw_city
from resight.data.crops import Crop
from resight.data.doctor.doctor import examine
from resight.report.doctor import doctor_page
from resight.report.page import contact_sheet

PEOPLE, CROPS_EACH, COLUMNS = 12, 7, 14


def main() -> None:
    """The contact sheet, and with --pages the doctored city."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pages", type=Path)
    pages = parser.parse_args().pages
    draw_sheet()
    if pages is not None:
        (pages / "doctor").mkdir(parents=True, exist_ok=True)
        (pages / "doctor" / "index.html").write_text(spoiled_page())


def draw_sheet() -> None:
    """Twelve people, two a row, by each camera in turn; the two of rows 3, 4 and 6 differ in one region only."""
    crops: list[Crop] = []
    city = draw_city(CityConfig(train_people=PEOPLE, test_people=0, cameras=5))
    for pid in sorted({crop.pid for crop in city.train}):
        of_person = [crop for crop in city.train if crop.pid == pid]
        crops += sorted(of_person[::2][:CROPS_EACH], key=lambda crop: crop.camid)
    picture = contact_sheet(crops, COLUMNS)
    picture.quantize(256).save(Path(__file__).parent / "images" / "city.png", optimize=True)


def spoiled_page() -> str:
    """Three queries copied into the gallery, a training picture under two pids, a file cut short, a person unseen."""
    city = draw_city(CityConfig())
    copies = tuple(replace(crop, name=f"gallery/copy_of_{crop.name[5:]}") for crop in city.query[:3])
    twice = replace(city.train[40], name="train/00001/c9_copy.jpg", pid=1)
    cut = replace(city.train[7], name="train/00001/cut_short.jpg", data=city.train[7].read()[:400])
    unseen = tuple(crop for crop in city.gallery if crop.pid != city.query[-1].pid)
    city = replace(city, name="a spoiled city", train=(*city.train, twice, cut), gallery=(*unseen, *copies))
    return doctor_page(examine(city, "synthetic")).replace("<details>", "<details open>")


if __name__ == "__main__":
    main()
