"""The links of a gallery in PostgreSQL, and the texts that it keeps beside its entries."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING

from resight.gallery.curation import apart, remaining
from resight.gallery.records import Link

if TYPE_CHECKING:
    from resight.gallery.postgres.connection import Connection

AMONG = "IN (SELECT value::bigint FROM json_array_elements_text(:among))"
RELINKED = "relinked"  # the key in meta of how often a deletion has led links elsewhere
LEAD_ELSEWHERE = """
    UPDATE links SET into_pid = r.into_pid FROM json_to_recordset(:led) AS r (number bigint, into_pid bigint)
    WHERE links.number = r.number
"""


def note(db: Connection, key: str) -> str:
    """A text by its key; empty if there is none."""
    return str(db.one("SELECT value FROM meta WHERE key = :key", key=key) or "")


def set_note(db: Connection, key: str, text: str) -> None:
    """Keeps a text."""
    insert = "INSERT INTO meta VALUES (:key, :text) ON CONFLICT (key) DO UPDATE SET value = :text"
    db.run(insert, key=key, text=text)


def links(db: Connection) -> tuple[Link, ...]:
    """All links, by number."""
    return tuple(Link(*row) for row in db.run("SELECT number, pid, into_pid FROM links ORDER BY number"))


def forget_people(db: Connection, pids: set[int]) -> None:
    """Mends links and cannot-links after entries of some pids were deleted. Within a transaction."""

    def there(some: Collection[int]) -> set[int]:
        found = db.run(f"SELECT DISTINCT pid FROM entries WHERE pid {AMONG}", among=json.dumps(sorted(some)))
        return {pid for (pid,) in found}

    gone = pids - there(pids)
    mended = remaining.without(links(db), gone, there)
    db.run(f"DELETE FROM links WHERE number {AMONG}", among=json.dumps([link.number for link in mended.removed]))
    if mended.changed:
        led = [{"number": link.number, "into_pid": link.into} for link in mended.changed]
        db.run(LEAD_ELSEWHERE, led=json.dumps(led))
        set_note(db, RELINKED, str(int(note(db, RELINKED) or 0) + 1))
    text = note(db, apart.APART)
    if (left := apart.without(text, gone, mended.heirs)) != text:
        set_note(db, apart.APART, left)
