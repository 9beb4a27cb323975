"""Draws the documents' pictures anew: `python docs/pictures.py`. All of them show the synthetic city.

docs/images/demo.png is a screenshot of the demo's page:
chromium --headless --window-size=1100,930 --screenshot=docs/images/demo.png demo/index.html
"""

from __future__ import annotations

from pathlib import Path

from resight.data.crops import Crop
from resight.data.synthetic import CityConfig, draw_city
from resight.report.page import contact_sheet

PEOPLE, CROPS_EACH, COLUMNS = 12, 7, 14


def main() -> None:
    """Twelve people, two a row, by each camera in turn; the two of rows 3, 4 and 6 differ in one region only."""
    crops: list[Crop] = []
    city = draw_city(CityConfig(train_people=PEOPLE, test_people=0, cameras=5))
    for pid in sorted({crop.pid for crop in city.train}):
        of_person = [crop for crop in city.train if crop.pid == pid]
        crops += sorted(of_person[::2][:CROPS_EACH], key=lambda crop: crop.camid)
    picture = contact_sheet(crops, COLUMNS)
    picture.quantize(256).save(Path(__file__).parent / "images" / "city.png", optimize=True)


if __name__ == "__main__":
    main()
