"""The audit in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from resight.gallery.audit import Action, AuditLine, line_of, lines_in_pages, next_row
from resight.gallery.records import Detail

if TYPE_CHECKING:
    from resight.gallery.postgres.connection import Connection

AMONG = "(:actions = '[]' OR action IN (SELECT json_array_elements_text(cast(:actions AS json))))"
PAGE = f"SELECT * FROM audit WHERE number > :above AND {AMONG} ORDER BY number LIMIT :num OFFSET :left_out"
LAST = f"SELECT * FROM audit WHERE {AMONG} ORDER BY number DESC LIMIT 1"
APPEND = "INSERT INTO audit VALUES (:number, :time, :action, :who, :purpose, :detail, :before, :hash)"


def lines(db: Connection, after: int, limit: int | None, actions: Collection[str]) -> Iterator[AuditLine]:
    """As `Store.audit`."""

    def page(above: int, left_out: int, num: int) -> Sequence[Sequence[Any]]:
        with db.looking():
            return db.run(PAGE, actions=json.dumps(list(actions)), above=above, num=num, left_out=left_out)

    return lines_in_pages(page, after, limit)


def last_line(db: Connection, actions: Collection[str]) -> AuditLine | None:
    """As `Store.last_line`."""
    with db.looking():
        found = db.run(LAST, actions=json.dumps(list(actions)))
    return line_of(found[0]) if found else None


def append(db: Connection, action: Action, who: str, purpose: str, detail: Detail) -> None:
    """Appends a line, within a transaction in which nobody else does."""
    found = db.run("SELECT * FROM audit ORDER BY number DESC LIMIT 1")
    db.run(APPEND, **next_row(found[0] if found else None, action, who, purpose, detail))
