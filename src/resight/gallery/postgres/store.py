"""A gallery in PostgreSQL with pgvector: the server stores, filters and compares; several machines may write at once.

Search is exact: pgvector's approximate indexes are not used, so each search compares every row that matches the filter.
`synchronous_commit = on`: what is committed is on the server's disk.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from resight.core.errors import GalleryError
from resight.core.progress import Progress, silent
from resight.core.records import FloatArray
from resight.gallery.audit import Action, AuditLine, check_chain
from resight.gallery.curation import apart
from resight.gallery.filters import EVERY_ENTRY, Filter
from resight.gallery.people import LinkTable, check_link
from resight.gallery.postgres import auditing, linking, planning, siting
from resight.gallery.postgres.conditions import condition_of
from resight.gallery.postgres.counting import Counting
from resight.gallery.postgres.rows import raw, row_of, text_of
from resight.gallery.postgres.statements import (
    ADD,
    ALONE,
    BEYOND,
    CREATING,
    EQUAL,
    FIELDS,
    SCHEMA,
    WITH_CROPS,
)
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
from resight.gallery.siting import audited
from resight.gallery.store import Edit, SiteChanged, Store, damage_of_unfinished
from resight.site.crops import SiteCrops
from resight.site.transform import SiteTransform

if TYPE_CHECKING:
    from resight.gallery.postgres.connection import Connection

READ_AT_ONCE = 256


class PostgresStore(Store):
    """A gallery in a schema of a PostgreSQL database. Each holds one connection, which is renewed if it is lost, and
    threads take turns with it."""

    extra = "postgres"
    uri_form = "postgresql://user:password@host:port/database?gallery=name&sslmode=require"

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
        from resight.gallery.postgres.connection import Connection  # with the driver, which is an extra

        self._db: Connection = Connection(uri, read_only=read_only, wait_s=wait_s)
        self.name = self._db.name
        try:
            self._prepare(settings, new)
            if not read_only:
                self._planning.make()
            self._counting.make(read_only=read_only)
        except BaseException:
            self.close()
            raise

    def _prepare(self, settings: Settings | None, new: bool) -> None:
        with self._db.changing():
            there = self._db.has("meta")
            if not there and settings is not None:
                self._db.run("SELECT pg_advisory_xact_lock(:key)", key=CREATING)
                there = self._db.has("meta")  # another process may have created it meanwhile
                if not there:
                    self._create(settings)
            if there and new:
                raise GalleryError(f"{self.name} exists already")
            if not there and settings is None:
                raise GalleryError(f"there is no {self.name} in this database; `resight gallery create` makes one")
            version = int(self._db.one("SELECT value FROM meta WHERE key = 'version'"))
            if version > siting.VERSION:
                raise GalleryError(f"{self.name} has schema version {version}, of a newer resight. Nothing was changed")
            self.settings = Settings(**json.loads(self._db.one("SELECT value FROM meta WHERE key = 'settings'")))
            self._sited = siting.Sited(self._db, self.settings)
            self._counting, self._planning = Counting(self._db), planning.Planning(self._db)

    def _create(self, settings: Settings) -> None:
        try:
            self._db.run("CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public")
        except GalleryError as error:
            raise GalleryError(f"the server has no pgvector, or this user may not enable it ({error})") from None
        self._db.run(f"CREATE SCHEMA IF NOT EXISTS {self._db.schema}")
        for statement in SCHEMA.format(dim=settings.dim).split(";"):
            self._db.run(statement)
        self._db.run("INSERT INTO meta VALUES ('version', :version)", version="1")
        self._db.run("INSERT INTO meta VALUES ('settings', :settings)", settings=json.dumps(asdict(settings)))

    def add(self, entries: Sequence[Entry]) -> list[int]:
        with self._db.changing():
            ids = self._insert(entries)
        self._planning.added(len(ids))
        return ids

    def add_once(self, entries: Sequence[Entry]) -> Placed:
        with self._db.changing():
            self._db.run(ALONE)  # or two would add what is equal
            known = [self._equal(entry) for entry in entries]
            pairs = list(zip(known, entries, strict=True))
            fresh = iter(self._insert([entry for number, entry in pairs if number is None]))
            ids = [next(fresh) if number is None else number for number in known]
        there = tuple(number for number in known if number is not None)
        self._planning.added(len(ids) - len(there))
        return Placed(tuple(ids), there)

    def _equal(self, entry: Entry) -> int | None:
        """The id of the entry that equals this one, if there is one."""
        found = self._db.one(
            EQUAL,
            vector=text_of(entry.embedding),
            camera=entry.camera,
            time=entry.time,
            track=entry.track,
            name=entry.name,
        )
        return None if found is None else int(found)

    def _insert(self, entries: Sequence[Entry]) -> list[int]:
        if entries:
            wanted = sum(not entry.id for entry in entries)
            fresh = iter(self._db.run("SELECT nextval('entries_id_seq') FROM generate_series(1, :n)", n=wanted))
            ids = [entry.id or next(fresh)[0] for entry in entries]
            if wanted < len(entries):  # ids are never reused, wherever they were assigned
                self._db.run(
                    "SELECT setval('entries_id_seq', greatest(:last, nextval('entries_id_seq')))", last=max(ids)
                )
            told = [row_of(entry, number) for entry, number in zip(entries, ids, strict=True)]
            self._db.run(ADD, rows=json.dumps(told))
            for entry, number in zip(entries, ids, strict=True):
                if entry.crop is not None:
                    self._db.run("INSERT INTO crops VALUES (:entry, :data)", entry=number, data=entry.crop)
            self._sited.add(entries, ids)
            return ids
        return []

    def search(
        self, queries: FloatArray, top_k: int | None, filter: Filter, min_similarity: float | None, site: str = ""
    ) -> StoreHits:
        with self._db.looking():
            if self._sited.identity() != site:
                raise SiteChanged(f"{self.name}: its site transform was changed meanwhile; search again")
            condition, values = self._condition(filter)
            compared = "s" if site else "e"
            away = f"{compared}.embedding <#> cast(:query AS vector)"
            joined = " JOIN sited s ON s.entry = e.id AND s.site = :site" if site else ""
            near = "" if min_similarity is None else f" AND -({away}) >= :min_similarity"
            compare = f"SELECT e.id, {away} AS away FROM entries e{joined} WHERE {condition}{near}"
            near_values = {"min_similarity": min_similarity, "site": site or None}
            near_values = {name: value for name, value in near_values.items() if value is not None}
            # Within brackets, or the distance is computed twice: for the order and for what is told.
            query = f"SELECT id, -away FROM ({compare} ORDER BY away, e.id LIMIT :top_k) AS near"
            found = [self._db.run(query, query=text_of(row), top_k=top_k, **near_values, **values) for row in queries]
            num_people = self._counting.num_people(filter, condition, values)
        return StoreHits(tuple(tuple(Hit(*row) for row in hits) for hits in found), num_people)

    def count(self, filter: Filter = EVERY_ENTRY) -> int:
        with self._db.looking():
            condition, values = self._condition(filter)
            return int(self._db.one(f"SELECT count(*) FROM entries e WHERE {condition}", **values))

    def read(self, ids: Sequence[int]) -> list[Entry]:
        with self._db.looking():
            asked = json.dumps([int(number) for number in ids])
            query = (
                f"SELECT {FIELDS} FROM entries e WHERE id IN (SELECT value::bigint FROM json_array_elements_text(:ids))"
            )
            found = {row[0]: self._entry(row, None) for row in self._db.run(query, ids=asked)}
        return [found[number] for number in ids if number in found]

    def scan(self, filter: Filter) -> Iterator[Entry]:
        last = 0
        while True:
            with self._db.looking():
                condition, values = self._condition(filter)
                query = f"{WITH_CROPS} WHERE e.id > :last AND {condition} ORDER BY e.id LIMIT {READ_AT_ONCE}"
                part = self._db.run(query, last=last, **values)
            if not part:
                return
            yield from (self._entry(row, crop) for *row, crop in part)
            last = part[-1][0]

    def page(self, filter: Filter, after: int, limit: int) -> list[Entry]:
        with self._db.looking():
            condition, values = self._condition(filter)
            query = f"SELECT {FIELDS} FROM entries e WHERE e.id > :after AND {condition} ORDER BY e.id LIMIT :limit"
            found = self._db.run(query, after=after, limit=limit, **values)
        return [self._entry(row, None) for row in found]

    def pids(self, filter: Filter) -> list[int]:
        with self._db.looking():
            condition, values = self._condition(filter)
            query = f"SELECT DISTINCT e.pid FROM entries e WHERE e.pid IS NOT NULL AND {condition}"
            return [pid for (pid,) in self._db.run(query, **values)]

    def people(self, filter: Filter) -> list[Sighting]:
        with self._db.looking():
            condition, values = self._condition(filter)
            counted = "e.pid, e.camera, count(*), min(e.time), max(e.time), min(e.id)"
            query = f"SELECT {counted} FROM entries e WHERE e.pid IS NOT NULL AND {condition} GROUP BY e.pid, e.camera"
            return [Sighting(*row) for row in self._db.run(query, **values)]

    def remove(self, filter: Filter, who: str, purpose: str) -> Forgotten:
        with self._db.changing():
            self._one_at_a_time()
            if self._sited.identity():
                self._db.run(ALONE)  # now: who adds would wait for the deletion, and fitting anew then for who adds
            condition, values = self._condition(filter)
            gone = self._db.run(f"DELETE FROM entries e WHERE {condition} RETURNING pid", **values)
            pids = {pid for (pid,) in gone if pid is not None}
            linking.forget_people(self._db, pids)
            told = self._sited.forgotten() if gone else ""
            more: Detail = {"site": told} if told else {}
            auditing.append(
                self._db, "forget", who, purpose, {"entries": len(gone), "by": ", ".join(filter.names()), **more}
            )
        try:
            self._vacuum("")
            kept: tuple[str, ...] = ()
        except GalleryError as error:  # the entries are deleted all the same
            kept = (f"freed pages were not vacuumed ({error}); `resight gallery compact` does it",)
        return Forgotten(len(gone), kept, beyond=BEYOND if gone else (), site=told)

    def site(self) -> SiteTransform | None:
        with self._db.looking():
            return self._sited.transform()

    def set_site(self, site: SiteTransform | None, who: str, purpose: str) -> None:
        if site is not None:
            self._sited.write_rows(site)
        with self._db.changing():
            self._one_at_a_time()
            self._sited.put(site)
            auditing.append(self._db, "site", who, purpose, audited(site))

    def site_crops(self) -> SiteCrops:
        with self._db.looking():
            return self._sited.crops()

    def link(self, pid: int, into: int, who: str, purpose: str, origin: Detail | None = None) -> int:
        with self._db.changing():
            self._one_at_a_time()
            first, second = check_link(pid, into, self._counting.links())
            apart.check_apart(linking.note(self._db, apart.APART), first, second, self._counting.links())
            insert = "INSERT INTO links (pid, into_pid) VALUES (:first, :second) RETURNING number"
            number = int(self._db.one(insert, first=first, second=second))
            auditing.append(self._db, "link", who, purpose, {"link": number, **(origin or {})})
            return number

    def unlink(self, number: int, who: str, purpose: str) -> None:
        with self._db.changing():
            self._one_at_a_time()
            if not self._db.run("DELETE FROM links WHERE number = :number RETURNING number", number=number):
                raise GalleryError(f"there is no link {number}")
            auditing.append(self._db, "unlink", who, purpose, {"link": number})

    def links(self) -> tuple[Link, ...]:
        with self._db.looking():
            return linking.links(self._db)

    def linked(self) -> LinkTable:
        with self._db.looking():
            return self._counting.links()

    def note(self, key: str) -> str:
        with self._db.looking():
            return linking.note(self._db, key)

    def amend(self, key: str, edit: Edit, action: Action, who: str, purpose: str) -> None:
        with self._db.changing():
            self._one_at_a_time()
            text, detail = edit(linking.note(self._db, key), self._counting.links())
            linking.set_note(self._db, key, text)
            auditing.append(self._db, action, who, purpose, detail)

    def append_audit(self, action: Action, who: str, purpose: str, detail: Detail) -> None:
        with self._db.changing():
            self._one_at_a_time()
            auditing.append(self._db, action, who, purpose, detail)

    def audit(self, after: int = 0, limit: int | None = None, actions: Collection[str] = ()) -> Iterator[AuditLine]:
        return auditing.lines(self._db, after, limit, actions)

    def last_line(self, *actions: str) -> AuditLine | None:
        return auditing.last_line(self._db, actions)

    def stats(self) -> Stats:
        with self._db.looking():
            people = self._counting.num_people(EVERY_ENTRY, "TRUE", {})
            cameras = dict(self._db.run("SELECT camera, count(*) FROM entries GROUP BY camera ORDER BY camera"))
            first, last = self._db.run("SELECT min(time), max(time) FROM entries")[0]
            count = [self._db.one(f"SELECT count(*) FROM {table}") for table in ("entries", "crops", "links", "audit")]
            tables = ("entries", "crops", "links", "audit")
            size = sum(self._db.one("SELECT pg_total_relation_size(cast(:t AS regclass))", t=table) for table in tables)
            return Stats(count[0], people, count[1], cameras, first, last, size, count[2], count[3])

    def verify(self, progress: Progress = silent) -> Iterator[Damage]:
        yield from damage_of_unfinished(self.unfinished())
        last, part = -(2**63), f"{WITH_CROPS} WHERE e.id > :last ORDER BY e.id LIMIT {READ_AT_ONCE}"
        with progress("verifying", self.count()) as advance:
            while found := self._run(part, last=last):
                for *row, crop in found:
                    what = rows.damage_of(raw(row), crop, self.settings.dim)
                    if what:
                        remedy = f"`resight gallery forget --id {row[0]}`, and add it again"
                        yield Damage(f"entry {row[0]}", what, remedy)
                last = found[-1][0]
                advance(len(found))
        with self._db.looking():
            damages = [*self._sited.damages(), *self._counting.damages()]
        yield from (*damages, *check_chain(self.audit()))

    def compact(self) -> None:
        self._counting.rewrite()
        self._vacuum("FULL")

    def unfinished(self) -> str:
        with self._db.looking():
            return linking.note(self._db, "unfinished")

    def set_unfinished(self, text: str) -> None:
        with self._db.changing():
            linking.set_note(self._db, "unfinished", text)

    def close(self) -> None:
        self._db.close()

    def _one_at_a_time(self) -> None:
        """Until the end of this transaction, whoever else links, deletes or appends to the audit waits."""
        self._db.run("LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE")

    def _vacuum(self, how: str) -> None:
        """VACUUM; FULL rewrites the tables, and nobody else reads or writes meanwhile."""
        for table in ("entries", "crops", *(["sited"] if self._sited.exists() else ()), *self._counting.tables()):
            self._db.run(f"VACUUM {how} {table}")

    # Rows.

    def _run(self, query: str, **values: Any) -> list[Any]:
        """What a query returns, in a transaction of its own."""
        with self._db.looking():
            return self._db.run(query, **values)

    def _condition(self, filter: Filter) -> tuple[str, dict[str, Any]]:
        """What follows WHERE, and its parameters. Within a transaction."""
        return condition_of(filter, self._counting.links())

    def _entry(self, row: Sequence[Any], crop: bytes | None) -> Entry:
        return rows.entry_of(raw(row), row[1], self.settings.dim, crop)
