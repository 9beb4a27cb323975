"""A gallery in Milvus: a cluster that grows by machines, or Milvus Lite in a folder, through the same client.

Search is exact: a FLAT index compares every row that matches the filter. Milvus has no transactions, so a change of
several steps takes them in the order in which a kill between two does no harm: the people before their entries, the
audit line before the deletion. A batch is one message to one shard: kept as a whole or not at all.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from threading import RLock
from typing import TYPE_CHECKING, Any

from resight.core.errors import GalleryError
from resight.core.progress import Progress, silent
from resight.core.records import FloatArray
from resight.gallery.audit import Action, AuditLine
from resight.gallery.filters import EVERY_ENTRY, LASTING, AmongTerm, AttributeTerm, Filter, TimeTerm, terms_of
from resight.gallery.milvus.bookkeeping import Bookkeeping, person_key
from resight.gallery.milvus.rows import crop_of, raw, row_of, sighting_of
from resight.gallery.milvus.searching import compared_here, compared_there
from resight.gallery.milvus.siting import Sited
from resight.gallery.milvus.syntax import LARGEST_TOP_K, among, in_parts, quoted
from resight.gallery.people import LinkTable
from resight.gallery.records import (
    Damage,
    Detail,
    Entry,
    Forgotten,
    Link,
    Placed,
    Settings,
    Sighting,
    Stats,
    StoreHits,
)
from resight.gallery.search import rows
from resight.gallery.siting import audited
from resight.gallery.store import Edit, SiteChanged, Store, damage_of_unfinished
from resight.site.crops import SiteCrops
from resight.site.transform import SiteTransform

if TYPE_CHECKING:
    from resight.gallery.milvus.connection import Connection

VERSION = 2  # 1: a gallery whose entries may hold nulls; 2: one with flags beside what may be unknown
FIELDS = ("camera", "time", "track", "pid", "name", "attributes", "embedding", "checksum")
COUNTED_ROWS = 100_000  # rows among which people are counted exactly; among more an upper bound is taken
COMPARED_AT_ONCE = 64  # digests in one condition; Milvus Lite takes no `in` for an attribute
BEYOND = (
    "Milvus marks rows as deleted at once and rewrites its segments later: `resight gallery compact` asks for it, and "
    "a cluster's garbage collection (dataCoord.gc) then removes the old files",
    "its message queue, object store, replicas and backups keep what was added by their own retention rules",
)
EVERYTHING = "id >= 0"


class MilvusStore(Store):
    """A gallery in two collections of Milvus. Threads take turns."""

    extra = "milvus"
    uri_form = "milvus://user:password@host:port/database?gallery=name&secure=true, or milvus-lite:FILE.db?gallery=name"

    def __init__(
        self,
        uri: str,
        settings: Settings | None,
        *,
        new: bool = False,
        read_only: bool = False,
        wait_s: float = 5.0,
    ) -> None:
        """As `open_store`."""
        from resight.gallery.milvus.connection import Connection  # with the driver, which is an extra

        self._lock = RLock()
        self._read_only = read_only
        self._db: Connection = Connection(uri, wait_s=wait_s, make=settings is not None and not read_only)
        self._records = Bookkeeping(self._db)
        self.name = self._db.name
        try:
            self.settings = self._prepare(settings, new)
            self._sited = Sited(self._db, self._records, self.settings)
        except BaseException:
            self.close()
            raise

    def _prepare(self, settings: Settings | None, new: bool) -> Settings:
        text = self._records.settings() if self._db.call("has_collection", self._db.records) else ""
        if text and new:
            raise GalleryError(f"{self.name} exists already")
        if not text and (settings is None or self._read_only):
            raise GalleryError(f"there is no {self.name} there; `resight gallery create` makes one")
        there = not text and self._db.call("has_collection", self._db.entries)
        if there and self._db.count(self._db.entries, EVERYTHING):
            raise GalleryError(f"{self.name}: its records are gone, but its entries are not; restore both")
        if not text and settings is not None:
            self._db.create(settings.dim)
            self._db.learn_form()
            self._records.create(json.dumps({"version": 1 if self._db.form.nullable else 2, **asdict(settings)}))
            text = self._records.settings()
        told = json.loads(text)
        if told.pop("version") > VERSION:
            raise GalleryError(f"{self.name} was created by a newer resight. Nothing was changed")
        self._db.learn_form()
        self._db.load()
        return Settings(**told)

    def add(self, entries: Sequence[Entry]) -> list[int]:
        self._check_writable()
        with self._lock:
            if given := [entry.id for entry in entries if entry.id]:
                self._records.taken(given)
            fresh = iter(self._records.new_ids(len(entries) - len(given)))
            ids = [entry.id or next(fresh) for entry in entries]
            told = [row_of(entry, number) for entry, number in zip(entries, ids, strict=True)]
            self._records.remember(entries)
            self._db.insert(told)
            self._sited.added(entries, ids)
            return ids

    def add_once(self, entries: Sequence[Entry]) -> Placed:
        with self._lock:
            contents = [rows.content_of(entry) for entry in entries]
            known: dict[str, int] = {}
            for start in range(0, len(contents), COMPARED_AT_ONCE):
                part = contents[start : start + COMPARED_AT_ONCE]
                equal = " or ".join(f"attributes[{quoted(rows.CONTENT)}] == {quoted(text)}" for text in part)
                found = self._db.read(self._db.entries, equal, ("id", "attributes"))
                known |= {row["attributes"][rows.CONTENT]: row["id"] for row in found}
            wanted = [entry for entry, text in zip(entries, contents, strict=True) if text not in known]
            fresh = iter(self.add(wanted) if wanted else ())
            ids = [known[text] if text in known else next(fresh) for text in contents]
            there = [(entry, known[text]) for entry, text in zip(entries, contents, strict=True) if text in known]
            # A kill may have come between those that are there and what they are at the site.
            self._sited.added([entry for entry, _ in there], [number for _, number in there])
            return Placed(tuple(ids), tuple(known[text] for text in contents if text in known))

    def search(
        self, queries: FloatArray, top_k: int | None, filter: Filter, min_similarity: float | None, site: str = ""
    ) -> StoreHits:
        with self._lock:
            if self._sited.identity() != site:
                raise SiteChanged(f"{self.name}: its site transform was changed meanwhile; search again")
            links = self._records.linked()
            expression = self._expression(filter, links)
            compared = compared_here if top_k is None or top_k > LARGEST_TOP_K else compared_there
            collection = self._sited.collection(site)
            try:
                hits = tuple(compared(self._db, collection, queries, top_k, expression, min_similarity))
            except GalleryError:
                if self._sited.identity() == site:
                    raise
                raise SiteChanged(f"{self.name}: its site transform was changed meanwhile; search again") from None
            return StoreHits(hits, self._num_people(filter, expression, links))

    def count(self, filter: Filter = EVERY_ENTRY) -> int:
        with self._lock:
            return self._db.count(self._db.entries, self._expression(filter))

    def read(self, ids: Sequence[int]) -> list[Entry]:
        found: dict[int, Entry] = {}
        with self._lock:
            for part in in_parts([int(number) for number in ids]):
                rows_there = self._db.read(self._db.entries, among("id", part), FIELDS)
                found |= {row["id"]: self._entry(row) for row in rows_there}
        return [found[number] for number in ids if number in found]

    def scan(self, filter: Filter) -> Iterator[Entry]:
        with self._lock:
            pages = self._pages(self._expression(filter), (*FIELDS, "crop"))
        for page in pages:
            for row in page:
                yield self._entry(row)

    def page(self, filter: Filter, after: int, limit: int) -> list[Entry]:
        found: list[Any] = []
        with self._lock:
            for rows_there in self._pages(f"({self._expression(filter)}) and id > {after}", FIELDS):
                found += rows_there
                if len(found) >= limit:
                    break
        return [self._entry(row) for row in found[:limit]]

    def pids(self, filter: Filter) -> list[int]:
        with self._lock:
            known = f"({self._expression(filter)}) and {self._db.form.known('pid')}"
            pages = self._pages(known, ("pid",), narrow=True)
            return list({row["pid"] for rows_there in pages for row in rows_there})

    def people(self, filter: Filter) -> list[Sighting]:
        seen: dict[tuple[int, str], list[Any]] = {}
        with self._lock:
            expression = f"({self._expression(filter)}) and {self._db.form.known('pid')}"
            for rows_there in self._pages(expression, ("pid", "camera", "time"), narrow=True):
                for row in rows_there:
                    seen.setdefault((row["pid"], row["camera"]), []).append((row["id"], row["time"]))
        return [sighting_of(*who, those) for who, those in seen.items()]

    def remove(self, filter: Filter, who: str, purpose: str) -> Forgotten:
        self._check_writable()
        with self._lock:
            pages = self._pages(self._expression(filter), ("camera", "track", "pid"), narrow=True)
            found = [row for page in pages for row in page]
            ids = [row["id"] for row in found]
            told = self._sited.before_forgetting(ids) if ids else ""
            more: Detail = {"site": told} if told else {}
            self._records.append("forget", who, purpose, {"entries": len(ids), "by": ", ".join(filter.names()), **more})
            try:
                self._sited.forgotten(ids)
                for part in in_parts(ids):
                    self._db.call("delete", self._db.entries, ids=part)
            except GalleryError as error:
                raise GalleryError(f"{error}; of the entries to delete some may be gone: delete again") from None
            kept: tuple[str, ...] = ()
            try:
                self._drop_people(found)
            except GalleryError as error:  # the entries are deleted all the same
                kept = (f"records of who was in the gallery (hashes of pids and tracks), and their links: {error}",)
            return Forgotten(len(ids), kept, beyond=BEYOND if ids else (), site=told)

    def site(self) -> SiteTransform | None:
        with self._lock:
            return self._sited.transform()

    def set_site(self, site: SiteTransform | None, who: str, purpose: str) -> None:
        self._check_writable()
        with self._lock:
            if site is not None:
                self._sited.write(site)
            self._records.append("site", who, purpose, audited(site))
            self._sited.put(site)

    def site_crops(self) -> SiteCrops:
        with self._lock:
            return self._sited.crops()

    def link(self, pid: int, into: int, who: str, purpose: str, origin: Detail | None = None) -> int:
        self._check_writable()
        with self._lock:
            number = self._records.link(pid, into)
            self._records.append("link", who, purpose, {"link": number, **(origin or {})})
            return number

    def unlink(self, number: int, who: str, purpose: str) -> None:
        self._check_writable()
        with self._lock:
            self._records.unlink(number)
            self._records.append("unlink", who, purpose, {"link": number})

    def links(self) -> tuple[Link, ...]:
        with self._lock:
            return self._records.links()

    def note(self, key: str) -> str:
        with self._lock:
            return self._records.note(key)

    def amend(self, key: str, edit: Edit, action: Action, who: str, purpose: str) -> None:
        self._check_writable()
        with self._lock:
            self._records.amend(key, edit, action, who, purpose)

    def append_audit(self, action: Action, who: str, purpose: str, detail: Detail) -> None:
        self._check_writable()
        with self._lock:
            self._records.append(action, who, purpose, detail)

    def audit(self, after: int = 0, limit: int | None = None, actions: Collection[str] = ()) -> Iterator[AuditLine]:
        with self._lock:
            lines = [line for line in self._records.lines() if not actions or line.action in actions]
        yield from lines[after : None if limit is None else after + limit]

    def last_line(self, *actions: str) -> AuditLine | None:
        return next(reversed([*self.audit(actions=actions)]), None)

    def stats(self) -> Stats:
        with self._lock:
            people = self._num_people(Filter(), EVERYTHING, self._records.linked())
            cameras, crops = Counter[str](), self._db.count(self._db.entries, self._db.form.known("crop"))
            times: list[float] = []
            for page in self._pages(EVERYTHING, ("camera", "time"), narrow=True):
                cameras.update(row["camera"] for row in page)
                known = [row["time"] for row in page if row["time"] is not None]
                times = [min([*times, *known]), max([*times, *known])] if known else times
            first, last = times or (None, None)
            counts = len(self._records.links()), len(list(self._records.lines()))
            return Stats(cameras.total(), people, crops, dict(sorted(cameras.items())), first, last, None, *counts)

    def verify(self, progress: Progress = silent) -> Iterator[Damage]:
        yield from damage_of_unfinished(self.unfinished())
        with progress("verifying", self.count()) as advance:
            for page in self._pages(EVERYTHING, (*FIELDS, "crop")):
                for row in page:
                    what = rows.damage_of(raw(row), crop_of(row), self.settings.dim)
                    if what:
                        remedy = f"`resight gallery forget --id {row['id']}`, and add it again"
                        yield Damage(f"entry {row['id']}", what, remedy)
                advance(len(page))
        yield from (*self._sited.damages(), *self._records.damages())

    def compact(self) -> None:
        self._check_writable()
        with self._lock:
            for name in (self._db.entries, self._db.records):
                self._db.call("flush", name)
                self._db.call("compact", name)

    def unfinished(self) -> str:
        with self._lock:
            return self._records.unfinished()

    def set_unfinished(self, text: str) -> None:
        self._check_writable()
        with self._lock:
            self._records.set_unfinished(text)

    def close(self) -> None:
        self._db.close()

    # Searching.

    def _num_people(self, filter: Filter, expression: str, links: LinkTable) -> int:
        """Exact if that takes no more than COUNTED_ROWS rows; else the smaller of two upper bounds."""
        missing = self._db.form.missing
        alone = f"({expression}) and {missing('pid')} and {missing('track')}"
        if filter == Filter():
            return self._records.num_people(links) + self._db.count(self._db.entries, alone)
        count = self._db.count(self._db.entries, expression)
        if count > COUNTED_ROWS:
            return min(count, self._records.num_people(links) + self._db.count(self._db.entries, alone))
        seen, nobody = set[object](), 0
        for page in self._pages(expression, ("camera", "track", "pid"), narrow=True):
            for row in page:
                if row["pid"] is not None:
                    seen.add(links.roots.get(row["pid"], row["pid"]))
                elif row["track"] is not None:
                    seen.add((row["camera"], row["track"]))
                else:
                    nobody += 1
        return len(seen) + nobody

    def _expression(self, filter: Filter, links: LinkTable | None = None) -> str:
        """The filter in Milvus's language. It depends on the links, which are read if they are not given."""
        texts, form = [EVERYTHING], self._db.form
        for term in terms_of(filter, self._records.linked() if links is None else links):
            match term:
                case AmongTerm(field, values, never):
                    inside = form.holds(field, among(field, values)) if values else "id < 0"
                    unknown = "" if field in ("camera", "id") else f"{form.missing(field)} or "  # the two are known
                    texts.append(f"({unknown}not ({inside}))" if never else inside)
                case TimeTerm(relation, moment, untimed, lasting):
                    more = "" if untimed is None else f" or {form.missing('time')} or time >= {quoted(untimed)}"
                    more += f" or attributes[{quoted(LASTING)}] >= {quoted(moment)}" if lasting else ""
                    texts.append(f"(({form.known('time')} and time {relation} {quoted(moment)}){more})")
                case AttributeTerm(name, value):
                    texts.append(form.equals(name, value))
        return " and ".join(texts)

    # Rows.

    def _pages(self, expression: str, fields: Sequence[str], *, narrow: bool = False) -> Iterator[list[Any]]:
        return self._db.pages(self._db.entries, "id", EVERYTHING, expression, fields, narrow=narrow)

    def _entry(self, row: Any) -> Entry:
        return rows.entry_of(raw(row), row["camera"], self.settings.dim, crop_of(row))

    def _drop_people(self, gone: Sequence[Any]) -> None:
        """Drops the people of whom no entry is left, and their links."""

        def left(expression: str) -> bool:
            return bool(self._db.read(self._db.entries, expression, ["id"], limit=1))

        pids = {row["pid"] for row in gone if row["pid"] is not None}

        form = self._db.form
        pids = {pid for pid in pids if not left(form.value("pid", pid))}
        walks = {(row["camera"], row["track"]) for row in gone if row["pid"] is None and row["track"] is not None}
        walks = {
            (camera, track)
            for camera, track in walks
            if not left(f"camera == {quoted(camera)} and {form.value('track', track)} and {form.missing('pid')}")
        }
        if pids:
            self._records.forget_people(pids)
        people = [person_key("", None, pid) for pid in pids]
        self._records.drop(people + [person_key(camera, track, None) for camera, track in walks])

    def _check_writable(self) -> None:
        if self._read_only:
            raise GalleryError(f"{self.name}: it was opened for reading only")
