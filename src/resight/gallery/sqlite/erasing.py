"""Deleting entries from an SQLite file so that no byte of them is left, and looking whether that is so."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from resight.core.errors import GalleryError
from resight.gallery.records import Settings
from resight.gallery.siting import fitted_anew
from resight.gallery.sqlite import siting
from resight.gallery.sqlite.connection import BUSY, Connection
from resight.gallery.sqlite.searching import found_in, sign_of
from resight.site.transform import SiteTransform

SAMPLE = 100  # deleted entries whose bytes are looked for


def delete(db: Connection, ids: Sequence[int]) -> set[int]:
    """Deletes the entries, with the links and cameras that nothing else needs, and returns the pids of which nothing is
    left. Within a write transaction."""
    inside = "IN (SELECT value FROM json_each(?))"
    asked = [json.dumps(ids)]
    pids = db.execute(f"SELECT DISTINCT pid FROM entries WHERE pid IS NOT NULL AND id {inside}", asked).fetchall()
    db.execute(f"DELETE FROM entries WHERE id {inside}", asked)
    gone = "DELETE FROM links WHERE ?1 IN (pid, into_pid) AND NOT EXISTS (SELECT 1 FROM entries WHERE pid = ?1)"
    db.db.executemany(gone, pids)
    db.execute("DELETE FROM cameras WHERE NOT EXISTS (SELECT 1 FROM entries WHERE camera = code)")
    db.execute("UPDATE meta SET value = value + 1 WHERE key = 'removals'")
    return {pid for (pid,) in pids if db.one("SELECT 1 FROM entries WHERE pid = ? LIMIT 1", [pid]) is None}


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
    try:
        before = siting.read(db.db)
    except GalleryError as error:
        siting.write(db.db, None)
        return f"the site transform is deleted too: {error}", []
    if before is None:
        return "", []
    after, what = fitted_anew(before, siting.crops(db.db, settings))
    siting.write(db.db, after)
    return what, _signs_of_site(before, after)


def _signs_of_site(before: SiteTransform, after: SiteTransform | None) -> list[Sign]:
    """By which a site transform that is no longer in force would be recognised."""
    kept = b"" if after is None else b"".join((after.means.tobytes(), after.matrix.tobytes()))
    signs = (sign_of(part.tobytes()) for part in (*before.means, before.matrix))
    return [Sign(sign, sign[:16], False) for sign in signs if sign is not None and sign not in kept]


def scrub(db: Connection) -> tuple[str, ...]:
    """Rewrites the file without its free pages and empties the log; returns what another process kept from it.

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
        log = db.path.name + "-wal"
        return (f"{log}, while another process reads; `resight gallery compact` empties it afterwards",)
    return ()


def _empty_log(db: Connection) -> bool:
    """Whether another process kept it from that."""
    return bool(db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])


def traces_of(db: Connection, signs: Sequence[Sign]) -> tuple[str, ...]:
    """Scrubs the file after a deletion and looks for the signs. Never raises: what fails is a trace, as it may be."""
    try:
        kept = scrub(db)
    except GalleryError as error:
        again = (
            "and may hold bytes of deleted entries; make room if the disk is full, and run `resight gallery compact`"
        )
        kept = (f"the file was not rewritten ({error}) {again}",)
    try:
        return (*kept, *(f"{name} still holds bytes of a deleted entry" for name in _files_with(db, signs)))
    except (OSError, GalleryError) as error:
        return (*kept, f"{error}: the files could not be searched for bytes of deleted entries")


def _files_with(db: Connection, signs: Sequence[Sign]) -> list[str]:
    found = {path.name: found_in(path, [sign.data for sign in signs]) for path in db.files()}
    there = set().union(*found.values())
    if there:
        with db.reading():
            there -= {sign.data for sign in signs if sign.data in there and _stays(db, sign)}
    return [name for name, those in found.items() if those & there]


def _stays(db: Connection, sign: Sign) -> bool:
    """Whether an entry that is still there has the same bytes: it is in the gallery twice."""
    if sign.of_picture:
        return db.one("SELECT 1 FROM crops WHERE instr(data, ?) LIMIT 1", [sign.data]) is not None
    equal = "SELECT 1 FROM entries WHERE substr(embedding, 1, 16) = ? AND instr(embedding, ?) LIMIT 1"
    return db.one(equal, [sign.start, sign.data]) is not None
