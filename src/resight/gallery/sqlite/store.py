"""A gallery in one SQLite file, searched in memory. The file is the truth; the index is read from it.

Write-ahead log with synchronous=FULL: each commit is flushed to the disk before `add` returns, so that it survives a
loss of power, not only a kill (NORMAL would survive the kill alone). Readers never wait for the writer.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from threading import RLock

from resight.core.errors import GalleryBusy, GalleryError
from resight.core.progress import Progress, silent
from resight.core.records import FloatArray
from resight.gallery.audit import Action, AuditLine
from resight.gallery.curation import apart
from resight.gallery.filters import EVERY_ENTRY, Filter
from resight.gallery.people import LinkTable, check_link
from resight.gallery.records import (
    Damage,
    Detail,
    Entry,
    Forgotten,
    Hit,
    Link,
    Placed,
    Settings,
    Sighting,
    Stats,
    StoreHits,
)
from resight.gallery.search import rows
from resight.gallery.search.approximate import Approximation
from resight.gallery.search.columns import EVERY_ROW
from resight.gallery.search.exact import Found
from resight.gallery.search.index import Index
from resight.gallery.sqlite import auditing, erasing, siting, verifying
from resight.gallery.sqlite.conditions import INSIDE, condition_of, selection_of
from resight.gallery.sqlite.connection import Connection
from resight.gallery.sqlite.index.live import LiveIndex
from resight.gallery.sqlite.linking import Linked
from resight.gallery.sqlite.schema import APPLICATION_ID, READABLE, STEPS, VERSION
from resight.gallery.store import Edit, SiteChanged, Store
from resight.site.crops import SiteCrops
from resight.site.transform import SiteTransform

READ_AT_ONCE = 4096
LISTED_AT_ONCE = 65_536  # ids: a condition on cameras goes through all that match for each list
LOWEST = -(2**63)  # id
MOST_CAMERAS = 65_000  # the index keeps them in 16 bits
EQUAL = (
    "SELECT id FROM entries WHERE substr(embedding, 1, 16) = substr(?1, 1, 16) AND camera = ?2 AND time IS ?3 "
    "AND embedding = ?1 AND track IS ?4 AND name = ?5 LIMIT 1"
)
JOINED = " LEFT JOIN crops ON entry = id"


class SqliteStore(Store):
    """A gallery in a file. A process may open it several times, and any number of threads may share one opening."""

    uri_form = "a path, such as site.db"

    def __init__(
        self,
        uri: str | Path,
        settings: Settings | None,
        *,
        new: bool = False,
        read_only: bool = False,
        wait_s: float = 5.0,
    ) -> None:
        """As `open_store`. uri: the file's path."""
        self.path = path = Path(uri)
        if path.is_dir():
            raise GalleryError(f"{path} is a folder, and a gallery is a file: {path / 'site.db'}, for one")
        there = path.is_file() and path.stat().st_size > 0
        if there and new:
            raise GalleryError(f"{path} exists already")
        if not there and settings is None:
            raise GalleryError(f"there is no gallery at {path}; `resight gallery create` makes one")
        self._db = Connection(path, read_only=read_only, wait_s=wait_s)
        try:
            with self._db.told():
                self._prepare(None if there else settings, read_only)
        except BaseException:
            self._db.close()
            raise
        self._unswept = RLock()  # taken before the connection's
        self._linked = Linked(self._db)
        self._index = LiveIndex(self._db, self.settings.dim, self._linked)

    def _prepare(self, settings: Settings | None, read_only: bool) -> None:
        version = self._db.one("PRAGMA user_version")
        if settings is None and self._db.one("PRAGMA application_id") != APPLICATION_ID:
            raise GalleryError(f"{self.path} is a database, but no gallery")
        if version > VERSION:
            raise GalleryError(
                f"{self.path} has schema version {version}, of a newer resight; this one knows up to {VERSION}. "
                "Nothing was changed"
            )
        if version < READABLE and read_only:
            raise GalleryError(f"{self.path} has schema version {version}; open it for writing once, to upgrade it")
        self._db.execute("PRAGMA foreign_keys = ON")
        if not read_only:  # and not before: the journal's mode is written into the file, whose ever it is
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA secure_delete = ON")  # deleted content is overwritten with zeros
        if version < VERSION and not read_only:
            self._upgrade(settings)
        self.settings = self._settings()

    def _upgrade(self, settings: Settings | None) -> None:
        """Takes all steps to the current schema, unless another process has taken them meanwhile."""
        with self._db.writing():
            for step in STEPS[self._db.one("PRAGMA user_version") :]:
                for statement in step.split(";"):
                    if statement.strip():
                        self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {VERSION}")
            self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            if settings is not None:
                self._db.execute("INSERT OR IGNORE INTO meta VALUES ('settings', ?)", [json.dumps(asdict(settings))])

    def _settings(self) -> Settings:
        try:
            return Settings(**json.loads(self._db.one("SELECT value FROM meta WHERE key = 'settings'")))
        except (TypeError, ValueError) as error:
            raise GalleryError(
                f"{self.path}: its settings cannot be read ({error}); restore it from a backup"
            ) from None

    def add(self, entries: Sequence[Entry]) -> list[int]:
        with self._db.writing():
            cameras = self._camera_codes({entry.camera for entry in entries})
            ids = self._insert_all((entry, cameras[entry.camera]) for entry in entries)
        self._index.kept.added(ids)
        return ids

    def add_once(self, entries: Sequence[Entry]) -> Placed:
        with self._db.writing():
            cameras = self._camera_codes({entry.camera for entry in entries})
            known = [self._equal(entry, cameras[entry.camera]) for entry in entries]
            new = [(entry, cameras[entry.camera]) for entry, number in zip(entries, known, strict=True) if not number]
            made = self._insert_all(new)
        self._index.kept.added(made)
        rest = iter(made)
        return Placed(tuple(number or next(rest) for number in known), tuple(number for number in known if number))

    def search(
        self, queries: FloatArray, top_k: int | None, filter: Filter, min_similarity: float | None, site: str = ""
    ) -> StoreHits:
        def ask(index: Index) -> tuple[list[Found], float, int]:
            if self._index.site != site:
                raise SiteChanged(f"{self.path}: its site transform was changed meanwhile; search again")
            wanted = selection_of(self._db.db, filter, self._linked.table())
            found, recall = self._index.search(index, queries, top_k, wanted, min_similarity)
            return found, recall, self._index.num_people(index, wanted)

        found, recall, num_people = self._index.asked(ask)
        pairs = (zip(each.ids.tolist(), each.similarities.tolist(), strict=True) for each in found)
        return StoreHits(tuple(tuple(Hit(*pair) for pair in each) for each in pairs), num_people, recall)

    def approximate(self, top_k: int, recall: float) -> Approximation:
        return self._index.asked(lambda index: self._index.approximate(index, top_k, recall))

    def count(self, filter: Filter = EVERY_ENTRY) -> int:
        with self._db.reading():
            condition, values = condition_of(filter, self._linked.table())
            return int(self._db.one(f"SELECT count(*) FROM entries WHERE {condition}", values))

    def read(self, ids: Sequence[int]) -> list[Entry]:
        found: dict[int, Entry] = {}
        with self._db.reading():
            for start in range(0, len(ids), READ_AT_ONCE):
                found |= self._of(ids[start : start + READ_AT_ONCE], crops=False)
        return [found[number] for number in ids if number in found]

    def scan(self, filter: Filter) -> Iterator[Entry]:
        last = LOWEST
        while ids := self._ids(filter, last, LISTED_AT_ONCE):
            for start in range(0, len(ids), READ_AT_ONCE // 16):
                yield from self._of(ids[start : start + READ_AT_ONCE // 16], crops=True).values()
            last = ids[-1]

    def page(self, filter: Filter, after: int, limit: int) -> list[Entry]:
        with self._db.reading():
            return list(self._of(self._ids(filter, after, limit), crops=False).values())

    def pids(self, filter: Filter) -> list[int]:
        with self._db.reading():
            condition, values = condition_of(filter, self._linked.table())
            found = self._db.execute(f"SELECT DISTINCT pid FROM entries WHERE pid IS NOT NULL AND {condition}", values)
            return [pid for (pid,) in found]

    def people(self, filter: Filter) -> list[Sighting]:
        with self._db.reading():
            condition, values = condition_of(filter, self._linked.table())
            cameras = self._cameras()
            query = (
                "SELECT pid, camera, count(*), min(time), max(time), min(id) FROM entries "
                f"WHERE pid IS NOT NULL AND {condition} GROUP BY pid, camera"
            )
            found = self._db.execute(query, values).fetchall()
        return [Sighting(pid, cameras[camera], *counted) for pid, camera, *counted in found]

    def remove(self, filter: Filter, who: str, purpose: str) -> Forgotten:
        with self._unswept, self._db.alone():
            with self._db.writing():
                ids = self._ids(filter)
                signs = erasing.signs_of(self._db, ids)
                if ids:
                    erasing.delete(self._db, ids)
                site, more = erasing.without_their_site(self._db, self.settings) if ids else ("", [])
                signs += more
                detail: Detail = {
                    "entries": len(ids),
                    "by": ", ".join(filter.names()),
                    **({"site": site} if site else {}),
                }
                auditing.append(self._db, "forget", who, purpose, detail)
                owed = erasing.owed(self._db)
                kept_codes = self._index.kept.erase(ids, site_changed=bool(site)) if ids else ()
            with suppress(GalleryError), self._db.reading():  # of another entry: the next search names it
                self._index.forget(ids)  # so that nothing of them stays in memory
            traces = erasing.traces_of(self._db, signs) if owed else ()
            return Forgotten(len(ids), (*kept_codes, *traces), len(signs), site=site)

    def site(self) -> SiteTransform | None:
        with self._db.reading():
            return self._index.current_site()

    def set_site(self, site: SiteTransform | None, who: str, purpose: str) -> None:
        with self._db.writing():
            siting.write(self._db.db, site)
            detail: Detail = {"transform": site.identity if site else "none", "fitted": site.facts.date if site else ""}
            auditing.append(self._db, "site", who, purpose, detail)

    def site_crops(self) -> SiteCrops:
        with self._db.reading():
            return siting.crops(self._db.db, self.settings)

    def link(self, pid: int, into: int, who: str, purpose: str, origin: Detail | None = None) -> int:
        with self._db.writing():
            table = self._linked.table()
            first, second = check_link(pid, into, table)
            apart.check_apart(self._note(apart.APART), first, second, table)
            cursor = self._db.execute("INSERT INTO links (pid, into_pid) VALUES (?, ?)", [first, second])
            auditing.append(self._db, "link", who, purpose, {"link": cursor.lastrowid, **(origin or {})})
            return int(cursor.lastrowid or 0)

    def unlink(self, number: int, who: str, purpose: str) -> None:
        with self._db.writing():
            if not self._db.execute("DELETE FROM links WHERE number = ?", [number]).rowcount:
                raise GalleryError(f"there is no link {number}")
            auditing.append(self._db, "unlink", who, purpose, {"link": number})

    def links(self) -> tuple[Link, ...]:
        with self._db.reading():
            found = self._db.execute("SELECT number, pid, into_pid FROM links ORDER BY number")
            return tuple(Link(*row) for row in found)

    def linked(self) -> LinkTable:
        with self._db.reading():
            return self._linked.table()

    def note(self, key: str) -> str:
        with self._db.reading():
            return self._note(key)

    def amend(self, key: str, edit: Edit, action: Action, who: str, purpose: str) -> None:
        with self._db.writing():
            text, detail = edit(self._note(key), self._linked.table())
            self._set_note(key, text)
            auditing.append(self._db, action, who, purpose, detail)

    def append_audit(self, action: Action, who: str, purpose: str, detail: Detail) -> None:
        with self._db.writing():
            auditing.append(self._db, action, who, purpose, detail)

    def audit(self, after: int = 0, limit: int | None = None, actions: Collection[str] = ()) -> Iterator[AuditLine]:
        return auditing.lines(self._db, after, limit, actions)

    def last_line(self, *actions: str) -> AuditLine | None:
        return auditing.last_line(self._db, actions)

    def stats(self) -> Stats:
        def ask(index: Index) -> Stats:
            people = self._index.num_people(index, EVERY_ROW)
            per_camera = self._db.execute(
                "SELECT name, (SELECT count(*) FROM entries WHERE camera = code) FROM cameras ORDER BY name"
            ).fetchall()
            first, last = self._db.execute("SELECT min(time), max(time) FROM entries").fetchone()
            count = [self._db.one(f"SELECT count(*) FROM {table}") for table in ("entries", "crops", "links", "audit")]
            size = sum(path.stat().st_size for path in self._db.files())
            cameras = {name: number for name, number in per_camera if number}
            return Stats(count[0], people, count[1], cameras, first, last, size, count[2], count[3])

        return self._index.asked(ask)

    def verify(self, progress: Progress = silent) -> Iterator[Damage]:
        return verifying.damages(self._db, self._index.kept, self.settings, self._unswept, progress)

    def compact(self) -> None:
        with self._unswept:
            with self._db.alone():  # a search that another thread has begun ends first
                self._index.close()
                self._index.kept.rewrite()
            kept = erasing.rewrite(self._db)
        if kept:
            raise GalleryBusy(f"{self.path}: space was freed but in {kept[0]}")

    def unfinished(self) -> str:
        return self.note("unfinished")

    def set_unfinished(self, text: str) -> None:
        with self._db.writing():
            self._set_note("unfinished", text)

    def close(self) -> None:
        with self._db.alone():
            self._index.close()
            self._db.close()

    def _ids(self, filter: Filter, after: int = LOWEST, limit: int = -1) -> list[int]:
        """The next ids of the entries that match, in order. limit: how many; -1: all."""
        with self._db.reading():
            condition, values = condition_of(filter, self._linked.table())
            query = f"SELECT id FROM entries WHERE id > ? AND {condition} ORDER BY id LIMIT ?"
            return [number for (number,) in self._db.execute(query, [after, *values, limit])]

    def _of(self, ids: Sequence[int], *, crops: bool) -> dict[int, Entry]:
        """Those of the entries that are there, by id."""
        picture, joined = ("data", JOINED) if crops else ("NULL", "")
        query = f"SELECT {rows.FIELDS}, {picture} FROM entries{joined} WHERE id {INSIDE} ORDER BY id"
        with self._db.reading():
            cameras = self._cameras()
            found = self._db.execute(query, [json.dumps([int(number) for number in ids])]).fetchall()
        entries = (rows.entry_of(tuple(row), cameras[row[1]], self.settings.dim, crop) for *row, crop in found)
        return {entry.id: entry for entry in entries}

    def _equal(self, entry: Entry, camera: int) -> int | None:
        """The id of the entry that equals this one, if there is one."""
        _, time, track, _, name, _, embedding, _ = rows.row_of(entry, camera)
        found = self._db.one(EQUAL, [embedding, camera, time, track, name])
        return None if found is None else int(found)

    def _insert_all(self, entries: Iterable[tuple[Entry, int]]) -> list[int]:
        last = int(self._db.one("SELECT seq FROM sqlite_sequence WHERE name = 'entries'") or 0)
        ids = [self._insert(entry, camera) for entry, camera in entries]
        if (
            ids and min(ids) <= last
        ):  # of another gallery, whose numbers they keep; the index reads what is above `last`
            self._index.kept.outdate()
        return ids

    def _insert(self, entry: Entry, camera: int) -> int:
        cursor = self._db.execute(
            f"INSERT INTO entries ({rows.FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [entry.id or None, *rows.row_of(entry, camera)],
        )
        number = int(cursor.lastrowid or 0)
        if entry.crop is not None:
            self._db.execute("INSERT INTO crops VALUES (?, ?)", [number, entry.crop])
        return number

    def _note(self, key: str) -> str:
        return str(self._db.one("SELECT value FROM meta WHERE key = ?", [key]) or "")

    def _set_note(self, key: str, text: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [key, text])

    def _cameras(self) -> dict[int, str]:
        return dict(self._db.execute("SELECT code, name FROM cameras"))

    def _camera_codes(self, names: set[str]) -> dict[str, int]:
        codes = {name: code for code, name in self._cameras().items()}
        new = sorted(names - set(codes))
        free = sorted(set(range(1, MOST_CAMERAS + 1)) - set(codes.values())) if new else []
        if len(free) < len(new):
            raise GalleryError(f"a gallery in a file has {MOST_CAMERAS:,} cameras at most")
        self._db.db.executemany("INSERT INTO cameras VALUES (?, ?)", zip(free, new, strict=False))
        return {**codes, **dict(zip(new, free, strict=False))}
