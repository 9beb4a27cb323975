"""CMC, mAP and mINP at Market-1501's full size: the bare matrix product, a simple evaluation, and ours.

    python benchmarks/evaluate.py [--query 3368] [--gallery 19732] [--dim 128] [--repeats 3] [--ours-only]

The simple one forms the whole distmat and sorts every row by numpy's argsort. Each side runs in a process of its own,
in turn; memory is what the process grows by beyond its inputs (read from /proc, so on Linux only). The embeddings are
drawn around a place for each of 750 people, so that the figures are those of a fair model. All must agree.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from typing import Any

MEASURE = """
import json, sys, time
import numpy as np
side, num_query, num_gallery, dim = sys.argv[1], *map(int, sys.argv[2:5])
rng = np.random.default_rng(0)
places = rng.normal(size=(750, dim)).astype(np.float32)
def draw(n):
    pids = rng.integers(0, 750, n)
    embeddings = places[pids]
    for start in range(0, n, 65536):
        part = embeddings[start:start + 65536]
        part += 1.6 * rng.normal(size=part.shape).astype(np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return embeddings, pids.astype(np.int64) + 1, rng.integers(0, 6, n)
q, qp, qc = draw(num_query)
g, gp, gc = draw(num_gallery)
from resight.core.records import EmbeddedCrops
from resight.evaluation.evaluate import evaluate
if side == "ours":
    query, gallery = (
        EmbeddedCrops(e, p, c, np.arange(len(p), dtype=np.uint64), (("",) * len(p)))
        for e, p, c in ((q, qp, qc), (g, gp, gc))
    )
def memory(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field)) / 1024
with open("/proc/self/clear_refs", "w") as peak:
    peak.write("5")  # Linux: the peak begins anew
before = memory("VmRSS")
np.ones((512, 512), np.float32) @ np.ones((512, 512), np.float32)  # wakes the threads
began = time.perf_counter()
figures = []
if side == "product":
    q @ g.T
elif side == "simple":
    distmat = 1 - q @ g.T
    ap, inp, first = [], [], []
    for row in range(num_query):
        order = np.argsort(distmat[row], kind="stable")
        order = order[~((gp[order] == qp[row]) & (gc[order] == qc[row]))]
        hits = np.flatnonzero(gp[order] == qp[row])
        if len(hits):
            ap.append((np.arange(1, len(hits) + 1) / (hits + 1)).mean())
            inp.append(len(hits) / (hits[-1] + 1))
            first.append(hits[0] == 0)
    figures = [float(np.mean(first)), float(np.mean(ap)), float(np.mean(inp))]
else:
    found = evaluate(query, gallery)
    figures = [found.rank(1), found.mean_ap, found.mean_inp]
seconds = time.perf_counter() - began
print(json.dumps({"s": seconds, "mb": memory("VmHWM") - before, "figures": figures}))
"""
SIDES = {"product": "bare matrix product", "simple": "simple: argsort of each row", "ours": "resight"}


def main() -> None:
    """Prints time, memory and figures of each side, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("query", 3368), ("gallery", 19732), ("dim", 128), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--ours-only", action="store_true", help="where the others would not fit")
    arguments = parser.parse_args()
    size = [str(getattr(arguments, name)) for name in ("query", "gallery", "dim")]
    sides = ["ours"] if arguments.ours_only else list(SIDES)
    rounds = [{side: run(side, size) for side in sides} for _ in range(arguments.repeats)]
    print(f"{' x '.join(size)}, median of {arguments.repeats} (least to most)")
    for side in sides:
        times = [found[side]["s"] for found in rounds]
        memory = max(found[side]["mb"] for found in rounds)
        figures = " ".join(f"{value:.6f}" for value in rounds[0][side]["figures"])
        spread = f"{statistics.median(times):8.3f} s ({min(times):.3f} to {max(times):.3f})"
        print(f"{SIDES[side]:30s}{spread}{memory:8.0f} MB   {figures}")
    for side in sides[:-1]:
        ratios = [found["ours"]["s"] / found[side]["s"] for found in rounds]
        print(f"resight / {SIDES[side]:28s}{statistics.median(ratios):8.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


def run(side: str, size: list[str]) -> dict[str, Any]:
    """One side in a fresh process."""
    done = subprocess.run([sys.executable, "-c", MEASURE, side, *size], capture_output=True, text=True, check=True)
    values: dict[str, Any] = json.loads(done.stdout)
    return values


if __name__ == "__main__":
    main()
