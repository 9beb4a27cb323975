"""The file of codes beside a gallery's file: written when that is worth it, and used only if it fits the gallery."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from resight.core.errors import GalleryError
from resight.gallery.records import Damage
from resight.gallery.search.blocks import rounded_up, scale_of
from resight.gallery.search.index import BLOCK_ROWS
from resight.gallery.sqlite import siting
from resight.gallery.sqlite.connection import Connection
from resight.gallery.sqlite.index.codes import Codes, Unfit, beside, removed
from resight.gallery.sqlite.index.reading import Rows

TAIL_ROWS = 16_384  # that are read when a gallery is opened, not mapped
LEFT_TO_WRITERS = 4  # times as many are appended by whoever searches, fewer by whoever adds
SAMPLE = 4096  # rows by which the grid is chosen
MARGIN = 1.25  # by how much others may be larger
TOKEN = "codes"  # the key in meta of the token of the codes that are in force
OUT_OF_DATE = "-"  # what the token begins with when there are rows before the last one that no codes have


class KeptCodes:
    """Writes, checks and finds the file."""

    def __init__(self, db: Connection, rows: Rows) -> None:
        self._db, self._rows = db, rows
        self.path = db.codes_path
        self._prepared = (-1, -1)
        self._doubted = False
        self._covered: int | None = None  # the last id in the codes, as far as is known

    def token(self) -> str:
        """Of the codes that are in force, or of none. In a transaction."""
        return str(self._db.one("SELECT value FROM meta WHERE key = ?", [TOKEN]) or "")

    def fitting(self, removals: int | None = None, *, writing: bool = False) -> Codes | None:
        """The codes if they are those of the gallery's state. In a transaction. removals: as they are taken to be."""
        removals, token = self._rows.removals() if removals is None else removals, self.token()
        if not token or token.startswith(OUT_OF_DATE):
            return None
        try:
            codes = Codes.opened(self.path, writing=writing)
        except (OSError, Unfit):
            return None
        site = siting.identity(self._db.db)
        if (codes.token, codes.removals, codes.dim, codes.site) == (token, removals, self._rows.dim, site):
            return codes
        codes.close()
        return None

    def prepare(self, *, adding: bool = False) -> None:
        """Brings the file up to date where that is worth it and possible. In no transaction.

        A search answers without it too: what cannot be written is not, and what is damaged in the gallery is told where
        it is read.
        """
        with self._db.alone():
            if not self._db.can_write or self._db.db.in_transaction or self._db.state() == self._prepared:
                return
            with suppress(GalleryError, OSError):
                if self._doubted:
                    self._doubted = False
                    self._replace_damaged()
                self._prepare(adding)
            if not adding:
                self._prepared = self._db.state()

    def doubt(self) -> None:
        """Says that a block was not what it should be: the next `prepare` looks again, while nobody writes."""
        self._doubted, self._prepared = True, (-1, -1)

    def _replace_damaged(self) -> None:
        with self._db.deriving():
            codes = self.fitting()
            if codes is not None:
                damaged = any(True for _ in codes.damaged())
                codes.close()
                if damaged:
                    removed(self.path)

    def _prepare(self, adding: bool) -> None:
        with self._db.reading():
            codes = self.fitting()
            covered = self._covered = 0 if codes is None else codes.last_id
            if codes is not None:
                codes.close()
            needed = self._rows.more_than(TAIL_ROWS * (1 if adding or not covered else LEFT_TO_WRITERS), covered)
            # Whoever adds to a large gallery that has no codes leaves them to who searches it.
            build = not adding or not self._rows.more_than(LEFT_TO_WRITERS * TAIL_ROWS, covered)
        if needed and (build or covered):
            with self._db.deriving():
                self._write(build)

    def added(self, ids: Sequence[int]) -> None:
        """Keeps the file up with what was just added, after its transaction."""
        if ids and (self._covered is None or max(ids) - self._covered > TAIL_ROWS):
            self.prepare(adding=True)

    def outdate(self) -> None:
        """Says, within a write transaction, that entries were added before the last one."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [TOKEN, OUT_OF_DATE + secrets.token_hex(15)])

    def erase(self, ids: Sequence[int], *, site_changed: bool) -> tuple[str, ...]:
        """Takes entries out of the file, within the transaction that has just deleted them; returns where traces may
        be left."""
        try:
            beside(self.path).unlink(missing_ok=True)
            if self.path.exists() and (site_changed or not self._erased(ids)):
                removed(self.path)
        except OSError as error:
            with suppress(OSError):
                removed(self.path)
            if self.path.exists():
                return (f"{self.path.name}, which cannot be changed ({error}); delete it",)
        return ()

    def _erased(self, ids: Sequence[int]) -> bool:
        """Whether that was possible. Raises OSError."""
        removals = self._rows.removals()
        codes = self.fitting(removals - 1, writing=True)
        if codes is None:
            return False
        try:
            codes.remove(np.array(ids, np.int64), removals)
            self._stamp(codes, codes.last_id, removals, durable=True)
        except Unfit:
            return False
        finally:
            codes.close()
        return True

    def damage(self) -> Iterator[Damage]:
        """What is wrong with the file, if there is one."""
        remedy = "`resight gallery compact` writes it anew"
        if not self.path.exists():
            return
        codes = self.fitting()
        if codes is None:
            yield Damage(self.path.name, "it is of another state of the gallery, and not used", remedy)
            return
        for number in codes.damaged():
            yield Damage(self.path.name, f"the checksum of block {number} is not that of its content", remedy)
        if not np.array_equal(self._rows.ids(last=codes.last_id), codes.ids()):
            yield Damage(self.path.name, "its rows are not those of the gallery", remedy)
        codes.close()

    def rewrite(self) -> None:
        """Writes the file anew, or deletes it where so few rows need none. Raises OSError if it cannot be deleted."""
        with self._db.deriving():
            removed(self.path)
            with suppress(GalleryError, OSError):
                self._write(build=True)

    def _write(self, build: bool) -> None:
        """Appends to the file or builds it, within a write transaction. Raises OSError, GalleryError."""
        codes = self.fitting(writing=True)
        if codes is not None:
            try:
                self._append(codes)
                return
            except Unfit:
                pass  # it is built anew
            finally:
                codes.close()
        if build and self._rows.more_than(TAIL_ROWS, 0):
            new = beside(self.path)
            new.unlink(missing_ok=True)
            codes = self.built(new)
            try:
                self._stamp(codes, self._rows.last_id(), self._rows.removals())
                os.replace(new, self.path)
            finally:
                codes.close()

    def _append(self, codes: Codes) -> None:
        columns = self._rows.columns(codes.last_id)
        if len(columns) > TAIL_ROWS:
            vectors = np.concatenate(list(self._rows.vectors(codes.last_id)))
            codes.append(vectors, columns)
            self._stamp(codes, int(columns.ids[-1]), self._rows.removals())

    def _stamp(self, codes: Codes, last_id: int, removals: int, *, durable: bool = False) -> None:
        token = secrets.token_hex(16)
        codes.stamp(token, last_id, removals, durable=durable)
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [TOKEN, token])
        self._covered = last_id

    def built(self, path: Path | None) -> Codes:
        """Codes of all rows, ordered by camera and time. In a transaction. path: where; None: in memory.

        Raises OSError, and GalleryError if an embedding is damaged.
        """
        rows = self._rows
        rows.read_site()
        count = self._db.one("SELECT count(*) FROM entries")
        mode = self._db.path.stat().st_mode & 0o666  # who may read the gallery may read them, and nobody else
        codes = Codes.new(path, rows.dim, BLOCK_ROWS, rows.identity, self._scale(), count, mode)
        try:
            columns = rows.columns(0)
            place = np.empty(len(columns), np.int64)
            place[np.lexsort((columns.times, columns.cameras))] = np.arange(len(columns))
            done = 0
            for vectors in rows.vectors(0):
                part = slice(done, done + len(vectors))
                codes.put(place[part], vectors, columns.take(part))
                done += len(vectors)
            codes.end(done)
        except BaseException:
            codes.close()
            if path is not None:
                path.unlink(missing_ok=True)
            raise
        codes.last_id = int(columns.ids[-1])
        return codes

    def _scale(self) -> float:
        """The grid's, by rows that are drawn at random."""
        chosen = np.random.default_rng(0).integers(1, self._rows.last_id() + 1, SAMPLE)
        return min(scale_of(self._rows.of(np.unique(chosen)), MARGIN), rounded_up(1.01 / 127))
