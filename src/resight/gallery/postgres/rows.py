"""An entry as a row of PostgreSQL, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from resight.core.records import FloatArray
from resight.gallery.records import Entry
from resight.gallery.search import rows


def text_of(vector: FloatArray) -> str:
    """An embedding, as pgvector reads it."""
    return "[" + ",".join(map(repr, vector.tolist())) + "]"


def vector_of(text: str) -> FloatArray:
    """The embedding in pgvector's text, (dim,) float32."""
    return np.array(json.loads(text), "<f4").astype(np.float32)


def raw(row: Sequence[Any]) -> tuple[Any, ...]:
    """As `rows` takes it: the embedding as bytes."""
    number, camera, time, track, pid, name, attributes, embedding, checksum = row
    data = np.array(json.loads(embedding), "<f4").tobytes()
    return number, camera, time, track, pid, name, attributes, data, bytes(checksum)


def row_of(entry: Entry, number: int) -> dict[str, Any]:
    """The row, for `statements.ADD`."""
    _, time, track, pid, name, attributes, _, checksum = rows.row_of(entry, entry.camera)
    return {
        "id": number,
        "camera": entry.camera,
        "time": time,
        "track": track,
        "pid": pid,
        "name": name,
        "attributes": attributes,
        "embedding": text_of(entry.embedding),
        "checksum": checksum.hex(),
    }
