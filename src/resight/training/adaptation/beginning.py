"""How a round begins: the site embedded, transformed and clustered, and a proxy for each cluster and camera."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch

from resight.core.distances import unit_rows
from resight.core.errors import DataError
from resight.core.progress import Progress
from resight.core.records import FloatArray, IntArray
from resight.losses.proxies import ProxyLoss
from resight.models.network import Network
from resight.models.saved import ModelConfig, TrainedNetwork
from resight.site.clustering import OF_PICTURES, cluster, of_tracklets
from resight.site.criterion import seen_again, tracklet_eer
from resight.site.doubts import MIXED
from resight.site.rounds import Round, RoundFacts
from resight.training.adaptation.pictures import SitePictures
from resight.training.adaptation.settings import Adaptation
from resight.training.batches.samplers import balanced_batches

SEEN_AGAIN = 0.75  # share; where cameras have several pictures of a person it was .80 to .97, where one, .25 to .67
COLLAPSED = 0.1  # share of the pictures in one cluster from which on nothing is to be learnt


def begin_round(
    number: int,
    pictures: SitePictures,
    network: Network,
    config: ModelConfig,
    settings: Adaptation,
    device: str,
    progress: Progress,
) -> Round:
    """network: which embeds; it stays as it is. Raises DataError where there are too few pictures, tracks are so wrong
    that they say nothing, or there are none and pictures of one person are too rare to be clustered."""
    told = TrainedNetwork(copy.deepcopy(network).eval(), config)
    embeddings = pictures.embed(told, device, progress, f"round {number} of {settings.rounds}: embedding the site")
    judges = pictures.judges(embeddings)
    raw = None if judges is None else tracklet_eer(judges.embeddings, judges.camera_codes, judges.tracklets)
    if number == 1 and raw is not None and raw > MIXED:
        raise DataError(
            f"pictures of one track are hardly more alike than those of two (EER {raw:.2f}): the tracks are wrong, or "
            "the model sees nothing here. Correct `track`; or go on with --no-tracks"
        )
    site = pictures.fit(embeddings, "")
    tracked = bool((pictures.tracklets >= 0).any())
    if number == 1 and not tracked:
        again = seen_again(site.apply(embeddings, pictures.cameras), pictures.camera_codes)
        if again < SEEN_AGAIN:
            raise DataError(
                f"a camera seems to have one picture of each person here: the nearest one by the same camera is nearer "
                f"than that by another for {again:.0%} only, {SEEN_AGAIN:.0%} are needed. Clusters of such pictures "
                "are of many people. Give several pictures a walk and their `track`; or take the site transform alone"
            )
    learning = np.flatnonzero(~pictures.judging)
    cameras = len(np.unique(pictures.camera_codes))
    how = of_tracklets(cameras) if tracked else OF_PICTURES
    found = cluster(
        site,
        embeddings[learning],
        [pictures.cameras[row] for row in learning.tolist()],
        pictures.points[learning],
        pictures.times[learning],
        judges,
        replace(how, eps=(settings.eps,)) if settings.eps else how,
    )
    labels = np.full(len(pictures), -1, np.int64)
    labels[learning] = found.labels
    proxies, memory = _proxies(labels, pictures.camera_codes, embeddings)
    cameras_of = _cameras_of(labels, pictures.camera_codes)
    facts = RoundFacts(
        number,
        None if judges is None else judges.eer(site),
        raw,
        site.facts.exponent,
        found.eps,
        found.judged,
        found.num,
        int((cameras_of > 1).sum()),
        int((labels >= 0).sum()),
        len(learning),
        found.largest,
        found.parted,
        found.sound,
    )
    return Round(facts, labels, proxies, memory, None if judges is None or number > 1 else judges.at(site))


def why_not(found: Round) -> str | None:
    """Why nothing is to be learnt from a round's clusters, in words; None where it is."""
    facts = found.facts
    if facts.clusters < 2:
        return f"in round {facts.number} no two clusters were found"
    if facts.largest > COLLAPSED and not facts.sound:
        return f"in round {facts.number} one cluster held {facts.largest:.0%} of the pictures: many people in one"
    return None


def proxy_loss(found: Round, pictures: SitePictures, settings: Adaptation) -> ProxyLoss:
    """The loss of a round, its memory as the round begins."""
    rows = np.flatnonzero(found.proxies >= 0)
    first = rows[np.unique(found.proxies[rows], return_index=True)[1]]
    return ProxyLoss(
        torch.from_numpy(found.memory.copy()),
        torch.from_numpy(found.labels[first]),
        torch.from_numpy(pictures.camera_codes[first]),
        temperature=settings.temperature,
        across=settings.across if found.facts.number >= settings.across_from else 0.0,
        negatives=settings.negatives,
        momentum=settings.momentum,
    )


def round_batches(found: Round, pictures: SitePictures, settings: Adaptation, seed: int) -> IntArray:
    """The places of each batch's pictures, (steps, batch) int64: a function of the round and the seed alone."""
    rows = np.flatnonzero(found.labels >= 0)
    groups = min(settings.batch_size // settings.images_per_cluster, found.facts.clusters)
    size, labels, cameras = groups * settings.images_per_cluster, found.labels[rows], pictures.camera_codes[rows]
    wanted = max(settings.least_steps, len(rows) // size)
    parts: list[IntArray] = []
    while sum(map(len, parts)) < wanted:
        turn = found.facts.number * 100_000 + len(parts)
        parts.append(balanced_batches(labels, size, settings.images_per_cluster, turn, seed, cameras))
    return rows[np.concatenate(parts)[:wanted]]


def _proxies(labels: IntArray, cameras: IntArray, embeddings: FloatArray) -> tuple[IntArray, FloatArray]:
    """The proxy of each picture, (n,) int64, -1 of none; and the mean embedding of each, (p, dim) of unit length."""
    rows = np.flatnonzero(labels >= 0)
    proxies = np.full(len(labels), -1, np.int64)
    if not len(rows):
        return proxies, np.zeros((0, embeddings.shape[1]), np.float32)
    code = labels[rows] * (int(cameras.max()) + 1) + cameras[rows]
    names, place = np.unique(code, return_inverse=True)
    proxies[rows] = place
    total = np.zeros((len(names), embeddings.shape[1]))
    np.add.at(total, place, embeddings[rows])
    return proxies, unit_rows(total.astype(np.float32))


def _cameras_of(labels: IntArray, cameras: IntArray) -> IntArray:
    """How many cameras saw each cluster: (clusters,)."""
    rows = labels >= 0
    pairs = np.unique(np.stack([labels[rows], cameras[rows]]), axis=1)
    return np.bincount(pairs[0]).astype(np.int64)
