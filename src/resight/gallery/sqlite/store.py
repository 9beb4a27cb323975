"""The gallery in one SQLite file, searched in memory. The file is the truth; the index is read from it.

Write-ahead log with synchronous=FULL: each commit is flushed to the disk before `add` returns, so that it survives a
loss of power, not only a kill (NORMAL would survive the kill alone). Readers never wait for the writer.
"""

from __future__ import annotations

import json
import mmap
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import RLock
from typing import Any

from resight.core.errors import GalleryBusy, GalleryError
from resight.core.records import FloatArray
from resight.gallery.audit import Line, check_chain, next_line
from resight.gallery.people import check_link
from resight.gallery.records import Damage, Entry, Findings, Forgotten, Hit, Link, Settings, Stats, Where
from resight.gallery.search import rows
from resight.gallery.search.approximate import Approximation
from resight.gallery.search.columns import EVERY_ROW
from resight.gallery.sqlite.index import LiveIndex
from resight.gallery.sqlite.schema import APPLICATION_ID, STEPS, VERSION
from resight.gallery.sqlite.where import condition_of, linked, selection_of
from resight.gallery.store import Detail

READ_AT_ONCE = 4096
WITH_CROPS = (
    f"SELECT {', '.join('e.' + name for name in rows.FIELDS.split(', '))}, c.data "
    "FROM entries e LEFT JOIN crops c ON c.entry = e.id"
)
_WHAT_FAILED = {
    "SQLITE_FULL": "the disk is full; nothing of this change was kept, and what was there before still is",
    "SQLITE_READONLY": "it can only be read here; check the rights of the file and of its folder",
    "SQLITE_CANTOPEN": "it cannot be opened; check that it is there, and the rights of the file and of its folder",
    "SQLITE_NOTADB": "it is no gallery, or its first bytes are damaged; restore it from a backup",
    "SQLITE_CORRUPT": "it is damaged; `resight gallery verify` says where, `resight gallery export` saves what can be",
    "SQLITE_IOERR": "the disk failed to read or write; nothing of this change was kept",
}


class SqliteStore:
    """As Store says. One process may hold several; any number of threads may use one."""

    def __init__(
        self,
        path: str | Path,
        settings: Settings | None,
        *,
        new: bool = False,
        read_only: bool = False,
        wait_s: float = 5.0,
    ) -> None:
        """As `open_store` says."""
        self.path = path = Path(path)
        self._lock = RLock()
        there = path.is_file() and path.stat().st_size > 0
        if there and new:
            raise GalleryError(f"{path} is there already")
        if not there and settings is None:
            raise GalleryError(f"there is no gallery at {path}; `resight gallery create` makes one")
        settings = None if there else settings
        with self._told():
            mode = "ro" if read_only else "rwc"
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=wait_s,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                self._prepare(settings, read_only)
            except BaseException:
                self._db.close()
                raise
        self._index = LiveIndex(self._db, self.settings.dim)

    def _prepare(self, settings: Settings | None, read_only: bool) -> None:
        self._db.execute("PRAGMA foreign_keys = ON")
        if not read_only:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten with zeros
        version = self._one("PRAGMA user_version")
        if settings is None and self._one("PRAGMA application_id") != APPLICATION_ID:
            raise GalleryError(f"{self.path} is a database, but no gallery")
        if version > VERSION:
            raise GalleryError(
                f"{self.path} is of schema {version}, made by a newer resight; this one knows up to {VERSION}. "
                "Nothing was changed"
            )
        if version < VERSION and read_only:
            raise GalleryError(f"{self.path} is of schema {version}; open it once for writing, to bring it up to date")
        if version < VERSION:
            self._bring_up_to_date(settings)
        self.settings = self._settings()

    def _bring_up_to_date(self, settings: Settings | None) -> None:
        """All steps or none; another process may have taken them meanwhile."""
        with self._writing():
            for step in STEPS[self._one("PRAGMA user_version") :]:
                for statement in step.split(";"):
                    if statement.strip():
                        self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {VERSION}")
            self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            if settings is not None:
                self._db.execute("INSERT OR IGNORE INTO meta VALUES ('settings', ?)", [json.dumps(asdict(settings))])

    def _settings(self) -> Settings:
        try:
            return Settings(**json.loads(self._one("SELECT value FROM meta WHERE key = 'settings'")))
        except (TypeError, ValueError) as error:
            raise GalleryError(
                f"{self.path}: its settings cannot be read ({error}); restore it from a backup"
            ) from None

    def add(self, entries: Sequence[Entry]) -> list[int]:
        with self._writing():
            cameras = self._camera_codes({entry.camera for entry in entries})
            return [self._insert(entry, cameras[entry.camera]) for entry in entries]

    def search(self, queries: FloatArray, top: int | None, where: Where, at_least: float | None) -> Findings:
        with self._lock, self._told():
            wanted = selection_of(self._db, where)
            found, recall = self._index.search(queries, top, wanted, at_least)
            num_people = self._index.num_people(wanted)
        pairs = (zip(answer.ids.tolist(), answer.similarities.tolist(), strict=True) for answer in found)
        return Findings(tuple(tuple(Hit(*pair) for pair in answer) for answer in pairs), num_people, recall)

    def approximate(self, top: int, recall: float) -> Approximation:
        """As Gallery says."""
        with self._lock, self._told():
            return self._index.approximate(top, recall)

    def count(self) -> int:
        with self._lock, self._told():
            return int(self._one("SELECT count(*) FROM entries"))

    def read(self, ids: Sequence[int]) -> list[Entry]:
        with self._lock, self._told():
            cameras = self._cameras()
            found = {}
            for start in range(0, len(ids), READ_AT_ONCE):
                part = json.dumps([int(number) for number in ids[start : start + READ_AT_ONCE]])
                query = f"SELECT {rows.FIELDS} FROM entries WHERE id IN (SELECT value FROM json_each(?))"
                for row in self._db.execute(query, [part]):
                    found[row[0]] = rows.entry_of(row, cameras[row[1]], self.settings.dim)
        return [found[number] for number in ids if number in found]

    def scan(self, where: Where) -> Iterator[Entry]:
        with self._lock, self._told():
            condition, values = condition_of(self._db, where)
        meant = f"e.id > ? AND e.id IN (SELECT id FROM entries WHERE {condition})"
        query = f"{WITH_CROPS} WHERE {meant} ORDER BY e.id LIMIT {READ_AT_ONCE // 16}"
        last = 0
        while True:
            with self._lock, self._told():
                cameras = self._cameras()
                part = self._db.execute(query, [last, *values]).fetchall()
            if not part:
                return
            for *row, crop in part:
                yield rows.entry_of(tuple(row), cameras[row[1]], self.settings.dim, crop)
            last = part[-1][0]

    def remove(self, where: Where, who: str, purpose: str) -> Forgotten:
        condition, values = condition_of(self._db, where)
        with self._lock:
            with self._writing():
                ids = [number for (number,) in self._db.execute(f"SELECT id FROM entries WHERE {condition}", values)]
                traces = self._traces(ids)
                self._delete(ids)
                self._append("forget", who, purpose, {"entries": len(ids), "by": ", ".join(where.names())})
            self._index.sync()
            kept = self._scrub()
            return Forgotten(len(ids), (*kept, *self._still_there(traces)), len(traces))

    def link(self, pid: int, into: int, who: str, purpose: str) -> int:
        with self._writing():
            first, second = check_link(pid, into, linked(self._db))
            cursor = self._db.execute("INSERT INTO links (pid, into_pid) VALUES (?, ?)", [first, second])
            self._append("link", who, purpose, {"link": cursor.lastrowid})
            return int(cursor.lastrowid or 0)

    def unlink(self, number: int, who: str, purpose: str) -> None:
        with self._writing():
            if not self._db.execute("DELETE FROM links WHERE number = ?", [number]).rowcount:
                raise GalleryError(f"there is no link {number}")
            self._append("unlink", who, purpose, {"link": number})

    def links(self) -> tuple[Link, ...]:
        with self._lock, self._told():
            return tuple(
                Link(*row) for row in self._db.execute("SELECT number, pid, into_pid FROM links ORDER BY number")
            )

    def write_line(self, action: str, who: str, purpose: str, detail: Detail) -> None:
        with self._writing():
            self._append(action, who, purpose, detail)

    def lines(self) -> Iterator[Line]:
        with self._lock, self._told():
            found = self._db.execute("SELECT * FROM audit ORDER BY number").fetchall()
        yield from map(rows.line_of, found)

    def stats(self) -> Stats:
        with self._lock, self._told():
            self._index.sync()
            people = self._index.num_people(EVERY_ROW)
            per_camera = self._db.execute(
                "SELECT name, (SELECT count(*) FROM entries WHERE camera = code) FROM cameras ORDER BY name"
            ).fetchall()
            first, last = self._db.execute("SELECT min(time), max(time) FROM entries").fetchone()
            count = [self._one(f"SELECT count(*) FROM {table}") for table in ("entries", "crops", "links", "audit")]
            size = sum(path.stat().st_size for path in self._files())
            cameras = {name: number for name, number in per_camera if number}
            return Stats(count[0], people, count[1], cameras, first, last, size, count[2], count[3])

    def verify(self) -> Iterator[Damage]:
        restore = "restore the file from a backup, or export what can be read and import it into a new gallery"
        with self._lock, self._told():
            for (text,) in self._db.execute("PRAGMA integrity_check"):
                if text != "ok":
                    yield Damage("database", text, restore)
            cameras = self._cameras()
            for *row, crop in self._db.execute(f"{WITH_CROPS} ORDER BY e.id"):
                known = row[1] in cameras
                what = rows.damage_of(tuple(row), crop, self.settings.dim) if known else "its camera is not known"
                if what:
                    yield Damage(f"entry {row[0]}", what, f"`resight gallery forget --id {row[0]}`, and add it again")
            yield from check_chain(self.lines())

    def compact(self) -> None:
        with self._lock:
            self._scrub()

    def close(self) -> None:
        with self._lock:
            self._index.close()
            self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One change: all of it is kept, on the disk, or nothing."""
        with self._lock, self._told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        """SQLite's errors in words."""
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise GalleryBusy(f"{self.path}: another process is writing to it; try again, or wait longer") from None
            what = next((text for key, text in _WHAT_FAILED.items() if name.startswith(key)), str(error))
            raise GalleryError(f"{self.path}: {what}") from None

    def _one(self, query: str, values: Sequence[Any] = ()) -> Any:
        row = self._db.execute(query, values).fetchone()
        return row[0] if row else None

    def _files(self) -> list[Path]:
        names = (self.path, self.path.with_name(self.path.name + "-wal"))
        return [path for path in names if path.exists()]

    def _insert(self, entry: Entry, camera: int) -> int:
        cursor = self._db.execute(
            f"INSERT INTO entries ({rows.FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [entry.id or None, *rows.row_of(entry, camera)],
        )
        number = int(cursor.lastrowid or 0)
        if entry.crop is not None:
            self._db.execute("INSERT INTO crops VALUES (?, ?)", [number, entry.crop])
        return number

    def _cameras(self) -> dict[int, str]:
        return dict(self._db.execute("SELECT code, name FROM cameras"))

    def _camera_codes(self, names: set[str]) -> dict[str, int]:
        codes = {name: code for code, name in self._cameras().items()}
        for name in sorted(names - set(codes)):
            if len(codes) > 65_000:
                raise GalleryError("a gallery holds 65,000 cameras at the most")
            codes[name] = int(self._db.execute("INSERT INTO cameras (name) VALUES (?)", [name]).lastrowid or 0)
        return codes

    def _append(self, action: str, who: str, purpose: str, detail: Detail) -> None:
        row = self._db.execute("SELECT * FROM audit ORDER BY number DESC LIMIT 1").fetchone()
        last = rows.line_of(row) if row else None
        values = asdict(next_line(last, action, who, purpose, detail))
        values["detail"] = json.dumps(values["detail"], sort_keys=True)
        self._db.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)", list(values.values()))

    # Forgetting.

    def _delete(self, ids: list[int]) -> None:
        inside = "IN (SELECT value FROM json_each(?))"
        meant = [json.dumps(ids)]
        known = f"SELECT DISTINCT pid FROM entries WHERE pid IS NOT NULL AND id {inside}"
        pids = self._db.execute(known, meant).fetchall()
        self._db.execute(f"DELETE FROM entries WHERE id {inside}", meant)
        gone = "DELETE FROM links WHERE ?1 IN (pid, into_pid) AND NOT EXISTS (SELECT 1 FROM entries WHERE pid = ?1)"
        self._db.executemany(gone, pids)
        self._db.execute("DELETE FROM cameras WHERE NOT EXISTS (SELECT 1 FROM entries WHERE camera = code)")
        self._db.execute("UPDATE meta SET value = value + 1 WHERE key = 'removals'")

    def _traces(self, ids: list[int], most: int = 100) -> list[bytes]:
        """Bytes by which removed rows would be known: of the embedding, and of the crop."""
        found: list[bytes] = []
        query = "SELECT embedding, data FROM entries LEFT JOIN crops ON entry = id WHERE id = ?"
        for number in ids[:: max(1, len(ids) // most)][:most]:
            embedding, crop = self._db.execute(query, [number]).fetchone()
            found += [embedding[:64], *([] if crop is None else [crop[len(crop) // 2 :][:64]])]
        return found

    def _scrub(self) -> tuple[str, ...]:
        """Empties the log and the file's free pages. What another process keeps from it is named."""
        with self._told():
            try:
                self._db.execute("VACUUM")
                busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.OperationalError as error:
                if not getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                    raise
                busy = 1
        if busy:
            wal = self.path.name + "-wal"
            return (f"{wal}, while another process reads; `resight gallery compact` empties it afterwards",)
        return ()

    def _still_there(self, traces: list[bytes]) -> list[str]:
        found = []
        for path in self._files():
            if path.stat().st_size:
                with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    if any(data.find(trace) >= 0 for trace in traces):
                        found.append(f"{path.name} still holds bytes of a removed entry")
        return found
