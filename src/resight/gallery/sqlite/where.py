"""What a filter means: as a condition on the SQLite file's rows, and as a selection of the index's."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import numpy as np

from resight.core.records import IntArray
from resight.gallery.filters import AmongTerm, AttributeTerm, TimeTerm, terms_of
from resight.gallery.records import Where
from resight.gallery.search.columns import EVERY_ROW, Selection

INSIDE = "IN (SELECT value FROM json_each(?))"


def linked(db: sqlite3.Connection) -> dict[int, int]:
    """pid to what it is linked into."""
    return dict(db.execute("SELECT pid, into_pid FROM links"))


def condition_of(db: sqlite3.Connection, where: Where) -> tuple[str, list[Any]]:
    """What follows WHERE, and its values."""
    texts: list[str] = ["1"]
    values: list[Any] = []
    for term in terms_of(where, linked(db)):
        match term:
            case AmongTerm("camera", names, never):
                texts.append(f"camera {'NOT ' * never}IN (SELECT code FROM cameras WHERE name {INSIDE})")
                values.append(json.dumps(names))
            case AmongTerm(field, among, never):
                texts.append(f"({field} IS NULL OR NOT {field} {INSIDE})" if never else f"{field} {INSIDE}")
                values.append(json.dumps(among))
            case TimeTerm(relation, moment):
                texts.append(f"time {relation} ?")
                values.append(moment)
            case AttributeTerm(name, value):
                texts.append("EXISTS (SELECT 1 FROM json_each(attributes) a WHERE a.key = ? AND a.value = ?)")
                values += [name, value]
    return " AND ".join(texts), values


def selection_of(db: sqlite3.Connection, where: Where) -> Selection:
    """Cameras and times are in the index; whatever else is asked, the file says which rows those are."""

    def ids(asked: Where) -> IntArray:
        condition, values = condition_of(db, asked)
        found = db.execute(f"SELECT id FROM entries WHERE {condition} ORDER BY id", values)
        return np.fromiter((number for (number,) in found), np.int64)

    if not where.names():
        return EVERY_ROW
    only = never = cameras = None
    if where.tracks is not None or where.pids is not None or where.attributes or where.ids is not None:
        only = ids(Where(tracks=where.tracks, pids=where.pids, attributes=where.attributes, ids=where.ids))
    if where.exclude_tracks:
        never = ids(Where(tracks=where.exclude_tracks))
    if where.exclude_pids:
        more = ids(Where(pids=where.exclude_pids))
        never = more if never is None else np.union1d(never, more)
    if where.cameras is not None or where.exclude_cameras:
        known = db.execute("SELECT code, name FROM cameras").fetchall()
        chosen = [
            code
            for code, name in known
            if (where.cameras is None or name in where.cameras) and name not in where.exclude_cameras
        ]
        cameras = np.array(chosen, np.uint16)
    return Selection(cameras, where.after, where.before, only, never)
