"""One connection to an SQLite file, shared by threads: transactions, and the engine's errors in words."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import Any

from resight.core.errors import GalleryBusy, GalleryError
from resight.gallery.sqlite import raw

BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")
WHAT_FAILED = {
    "SQLITE_FULL": "the disk is full",
    "SQLITE_READONLY": "it can only be read here; check the rights of the file and of its folder",
    "SQLITE_CANTOPEN": "it cannot be opened; check that it exists, and the rights of the file and of its folder. Where "
    "nothing can be written and a -wal file lies beside it, copy both to another place, and read them there",
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
        self._log = path.with_name(path.name + "-wal")
        mode = self._reading_mode() if read_only else "mode=rwc"
        if not read_only:
            with suppress(OSError):  # SQLite says what is wrong, and gives its log the file's own rights
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        self.read_only, self.can_write = read_only, mode in ("mode=rw", "mode=rwc")
        self._unlocked = self._version() if "immutable" in mode else None
        with self.told():
            self.db = sqlite3.connect(
                f"{path.absolute().as_uri()}?{mode}",
                uri=True,
                timeout=wait_s,
                isolation_level=None,
                check_same_thread=False,
            )
            if read_only:
                self.db.execute("PRAGMA query_only = ON")
        self._held: raw.Key | None = raw.hold(path)

    def _reading_mode(self) -> str:
        """How to open the file for reading. SQLite keeps a log and a lock beside it, which it needs the right to make;
        what cannot be written here and has no log is read as it is."""
        if os.access(self.path, os.W_OK) and os.access(self.path.absolute().parent, os.W_OK):
            return "mode=rw"
        if not self._log.exists() or not self._log.stat().st_size:
            return "mode=ro&immutable=1"
        return "mode=ro"

    def _version(self) -> tuple[int, int, bool]:
        """Another one after each change of the file."""
        found = self.path.stat()
        return found.st_mtime_ns, found.st_size, self._log.exists() and self._log.stat().st_size > 0

    def execute(self, query: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Runs a statement within `reading`, `writing` or `alone`."""
        return self.db.execute(query, values)

    def one(self, query: str, values: Sequence[Any] = ()) -> Any:
        """The first value of the first row, or None."""
        row = self.db.execute(query, values).fetchone()
        return row[0] if row else None

    def state(self) -> tuple[int, int]:
        """Another one after each change of the gallery, by whomever."""
        return self.one("PRAGMA data_version"), self.db.total_changes

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
            if self._unlocked is not None and self._version() != self._unlocked:
                raise GalleryBusy(f"{self.path}: it was changed while it was read without a lock; try again")

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
    def deriving(self) -> Iterator[None]:
        """As `writing`, of what is derived from the gallery: by readers too, where they have the right (can_write)."""
        with self.alone():
            self.db.execute("PRAGMA query_only = OFF")
            try:
                with self.writing():
                    yield
            finally:
                if self.read_only:
                    self.db.execute("PRAGMA query_only = ON")

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
            if self.read_only and self.can_write and name.startswith("SQLITE_READONLY"):
                what = "it was opened for reading only"
            if consequence and name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
                what += f"; {consequence}"
            raise GalleryError(f"{self.path}: {what}") from None

    def log_is_empty(self) -> bool:
        """Whether all that was written is in the file itself."""
        return not self._log.exists() or not self._log.stat().st_size

    def files(self) -> list[Path]:
        """The file, its write-ahead log and its codes, if they exist."""
        return [path for path in (self.path, self._log, self.codes_path) if path.exists()]

    @property
    def codes_path(self) -> Path:
        """Where what searches read first is kept."""
        return self.path.with_name(self.path.name + "-codes")

    def close(self) -> None:
        """Closes it."""
        with self._lock:
            self.db.close()
            if self._held is not None:
                raw.release(self._held)
                self._held = None
