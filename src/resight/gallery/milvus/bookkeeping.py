"""What a gallery in Milvus stores beside its entries: settings, ranges of ids, the audit, links, and people.

Milvus has no transactions, sequences or locks, but reads that see everything written before (consistency level Strong).
The methods here are correct with those alone, also with several writers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING
from uuid import uuid4

from resight.core.errors import ConfigError, GalleryBusy, GalleryError
from resight.gallery.audit import Action, AuditLine, check_chain, next_line
from resight.gallery.curation import apart, remaining
from resight.gallery.milvus.syntax import LONGEST_TEXT, among, in_parts, quoted
from resight.gallery.people import Links, LinkTable, check_link
from resight.gallery.records import Damage, Detail, Entry, Link

if TYPE_CHECKING:
    from resight.gallery.milvus.connection import Connection

RANGE = 65_536  # ids that a writer claims at a time
SETTINGS, CLAIM, LINE, LINK, PERSON = "settings", "range", "line", "link", "person"
UNFINISHED, NOTE, LONG = "unfinished", "note", "long"
TRIES = 10  # to change a text before another writer does
PART = LONGEST_TEXT // 2  # characters of a long text in a record


class Bookkeeping:
    """Of one gallery, for one opening of it. Not for several threads at once."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self._chain = uuid4().hex
        self._last: AuditLine | None = None
        self._next_id = self._end_of_range = 0

    # Settings.

    def settings(self) -> str:
        """The text that `create` wrote; empty if the gallery does not exist."""
        found = self._read(SETTINGS)
        return min(text for _, _, text in found) if found else ""

    def create(self, text: str) -> None:
        """Writes the settings, with which the gallery exists."""
        self._write(SETTINGS, SETTINGS, 0, text)

    def unfinished(self) -> str:
        """What `set_unfinished` was told last."""
        found = self._read(UNFINISHED)
        return found[0][2] if found else ""

    def set_unfinished(self, text: str) -> None:
        """Marks the gallery as incomplete, or, with an empty text, as complete."""
        if text:
            self._db.call("upsert", self._db.records, [self._row(UNFINISHED, UNFINISHED, 0, text)])
        else:
            self._db.call("delete", self._db.records, ids=[UNFINISHED])

    def note(self, key: str) -> str:
        """A text by its key; empty if there is none."""
        found = self._read(NOTE, f"key == {quoted(f'{NOTE}/{key}')}")
        return found[0][2] if found else ""

    def set_note(self, key: str, text: str) -> None:
        """Keeps a text. Raises ConfigError if it is longer than Milvus keeps."""
        if len(text.encode()) > LONGEST_TEXT:
            raise ConfigError(f"Milvus keeps texts of {LONGEST_TEXT:,} bytes at most, and these {key} are longer")
        self._db.call("upsert", self._db.records, [self._row(NOTE, f"{NOTE}/{key}", 0, text)])

    def amend(
        self, key: str, edit: Callable[[str, Links], tuple[str, Detail]], action: Action, who: str, purpose: str
    ) -> None:
        """As `Store.amend`. Raises GalleryBusy if another writer changes the text at the same moment."""
        for _ in range(TRIES):
            before = self.note(key)
            text, detail = edit(before, self.linked())
            if self.note(key) == before:  # or else another writer has changed it meanwhile
                break
        else:
            raise GalleryBusy(f"{self._db.name}: other writers keep changing its {key}; try again")
        self.set_note(key, text)
        self.append(action, who, purpose, detail)
        if self.note(key) != text:
            told = f"another writer changed its {key} at the same moment"
            raise GalleryBusy(f"{self._db.name}: {told}; look whether this change was kept, and try again")

    def long(self, key: str) -> str:
        """A text of any length by its key; empty if there is none."""
        found = [row for row in self._read(LONG) if row[0].startswith(f"{LONG}/{key}/")]
        return "".join(text for _, _, text in sorted(found, key=lambda row: row[1]))

    def set_long(self, key: str, text: str) -> None:
        """Keeps a text of any length, that of a key never changes."""
        parts = [text[start : start + PART] for start in range(0, len(text), PART)]
        for number, part in enumerate(parts):
            row = self._row(LONG, f"{LONG}/{key}/{number}", number, part)
            self._db.call("upsert", self._db.records, [row])

    def drop_long(self, key: str, but: str) -> None:
        """Deletes the long texts whose keys begin with this one, but one."""
        keys = [name for name, _, _ in self._read(LONG) if name.startswith(f"{LONG}/{key}/")]
        for part in in_parts([name for name in keys if not name.startswith(f"{LONG}/{but}/")]):
            self._db.call("delete", self._db.records, ids=part)

    # Ids.

    def new_ids(self, num: int) -> list[int]:
        """New ids, which are never reused."""
        ids: list[int] = []
        while len(ids) < num:
            if self._next_id == self._end_of_range:
                self._claim()
            more = min(num - len(ids), self._end_of_range - self._next_id)
            ids += range(self._next_id, self._next_id + more)
            self._next_id += more
        return ids

    def taken(self, ids: Sequence[int]) -> None:
        """Marks ids that were assigned elsewhere as used: ranges that are claimed from now on begin above them, and
        this opening's own range goes on above those that lie in it."""
        number = (max(ids) - 1) // RANGE
        if self._latest_range() < number:
            self._write(CLAIM, f"{CLAIM}/{number}/{uuid4().hex}", number, "")
        within = [each for each in ids if self._next_id <= each < self._end_of_range]
        self._next_id = max(within, default=self._next_id - 1) + 1

    def _claim(self) -> None:
        """Claims the next range. Of two claims at once, the later to write sees the other: never do both get it."""
        for _ in range(100):
            number = self._latest_range() + 1
            key = f"{CLAIM}/{number}/{uuid4().hex}"
            self._write(CLAIM, key, number, "")
            rivals = [other for other, _, _ in self._read(CLAIM, f"number >= {number}")]
            if rivals == [key]:
                self._db.call("delete", self._db.records, filter=f'kind == "{CLAIM}" and number < {number}')
                self._next_id, self._end_of_range = number * RANGE + 1, (number + 1) * RANGE + 1
                return
        raise GalleryBusy(f"{self._db.name}: too many writers begin at once; try again")

    def _latest_range(self) -> int:
        return max((number for _, number, _ in self._read(CLAIM)), default=-1)

    # The audit: a chain for each opening that writes, since nothing keeps two writers from appending to the same end.

    def append(self, action: Action, who: str, purpose: str, detail: Detail) -> None:
        """Appends a line to this opening's chain."""
        line = next_line(self._last, action, who, purpose, detail)
        key = f"{LINE}/{self._chain}/{line.number}"
        self._write(LINE, key, line.number, json.dumps(asdict(line), sort_keys=True))
        self._last = line

    def lines(self) -> Iterator[AuditLine]:
        """The lines of all chains, by time."""
        found = [line for chain in self._chains().values() for line in chain]
        yield from sorted(found, key=lambda line: (line.time, line.number))

    def damages(self) -> Iterator[Damage]:
        """The first broken line of each chain."""
        for name, chain in sorted(self._chains().items()):
            for damage in check_chain(chain):
                yield Damage(f"{damage.where} of chain {name[:8]}", damage.what, damage.remedy)

    def _chains(self) -> dict[str, list[AuditLine]]:
        chains: dict[str, list[AuditLine]] = {}
        for key, number, text in self._read(LINE):
            try:
                line = AuditLine(**json.loads(text))
            except (TypeError, ValueError):
                line = AuditLine(number, "", "", "", "", {"unreadable": True}, "", "")
            chains.setdefault(key.split("/")[1], []).append(line)
        return {name: sorted(chain, key=lambda line: line.number) for name, chain in chains.items()}

    # Links.

    def links(self) -> tuple[Link, ...]:
        """All links, by number."""
        found = (Link(**json.loads(text)) for _, _, text in self._read(LINK))
        return tuple(sorted(found, key=lambda link: link.number))

    def link(self, pid: int, into: int) -> int:
        """Adds a link and returns its number. Raises GalleryError, or GalleryBusy if another writer did at once."""
        roots = self.linked()
        first, second = check_link(pid, into, roots)
        apart.check_apart(self.note(apart.APART), first, second, roots)
        link = Link(self.new_ids(1)[0], first, second)
        key = f"{LINK}/{first}/{link.number}"
        self._write(LINK, key, link.number, json.dumps(asdict(link)))
        others = [other for other in self.links() if other.number != link.number]
        if any(other.pid == first for other in others) or _circular([*others, link]):
            self._db.call("delete", self._db.records, ids=[key])
            raise GalleryBusy(f"{self._db.name}: another writer linked one of the two at the same moment; try again")
        return link.number

    def unlink(self, number: int) -> None:
        """Removes a link. Raises GalleryError if there is none of that number."""
        keys = [key for key, _, _ in self._read(LINK, f"number == {number}")]
        if not keys:
            raise GalleryError(f"there is no link {number}")
        self._db.call("delete", self._db.records, ids=keys)

    def forget_people(self, gone: set[int]) -> None:
        """Mends links and cannot-links where no entry of some pids is left."""

        def there(pids: Sequence[int]) -> set[int]:
            keys = {person_key("", None, pid): pid for pid in pids}
            return {keys[key] for key in self._people_among(list(keys))}

        mended = remaining.without(self.links(), gone, there)
        for link in mended.changed:  # first: a kill before the rest leaves them one person
            key = self._read(LINK, f"number == {link.number}")[0][0]
            self._db.call("upsert", self._db.records, [self._row(LINK, key, link.number, json.dumps(asdict(link)))])
        for link in mended.removed:
            self.unlink(link.number)
        if text := self.note(apart.APART):
            self.set_note(apart.APART, apart.without(text, gone, mended.heirs))

    def linked(self) -> LinkTable:
        """Each linked pid, with the pid that it is linked into."""
        return LinkTable((link.pid, link.into) for link in self.links())

    # The people in the gallery: a record for each, so that they need not be counted row by row.

    def remember(self, entries: Iterable[Entry]) -> None:
        """Records the people of entries, before those are written: rather one too many than one too few."""
        keys = sorted({key for entry in entries if (key := person_key(entry.camera, entry.track, entry.pid))})
        for part in in_parts(keys):
            rows = [self._row(PERSON, key, 0, "") for key in part]
            self._db.call("upsert", self._db.records, rows)

    def drop(self, keys: Iterable[str]) -> None:
        """Deletes the records of people of whom no entry is left."""
        for part in in_parts(sorted(keys)):
            self._db.call("delete", self._db.records, ids=part)

    def num_people(self, links: LinkTable) -> int:
        """The number of people with a pid or a track, with links applied."""
        members = sorted(set(links) | set(links.values()))
        keys = {person_key("", None, pid): links.roots.get(pid, pid) for pid in members}
        there = [keys[key] for key in self._people_among(list(keys))]
        merged = len(there) - len(set(there))
        return self._db.count(self._db.records, f'kind == "{PERSON}"') - merged

    def _people_among(self, keys: Sequence[str]) -> list[str]:
        """Those of the keys that are of people with entries."""
        found = (self._db.read(self._db.records, among("key", part), ["key"]) for part in in_parts(keys))
        return [row["key"] for rows in found for row in rows]

    # Rows.

    def _read(self, kind: str, more: str = "") -> list[tuple[str, int, str]]:
        """(key, number, text) of all records of a kind."""
        filter = f'kind == "{kind}"' + (f" and {more}" if more else "")
        pages = self._db.pages(self._db.records, "key", 'key >= ""', filter, ["number", "text"], narrow=True)
        return [(row["key"], row["number"], row["text"]) for page in pages for row in page]

    def _write(self, kind: str, key: str, number: int, text: str) -> None:
        self._db.call("insert", self._db.records, [self._row(kind, key, number, text)])

    def _row(self, kind: str, key: str, number: int, text: str) -> dict[str, object]:
        return {"key": key, "kind": kind, "number": number, "text": text, "none": [0.0, 0.0]}


def person_key(camera: str, track: str | None, pid: int | None) -> str:
    """The key of the record of an entry's person: a hash. Empty if the entry has neither pid nor track."""
    if pid is None and track is None:
        return ""
    who = f"pid {pid}" if pid is not None else f"track {quoted(camera)} {quoted(track or '')}"
    return f"{PERSON}/{hashlib.blake2b(who.encode(), digest_size=16).hexdigest()}"


def _circular(links: Sequence[Link]) -> bool:
    into = {link.pid: link.into for link in links}
    for pid in into:
        seen = {pid}
        while pid in into:
            pid = into[pid]
            if pid in seen:
                return True
            seen.add(pid)
    return False
