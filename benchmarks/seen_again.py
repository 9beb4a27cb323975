"""Whether a camera seems to have several pictures of a person: `resight adapt --no-tracks` asks for it.

    python -m benchmarks.seen_again default city market [--data ../shared/data]

The share of pictures whose nearest one by the same camera is more alike than the nearest by others, at the site, among
as many of each: of places as they are, and with three, two and one picture of each person and camera.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from benchmarks.adapting import halved, site_of, thinned

import resight
from resight.core.errors import DataError
from resight.data.crops import Crop
from resight.site.criterion import seen_again
from resight.site.fitting import fit_site

TOWN = "synthetic:seed=8,train_people=120,test_people=2,cameras=4"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    given = parser.parse_args()
    market = resight.open_dataset(given.data / "market501")
    places: dict[str, list[Crop]] = {
        "prid": halved(resight.open_dataset(given.data / "sites/prid"), 0)[0],
        "market501, 2,000 pictures": site_of(market, 2000, 0),
        "market501": list(market.train),
        "pku_reid": list(resight.open_dataset(given.data / "pku_reid").train),
        "a drawn town": list(resight.open_dataset(TOWN).train),
    }
    for spec in given.models:
        model = resight.load(spec)
        for name, crops in places.items():
            cells = []
            for most in (0, 3, 2, 1):
                wanted = thinned(crops, most)
                try:
                    embedded, _ = model.embed_crops(wanted)
                    site = fit_site(embedded.embeddings, embedded.camera_names)
                except DataError:
                    cells.append("refused")
                    continue
                moved = site.apply(embedded.embeddings, embedded.camera_names)
                codes = np.unique(embedded.camera_names, return_inverse=True)[1].astype(np.int64)
                cells.append(f"{seen_again(moved, codes):.2f}")
            print(f"{Path(spec).stem:14} {name:26} all, 3, 2, 1 of each: {', '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
