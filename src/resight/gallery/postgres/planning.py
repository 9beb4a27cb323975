"""What PostgreSQL finds rows by: an index more, and the statistics by which it chooses an index or reads all rows.

The server makes statistics by itself, but a minute or more after rows were added, or never where that was turned off:
until then a search of two hours and four cameras reads every row. So whoever adds many rows has them made.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from resight.core.errors import GalleryError
from resight.gallery.postgres.statements import CONTENT, INDEX

if TYPE_CHECKING:
    from resight.gallery.postgres.connection import Connection

LOOKED_AFTER = 1000  # rows of one's own, after which is asked how many were added by all
STALE_ROWS, STALE_SHARE = 10_000, 0.1  # rows that have changed since the last time, and their share of all
CHANGED = """
    SELECT s.n_mod_since_analyze, c.reltuples FROM pg_class c JOIN pg_stat_all_tables s ON s.relid = c.oid
    WHERE c.oid = to_regclass(:name)
"""
# What no search chooses by: the values of embeddings, and the digests of their texts, cost most of the time.
WITHOUT = (
    "ALTER TABLE entries ALTER COLUMN embedding SET STATISTICS 0",
    f"ALTER INDEX {CONTENT} ALTER COLUMN 1 SET STATISTICS 0",
)


class Planning:
    """Of one gallery, for one opening of it."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self._unseen = 0

    def make(self) -> None:
        """Makes the index that finds equal entries. Without it (this user may not make one) that takes longer."""
        with suppress(GalleryError):
            if not self._db.has(CONTENT):
                for statement in (INDEX, *WITHOUT):
                    self._db.run(statement)

    def added(self, num: int) -> None:
        """To be called after a transaction that added this many rows. What fails is left to the server."""
        self._unseen += num
        if self._unseen >= LOOKED_AFTER:
            self._unseen = 0
            with suppress(GalleryError), self._db.changing():
                changed, rows = self._db.run(CHANGED, name=f"{self._db.schema}.entries")[0]
                if changed > STALE_ROWS + STALE_SHARE * max(0.0, rows):
                    self._db.run("ANALYZE (SKIP_LOCKED) entries")
