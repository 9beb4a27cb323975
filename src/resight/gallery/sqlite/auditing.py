"""The audit in an SQLite file."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from resight.gallery.audit import Action, AuditLine, line_of, lines_in_pages, next_row
from resight.gallery.records import Detail
from resight.gallery.sqlite.connection import Connection

AMONG = "(?1 = '[]' OR action IN (SELECT value FROM json_each(?1)))"
PAGE = f"SELECT * FROM audit WHERE number > ?2 AND {AMONG} ORDER BY number LIMIT ?3 OFFSET ?4"
LAST = f"SELECT * FROM audit WHERE {AMONG} ORDER BY number DESC LIMIT 1"


def lines(db: Connection, after: int, limit: int | None, actions: Collection[str]) -> Iterator[AuditLine]:
    """As `Store.audit`."""

    def page(above: int, left_out: int, num: int) -> Sequence[Sequence[Any]]:
        with db.reading():
            return db.execute(PAGE, [json.dumps(list(actions)), above, num, left_out]).fetchall()

    return lines_in_pages(page, after, limit)


def last_line(db: Connection, actions: Collection[str]) -> AuditLine | None:
    """As `Store.last_line`."""
    with db.reading():
        found = db.execute(LAST, [json.dumps(list(actions))]).fetchone()
    return None if found is None else line_of(found)


def append(db: Connection, action: Action, who: str, purpose: str, detail: Detail) -> None:
    """Appends a line, within a write transaction."""
    last = db.execute("SELECT * FROM audit ORDER BY number DESC LIMIT 1").fetchone()
    row = next_row(last, action, who, purpose, detail)
    db.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)", list(row.values()))
