"""An entry as a table's row and back, with a checksum that tells whether the row is still what was written."""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any

import numpy as np

from resight.core.errors import GalleryError
from resight.gallery.records import UNIT, Entry, Value

PERSON, CONTENT = "resight.person", "resight.content"  # names of attributes that are ours
RESERVED = (PERSON, CONTENT)
FIELDS = "id, camera, time, track, pid, name, attributes, embedding, checksum"
Row = tuple[Any, ...]


def row_of(entry: Entry, camera: int | str) -> Row:
    """(camera, time, track, pid, name, attributes, embedding, checksum). camera: as the engine stores it."""
    attributes = json.dumps(attributes_of(entry), sort_keys=True, ensure_ascii=False)
    embedding = np.ascontiguousarray(entry.embedding, "<f4").tobytes()
    parts = (camera, entry.time, entry.track, entry.pid, entry.name, attributes, embedding)
    return (*parts, checksum(parts, entry.crop))


def attributes_of(entry: Entry) -> dict[str, Value]:
    """The attributes as they are stored: with the person's name among them, where there is one."""
    return dict(entry.attributes) if entry.person is None else {**entry.attributes, PERSON: entry.person}


def content_of(entry: Entry) -> str:
    """What makes two entries equal, so that adding twice is adding once: the digest of name, camera, time, track and
    embedding."""
    time = None if entry.time is None else struct.pack("<d", entry.time + 0.0).hex()
    words = json.dumps([entry.name, entry.camera, time, entry.track])
    embedding = np.ascontiguousarray(entry.embedding, "<f4").tobytes()
    return hashlib.blake2b(words.encode() + b"\0" + embedding, digest_size=16).hexdigest()


def checksum(parts: Row, crop: bytes | None) -> bytes:
    """8 bytes. parts: a row's fields from camera to embedding."""
    camera, time, track, pid, name, attributes, embedding = parts
    words = json.dumps([camera, None if time is None else struct.pack("<d", time).hex(), track, pid, name, attributes])
    return hashlib.blake2b(words.encode() + b"\0" + embedding + b"\0" + (crop or b""), digest_size=8).digest()


def entry_of(row: Row, camera: str, dim: int, crop: bytes | None = None) -> Entry:
    """The entry in a row. Raises GalleryError if the row is damaged."""
    number, _, time, track, pid, name, attributes, embedding, _ = row
    try:
        vector = np.frombuffer(embedding, "<f4").astype(np.float32)
        if len(vector) != dim:
            raise ValueError(f"its dimension is {len(vector)} and not {dim}")
        details = json.loads(attributes)
        person = details.pop(PERSON, None)
        details.pop(CONTENT, None)
        return Entry(vector, camera, time, track, pid, name, details, crop, number, person)
    except (TypeError, ValueError, AttributeError) as error:
        raise GalleryError(f"entry {number} is damaged ({error}); run `resight gallery verify`") from None


def damage_of(row: Row, crop: bytes | None, dim: int) -> str:
    """What is wrong with a row; empty if it is as it was written."""
    if len(row[7]) != 4 * dim:
        return f"its embedding takes {len(row[7])} bytes and not {4 * dim}"
    if checksum(row[1:8], crop) != row[8]:
        return "its checksum is not that of its content"
    vector = np.frombuffer(row[7], "<f4").astype(np.float64)
    if not np.isfinite(vector).all():
        return "its embedding is not finite"
    if abs(float(np.sqrt(vector @ vector)) - 1) > UNIT:
        return "its embedding is not of unit length"
    return ""
