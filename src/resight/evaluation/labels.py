"""Which labels are likely wrong: pictures that lie nearer to another identity than to their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resight.core.distances import unit_rows
from resight.core.errors import DataError
from resight.core.records import EmbeddedCrops, FloatArray, IntArray
from resight.evaluation.protocols import DISTRACTOR_PID

SHRINKAGE = 0.1
BLOCK = 1024
NEIGHBOURS = 3


@dataclass(frozen=True, eq=False)
class Suspect:
    """A picture whose label is doubtful. row: its row in the crops given. pid: its label. other_pid: who it looks like.

    score: how much nearer it is to another identity than to its own: the difference of its similarities to the nearest
    picture of each, plus that to the mean of each, in cosine similarities (-4 to 4). own, other: the nearest rows with
    its label, and the nearest with any other, nearest first.
    """

    row: int
    pid: int
    other_pid: int
    score: float
    own: IntArray
    other: IntArray


def suspect_labels(crops: EmbeddedCrops, *, folds: int = 5, seed: int = 0, top: int | None = None) -> list[Suspect]:
    """The pictures nearer to another identity than to their own, the most doubtful first; `top` of them at most.

    The embeddings are cross-validated: in each fold they are whitened by the within-identity covariance (shrunk;
    as in linear discriminant analysis) of the *other* folds, so that no picture's own label has shaped the space
    in which it is judged. Distractors (pid 0 and below) and people with one picture are not judged.

    A whole walk under a wrong label has its own kind beside it and is not found; nor is what the network itself
    was trained to believe.

    Raises DataError where fewer than two people have two pictures, EmbeddingError where an embedding is all zeros.
    """
    rows = np.flatnonzero(crops.pids > DISTRACTOR_PID)
    classes, label, count = np.unique(crops.pids[rows], return_inverse=True, return_counts=True)
    if (count > 1).sum() < 2:
        raise DataError("to check labels, at least two people must have at least two pictures each")
    embeddings = unit_rows(crops.embeddings[rows])
    fold_of = np.random.default_rng(seed).integers(0, folds, len(rows))
    found: list[Suspect] = []
    for fold in range(folds):
        inside = np.flatnonzero((fold_of == fold) & (count[label] > 1))
        outside = np.flatnonzero(fold_of != fold)
        if not len(outside) or not len(inside):
            continue
        whitened = unit_rows(_whiten(embeddings, outside, label))
        sums = _sums(whitened, label, len(classes))
        for start in range(0, len(inside), BLOCK):
            found += _judge(whitened, inside[start : start + BLOCK], label, sums, count, rows, classes)
    found.sort(key=lambda suspect: (-suspect.score, suspect.row))
    return found[:top]


def _whiten(embeddings: FloatArray, outside: IntArray, label: IntArray) -> FloatArray:
    """(n, dim) so turned and scaled that one identity's pictures spread alike in every direction."""
    part, of = embeddings[outside].astype(np.float64), label[outside]
    num = int(label.max()) + 1
    counts = np.bincount(of, minlength=num)
    residual = part - (_sums(part, of, num) / np.maximum(counts, 1)[:, None])[of]
    covariance = residual.T @ residual / len(part)
    dim = len(covariance)
    covariance += (SHRINKAGE * np.trace(covariance) / dim + 1e-12) * np.eye(dim)
    values, vectors = np.linalg.eigh(covariance)
    centred = embeddings - part.mean(axis=0)
    whitened: FloatArray = (centred @ (vectors / np.sqrt(values))).astype(np.float32)
    return whitened


def _sums(values: npt.NDArray[np.floating], label: IntArray, num: int) -> npt.NDArray[np.float64]:
    sums = np.zeros((num, values.shape[1]))
    np.add.at(sums, label, values)
    return sums


def _judge(
    whitened: FloatArray,
    block: IntArray,
    label: IntArray,
    sums: npt.NDArray[np.float64],
    count: IntArray,
    rows: IntArray,
    classes: IntArray,
) -> list[Suspect]:
    """Those of the block that lie nearer to somebody else, by nearest picture and by mean."""
    at = np.arange(len(block))
    own_label = label[block]
    similarity = whitened[block] @ whitened.T  # (b, n)
    similarity[at, block] = -np.inf  # not with itself
    is_own = own_label[:, None] == label[None, :]
    nearest_own = np.where(is_own, similarity, -np.inf).max(axis=1)
    others = np.where(is_own, -np.inf, similarity)
    nearest_other = others.max(axis=1)

    mean = whitened[block] @ sums.T  # (b, classes), sums still
    mean[at, own_label] -= 1.0  # without itself, whose similarity is 1
    number = np.tile(count, (len(block), 1))
    number[at, own_label] -= 1
    mean /= np.maximum(number, 1)
    mean_own = mean[at, own_label].copy()
    mean[at, own_label] = -np.inf
    score = (nearest_other - nearest_own) + (mean.max(axis=1) - mean_own)
    found = []
    for place in np.flatnonzero((score > 0) & (nearest_other > nearest_own)):
        order = np.argsort(-similarity[place], kind="stable")
        own, other = order[is_own[place, order]], order[~is_own[place, order]]
        found.append(
            Suspect(
                row=int(rows[block[place]]),
                pid=int(classes[own_label[place]]),
                other_pid=int(classes[label[other[0]]]),
                score=float(score[place]),
                own=rows[own[own != block[place]][:NEIGHBOURS]],
                other=rows[other[:NEIGHBOURS]],
            )
        )
    return found
