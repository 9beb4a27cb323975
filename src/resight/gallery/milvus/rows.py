"""An entry as a row of Milvus, and back."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from resight.core.errors import ConfigError
from resight.gallery.milvus.syntax import LONGEST_TEXT, MOST_PARTS
from resight.gallery.records import Entry, Sighting
from resight.gallery.search import rows


def row_of(entry: Entry, number: int) -> dict[str, Any]:
    """The row. Raises ConfigError for a text or picture that is too long for Milvus."""
    _, time, track, pid, name, _, _, checksum = rows.row_of(entry, entry.camera)
    for what, text in (("camera", entry.camera), ("track", track), ("name", name)):
        if len((text or "").encode()) > LONGEST_TEXT:
            raise ConfigError(f"Milvus keeps texts of {LONGEST_TEXT:,} bytes at most, and this {what} is longer")
    crop = None
    if entry.crop is not None:
        text = base64.b64encode(entry.crop).decode()
        crop = [text[start : start + LONGEST_TEXT] for start in range(0, len(text), LONGEST_TEXT)]
        if len(crop) > MOST_PARTS:
            raise ConfigError(f"a picture of {len(entry.crop):,} bytes is more than Milvus keeps in a row")
    return {
        "id": number,
        "camera": entry.camera,
        "time": time,
        "track": track,
        "pid": pid,
        "name": name,
        "attributes": {**rows.attributes_of(entry), rows.CONTENT: rows.content_of(entry)},
        "embedding": entry.embedding.tolist(),
        "checksum": checksum.hex(),
        "crop": crop,
    }


def raw(row: Any) -> tuple[Any, ...]:
    """As `rows` takes it."""
    known = {name: value for name, value in row["attributes"].items() if name != rows.CONTENT}
    attributes = json.dumps(known, sort_keys=True, ensure_ascii=False)
    data = np.array(row["embedding"], "<f4").tobytes()
    facts = (row["id"], row["camera"], row["time"], row["track"], row["pid"], row["name"], attributes, data)
    return (*facts, bytes.fromhex(row["checksum"]))


def crop_of(row: Any) -> bytes | None:
    """The picture, if one is kept."""
    return base64.b64decode("".join(row["crop"])) if row.get("crop") else None


def sighting_of(pid: int, camera: str, seen: list[Any]) -> Sighting:
    """What a pid's entries of one camera say. seen: an id and a time of each."""
    times = [time for _, time in seen if time is not None]
    first, last = min(times, default=None), max(times, default=None)
    return Sighting(pid, camera, len(seen), first, last, min(number for number, _ in seen))
