"""Checks a gallery's file, on a connection of its own: searches and changes go on meanwhile.

Each page of entries is read in a transaction of its own. One over all of them would be of one moment, but as long as it
lasts the log cannot be emptied, and so nothing be forgotten without a trace, in any process.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing

from resight.core.progress import Advance, Progress
from resight.gallery.audit import check_chain
from resight.gallery.records import Damage, Settings
from resight.gallery.search import rows
from resight.gallery.sqlite import auditing, erasing, siting
from resight.gallery.sqlite.connection import Connection
from resight.gallery.sqlite.index.kept import KeptCodes
from resight.gallery.sqlite.index.reading import Rows
from resight.gallery.store import damage_of_unfinished

READ_AT_ONCE = 256  # entries, with their pictures
LOOK_EVERY = 100_000  # instructions of SQLite
RESTORE = "restore the file from a backup, or export what can be read and import it into a new gallery"
PAGE = f"SELECT {rows.FIELDS}, data FROM entries LEFT JOIN crops ON entry = id WHERE id > ? ORDER BY id LIMIT ?"


def damages(
    db: Connection, kept: KeptCodes, settings: Settings, unswept: AbstractContextManager[object], progress: Progress
) -> Iterator[Damage]:
    """As `Store.verify`. db, kept: of the open gallery. unswept: while it is entered, nothing is deleted here: who
    deletes waits for one step, not for all."""
    with closing(Connection(db.path, read_only=True, wait_s=5.0)) as own:
        with own.reading():
            num = int(own.one("SELECT count(*) FROM entries"))
            text = str(own.one("SELECT value FROM meta WHERE key = 'unfinished'") or "")
        yield from damage_of_unfinished(text)
        with progress("verifying", num) as advance:
            with unswept:
                found = [*_of_database(own, advance)]
            yield from found
            last: int | None = -(2**63)
            while last is not None:
                with unswept, own.reading():
                    found, num, last = _of_entries(own, settings.dim, last)
                yield from found
                advance(num)
            with unswept:
                found = [*_of_site_and_codes(own, db, kept, settings.dim)]
            yield from found
        yield from check_chain(auditing.lines(own, 0, None, ()))


def _of_database(db: Connection, advance: Advance) -> Iterator[Damage]:
    """What SQLite says of the file. Raises what `advance` raises."""
    stopped: list[BaseException] = []

    def look() -> int:
        try:
            advance(0)
        except BaseException as error:
            stopped.append(error)
        return len(stopped)

    with db.alone():
        db.db.set_progress_handler(look, LOOK_EVERY)
        try:
            told = [text for (text,) in db.execute("PRAGMA integrity_check")]
        except sqlite3.OperationalError:
            if stopped:
                raise stopped[0] from None
            raise
        finally:
            db.db.set_progress_handler(None, 0)
    yield from (Damage("database", text, RESTORE) for text in told if text != "ok")
    with db.reading():
        if erasing.owed(db):
            what = "bytes of deleted entries may be left in it: a deletion was cut short, or another process read"
            yield Damage("files", what, "`resight gallery compact`")


def _of_entries(db: Connection, dim: int, after: int) -> tuple[list[Damage], int, int | None]:
    """Of a page of entries: what is damaged, how many they are, and the last id; None: there are no more."""
    cameras = {code for (code,) in db.execute("SELECT code FROM cameras")}
    part, found = db.execute(PAGE, [after, READ_AT_ONCE]).fetchall(), []
    for *row, crop in part:
        known = row[1] in cameras
        what = rows.damage_of(tuple(row), crop, dim) if known else "its camera is not known"
        if what:
            found.append(Damage(f"entry {row[0]}", what, f"`resight gallery forget --id {row[0]}`, and add it again"))
    return found, len(part), part[-1][0] if part else None


def _of_site_and_codes(own: Connection, db: Connection, kept: KeptCodes, dim: int) -> Iterator[Damage]:
    with own.reading():
        if site := list(siting.damage_of(own.db)):
            yield from site
            return
        doubts = list(KeptCodes(own, Rows(own, dim)).damage())
    if doubts:  # or else somebody appended to them meanwhile
        with db.reading():
            yield from kept.damage()
