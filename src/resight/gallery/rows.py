"""An entry to a row of the SQLite file, and back."""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any

import numpy as np

from resight.core.errors import GalleryError
from resight.gallery.records import Entry

FIELDS = "id, camera, time, track, pid, name, attributes, embedding, checksum"
Row = tuple[Any, ...]


def row_of(entry: Entry, camera: int) -> Row:
    """(camera, time, track, pid, name, attributes, embedding, checksum)."""
    attributes = json.dumps(dict(entry.attributes), sort_keys=True, ensure_ascii=False)
    embedding = np.ascontiguousarray(entry.embedding, "<f4").tobytes()
    parts = (camera, entry.time, entry.track, entry.pid, entry.name, attributes, embedding)
    return (*parts, checksum(parts, entry.crop))


def checksum(parts: Row, crop: bytes | None) -> bytes:
    """8 bytes. parts: a row's fields from camera to embedding."""
    camera, time, track, pid, name, attributes, embedding = parts
    words = json.dumps([camera, None if time is None else struct.pack("<d", time).hex(), track, pid, name, attributes])
    return hashlib.blake2b(words.encode() + b"\0" + embedding + b"\0" + (crop or b""), digest_size=8).digest()


def entry_of(row: Row, camera: str, dim: int, crop: bytes | None = None) -> Entry:
    """Raises GalleryError where the row cannot be one."""
    number, _, time, track, pid, name, attributes, embedding, _ = row
    try:
        vector = np.frombuffer(embedding, "<f4").astype(np.float32)
        if len(vector) != dim:
            raise ValueError(f"{len(vector)} values")
        return Entry(vector, camera, time, track, pid, name, json.loads(attributes), crop, number)
    except (TypeError, ValueError) as error:
        raise GalleryError(f"entry {number} is damaged ({error}); run `resight gallery verify`") from None
