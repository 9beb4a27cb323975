"""DBSCAN as Ester et al. (KDD 1996) tell it, point by point on a dense matrix; borders join their nearest core."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def dbscan(distances: npt.NDArray[np.float64], eps: float, least: int) -> list[int]:
    num = len(distances)
    core = [sum(distances[i][j] <= eps for j in range(num)) >= least for i in range(num)]
    labels = [-1] * num
    name = 0
    for start in range(num):
        if not core[start] or labels[start] >= 0:
            continue
        reached = [start]
        while reached:
            point = reached.pop()
            labels[point] = name
            reached += [j for j in range(num) if core[j] and labels[j] < 0 and distances[point][j] <= eps]
        name += 1
    for point in range(num):
        near = [j for j in range(num) if core[j] and distances[point][j] <= eps]
        if not core[point] and near:
            labels[point] = labels[min(near, key=lambda j: (distances[point][j], j))]
    return labels
