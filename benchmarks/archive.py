"""An archive embedded by Ray with one worker and with two, one thread each, beside one process without Ray.

Draws pictures to a folder, then lets the three take turns at the same parts of it, and prints pictures a second, and
how much of twice the speed two workers have. What starts once (Ray, the model) is not counted: the time is from the
first part that is done to the last, over the pictures in between.

    python benchmarks/archive.py [--pictures 6000] [--rounds 3] [--model default]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import resight
from resight.data.city.synthetic import CityConfig, draw_city
from resight.data.pictures import open_pictures
from resight.embedding.archive.on_ray import embed_on_ray, order_of
from resight.embedding.archive.parts import PartDone, embed_here

PART = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="default")
    options = parser.parse_args()
    model = resight.load(options.model, threads=1)
    order = order_of(options.model, model, runtime="onnxruntime", threads=1, device="cpu", batch_size=32)
    with tempfile.TemporaryDirectory() as folder:
        drawn = draw_city(CityConfig(train_people=0, test_people=20, cameras=3, crops_per_camera=4)).gallery
        for number in range(options.pictures):
            (Path(folder) / f"{number:06}.jpg").write_bytes(drawn[number % len(drawn)].read())
        crops = list(open_pictures(folder))
        parts = {start: crops[start : start + PART] for start in range(0, len(crops), PART)}
        found: dict[str, list[float]] = {}
        for _ in range(options.rounds):
            found.setdefault("here", []).append(_rate(embed_here(model, parts, strict=True)))
            for workers in (1, 2):
                done = embed_on_ray(order, parts, address=None, workers=workers, strict=True)
                found.setdefault(f"ray, {workers}", []).append(_rate(done))
            print({name: [round(rate) for rate in rates] for name, rates in found.items()}, "load", os.getloadavg()[0])
    middle = {name: statistics.median(rates) for name, rates in found.items()}
    ratios = [two / one for one, two in zip(found["ray, 1"], found["ray, 2"], strict=True)]
    print(
        f"one process {middle['here']:.0f}, Ray with one worker {middle['ray, 1']:.0f}, with two {middle['ray, 2']:.0f}"
    )
    print(
        f"two workers against one: {min(ratios):.2f} to {max(ratios):.2f} times, median {statistics.median(ratios):.2f}"
    )


def _rate(done: Iterator[PartDone]) -> float:
    """Pictures a second between the first part that is done and the last."""
    ended, counts = [], []
    for part in done:
        ended.append(time.perf_counter())
        counts.append(len(part.embedded.names))
    return sum(counts[1:]) / (ended[-1] - ended[0])


if __name__ == "__main__":
    main()
