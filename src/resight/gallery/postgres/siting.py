"""The site transform in PostgreSQL: a text of `meta`, and the embeddings that it gives, in a table of their own.

What is searched is that table. Raw embeddings stay the truth in `entries`: the table is made of them, in batches of a
transaction each, while searches still compare the rows of the transform before; the last transaction makes the rows
that are missing and puts the new transform in force. So each search sees the rows of one transform, all of them. An
interrupted rewriting goes on where it stopped, since a fit to the same entries is the same transform.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from resight.core.errors import DataError, GalleryError
from resight.core.records import FloatArray
from resight.gallery.postgres.rows import text_of, vector_of
from resight.gallery.postgres.statements import ALONE
from resight.gallery.records import Damage, Entry, Settings
from resight.gallery.siting import fit_to_what_is_left
from resight.site.crops import SiteCrops
from resight.site.files import from_bytes, to_bytes
from resight.site.transform import SiteTransform

if TYPE_CHECKING:
    from resight.gallery.postgres.connection import Connection

VERSION = 2  # of a gallery's schema, once it has a site transform: an older resight would add no rows to the table
WRITTEN_AT_ONCE = 1000
TABLE = """
    CREATE TABLE IF NOT EXISTS sited (
        site text NOT NULL, entry bigint NOT NULL REFERENCES entries ON DELETE CASCADE,
        embedding vector({dim}) NOT NULL, PRIMARY KEY (site, entry)
    )
"""
MISSING = """
    SELECT e.id, e.camera, e.embedding::text FROM entries e
    WHERE e.id > :last AND NOT EXISTS (SELECT 1 FROM sited s WHERE s.site = :site AND s.entry = e.id)
    ORDER BY e.id LIMIT :limit
"""
NUM_MISSING = """
    SELECT count(*) FROM entries e WHERE NOT EXISTS (SELECT 1 FROM sited s WHERE s.site = :site AND s.entry = e.id)
"""
WRITE = """
    INSERT INTO sited SELECT :site, entry, embedding::vector
    FROM unnest(cast(:entries AS bigint[]), cast(:embeddings AS text[])) AS r (entry, embedding)
    ON CONFLICT DO NOTHING
"""


class Sited:
    """Of one gallery, for one opening of it. All but `write_rows` is within a transaction of the caller's."""

    def __init__(self, db: Connection, settings: Settings) -> None:
        self._db, self._settings = db, settings
        self._mark = ""
        self._site: SiteTransform | None = None

    def identity(self) -> str:
        """Of the transform in force; empty: none."""
        return str(self._value("site identity") or "")

    def transform(self) -> SiteTransform | None:
        """The one in force, or None. Raises GalleryError where it is damaged."""
        mark = str(self._value("site mark") or "")
        if mark != self._mark:
            self._site = self._read() if mark else None
            self._mark = mark
        return self._site

    def add(self, entries: Sequence[Entry], ids: Sequence[int]) -> None:
        """Adds the rows of new entries, after these: a change of the transform then waits for this transaction."""
        site = self.transform() if entries and self.identity() else None
        if site is not None:
            vectors = np.stack([entry.embedding for entry in entries])
            self._write(site, ids, vectors, [entry.camera for entry in entries])

    def write_rows(self, site: SiteTransform) -> None:
        """Makes the rows of a transform that is not in force yet, a transaction for each batch."""
        with self._db.changing():
            self._db.run(TABLE.format(dim=self._settings.dim))
        last = 0
        while last >= 0:
            with self._db.changing():
                last = self._write_missing(site, last)

    def put(self, site: SiteTransform | None) -> None:
        """Puts a transform in force, or none, and drops the rows of all others."""
        if site is None:
            self._db.run("DELETE FROM meta WHERE key IN ('site', 'site mark', 'site identity')")
        else:
            self._db.run(TABLE.format(dim=self._settings.dim))
            self._db.run(ALONE)
            last = 0
            while last >= 0:
                last = self._write_missing(site, last)
            data = base64.b64encode(to_bytes(site)).decode()
            self._set("site", data)
            self._set("site mark", hashlib.sha256(data.encode()).hexdigest())
            self._set("site identity", site.identity)
            self._set("version", str(VERSION))
        if self.exists():
            self._db.run("DELETE FROM sited WHERE site <> :site", site=site.identity if site else "")

    def forgotten(self) -> str:
        """Fits the transform to what is left after a deletion, in its transaction: what became of it, in words."""
        if not self.identity():
            if self.exists():  # rows of a rewriting that was killed
                self._db.run("DELETE FROM sited")
            return ""
        self._db.run(ALONE)
        return fit_to_what_is_left(self.transform, self.crops, self.put).told

    def crops(self) -> SiteCrops:
        """All entries, as a transform is fitted to them, without who they are."""
        cameras, tracks, times, vectors = list[str](), list[str | None](), list[float](), list[FloatArray]()
        last = 0
        while True:
            part = self._db.run(
                "SELECT id, camera, track, time, embedding::text FROM entries WHERE id > :last "
                "ORDER BY id LIMIT :limit",
                last=last,
                limit=WRITTEN_AT_ONCE,
            )
            if not part:
                break
            last = part[-1][0]
            cameras += [row[1] for row in part]
            tracks += [row[2] for row in part]
            times += [np.nan if row[3] is None else row[3] for row in part]
            vectors += [vector_of(row[4]) for row in part]
        rows = np.array(vectors, np.float32).reshape(len(vectors), self._settings.dim)
        source = f"{len(rows):,} entries of a gallery"
        return SiteCrops(rows, tuple(cameras), tuple(tracks), np.array(times), self._settings.model, source)

    def damages(self) -> list[Damage]:
        """What is wrong with the transform and its rows."""
        identity = self.identity()
        if not identity:
            return []
        remedy = "fit it anew, or take it away"
        try:
            self.transform()
        except GalleryError as error:
            return [Damage("site transform", str(error), remedy)]
        missing = int(self._db.one(NUM_MISSING, site=identity))
        what = f"{missing:,} entries have no transformed embedding, and are not found"
        return [Damage("site transform", what, remedy)] if missing else []

    def _write_missing(self, site: SiteTransform, last: int) -> int:
        """Makes the next rows that are missing; the last entry's id, or -1: none is missing any more."""
        part = self._db.run(MISSING, last=last, site=site.identity, limit=WRITTEN_AT_ONCE)
        if part:
            self._write(
                site, [row[0] for row in part], np.stack([vector_of(row[2]) for row in part]), [r[1] for r in part]
            )
        return int(part[-1][0]) if len(part) == WRITTEN_AT_ONCE else -1

    def _write(self, site: SiteTransform, ids: Sequence[int], vectors: FloatArray, cameras: Sequence[str]) -> None:
        told = [text_of(row) for row in site.apply(vectors, cameras)]
        self._db.run(WRITE, site=site.identity, entries=list(ids), embeddings=told)

    def _read(self) -> SiteTransform:
        try:
            return from_bytes(base64.b64decode(str(self._value("site") or "")), "the site transform")
        except (DataError, ValueError) as error:
            raise GalleryError(
                f"{error}; fit it anew: `resight site fit`, or take it away: `resight site remove`"
            ) from None

    def exists(self) -> bool:
        """Whether there is a table of transformed embeddings."""
        return self._db.has("sited")

    def _value(self, key: str) -> object:
        return self._db.one("SELECT value FROM meta WHERE key = :key", key=key)

    def _set(self, key: str, text: str) -> None:
        insert = "INSERT INTO meta VALUES (:key, :text) ON CONFLICT (key) DO UPDATE SET value = :text"
        self._db.run(insert, key=key, text=text)
