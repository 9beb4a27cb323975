"""Deleting entries from an SQLite file so that no byte of them is left, and looking whether that is so."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from resight.core.errors import GalleryError
from resight.gallery.curation import apart, remaining
from resight.gallery.records import LOOKED_FOR as SAMPLE
from resight.gallery.records import Link, Settings
from resight.gallery.siting import fit_to_what_is_left
from resight.gallery.sqlite import pages, raw, siting
from resight.gallery.sqlite.connection import BUSY, Connection
from resight.gallery.sqlite.linking import RELINKED
from resight.gallery.sqlite.searching import Signs, found_in, sign_of
from resight.site.transform import SiteTransform

TRIES = 100  # to empty the log before another process writes again


def delete(db: Connection, ids: Sequence[int]) -> None:
    """Deletes the entries, with the links, cannot-links and cameras that nothing else needs. Within a write
    transaction."""
    inside = "IN (SELECT value FROM json_each(?))"
    asked = [json.dumps(ids)]
    pids = db.execute(f"SELECT DISTINCT pid FROM entries WHERE pid IS NOT NULL AND id {inside}", asked).fetchall()
    db.execute(f"DELETE FROM entries WHERE id {inside}", asked)
    _forget_people(db, {pid for (pid,) in pids})
    db.execute("DELETE FROM cameras WHERE NOT EXISTS (SELECT 1 FROM entries WHERE camera = code)")
    db.execute("INSERT OR IGNORE INTO meta SELECT 'swept', value FROM meta WHERE key = 'removals'")
    db.execute("UPDATE meta SET value = value + 1 WHERE key = 'removals'")


def _forget_people(db: Connection, pids: set[int]) -> None:
    """Mends links and cannot-links after entries of some pids were deleted."""

    def there(some: Collection[int]) -> set[int]:
        asked = "SELECT DISTINCT pid FROM entries WHERE pid IN (SELECT value FROM json_each(?))"
        return {pid for (pid,) in db.execute(asked, [json.dumps(sorted(some))])}

    gone = pids - there(pids)
    links = [Link(*row) for row in db.execute("SELECT number, pid, into_pid FROM links ORDER BY number")]
    mended = remaining.without(links, gone, there)
    db.db.executemany("DELETE FROM links WHERE number = ?", [[link.number] for link in mended.removed])
    changed = [[link.into, link.number] for link in mended.changed]
    db.db.executemany("UPDATE links SET into_pid = ? WHERE number = ?", changed)
    if mended.changed:
        relinked = "INSERT INTO meta VALUES (?, '1') ON CONFLICT (key) DO UPDATE SET value = value + 1"
        db.execute(relinked, [RELINKED])
    text = str(db.one("SELECT value FROM meta WHERE key = ?", [apart.APART]) or "")
    if (left := apart.without(text, gone, mended.heirs)) != text:
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [apart.APART, left])


@dataclass(frozen=True)
class Sign:
    """Bytes by which a deleted embedding, or its picture, would be recognised in a file. start: of the embedding, by
    which equal ones are found."""

    data: bytes
    start: bytes
    of_picture: bool


def signs_of(db: Connection, ids: Sequence[int]) -> list[Sign]:
    """The signs of entries: of embeddings and pictures, of SAMPLE entries at most. What is so plain that any file holds
    it has none."""
    signs: list[Sign] = []
    query = "SELECT embedding, data FROM entries LEFT JOIN crops ON entry = id WHERE id = ?"
    for number in ids[:: max(1, len(ids) // SAMPLE)][:SAMPLE]:
        embedding, crop = db.execute(query, [number]).fetchone()
        for data, of_picture in ((embedding, False), (crop and crop[len(crop) // 2 :], True)):
            sign = sign_of(data) if data else None
            if sign is not None:
                signs.append(Sign(sign, embedding[:16], of_picture))
    return signs


def without_their_site(db: Connection, settings: Settings) -> tuple[str, list[Sign]]:
    """Fits the site transform to what is left, since it was made of the deleted entries too: what became of it, in
    words, and the signs of the old one. Within the transaction that deletes them."""
    found = fit_to_what_is_left(
        partial(siting.read, db.db), partial(siting.crops, db.db, settings), partial(siting.write, db.db)
    )
    return found.told, _signs_of_site(found.before, found.after) if found.before else []


def _signs_of_site(before: SiteTransform, after: SiteTransform | None) -> list[Sign]:
    """By which a site transform that is no longer in force would be recognised."""
    kept = b"" if after is None else b"".join((after.means.tobytes(), after.matrix.tobytes()))
    signs = (sign_of(part.tobytes()) for part in (*before.means, before.matrix))
    return [Sign(sign, sign[:16], False) for sign in signs if sign is not None and sign not in kept]


def owed(db: Connection) -> bool:
    """Whether entries were deleted and their bytes not yet swept out of the files: the process that did it was killed,
    or another one read meanwhile. Within a transaction."""
    swept = db.one("SELECT value FROM meta WHERE key = 'swept'")
    return swept is not None and swept != db.one("SELECT value FROM meta WHERE key = 'removals'")


def sweep(db: Connection, signs: Sequence[Sign]) -> tuple[str, ...]:
    """Takes what was deleted out of the files, in place, and looks for the signs; returns where traces may be left.

    The log is emptied into the file and, while nobody can write, the file is read once: what its pages hold beside
    entries becomes zeros. Raises GalleryError or OSError if that fails.
    """
    with db.alone(), raw.opened(db.path) as file:
        data, size = [sign.data for sign in signs], pages.page_size(file)
        if size is None:  # tens of millions of pages, or not as we made it
            kept, found = rewrite(db), found_in(db.path, data)
        else:
            kept, found = _sweep(db, file, size, data)
        with db.reading():
            left = any(sign.data in found and not _stays(db, sign) for sign in signs)
        return (*kept, *([f"{db.path.name} still holds bytes of a deleted entry"] if left else []))


def _sweep(db: Connection, file: int, size: int, signs: list[bytes]) -> tuple[tuple[str, ...], set[bytes]]:
    """Where traces may be left, and which of the signs are in the file."""
    for _ in range(TRIES):
        if _empty_log(db):
            break
        with db.writing():
            if not db.log_is_empty():
                continue  # somebody wrote in between
            done = pages.sweep(file, size, Signs(signs))  # from here on nobody can
            _swept(db)
        kept = [_kept_from(db)] if _empty_log(db) else []
        kept += [f"{db.path.name}: page {page} is damaged and was not searched" for page in done.damaged]
        return tuple(kept), set(done.found)
    return (_kept_from(db),), set()


def rewrite(db: Connection) -> tuple[str, ...]:
    """Writes the file anew without its free pages and empties the log; returns where traces may be left.

    Raises GalleryError if the file cannot be rewritten, because the disk is full, say. What was deleted is then
    overwritten, but not cut off, and the log is empty if nobody reads.
    """
    with db.alone():
        try:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()  # what is rewritten takes the place of the log
            db.execute("VACUUM")
            busy = _empty_log(db)
        except sqlite3.OperationalError as error:
            if not getattr(error, "sqlite_errorname", "").startswith(BUSY):
                with suppress(sqlite3.Error):
                    _empty_log(db)
                raise
            busy = True
        if busy:
            return (_kept_from(db),)
        with db.writing():
            _swept(db)
        return (_kept_from(db),) if _empty_log(db) else ()


def _swept(db: Connection) -> None:
    """Writes down that nothing is owed. The pages in memory are read anew, by this connection and, because something
    was written, by all others: or what they held beside entries would come back with the next change of such a page."""
    db.execute("PRAGMA shrink_memory")
    db.execute("INSERT OR REPLACE INTO meta SELECT 'swept', value FROM meta WHERE key = 'removals'")


def _kept_from(db: Connection) -> str:
    return f"{db.path.name}-wal, while another process reads or writes; `resight gallery compact` empties it afterwards"


def _empty_log(db: Connection) -> bool:
    """Whether another process kept it from that."""
    return bool(db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])


def traces_of(db: Connection, signs: Sequence[Sign]) -> tuple[str, ...]:
    """Sweeps the file after a deletion. Never raises: what fails is a trace, as it may be."""
    try:
        return sweep(db, signs)
    except (GalleryError, OSError, sqlite3.Error) as error:
        return (
            f"the file was not swept ({error}) and may hold bytes of deleted entries; make room if the disk is full, "
            "and run `resight gallery compact`",
        )


def _stays(db: Connection, sign: Sign) -> bool:
    """Whether an entry that is still there has the same bytes: it is in the gallery twice."""
    if sign.of_picture:
        return db.one("SELECT 1 FROM crops WHERE instr(data, ?) LIMIT 1", [sign.data]) is not None
    equal = "SELECT 1 FROM entries WHERE substr(embedding, 1, 16) = ? AND instr(embedding, ?) LIMIT 1"
    return db.one(equal, [sign.start, sign.data]) is not None
