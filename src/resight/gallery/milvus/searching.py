"""Searches of Milvus: by itself, or by reading all rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from resight.core.records import FloatArray
from resight.gallery.records import Hit, in_order

if TYPE_CHECKING:
    from resight.gallery.milvus.connection import Connection

QUERIES_AT_ONCE = 64


def compared_there(
    db: Connection,
    collection: str,
    queries: FloatArray,
    top_k: int | None,
    expression: str,
    min_similarity: float | None,
) -> Iterator[tuple[Hit, ...]]:
    """By Milvus, in float32."""
    below = None if min_similarity is None else float(np.nextafter(np.float32(min_similarity), -np.inf))
    parameters = {} if below is None else {"radius": below}
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        found = db.call(
            "search",
            collection,
            data=queries[start : start + QUERIES_AT_ONCE].tolist(),
            anns_field="embedding",
            limit=top_k,
            filter=expression,
            output_fields=["id"],
            search_params={"metric_type": "IP", "params": parameters},
            consistency_level="Strong",
        )
        for answer in found:
            hits = (Hit(hit["id"], float(hit["distance"])) for hit in answer)
            near = (hit for hit in hits if min_similarity is None or hit.similarity >= min_similarity)
            yield in_order(near, top_k)


def compared_here(
    db: Connection,
    collection: str,
    queries: FloatArray,
    top_k: int | None,
    expression: str,
    min_similarity: float | None,
) -> Iterator[tuple[Hit, ...]]:
    """By reading all rows that match once: for more hits than Milvus returns at a time."""
    found: list[list[Hit]] = [[] for _ in queries]
    for page in db.pages(collection, "id", "id >= 0", expression, ("embedding",)):
        vectors = np.array([row["embedding"] for row in page], np.float64)
        for hits, similarities in zip(found, queries.astype(np.float64) @ vectors.T, strict=True):
            pairs = zip(page, similarities.tolist(), strict=True)
            near = ((row, value) for row, value in pairs if min_similarity is None or value >= min_similarity)
            hits += [Hit(row["id"], value) for row, value in near]
    yield from (in_order(hits, top_k) for hits in found)
