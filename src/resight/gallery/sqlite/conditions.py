"""A filter as an SQL condition on the file's rows, and as a selection of the index's rows."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import numpy as np

from resight.core.records import IntArray
from resight.gallery.filters import LASTING, AmongTerm, AttributeTerm, Filter, TimeTerm, terms_of
from resight.gallery.people import LinkTable
from resight.gallery.search.columns import EVERY_ROW, Selection

INSIDE = "IN (SELECT value FROM json_each(?))"
ATTRIBUTE = "SELECT 1 FROM json_each(attributes) a WHERE a.key = ?"


def condition_of(filter: Filter, links: LinkTable) -> tuple[str, list[Any]]:
    """What follows WHERE, and its parameters. links: of the transaction that uses it."""
    texts: list[str] = ["1"]
    values: list[Any] = []
    for term in terms_of(filter, links):
        match term:
            case AmongTerm("camera", names, never):
                texts.append(f"camera {'NOT ' * never}IN (SELECT code FROM cameras WHERE name {INSIDE})")
                values.append(json.dumps(names))
            case AmongTerm(field, among, never):
                texts.append(f"({field} IS NULL OR NOT {field} {INSIDE})" if never else f"{field} {INSIDE}")
                values.append(json.dumps(among))
            case TimeTerm(relation, moment, untimed, lasting):
                told = [f"time {relation} ?"]
                values.append(moment)
                if untimed is not None:
                    told.append("time IS NULL OR time >= ?")
                    values.append(untimed)
                if lasting:
                    told.append(f"EXISTS ({ATTRIBUTE} AND a.type IN ('integer', 'real') AND a.value >= ?)")
                    values += [LASTING, moment]
                texts.append(f"({' OR '.join(told)})")
            case AttributeTerm(name, value):
                texts.append(f"EXISTS ({ATTRIBUTE} AND a.value = ?)")
                values += [name, value]
    return " AND ".join(texts), values


def selection_of(db: sqlite3.Connection, filter: Filter, links: LinkTable) -> Selection:
    """The filter as a selection: cameras and times are columns of the index, other conditions become ids.

    Call it in the transaction that uses it.
    """

    def ids(asked: Filter) -> IntArray:
        condition, values = condition_of(asked, links)
        found = db.execute(f"SELECT id FROM entries WHERE {condition} ORDER BY id", values)
        return np.fromiter((number for (number,) in found), np.int64)

    if not filter.names():
        return EVERY_ROW
    if filter.untimed is not None or filter.lasting:
        return Selection(only=ids(filter))
    only = never = cameras = None
    if filter.tracks is not None or filter.pids is not None or filter.attributes or filter.ids is not None:
        only = ids(Filter(tracks=filter.tracks, pids=filter.pids, attributes=filter.attributes, ids=filter.ids))
    if filter.exclude_tracks:
        never = ids(Filter(tracks=filter.exclude_tracks))
    if filter.exclude_pids:
        more = ids(Filter(pids=filter.exclude_pids))
        never = more if never is None else np.union1d(never, more)
    if filter.cameras is not None or filter.exclude_cameras:
        known = db.execute("SELECT code, name FROM cameras").fetchall()
        chosen = [
            code
            for code, name in known
            if (filter.cameras is None or name in filter.cameras) and name not in filter.exclude_cameras
        ]
        cameras = np.array(chosen, np.uint16)
    return Selection(cameras, filter.after, filter.before, only, never)
