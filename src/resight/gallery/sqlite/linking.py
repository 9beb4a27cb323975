"""The links of a gallery's file, read again only where they have changed."""

from __future__ import annotations

from resight.gallery.people import LinkTable
from resight.gallery.sqlite.connection import Connection

RELINKED = "relinked"  # the key in meta of how often a deletion has led links elsewhere
STATE = "SELECT count(*), max(number), (SELECT value FROM meta WHERE key = ?) FROM links"


class Linked:
    """Of one opening of the gallery. To be asked before a transaction changes links, not after."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self._seen: object = None
        self._state: object = None
        self._table = LinkTable()

    def table(self) -> LinkTable:
        """Each linked pid, with the pid that it is linked into. In a transaction."""
        seen = self._db.state()
        if seen != self._seen:
            # A number is never given twice, and a deletion that leads links elsewhere notes it.
            state = self._db.execute(STATE, [RELINKED]).fetchone()
            if state != self._state:
                self._table = LinkTable(self._db.execute("SELECT pid, into_pid FROM links"))
            self._seen, self._state = seen, state
        return self._table
