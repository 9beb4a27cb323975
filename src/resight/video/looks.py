"""Embeds tracklets: their few crops, not their frames; splits one whose crops show two people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from resight.core.records import FloatArray
from resight.embedding.model import Model
from resight.video.quality import GATES, Gates
from resight.video.records import Refused, Shot, Tracklet
from resight.video.tracklets import half_of, refusal, refused

BATCH_TRACKLETS = 8
APART = 0.25  # two groups of crops are two people if the similarity across is lower than within by so much,
LOW = 0.35  # and so low itself; on people who are followed rightly both are rare
ASTRAY = 0.25  # a single crop that lies so much further from the others than they from each other is left out


def embedded(
    found: Iterable[Tracklet | Refused], model: Model | None, *, gates: Gates = GATES, batch: int = BATCH_TRACKLETS
) -> Iterator[Tracklet | Refused]:
    """The same tracklets with their embeddings, `batch` at a time; some split in two, some refused.

    model: None where all crops have embeddings already. Raises ValueError where there is neither.
    """
    waiting: list[Tracklet | Refused] = []
    for each in found:
        waiting.append(each)
        if sum(isinstance(one, Tracklet) for one in waiting) >= batch:
            yield from _embedded(waiting, model, gates)
            waiting = []
    yield from _embedded(waiting, model, gates)


def _embedded(found: list[Tracklet | Refused], model: Model | None, gates: Gates) -> Iterator[Tracklet | Refused]:
    pictures = [
        shot.pixels
        for each in found
        if isinstance(each, Tracklet)
        for shot in each.shots
        if shot.embedding is None and shot.pixels is not None
    ]
    vectors = iter(model.embed(pictures, strict=False) if model is not None and pictures else ())
    for each in found:
        if isinstance(each, Refused):
            yield each
            continue
        shots = [shot if shot.embedding is not None else replace(shot, embedding=next(vectors)) for shot in each.shots]
        good = [shot for shot in shots if shot.embedding is not None and np.isfinite(shot.embedding).all()]
        if not good:
            yield refused(each, "nothing to see", "its crops show nothing")
            continue
        yield from _whole_or_split(replace(each, shots=tuple(good)), gates)


def _whole_or_split(tracklet: Tracklet, gates: Gates) -> Iterator[Tracklet | Refused]:
    place = where_split(stacked(tracklet.shots))
    if place is None:
        yield _pooled(tracklet)
        return
    moment = (tracklet.shots[place - 1].time + tracklet.shots[place].time) / 2
    for part, rows in enumerate((tracklet.times <= moment, tracklet.times > moment)):
        shots = tracklet.shots[:place] if part == 0 else tracklet.shots[place:]
        columns = (tracklet.times[rows], tracklet.boxes[rows], tracklet.scores[rows])
        times, boxes, scores = columns
        half = replace(
            tracklet,
            times=times,
            boxes=boxes,
            scores=scores,
            shots=shots,
            quality=max(shot.quality for shot in shots),
            part=half_of(tracklet.part, part),
        )
        why = refusal(half, gates)
        yield (_pooled(half) if why is None else replace(why, reason=f"{why.reason}; a part of a split track"))


def where_split(vectors: FloatArray) -> int | None:
    """Before which of the crops, by time, the person changes; None where all show one. vectors: (n, dim)."""
    best: tuple[float, int] | None = None
    similar = vectors @ vectors.T
    for place in range(2, len(vectors) - 1):
        across = float(similar[:place, place:].mean())
        within = min(_within(similar[:place, :place]), _within(similar[place:, place:]))
        if across < LOW and within - across > APART and (best is None or across < best[0]):
            best = across, place
    return None if best is None else best[1]


def _within(similar: FloatArray) -> float:
    return float(similar[np.triu_indices(len(similar), 1)].mean())


def _pooled(tracklet: Tracklet) -> Tracklet:
    """With the mean embedding of its crops, weighted by quality, those that lie astray left out."""
    vectors = stacked(tracklet.shots)
    keep = np.ones(len(vectors), np.bool_)
    if len(vectors) >= 3:
        similar = vectors @ vectors.T
        to_others = (similar.sum(axis=1) - 1) / (len(vectors) - 1)
        keep = to_others >= np.median(to_others) - ASTRAY
    shots = tuple(shot for shot, kept in zip(tracklet.shots, keep, strict=True) if kept)
    weights = np.array([max(shot.quality, 1e-3) for shot in shots], np.float32)
    mean = weights @ stacked(shots)
    length = float(np.linalg.norm(mean))
    best = max(shots, key=lambda shot: shot.quality)
    vector = mean / length if length > 1e-3 else stacked((best,))[0]
    return replace(tracklet, shots=shots, embedding=vector.astype(np.float32), quality=best.quality)


def stacked(shots: tuple[Shot, ...]) -> FloatArray:
    """(n, dim): their embeddings."""
    return np.stack([shot.embedding for shot in shots if shot.embedding is not None]).astype(np.float32)
