"""The protocols once more, slowly and plainly: sorted lists, one row at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class Row:
    pid: int
    camid: int
    content: int


@dataclass
class Figures:
    """Over the scored queries; None for mINP where it is not defined."""

    rank: list[float]
    mean_ap: float
    mean_inp: float | None
    scored: int
    skipped: int
    junk: int


def score(
    distances: Sequence[Sequence[float]], query: Sequence[Row], gallery: Sequence[Row], protocol: str, max_rank: int
) -> Figures | None:
    """None where no query can be scored."""
    found: list[int] = []
    aps: list[float] = []
    inps: list[float] = []
    skipped = junk = 0
    for q, row_distances in zip(query, distances, strict=True):
        candidates = []
        left_out = 0
        for place, g in enumerate(gallery):
            same_camera = g.pid == q.pid and g.camid == q.camid
            same_picture = g.content == q.content
            junk_here = {
                "market1501": same_camera or g.pid == -1,
                "no-camera": same_picture or g.pid == -1,
                "top10": False,
            }
            if junk_here[protocol]:
                left_out += 1
            else:
                candidates.append((row_distances[place], place, g))
        candidates.sort(key=lambda c: (c[0], c[1]))
        right = [g.pid == q.pid and g.pid > 0 for _, _, g in candidates]
        if protocol == "top10":
            right = right[:10]
            total = sum(right)
        else:
            total = sum(right)
            if total == 0:
                skipped += 1
                continue
        junk += left_out
        precisions, seen, last = [], 0, 0
        for place, is_right in enumerate(right, 1):
            if is_right:
                seen += 1
                last = place
                precisions.append(seen / place)
        aps.append(sum(precisions) / total if total else 0.0)
        found.append(right.index(True) + 1 if total else 0)
        inps.append(total / last if total else 0.0)
    scored = len(aps)
    if scored == 0:
        return None
    rank = [sum(1 for f in found if 0 < f <= k) / scored for k in range(1, max_rank + 1)]
    mean_inp = None if protocol == "top10" else sum(inps) / scored
    return Figures(rank, sum(aps) / scored, mean_inp, scored, skipped, junk)
