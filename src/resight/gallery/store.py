"""The interface of a store, which keeps a gallery's entries in an engine. A new engine is one subclass of Store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from re import sub
from typing import ClassVar
from urllib.parse import unquote

import numpy as np

from resight.core.errors import ConfigError, GalleryBusy
from resight.core.progress import Progress, silent
from resight.core.records import FloatArray
from resight.gallery.audit import Action, AuditLine
from resight.gallery.curation import apart
from resight.gallery.filters import EVERY_ENTRY, Filter
from resight.gallery.people import Links, LinkTable
from resight.gallery.records import Damage, Detail, Entry, Forgotten, Link, Placed, Settings, Sighting, Stats, StoreHits
from resight.gallery.search.approximate import Approximation
from resight.site.crops import SiteCrops
from resight.site.transform import SiteTransform

TOLD = ("gallery", "host", "sslmode", "secure")  # of an address's query in messages: the rest may be a password


class SiteChanged(GalleryBusy):
    """Another process put another site transform in force between two steps of a search."""


Edit = Callable[[str, Links], tuple[str, Detail]]  # of a note: the text and the links to a new text, and the detail


class Store(ABC):
    """One gallery in one engine, open. Any number of threads may share one.

    When a method that changes the gallery returns, the change is durable; until then nobody sees any of it. Every
    method raises GalleryError if the engine fails, and its subclass GalleryBusy if another writer kept it waiting for
    too long. A filter is evaluated in the same transaction as what it is for.

    extra: which extra of the package installs the engine's driver, if it needs one (the driver is imported when a store
    is opened, not with its module). uri_form: how a gallery's address is written, for messages.
    """

    extra: ClassVar[str | None] = None
    uri_form: ClassVar[str]
    settings: Settings

    @abstractmethod
    def __init__(self, uri: str, settings: Settings | None, *, new: bool, read_only: bool, wait_s: float) -> None:
        """As `open_store` has it."""

    @abstractmethod
    def add(self, entries: Sequence[Entry]) -> list[int]:
        """Adds all entries or none and returns their ids, which are never reused. An entry with an id keeps it."""

    @abstractmethod
    def add_once(self, entries: Sequence[Entry]) -> Placed:
        """As `add`, but leaves out an entry that equals one which is there: by name, camera, time, track and embedding.
        The entries are compared with those that were there before, not with each other."""

    @abstractmethod
    def search(
        self, queries: FloatArray, top_k: int | None, filter: Filter, min_similarity: float | None, site: str = ""
    ) -> StoreHits:
        """The `top_k` hits (None: all) for each row of queries (q, dim), by similarity, ties by id.

        site: the identity of the site transform that was applied to the queries; empty: none. Raises SiteChanged where
        another one is in force.
        """

    @abstractmethod
    def count(self, filter: Filter = EVERY_ENTRY) -> int:
        """The number of entries that match the filter."""

    def count_untimed(self, filter: Filter, limit: float) -> int:
        """How many entries match the filter but for its times, and have no time, or one at `limit` or later."""
        anytime = replace(filter, after=None, before=None)
        return self.count(anytime) - self.count(replace(anytime, before=limit))

    @abstractmethod
    def read(self, ids: Sequence[int]) -> list[Entry]:
        """The entries that exist, in the order of ids, without their pictures."""

    @abstractmethod
    def scan(self, filter: Filter) -> Iterator[Entry]:
        """The entries that match the filter, by id, with their pictures, in bounded memory."""

    @abstractmethod
    def page(self, filter: Filter, after: int, limit: int) -> list[Entry]:
        """The next entries that match the filter, by id, whose ids are above `after`; without their pictures."""

    @abstractmethod
    def pids(self, filter: Filter) -> list[int]:
        """The different pids of the entries that match the filter, in no order."""

    @abstractmethod
    def people(self, filter: Filter) -> list[Sighting]:
        """The entries that match the filter and have a pid, counted by pid and camera, in no order."""

    @abstractmethod
    def remove(self, filter: Filter, who: str, purpose: str) -> Forgotten:
        """Deletes the entries that match the filter, and appends the audit line in the same transaction.

        It does not raise after the deletion has been committed: what then fails is reported among the traces.
        """

    @abstractmethod
    def link(self, pid: int, into: int, who: str, purpose: str, origin: Detail | None = None) -> int:
        """Links two pids and returns the link's number. origin: of a copied link, what the audit line tells beside it.

        Raises GalleryError if they are linked already.
        """

    @abstractmethod
    def unlink(self, number: int, who: str, purpose: str) -> None:
        """Removes a link. Raises GalleryError if there is none of that number."""

    @abstractmethod
    def links(self) -> tuple[Link, ...]:
        """All links, by number."""

    def linked(self) -> LinkTable:
        """All links as a table. Engines that can tell whether they have changed keep it."""
        return LinkTable((link.pid, link.into) for link in self.links())

    @abstractmethod
    def note(self, key: str) -> str:
        """A text that the gallery keeps beside its entries; empty if there is none."""

    @abstractmethod
    def amend(self, key: str, edit: Edit, action: Action, who: str, purpose: str) -> None:
        """Replaces the text of `note` by what `edit` makes of it and of the links, with an audit line in the same
        transaction."""

    def cannot_link(self, pid: int, other: int, who: str, purpose: str) -> int:
        """Says that two pids are two people, and returns the number. Raises GalleryError if they are one here, or kept
        apart already."""
        made: list[int] = []

        def edit(text: str, links: Links) -> tuple[str, Detail]:
            text, number = apart.added(text, pid, other, links)
            made.append(number)
            return text, {"cannot_link": number}

        self.amend(apart.APART, edit, "cannot-link", who, purpose)
        return made[-1]

    def allow_link(self, number: int, who: str, purpose: str) -> None:
        """Removes a cannot-link. Raises GalleryError if there is none of that number."""

        def edit(text: str, links: Links) -> tuple[str, Detail]:
            return apart.removed(text, number), {"cannot_link": number}

        self.amend(apart.APART, edit, "allow-link", who, purpose)

    @abstractmethod
    def append_audit(self, action: Action, who: str, purpose: str, detail: Detail) -> None:
        """Appends a line to the audit."""

    @abstractmethod
    def audit(self, after: int = 0, limit: int | None = None, actions: Collection[str] = ()) -> Iterator[AuditLine]:
        """The audit, in order, in bounded memory. after: how many lines to leave out first. limit: the most that are
        wanted; None: all. actions: lines of these actions only; they alone are counted then."""

    @abstractmethod
    def last_line(self, *actions: str) -> AuditLine | None:
        """The last line of the audit that is of one of these actions, or of any; None if there is none."""

    @abstractmethod
    def stats(self) -> Stats:
        """Counts."""

    @abstractmethod
    def verify(self, progress: Progress = silent) -> Iterator[Damage]:
        """Checks every entry against its checksum, and the audit's chain. Other threads search and change meanwhile.
        What the progress raises ends it."""

    @abstractmethod
    def compact(self) -> None:
        """Returns freed space to the file system."""

    @abstractmethod
    def unfinished(self) -> str:
        """What `set_unfinished` was told last: what an import or a migration that has not ended says of itself."""

    @abstractmethod
    def set_unfinished(self, text: str) -> None:
        """Marks the gallery as incomplete, which `verify` tells; empty: as complete."""

    @abstractmethod
    def close(self) -> None:
        """Closes the store."""

    def site(self) -> SiteTransform | None:
        """The site transform that is in force. Engines that keep none have none."""
        return None

    def set_site(self, site: SiteTransform | None, who: str, purpose: str) -> None:
        """Puts a site transform in force, or none, and appends the audit line in the same transaction. Raises
        ConfigError unless the engine overrides it."""
        raise ConfigError(
            "a site transform is for a gallery in a file; this engine compares the embeddings as they are stored. "
            "`resight gallery migrate` copies it into a file"
        )

    def site_crops(self) -> SiteCrops:
        """What a site transform is fitted to: all entries."""
        entries = list(self.scan(EVERY_ENTRY))
        return SiteCrops(
            np.array([entry.embedding for entry in entries], np.float32).reshape(len(entries), self.settings.dim),
            tuple(entry.camera for entry in entries),
            tuple(entry.track for entry in entries),
            np.array([np.nan if entry.time is None else entry.time for entry in entries], np.float64),
            self.settings.model,
            f"{len(entries):,} entries of a gallery",
        )

    def approximate(self, top_k: int, recall: float) -> Approximation:
        """As `Gallery.approximate`. Raises ConfigError unless the engine overrides it."""
        raise ConfigError(
            "approximate search is for a gallery in a file; this engine supports exact search only, whatever indexes "
            "it has of its own"
        )


def damage_of_unfinished(text: str) -> Iterator[Damage]:
    """What `verify` says of a gallery that is marked as incomplete. text: of `Store.unfinished`."""
    if text:
        what = "an import or a migration into it has not ended, so entries or links are missing"
        yield Damage("gallery", what, "run the same command again: it goes on")


def without_password(uri: object) -> str:
    """A gallery's address without user and password, for messages, wherever in it they stand. A mistyped password has
    @, / or ? in it, so that as much is left out as may belong to it.

    Example:
        >>> without_password("postgresql://ada:secret@host/site?password=secret&sslmode=require")
        'postgresql://host/site?sslmode=require'
    """
    text = str(uri)
    for before in ("//[^?]*@", "//[^/]*@"):
        text = sub(before, "//", text, count=1)
    address, mark, query = text.partition("?")
    if "://" not in address or not mark:
        return text
    kept = "&".join(each for each in query.split("&") if unquote(each).partition("=")[0] in TOLD)
    return f"{address}?{kept}" if kept else address
