"""One connection to an SQLite file, shared by threads: transactions, and the engine's errors in words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from resight.core.errors import GalleryBusy, GalleryError

BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")
WHAT_FAILED = {
    "SQLITE_FULL": "the disk is full",
    "SQLITE_READONLY": "it can only be read here; check the rights of the file and of its folder",
    "SQLITE_CANTOPEN": "it cannot be opened; check that it exists, and the rights of the file and of its folder",
    "SQLITE_NOTADB": "it is no gallery, or its first bytes are damaged; restore it from a backup",
    "SQLITE_CORRUPT": "it is damaged; `resight gallery verify` says where, `resight gallery export` saves what can be",
    "SQLITE_IOERR": "the disk failed to read or write",
}


class Connection:
    """Threads take turns, a whole transaction at a time."""

    def __init__(self, path: Path, *, read_only: bool, wait_s: float) -> None:
        """wait_s: how long to wait while another process writes. Raises GalleryError."""
        self.path = path
        self._lock = RLock()
        with self.told():
            mode = "ro" if read_only else "rwc"
            self.db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=wait_s,
                isolation_level=None,
                check_same_thread=False,
            )

    def execute(self, query: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Runs a statement within `reading`, `writing` or `alone`."""
        return self.db.execute(query, values)

    def one(self, query: str, values: Sequence[Any] = ()) -> Any:
        """The first value of the first row, or None."""
        row = self.db.execute(query, values).fetchone()
        return row[0] if row else None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A read transaction: everything read in it is of one moment. Nested ones join the outer one."""
        with self.alone():
            if self.db.in_transaction:
                yield
                return
            self.db.execute("BEGIN")
            try:
                yield
            finally:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")  # there is nothing to commit

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A write transaction: on the disk as a whole when it ends, or rolled back."""
        with self._lock, self.told("nothing of this change was kept"):
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While no other thread uses the connection. For statements that cannot be in a transaction."""
        with self._lock, self.told():
            yield

    @contextmanager
    def told(self, consequence: str = "") -> Iterator[None]:
        """Raises SQLite's errors as GalleryError. consequence: what a full or failing disk means for the caller."""
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            if name.startswith(BUSY):
                raise GalleryBusy(f"{self.path}: another process is writing to it; try again, or wait longer") from None
            what = next((text for key, text in WHAT_FAILED.items() if name.startswith(key)), str(error))
            if consequence and name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
                what += f"; {consequence}"
            raise GalleryError(f"{self.path}: {what}") from None

    def files(self) -> list[Path]:
        """The file and its write-ahead log, if they exist."""
        names = (self.path, self.path.with_name(self.path.name + "-wal"))
        return [path for path in names if path.exists()]

    def close(self) -> None:
        """Closes it."""
        with self._lock:
            self.db.close()
