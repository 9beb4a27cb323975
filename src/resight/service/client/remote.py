"""`resight.connect`: a gallery that a service shows."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from types import TracebackType
from typing import Any, TypeVar

from resight.core.errors import ConfigError, GalleryError
from resight.core.progress import Progress, silent
from resight.gallery.arguments import period_of, top_k_of, whole_of
from resight.gallery.audit import AuditLine
from resight.gallery.curation.corrections import two_pids
from resight.gallery.curation.forgetting import ToForget
from resight.gallery.curation.listing import Person
from resight.gallery.filters import Filter
from resight.gallery.records import CannotLink, Damage, Entry, Forgotten, Link, Settings, Stats
from resight.gallery.transfer.lines import LAST
from resight.service.client.adding import Adding
from resight.service.client.answers import NOTHING, PICTURE, NoPreview
from resight.service.client.asking import check_who
from resight.service.client.records import (
    ShownSite,
    damages_of,
    entry_of,
    gone_of,
    person_of,
    settings_of,
    site_of,
    stats_of,
)
from resight.service.client.records import conditions as conditions_of
from resight.service.client.searching import Searching
from resight.service.client.transport import Transport

A_PAGE = 200
SIZE = (256, 128)  # of pictures, at most so high and so wide
TRIES = 10  # of a deletion: others may add or delete between what is shown and what is confirmed
T = TypeVar("T")


def connect(
    url: str,
    key: str | None = None,
    *,
    purpose: str = "",
    cafile: str | None = None,
    wait_s: float = 5.0,
    timeout_s: float = 120.0,
) -> RemoteGallery:
    """A gallery that `resight serve` shows, with the methods of one that `open_gallery` opens.

    url: as in a browser, https://host/resight. key: of the service; None: the environment variable RESIGHT_KEY.
    purpose: what for, which searches and deletions need. cafile: certificates to trust, in PEM. wait_s: how long to ask
    again while the service is busy. timeout_s: how long to wait for the next bytes of an answer.

    Raises ConfigError for a wrong address, cafile or time, or without a key; GalleryError if it cannot be reached, or
    if what answers is none of a service.
    """
    transport = Transport(url, key, cafile=cafile, wait_s=wait_s, timeout_s=timeout_s)
    try:
        return RemoteGallery(transport, purpose)
    except BaseException:
        transport.close()
        raise


class RemoteGallery(Adding, Searching):
    """A gallery behind a service. `connect` makes one; use it in a `with`, or call `close`. Threads take turns.

    It has the methods of Gallery, with the same arguments. Pictures are embedded by the service. Entries come without
    their embeddings and pictures (`picture` fetches one). What the service decides raises ConfigError: who asks (it is
    the key), ids of what is added. What a key may not do raises GalleryError. Files are read here: the service gets
    their bytes, and the path as it was given as the entry's name, as a gallery that is open here does.

    A connection that is lost raises GalleryError. Where something was to be changed, the message says whether that may
    have been done.
    """

    def __init__(self, transport: Transport, purpose: str = "") -> None:
        """transport: to the service."""
        self._to = transport
        self.purpose = purpose
        self.settings: Settings = self._to.call("GET", "/stats", lambda told: settings_of(told["settings"]))

    def __enter__(self) -> RemoteGallery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return self._to.call("GET", "/stats", lambda told: int(told["entries"]))

    @property
    def site(self) -> ShownSite:
        """As Gallery.site, to look at alone."""
        return self._to.find("/site", site_of) or ShownSite(None)

    def close(self) -> None:
        """Closes the connection. What is asked after that raises GalleryError."""
        self._to.close()

    # Forgetting and correcting.

    def forget(
        self,
        *,
        older_than: Any = None,
        untimed: bool = False,
        filter: Filter | None = None,
        who: str | None = None,
        purpose: str | None = None,
        **conditions: Any,
    ) -> Forgotten:
        """As Gallery.forget: it previews, and confirms what was counted. who: raises ConfigError."""
        check_who(who)
        why = self._purpose(purpose)
        tries = 0
        while True:
            tries += 1
            token = self._previewed(lambda told: told["token"], older_than, untimed, filter, conditions)
            try:
                return self._to.call("POST", "/forget", gone_of, body={"token": token, "purpose": why})
            except NoPreview:  # somebody else added or deleted something meanwhile
                if tries == TRIES:
                    raise

    def to_forget(
        self,
        *,
        older_than: Any = None,
        untimed: bool = False,
        filter: Filter | None = None,
        times: bool = True,
        **conditions: Any,
    ) -> ToForget:
        """As Gallery.to_forget. times: a service tells none, whatever is asked."""
        names = ("entries", "people", "cameras", "untimed")
        return self._previewed(
            lambda told: ToForget(*(told[name] for name in names)), older_than, untimed, filter, conditions
        )

    def _previewed(
        self,
        of: Callable[[Any], T],
        older_than: Any,
        untimed: bool,
        filter: Filter | None,
        conditions: dict[str, Any],
    ) -> T:
        body: dict[str, Any] = conditions_of(filter, **conditions)
        body |= {} if older_than is None else {"older_than_s": period_of(older_than)}
        return self._to.call("POST", "/forget/preview", of, body={**body, "untimed": untimed})

    def link(self, pid: int, into: int, *, who: str | None = None, purpose: str | None = None) -> int:
        """As Gallery.link. who: raises ConfigError, here and below."""
        check_who(who)
        first, second = two_pids("a link", pid, into)
        body = {"pid": first, "into": second, "purpose": self._why(purpose)}
        return self._to.call("POST", "/links", _number_of, body=body)

    def unlink(self, number: int, *, who: str | None = None, purpose: str | None = None) -> None:
        """As Gallery.unlink."""
        check_who(who)
        self._undo(f"/links/{whole_of(number) or 0}", purpose)

    def links(self) -> tuple[Link, ...]:
        """As Gallery.links."""
        return self._to.call("GET", "/links", lambda told: tuple(Link(**each) for each in told))

    def cannot_link(self, pid: int, other: int, *, who: str | None = None, purpose: str | None = None) -> int:
        """As Gallery.cannot_link."""
        check_who(who)
        first, second = two_pids("a cannot-link", pid, other)
        body = {"pid": first, "other": second, "purpose": self._why(purpose)}
        return self._to.call("POST", "/cannot-links", _number_of, body=body)

    def allow_link(self, number: int, *, who: str | None = None, purpose: str | None = None) -> None:
        """As Gallery.allow_link."""
        check_who(who)
        self._undo(f"/cannot-links/{whole_of(number) or 0}", purpose)

    def cannot_links(self) -> tuple[CannotLink, ...]:
        """As Gallery.cannot_links."""
        return self._to.call("GET", "/cannot-links", lambda told: tuple(CannotLink(**each) for each in told))

    def _undo(self, path: str, purpose: str | None) -> None:
        self._to.call("DELETE", path, bool, media=NOTHING, headers=self._told(purpose))

    # Listing.

    def entries(self, filter: Filter | None = None, **conditions: Any) -> Iterator[Entry]:
        """As Gallery.entries, without embeddings and pictures."""
        return self._listed("/entries", 0, entry_of, filter, conditions)

    def page(self, after: int = 0, limit: int = 50, filter: Filter | None = None, **conditions: Any) -> list[Entry]:
        """As Gallery.page, without embeddings."""
        most = top_k_of(limit) or 50
        return list(islice(self._listed("/entries", whole_of(after) or 0, entry_of, filter, conditions, most), most))

    def entry(self, number: int) -> Entry | None:
        """As Gallery.entry, without its embedding."""
        return self._to.find(f"/entries/{whole_of(number) or 0}", entry_of)

    def picture(self, number: int, size: tuple[int, int] = SIZE) -> bytes | None:
        """As Gallery.picture. size: raises ConfigError for another one."""
        if tuple(size) != SIZE:
            raise ConfigError(f"a service gives pictures of {SIZE[0]} x {SIZE[1]} pixels at most: leave size out")
        return self._to.find(f"/entries/{whole_of(number) or 0}/picture", bytes, media=PICTURE)

    def people(
        self, after: int | None = None, limit: int = 50, filter: Filter | None = None, **conditions: Any
    ) -> list[Person]:
        """As Gallery.people."""
        most = top_k_of(limit)
        return list(islice(self._listed("/people", whole_of(after), person_of, filter, conditions, most), most))

    def person(self, pid: int) -> Person | None:
        """As Gallery.person."""
        return self._to.find(f"/people/{whole_of(pid) or 0}", person_of)

    def audit(self, after: int = 0, limit: int | None = None, actions: Collection[str] = ()) -> Iterator[AuditLine]:
        """As Gallery.audit."""
        cursor: int | None = after
        while cursor is not None and limit != 0:
            page = 1000 if limit is None else min(limit, 1000)
            query = {"cursor": cursor, "limit": page, "action": list(actions)}
            found, cursor = self._to.call("GET", "/audit", _audit_page, query=query)
            yield from found
            limit = None if limit is None else limit - len(found)

    def stats(self) -> Stats:
        """As Gallery.stats."""
        return self._to.call("GET", "/stats", stats_of)

    def unfinished(self) -> bool:
        """As Gallery.unfinished."""
        return self._to.call("GET", "/stats", lambda told: bool(told["unfinished"]))

    def verify(self, progress: Progress = silent) -> Iterator[Damage]:
        """As Gallery.verify, as a job of the service. Of very many the last one says how many more there are."""
        yield from self._to.job("verify", damages_of, progress)

    def compact(self) -> None:
        """As Gallery.compact, as a job of the service."""
        self._to.job("compact", bool)

    def export_lines(self) -> Iterator[bytes]:
        """The lines of an export, as `resight gallery import` reads them. Raises GalleryError where it ends early."""
        last = b""
        for last in self._to.lines("/export", self._told(None)):
            yield last
        if not last.startswith(LAST.encode()):
            raise GalleryError("the export is not whole, as it ended early; export again")

    def _listed(
        self,
        path: str,
        after: int | None,
        made: Callable[[dict[str, Any]], T],
        filter: Filter | None,
        conditions: dict[str, Any],
        limit: int | None = None,
    ) -> Iterator[T]:
        """What a route lists, page by page. limit: how many are wanted."""
        told = conditions_of(filter, **conditions)  # before the first is asked for: a wrong one is told at once
        query = {"limit": min(limit or A_PAGE, A_PAGE), "where": json.dumps(told) if told else None}

        def page_of(told: Any) -> tuple[list[T], int | None]:
            return [made(each) for each in told[path[1:]]], told["next"]

        def pages() -> Iterator[T]:
            cursor, more = after, True
            while more:
                found, cursor = self._to.call("GET", path, page_of, query={**query, "cursor": cursor})
                yield from found
                more = cursor is not None

        return pages()


def _number_of(told: Any) -> int:
    return int(told["number"])


def _audit_page(told: Any) -> tuple[list[AuditLine], int | None]:
    return [AuditLine(**each) for each in told["lines"]], told["next"]
