"""Deleting entries from an SQLite file so that no byte of them is left, and looking whether that is so."""

from __future__ import annotations

import json
import mmap
import sqlite3
from collections.abc import Sequence

from resight.core.errors import GalleryError
from resight.gallery.sqlite.connection import BUSY, Connection

SAMPLE = 100  # deleted entries whose bytes are looked for


def delete(db: Connection, ids: Sequence[int]) -> None:
    """Deletes the entries, with the links and cameras that nothing else needs. Within a write transaction."""
    inside = "IN (SELECT value FROM json_each(?))"
    asked = [json.dumps(ids)]
    pids = db.execute(f"SELECT DISTINCT pid FROM entries WHERE pid IS NOT NULL AND id {inside}", asked).fetchall()
    db.execute(f"DELETE FROM entries WHERE id {inside}", asked)
    gone = "DELETE FROM links WHERE ?1 IN (pid, into_pid) AND NOT EXISTS (SELECT 1 FROM entries WHERE pid = ?1)"
    db.db.executemany(gone, pids)
    db.execute("DELETE FROM cameras WHERE NOT EXISTS (SELECT 1 FROM entries WHERE camera = code)")
    db.execute("UPDATE meta SET value = value + 1 WHERE key = 'removals'")


def signs_of(db: Connection, ids: Sequence[int]) -> list[bytes]:
    """Bytes by which the entries would be recognised in a file: of embeddings and crops, of SAMPLE entries at most."""
    signs: list[bytes] = []
    query = "SELECT embedding, data FROM entries LEFT JOIN crops ON entry = id WHERE id = ?"
    for number in ids[:: max(1, len(ids) // SAMPLE)][:SAMPLE]:
        embedding, crop = db.execute(query, [number]).fetchone()
        signs += [embedding[:64], *([] if crop is None else [crop[len(crop) // 2 :][:64]])]
    return signs


def scrub(db: Connection) -> tuple[str, ...]:
    """Rewrites the file without its free pages and empties the log; returns what another process kept from it.

    Raises GalleryError if the disk is full or fails; the gallery is then as it was.
    """
    with db.alone():
        try:
            db.execute("VACUUM")
            busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError as error:
            if not getattr(error, "sqlite_errorname", "").startswith(BUSY):
                raise
            busy = 1
    if busy:
        log = db.path.name + "-wal"
        return (f"{log}, while another process reads; `resight gallery compact` empties it afterwards",)
    return ()


def traces_of(db: Connection, signs: Sequence[bytes]) -> tuple[str, ...]:
    """Scrubs the file after a deletion and looks for the signs. Never raises: what fails is a trace, as it may be."""
    try:
        kept = scrub(db)
    except GalleryError as error:
        again = (
            "the file was not rewritten and may hold bytes of deleted entries; `resight gallery compact` tries again"
        )
        kept = (f"{error}: {again}",)
    try:
        return (*kept, *(f"{name} still holds bytes of a deleted entry" for name in _files_with(db, signs)))
    except OSError as error:
        return (*kept, f"{error}: the files could not be searched for bytes of deleted entries")


def _files_with(db: Connection, signs: Sequence[bytes]) -> list[str]:
    found = []
    for path in db.files():
        if path.stat().st_size:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                if any(data.find(sign) >= 0 for sign in signs):
                    found.append(path.name)
    return found
