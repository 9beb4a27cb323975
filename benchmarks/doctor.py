"""`resight doctor` against a plain loop that does nothing but decode with Pillow: pictures a second, and memory.

    python benchmarks/doctor.py [DATA] [--repeats 3]

Without DATA, a synthetic city of some 9,000 crops of 128 x 64 pixels is drawn into a temporary folder. Each side
runs in a process of its own, the two in turn. The doctor's time is that of everything: reading, hashing,
decoding, comparing all pictures with all others, every check.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

MEASURE = """
import json, resource, sys, time
from resight.data.formats.catalogue import open_dataset
dataset = open_dataset(sys.argv[2])
crops = dataset.train + dataset.query + dataset.gallery
if sys.argv[1] == "pillow":
    from PIL import Image
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    for crop in crops:
        with Image.open(crop.path) as picture:
            picture.convert("RGB")
else:
    from resight.data.doctor.doctor import examine
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    examine(dataset)
seconds = time.perf_counter() - began
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"rate": len(crops) / seconds, "mb": (after - before) / 1024, "crops": len(crops)}))
"""


def main() -> None:
    """Prints both sides and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="a folder of crops")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.data:
        measure(arguments.data, arguments.repeats)
        return
    from resight.data.city.synthetic import CityConfig, draw_city, save_city

    with tempfile.TemporaryDirectory() as folder:
        print("drawing the city", file=sys.stderr)
        save_city(draw_city(CityConfig(train_people=500, test_people=100)), Path(folder))
        measure(folder, arguments.repeats)


def measure(data: str, repeats: int) -> None:
    """One round to warm the file cache, then `repeats` rounds of both sides."""
    rounds = [{side: run(side, data) for side in ("pillow", "doctor")} for _ in range(repeats + 1)][1:]
    print(f"{rounds[0]['pillow']['crops']:,.0f} pictures, median of {repeats} (least to most)")
    for side, name in (("pillow", "Pillow, decoding only"), ("doctor", "doctor, all checks")):
        rates = [found[side]["rate"] for found in rounds]
        memory = max(found[side]["mb"] for found in rounds)
        print(
            f"{name:24s}{statistics.median(rates):8,.0f} pictures/s ({min(rates):,.0f} to {max(rates):,.0f}), "
            f"{memory:5.0f} MB"
        )
    ratios = [found["doctor"]["rate"] / found["pillow"]["rate"] for found in rounds]
    print(f"{'doctor / Pillow':24s}{statistics.median(ratios):8.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def run(side: str, data: str) -> dict[str, float]:
    """One side in a fresh process."""
    done = subprocess.run([sys.executable, "-c", MEASURE, side, data], capture_output=True, text=True, check=True)
    values: dict[str, float] = json.loads(done.stdout)
    return values


if __name__ == "__main__":
    main()
