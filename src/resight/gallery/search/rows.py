"""An entry to a row of the SQLite file, and back; and whether a row is still what it was."""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any

import numpy as np

from resight.core.errors import GalleryError
from resight.gallery.audit import Line
from resight.gallery.records import UNIT, Entry

FIELDS = "id, camera, time, track, pid, name, attributes, embedding, checksum"
Row = tuple[Any, ...]


def row_of(entry: Entry, camera: int | str) -> Row:
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


def line_of(row: Row) -> Line:
    """A line of the audit, also of a damaged row: its hash is then not that of its content."""
    number, time, action, who, purpose, text, before, digest = row
    try:
        detail = dict(json.loads(text))
    except (TypeError, ValueError):
        detail = {"unreadable": True}  # which is not what its hash was made of
    return Line(number, time, action, who, purpose, detail, before, digest)


def damage_of(row: Row, crop: bytes | None, dim: int) -> str:
    """What is wrong with a row; nothing where it is what it was."""
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
