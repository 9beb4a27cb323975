"""The site transform in an SQLite file: a value of `meta`, read and written within the caller's transaction."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator

import numpy as np

from resight.core.errors import DataError, GalleryError
from resight.gallery.records import Damage, Settings
from resight.site.crops import SiteCrops
from resight.site.files import from_bytes, to_bytes
from resight.site.transform import SiteTransform

READ_AT_ONCE = 4096


def mark(db: sqlite3.Connection) -> str:
    """Another text after each change of the transform, or of its calibration; empty: there is none."""
    found = db.execute("SELECT value FROM meta WHERE key = 'site mark'").fetchone()
    return "" if found is None else str(found[0])


def read(db: sqlite3.Connection) -> SiteTransform | None:
    """The transform in force, or None. Raises GalleryError where it is damaged."""
    found = db.execute("SELECT value FROM meta WHERE key = 'site'").fetchone()
    if found is None:
        return None
    try:
        return from_bytes(bytes(found[0]), "the site transform")
    except (DataError, TypeError) as error:
        raise GalleryError(
            f"{error}; fit it anew: `resight site fit`, or take it away: `resight site remove`"
        ) from None


def identity(db: sqlite3.Connection) -> str:
    """Of the transform in force; empty: there is none. Raises GalleryError where it is damaged."""
    site = read(db) if mark(db) else None
    return "" if site is None else site.identity


def damage_of(db: sqlite3.Connection) -> Iterator[Damage]:
    """What is wrong with the transform, if anything is."""
    try:
        read(db)
    except GalleryError as error:
        yield Damage("site transform", str(error), "fit it anew, or take it away")


def write(db: sqlite3.Connection, site: SiteTransform | None) -> None:
    """Puts it in force, or none."""
    if site is None:
        db.execute("DELETE FROM meta WHERE key IN ('site', 'site mark')")
        return
    data = to_bytes(site)
    values = [("site", data), ("site mark", hashlib.sha256(data).hexdigest())]
    db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values)


def crops(db: sqlite3.Connection, settings: Settings) -> SiteCrops:
    """All entries, as a transform is fitted to them, without who they are."""
    num = db.execute("SELECT count(*) FROM entries").fetchone()[0]
    vectors = np.empty((num, settings.dim), np.float32)
    cameras, tracks, times = list[str](), list[str | None](), np.empty(num, np.float64)
    found = db.execute(
        "SELECT e.embedding, c.name, e.track, e.time FROM entries e JOIN cameras c ON c.code = e.camera ORDER BY e.id"
    )
    while part := found.fetchmany(READ_AT_ONCE):
        rows = slice(len(cameras), len(cameras) + len(part))
        data = b"".join(row[0] for row in part)
        if len(data) != len(part) * 4 * settings.dim:
            raise GalleryError("an embedding is damaged; `resight gallery verify` says which")
        vectors[rows] = np.frombuffer(data, "<f4").reshape(len(part), settings.dim)
        cameras += [row[1] for row in part]
        tracks += [row[2] for row in part]
        times[rows] = [np.nan if row[3] is None else row[3] for row in part]
    source = f"{num:,} entries of a gallery"
    return SiteCrops(vectors, tuple(cameras), tuple(tracks), times, settings.model, source)
