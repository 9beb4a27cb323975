"""How many people a gallery in PostgreSQL shows, without reading all of its entries.

The server itself keeps up a table of how many entries each person has, and a sum of the people, in the transaction that
adds or deletes: by triggers, so that they hold whoever writes, an older resight included. The sum is spread over rows,
of which a connection takes one: so writers seldom wait for each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from resight.core.errors import GalleryError
from resight.gallery.filters import Filter
from resight.gallery.people import LinkTable
from resight.gallery.postgres.linking import RELINKED
from resight.gallery.postgres.statements import ALONE, CREATING, PEOPLE
from resight.gallery.records import Damage

if TYPE_CHECKING:
    from resight.gallery.postgres.connection import Connection

ROWS_OF_SUM = 64
# An entry's person: its pid, else its track at its camera, else nobody but the entry, which no row is kept for.
KEY = "md5(CASE WHEN pid IS NOT NULL THEN 'pid ' || pid ELSE length(camera) || ' ' || camera || track END)::uuid"
SOMEBODY = "(pid IS NOT NULL OR track IS NOT NULL)"
TABLES = """
    CREATE TABLE people (key uuid PRIMARY KEY, entries bigint NOT NULL);
    CREATE TABLE people_sum (part int PRIMARY KEY, people bigint NOT NULL) WITH (fillfactor = 20)
"""
FILL = (
    f"INSERT INTO people SELECT {KEY}, count(*) FROM entries WHERE {SOMEBODY} GROUP BY 1",
    f"INSERT INTO people_sum SELECT 0, (SELECT count(*) FROM people) + count(*) FROM entries WHERE NOT {SOMEBODY}",
)
# The rows of people are locked by key and the sum comes last: so two writers never wait for each other in a circle.
FUNCTION = f"""
    CREATE FUNCTION count_people() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    DECLARE
        change bigint := 0;
    BEGIN
        IF TG_OP <> 'INSERT' THEN
            PERFORM 1 FROM people WHERE key IN (SELECT {KEY} FROM gone WHERE {SOMEBODY}) ORDER BY key FOR UPDATE;
            UPDATE people p SET entries = p.entries - g.entries
            FROM (SELECT {KEY} AS key, count(*) AS entries FROM gone WHERE {SOMEBODY} GROUP BY 1) AS g
            WHERE p.key = g.key;
            change := change - (SELECT count(*) FROM gone WHERE NOT {SOMEBODY});
        END IF;
        IF TG_OP <> 'DELETE' THEN
            WITH counted AS (
                INSERT INTO people SELECT {KEY}, count(*) FROM fresh WHERE {SOMEBODY} GROUP BY 1 ORDER BY 1
                ON CONFLICT (key) DO UPDATE SET entries = people.entries + excluded.entries RETURNING xmax = 0 AS first
            )
            SELECT change + count(*) FILTER (WHERE first) INTO change FROM counted;
            change := change + (SELECT count(*) FROM fresh WHERE NOT {SOMEBODY});
        END IF;
        IF TG_OP <> 'INSERT' THEN
            WITH left_out AS (
                DELETE FROM people WHERE entries <= 0 AND key IN (SELECT {KEY} FROM gone WHERE {SOMEBODY}) RETURNING 1
            )
            SELECT change - count(*) INTO change FROM left_out;
        END IF;
        IF change <> 0 THEN
            INSERT INTO people_sum VALUES (pg_backend_pid() % {ROWS_OF_SUM}, change)
            ON CONFLICT (part) DO UPDATE SET people = people_sum.people + excluded.people;
        END IF;
        RETURN NULL;
    END
    $$
"""
TRIGGERS = tuple(
    f"CREATE TRIGGER count_people_{what.lower()} AFTER {what} ON entries REFERENCING {tables} "
    "FOR EACH STATEMENT EXECUTE FUNCTION count_people()"
    for what, tables in (
        ("INSERT", "NEW TABLE AS fresh"),
        ("DELETE", "OLD TABLE AS gone"),
        ("UPDATE", "OLD TABLE AS gone NEW TABLE AS fresh"),
    )
)
IN_MEMORY = """
    SELECT set_config('work_mem', '64MB', true) WHERE pg_size_bytes(current_setting('work_mem')) < pg_size_bytes('64MB')
"""
SUM = "SELECT sum(people)::bigint FROM people_sum"
STATE = "SELECT count(*), max(number), (SELECT value FROM meta WHERE key = :key) FROM links"
READABLE = "SELECT coalesce(has_table_privilege(to_regclass(:name), 'SELECT'), false)"
MERGED = """
    SELECT count(*), count(DISTINCT r.root) FROM json_to_recordset(:roots) AS r (pid bigint, root bigint)
    WHERE EXISTS (SELECT 1 FROM entries e WHERE e.pid = r.pid)
"""


class Counting:
    """Of one gallery, for one opening of it. All but `make` and `rewrite` is within a transaction of the caller's."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self._kept = False  # whether the server keeps the counts, for this user to read
        self._links: tuple[object, LinkTable] = None, LinkTable()
        self._told: tuple[LinkTable, str] = LinkTable(), "[]"  # of a table, what `_roots` is
        self._merged: tuple[object, int] = None, 0

    def make(self, *, read_only: bool) -> None:
        """Has the counts kept from now on. Where they cannot be (this user may not make tables, or an older gallery was
        only opened for reading), all entries are counted for each search."""
        if not read_only:
            with suppress(GalleryError), self._db.changing():
                self._make()
        with self._db.looking():
            self._kept = bool(self._db.one(READABLE, name=f"{self._db.schema}.people_sum"))

    def links(self) -> LinkTable:
        """Each linked pid, with the pid that it is linked into. Read again only if they have changed."""
        # A number is never given twice, and links are made and removed one at a time: equal here is equal there, but
        # for those that a deletion has led elsewhere, which it notes.
        state = self._db.run(STATE, key=RELINKED)[0]
        if state != self._links[0]:
            self._links = state, LinkTable(self._db.run("SELECT pid, into_pid FROM links"))
        return self._links[1]

    def num_people(self, filter: Filter, condition: str, values: Mapping[str, Any]) -> int:
        """The number of people among the entries that match a filter. condition, values: of this filter, as SQL."""
        if self._kept and not filter.names():
            return int(self._db.one(SUM)) - self._num_merged()
        self._db.run(IN_MEMORY)
        return int(self._db.one(PEOPLE.format(condition=condition), roots=self._roots(), **values))

    def damages(self) -> Iterator[Damage]:
        """Whether the sum is that of the entries."""
        if self._kept:
            kept, there = int(self._db.one(SUM)), int(self._db.one(PEOPLE.format(condition="TRUE"), roots="[]"))
            if kept != there:
                what = f"{kept:,} people are counted, and the entries show {there:,}"
                yield Damage("number of people", what, "`resight gallery compact` counts them again")

    def rewrite(self) -> None:
        """Counts anew, while nobody else writes."""
        if self._kept:
            with self._db.changing():
                self._db.run(ALONE)
                for statement in ("DELETE FROM people", "DELETE FROM people_sum", *FILL):
                    self._db.run(statement)

    def tables(self) -> tuple[str, ...]:
        """Those of the counts."""
        return ("people", "people_sum") if self._kept else ()

    def _make(self) -> None:
        if self._db.has("people_sum"):
            return
        self._db.run("SELECT pg_advisory_xact_lock(:key)", key=CREATING)
        if self._db.has("people_sum"):  # another process may have made it meanwhile
            return
        self._db.run(ALONE)
        for statement in (*TABLES.split(";"), FUNCTION, *TRIGGERS, *FILL):
            self._db.run(statement)

    def _num_merged(self) -> int:
        """How many fewer people there are, since pids are linked. Of linked pids some may have no entry yet; once all
        have, that holds until links change, since links are removed with a pid's last entry."""
        links = self.links()
        if self._merged[0] != self._links[0]:
            there, people = self._db.run(MERGED, roots=self._roots())[0] if links else (0, 0)
            if there < len(set(links) | set(links.values())):
                return int(there - people)
            self._merged = self._links[0], int(there - people)
        return self._merged[1]

    def _roots(self) -> str:
        links = self.links()
        if links is not self._told[0]:
            roots = [{"pid": pid, "root": links.roots.get(pid, pid)} for pid in set(links) | set(links.values())]
            self._told = links, json.dumps(roots)
        return self._told[1]
