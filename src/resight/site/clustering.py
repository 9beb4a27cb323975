"""Who may be one person at a site, without identities: DBSCAN on k-reciprocal Jaccard distances of tracklets.

DBSCAN: Ester et al., KDD 1996. The distances: Zhong et al., CVPR 2017. Its reach is chosen on the site itself, by the
criterion: the scatter within good clusters whitens the space so that tracklets which were left out are told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy  # whose parts it imports when they are used

from resight.core.distances import unit_rows
from resight.core.records import FloatArray, IntArray
from resight.evaluation.rerank import jaccard_within
from resight.site.criterion import tracklet_eer
from resight.site.fitting import USUAL_EXPONENT, whitening, within_scatter
from resight.site.transform import SiteTransform

LARGEST = 0.02  # share of the points that one cluster may hold, or as many as one person may have: more is a collapse
NEARLY = 1.02  # times the lowest EER is as good, by chance
USUAL_EPS = 0.5  # of those that are as good the nearest to it is taken


@dataclass(frozen=True)
class Neighbourhood:
    """How tracklets, or pictures, become clusters. k1, k2: of the Jaccard distance. least: points within eps of a core
    point, itself among them. of_a_person: points that one person may have by one camera. eps: the distances to choose
    from."""

    k1: int = 10
    k2: int = 3
    least: int = 2
    of_a_person: int = 5
    eps: tuple[float, ...] = (0.35, 0.4, 0.45, 0.5, 0.55, 0.6)


OF_TRACKLETS = Neighbourhood()
OF_PICTURES = Neighbourhood(k1=20, k2=6, least=4, of_a_person=20)
FEW_NEIGHBOURS = 4  # k1 at the least


def of_tracklets(cameras: int) -> Neighbourhood:
    """How tracklets by so many cameras become clusters: a person who passes few cameras has few tracklets, and more
    neighbours than that are other people, who join persons to one cluster."""
    k1 = max(FEW_NEIGHBOURS, min(OF_TRACKLETS.k1, 2 * (cameras - 1)))
    return OF_TRACKLETS if k1 == OF_TRACKLETS.k1 else replace(OF_TRACKLETS, k1=k1, k2=2)


@dataclass(frozen=True, eq=False)
class Clustering:
    """labels: (n,) int64, the cluster of each picture, 0 to `num` - 1, or -1. eps: the distance that was taken. judged:
    the criterion at each eps that was possible; empty where nothing judges. parted: tracklets taken out of a cluster,
    since another of it was elsewhere before the same camera at that time. sound: whether there are two clusters and
    more, and none is so large that it is many people."""

    labels: IntArray
    eps: float
    judged: dict[str, float]
    parted: int
    sound: bool

    @property
    def num(self) -> int:
        """How many clusters there are."""
        return int(self.labels.max(initial=-1)) + 1

    @property
    def largest(self) -> float:
        """The largest cluster's share of all pictures."""
        found = self.labels[self.labels >= 0]
        return float(np.bincount(found).max()) / len(self.labels) if len(found) else 0.0


@dataclass(frozen=True, eq=False)
class Judges:
    """Pictures that are left out of everything else. embeddings: (m, dim), raw; cameras: names; camera_codes,
    tracklets: as `tracklet_codes` has them."""

    embeddings: FloatArray
    cameras: Sequence[str]
    camera_codes: IntArray
    tracklets: IntArray

    def at(self, site: SiteTransform) -> FloatArray:
        """Their embeddings at the site, (m, dim)."""
        return site.apply(self.embeddings, self.cameras)

    def eer(self, site: SiteTransform) -> float:
        """The criterion of a transform."""
        return tracklet_eer(self.at(site), self.camera_codes, self.tracklets)


def cluster(
    site: SiteTransform,
    embeddings: FloatArray,
    cameras: Sequence[str],
    points: IntArray,
    times: npt.NDArray[np.float64],
    judges: Judges | None,
    how: Neighbourhood = OF_TRACKLETS,
) -> Clustering:
    """Clusters of a site's pictures.

    embeddings: (n, dim) float32, raw. cameras: (n,) names. points: (n,) int64, 0 and up: pictures of one point, as of a
    tracklet, stay together. times: (n,) seconds, NaN where not known. judges: choose eps; None: the usual one is taken.

    An eps whose clusters are not `sound` is possible only where those of no other are.
    """
    moved = site.apply(embeddings, cameras)
    points = np.unique(points, return_inverse=True)[1].astype(np.int64)
    graph = jaccard_within(_means(moved, points), how.k1, how.k2, max(how.eps))
    camera_codes = np.unique(np.asarray(cameras, np.str_), return_inverse=True)[1].astype(np.int64)
    most = max(LARGEST * len(np.unique(points)), how.of_a_person * len(np.unique(camera_codes)))
    found = []
    for eps in sorted(how.eps):
        of_points = dbscan(graph, eps, how.least)
        of_points, parted = _part_impossible(of_points, moved, points, camera_codes, times)
        sizes = np.bincount(of_points[of_points >= 0])
        sound = len(sizes) > 1 and bool(sizes.max() <= most)
        found.append(Clustering(of_points[points], eps, {}, parted, sound))
    possible = [one for one in found if one.sound] or [min(found, key=lambda one: (one.num < 2, one.largest, -one.eps))]
    judged: dict[str, float] = {}
    if judges is not None:
        flat = replace(site, matrix=np.eye(site.dim, dtype=np.float32))
        centred = flat.apply(embeddings, cameras)
        for one in possible:
            rows = one.labels >= 0
            scatter = within_scatter(centred[rows], one.labels[rows])
            matrix = whitening(scatter, USUAL_EXPONENT).astype(np.float32)
            judged[f"{one.eps:g}"] = judges.eer(replace(site, matrix=matrix))
        lowest = min(judged.values())
        possible = [one for one in possible if judged[f"{one.eps:g}"] <= NEARLY * lowest]
    chosen = min(possible, key=lambda one: (round(abs(one.eps - USUAL_EPS), 6), one.eps))
    return replace(chosen, judged=judged)


def dbscan(distances: Any, eps: float, least: int) -> IntArray:
    """Clusters 0 and up, by their first row, and -1 for noise: (n,) int64.

    distances: (n, n) scipy.sparse csr_array, symmetric, with an entry wherever a distance may be within eps. least:
    rows within eps of a core row, itself among them. A border row joins the nearest core row's cluster, the first of
    equally near ones, so the order of rows decides nothing else.
    """
    num = distances.shape[0]
    near = scipy.sparse.coo_array(distances)
    within = (near.data <= eps) & (near.row != near.col)
    rows, columns, values = near.row[within], near.col[within], near.data[within]
    core = np.bincount(rows, minlength=num) + 1 >= least
    both = core[rows] & core[columns]
    links = scipy.sparse.csr_array((np.ones(int(both.sum())), (rows[both], columns[both])), (num, num))
    labels = scipy.sparse.csgraph.connected_components(links, directed=False)[1].astype(np.int64)
    border = ~core[rows] & core[columns]
    labels[~core] = -1
    order = np.lexsort((columns[border], values[border], rows[border]))
    joining, nearest = rows[border][order], columns[border][order]
    first = np.diff(joining, prepend=-1) != 0
    labels[joining[first]] = labels[nearest[first]]
    return _numbered(labels)


def _means(rows: FloatArray, points: IntArray) -> FloatArray:
    """The mean of each point's rows, at unit length: (num_points, dim) float32."""
    total = np.zeros((int(points.max()) + 1, rows.shape[1]))
    np.add.at(total, points, rows)
    lengths = np.linalg.norm(total, axis=1)
    first = np.unique(points, return_index=True)[1]
    total[lengths < 1e-9] = rows[first][lengths < 1e-9]
    return unit_rows(total.astype(np.float32))


def _numbered(labels: IntArray) -> IntArray:
    """The same clusters, numbered by their first row; those of one row are kept."""
    found = np.full(len(labels), -1, np.int64)
    kept = labels >= 0
    names, first, inverse = np.unique(labels[kept], return_index=True, return_inverse=True)
    place = np.empty(len(names), np.int64)
    place[np.argsort(first)] = np.arange(len(names))
    found[kept] = place[inverse]
    return found


def _part_impossible(
    labels: IntArray, moved: FloatArray, points: IntArray, camera_codes: IntArray, times: npt.NDArray[np.float64]
) -> tuple[IntArray, int]:
    """Takes out of each cluster who was before the same camera at the same time as another of it: of two such points
    the one farther from the cluster's mean. Points of one moment are let be: pictures of one second may be a burst of
    one person. (num_points,) labels, and how many were taken out."""
    if np.isnan(times).all():
        return labels, 0
    num = len(labels)
    start, end = np.full(num, np.inf), np.full(num, -np.inf)
    known = ~np.isnan(times)
    np.minimum.at(start, points[known], times[known])
    np.maximum.at(end, points[known], times[known])
    lasting = start < end
    camera = np.zeros(num, np.int64)
    camera[points] = camera_codes
    means = _means(moved, points)
    labels, parted = labels.copy(), 0
    for name in range(int(labels.max(initial=-1)) + 1):
        members = np.flatnonzero(labels == name)
        nearness = means[members] @ means[members].mean(axis=0)
        for place in np.argsort(nearness, kind="stable").tolist():  # the farthest first
            one, others = members[place], members[labels[members] == name]
            others = others[(others != one) & (camera[others] == camera[one]) & lasting[others]]
            if lasting[one] and ((start[others] < end[one]) & (start[one] < end[others])).any():
                labels[one] = -1
                parted += 1
    return _numbered(labels), parted
