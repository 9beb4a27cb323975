"""Several pictures of one person by one camera as one query, as in Market-1501's multi-query setting."""

from __future__ import annotations

import numpy as np

from resight.core.distances import unit_rows
from resight.core.records import EmbeddedCrops


def pool_queries(query: EmbeddedCrops, gallery: EmbeddedCrops) -> EmbeddedCrops:
    """One query for each person and camera of `query`: the mean, at unit length, of the embeddings of all their
    pictures by that camera, those of the gallery included (Zheng et al., ICCV 2015, "multiple query"). A picture that
    is in both, by its content hash, counts once.

    Under `market1501` those pictures are junk to the query, so nothing that is to be found is looked at; a tracker
    would give them. A pooled query keeps the name and the content hash of its first picture.

    Example:
        >>> import numpy as np
        >>> from resight.core.records import EmbeddedCrops
        >>> ids = np.array([1, 1, 2]), np.array([5, 5, 5]), np.zeros(3, np.uint64)
        >>> crops = EmbeddedCrops(np.eye(3, dtype=np.float32), *ids, ("a", "b", "c"))
        >>> pooled = pool_queries(crops, crops)
        >>> pooled.names, [round(float(value), 2) for value in pooled.embeddings[0]]
        (('a', 'c'), [0.71, 0.71, 0.0])
    """
    keys = np.stack([query.pids, query.camids], axis=1)
    _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    group = group.reshape(-1)
    total = np.zeros((len(first), query.embeddings.shape[1]))
    np.add.at(total, group, unit_rows(query.embeddings))
    shown = unit_rows(gallery.embeddings)
    asked = set(query.content_hashes.tolist())
    place = {(int(query.pids[row]), int(query.camids[row])): number for number, row in enumerate(first)}
    for row, key in enumerate(zip(gallery.pids.tolist(), gallery.camids.tolist(), strict=True)):
        if key in place and int(gallery.content_hashes[row]) not in asked:
            total[place[key]] += shown[row]
    order = np.argsort(first, kind="stable")  # as the queries came
    rows = first[order]
    return EmbeddedCrops(
        unit_rows(total[order].astype(np.float32)),
        query.pids[rows],
        query.camids[rows],
        query.content_hashes[rows],
        tuple(query.names[row] for row in rows),
    )
