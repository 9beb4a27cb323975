"""k-reciprocal re-ranking: a plain dense transcription of the formula, and ours.

    python benchmarks/rerank.py [--sizes 500x1500 1000x4000] [--ours 3368x19732] [--repeats 1]

The dense one holds the (q + g)^2 matrix and goes row by row in numpy, as the published ports do. Both in processes of
their own, on the same embeddings (750 people, 128 values); memory is what the process grows by beyond its inputs (from
/proc, so on Linux only). Prints the largest difference of the two results too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

MEASURE = """
import json, sys, time
import numpy as np
side, num_query, num_gallery, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
K1, K2, WEIGHT = 20, 6, 0.3
rng = np.random.default_rng(0)
places = rng.normal(size=(min(750, num_gallery // 20), 128))
def draw(n):
    values = places[rng.integers(0, len(places), n)] + 1.6 * rng.normal(size=(n, 128))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
q, g = draw(num_query), draw(num_gallery)
from resight.evaluation.rerank import rerank_blocks
def memory(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field)) / 1024
def dense(q, g):
    rows = np.concatenate((q, g)).astype(np.float64)
    d = np.maximum(2 - 2 * rows @ rows.T, 0)
    d /= d.max(axis=1, keepdims=True)
    np.fill_diagonal(d, 0)
    ranked = np.argsort(d, axis=1, kind="stable").astype(np.int32)
    n, half = len(d), round(K1 / 2) + 1
    def reciprocal(i, k):
        forward = ranked[i, :k]
        return forward[(ranked[forward, :k] == i).any(axis=1)]
    v = np.zeros((n, n), np.float32)
    for i in range(n):
        base = reciprocal(i, K1 + 1)
        members = base
        for candidate in base:
            of_candidate = reciprocal(candidate, half)
            if len(np.intersect1d(of_candidate, base)) > 2 / 3 * len(of_candidate):
                members = np.append(members, of_candidate)
        members = np.unique(members)
        weight = np.exp(-d[i, members])
        v[i, members] = weight / weight.sum()
    v = np.stack([v[ranked[i, :K2]].mean(axis=0) for i in range(n)])
    holders = [np.flatnonzero(v[:, j]) for j in range(n)]
    result = np.empty((len(q), len(g)), np.float32)
    for i in range(len(q)):
        common = np.zeros(n)
        for j in np.flatnonzero(v[i]):
            common[holders[j]] += np.minimum(v[i, j], v[holders[j], j])
        final = (1 - WEIGHT) * (1 - common / (2 - common)) + WEIGHT * d[i]
        result[i] = final[len(q):]
    return result
with open("/proc/self/clear_refs", "w") as peak:
    peak.write("5")
before = memory("VmRSS")
began = time.perf_counter()
if side == "dense":
    result = dense(q, g)
else:
    result = np.empty((len(q), len(g)), np.float32)
    for start, block in rerank_blocks(q, g):
        result[start:start + len(block)] = block
seconds = time.perf_counter() - began
print(json.dumps({"s": seconds, "mb": memory("VmHWM") - before}))
np.save(out, result)
"""


def main() -> None:
    """Prints both sides where the dense one fits, and ours alone at full size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="*", default=["500x1500", "1000x4000"])
    parser.add_argument("--ours", nargs="*", default=["3368x19732"])
    parser.add_argument("--repeats", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.sizes:
            rounds = [
                {side: run(side, size, Path(folder)) for side in ("dense", "ours")} for _ in range(arguments.repeats)
            ]
            for side in ("dense", "ours"):
                report(f"{size} {side}", [found[side] for found in rounds])
            ratios = [found["dense"]["s"] / found["ours"]["s"] for found in rounds]
            results = [np.load(Path(folder) / f"{side}.npy") for side in ("dense", "ours")]
            apart = float(np.abs(results[0] - results[1]).max())
            print(f"{size} dense / ours {statistics.median(ratios):.1f}, largest difference {apart:.1e}")
        for size in arguments.ours:
            report(f"{size} ours", [run("ours", size, Path(folder)) for _ in range(arguments.repeats)])


def report(name: str, found: list[dict[str, float]]) -> None:
    """Time and memory."""
    times = [one["s"] for one in found]
    spread = f"{statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})"
    print(f"{name:20s} {spread}, {max(one['mb'] for one in found):.0f} MB with the result")


def run(side: str, size: str, folder: Path) -> dict[str, Any]:
    """One side in a fresh process."""
    call = [sys.executable, "-c", MEASURE, side, *size.split("x"), str(folder / f"{side}.npy")]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    values: dict[str, Any] = json.loads(done.stdout)
    return values


if __name__ == "__main__":
    main()
