"""`resight.connect`: a gallery that a service shows."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from types import TracebackType
from typing import Any, TypeVar

from resight.core.errors import ConfigError
from resight.core.progress import Progress, silent
from resight.gallery.arguments import period_of
from resight.gallery.audit import AuditLine
from resight.gallery.curation.forgetting import ToForget
from resight.gallery.curation.listing import Person
from resight.gallery.filters import Filter
from resight.gallery.records import CannotLink, Damage, Entry, Forgotten, Link, Settings, Stats
from resight.service.client.adding import Adding
from resight.service.client.asking import check_who
from resight.service.client.records import ShownSite, entry_of, person_of, site_of
from resight.service.client.records import conditions as conditions_of
from resight.service.client.searching import Searching
from resight.service.client.transport import NoPreview, Transport

A_PAGE = 200
SIZE = (256, 128)  # of pictures, at most so high and so wide
TRIES = 5  # of a deletion whose preview another one takes away
T = TypeVar("T")


def connect(
    url: str, key: str | None = None, *, purpose: str = "", cafile: str | None = None, wait_s: float = 5.0
) -> RemoteGallery:
    """A gallery that `resight serve` shows, with the methods of one that `open_gallery` opens.

    url: as in a browser, https://host/resight. key: of the service; None: the environment variable RESIGHT_KEY.
    purpose: what for, which searches and deletions need. cafile: certificates to trust, in PEM. wait_s: how long to ask
    again while the service is busy.

    Raises ConfigError for a wrong address, or without a key; GalleryError if it cannot be reached.
    """
    transport = Transport(url, key, cafile=cafile, wait_s=wait_s)
    try:
        return RemoteGallery(transport, purpose)
    except BaseException:
        transport.close()
        raise


class RemoteGallery(Adding, Searching):
    """A gallery behind a service. `connect` makes one; use it in a `with`, or call `close`. Threads take turns.

    It has the methods of Gallery, with the same arguments. Pictures are embedded by the service. Entries come without
    their embeddings and pictures (`picture` fetches one). What the service decides raises ConfigError: who asks (it is
    the key), ids of what is added. What a key may not do raises GalleryError. A file's path never leaves this machine:
    its content does.
    """

    def __init__(self, transport: Transport, purpose: str = "") -> None:
        """transport: to the service."""
        self._to = transport
        self.purpose = purpose
        told = self._to.call("GET", "/stats")
        model = self._to.call("GET", "/model")
        self.settings = Settings(
            model["identity"], model["name"], model["dim"], bool(told["keep_crops"]), True, "", model["rights"]
        )

    def __enter__(self) -> RemoteGallery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return int(self._to.call("GET", "/stats")["entries"])

    @property
    def site(self) -> ShownSite:
        """As Gallery.site, to look at alone."""
        return site_of(self._to.find("/site"))

    def close(self) -> None:
        """Closes the connection."""
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
        for left in reversed(range(TRIES)):
            shown = self._previewed(older_than, untimed, filter, conditions)
            try:
                told = self._to.call("POST", "/forget", body={"token": shown["token"], "purpose": why})
                break
            except NoPreview:  # somebody else deleted something meanwhile
                if not left:
                    raise
        return Forgotten(
            told["entries"],
            tuple(told["traces"]),
            told["looked_for"],
            tuple(told["beyond"]),
            told["untimed"],
            told["site"],
            tuple(told.get("copies", ())),
        )

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
        told = self._previewed(older_than, untimed, filter, conditions)
        return ToForget(told["entries"], told["people"], told["cameras"], told["untimed"])

    def _previewed(self, older_than: Any, untimed: bool, filter: Filter | None, conditions: dict[str, Any]) -> Any:
        body: dict[str, Any] = conditions_of(filter, **conditions)
        body |= {} if older_than is None else {"older_than_s": period_of(older_than)}
        return self._to.call("POST", "/forget/preview", body={**body, "untimed": untimed})

    def link(self, pid: int, into: int, *, who: str | None = None, purpose: str | None = None) -> int:
        """As Gallery.link. who: raises ConfigError, here and below."""
        check_who(who)
        body = {"pid": pid, "into": into, "purpose": purpose or self.purpose}
        return int(self._to.call("POST", "/links", body=body)["number"])

    def unlink(self, number: int, *, who: str | None = None, purpose: str | None = None) -> None:
        """As Gallery.unlink."""
        check_who(who)
        self._to.call("DELETE", f"/links/{int(number)}", headers=self._told(purpose))

    def links(self) -> tuple[Link, ...]:
        """As Gallery.links."""
        return tuple(Link(**each) for each in self._to.call("GET", "/links"))

    def cannot_link(self, pid: int, other: int, *, who: str | None = None, purpose: str | None = None) -> int:
        """As Gallery.cannot_link."""
        check_who(who)
        body = {"pid": pid, "other": other, "purpose": purpose or self.purpose}
        return int(self._to.call("POST", "/cannot-links", body=body)["number"])

    def allow_link(self, number: int, *, who: str | None = None, purpose: str | None = None) -> None:
        """As Gallery.allow_link."""
        check_who(who)
        self._to.call("DELETE", f"/cannot-links/{int(number)}", headers=self._told(purpose))

    def cannot_links(self) -> tuple[CannotLink, ...]:
        """As Gallery.cannot_links."""
        return tuple(CannotLink(**each) for each in self._to.call("GET", "/cannot-links"))

    # Listing.

    def entries(self, filter: Filter | None = None, **conditions: Any) -> Iterator[Entry]:
        """As Gallery.entries, without embeddings and pictures."""
        return self._listed("/entries", 0, entry_of, filter, conditions)

    def page(self, after: int = 0, limit: int = 50, filter: Filter | None = None, **conditions: Any) -> list[Entry]:
        """As Gallery.page, without embeddings."""
        return list(islice(self._listed("/entries", after, entry_of, filter, conditions, limit), limit))

    def entry(self, number: int) -> Entry | None:
        """As Gallery.entry, without its embedding."""
        found = self._to.find(f"/entries/{int(number)}")
        return None if found is None else entry_of(found)

    def picture(self, number: int, size: tuple[int, int] = SIZE) -> bytes | None:
        """As Gallery.picture. size: raises ConfigError for another one."""
        if tuple(size) != SIZE:
            raise ConfigError(f"a service gives pictures of {SIZE[0]} x {SIZE[1]} pixels at most: leave size out")
        found: bytes | None = self._to.find(f"/entries/{int(number)}/picture")
        return found

    def people(
        self, after: int | None = None, limit: int = 50, filter: Filter | None = None, **conditions: Any
    ) -> list[Person]:
        """As Gallery.people."""
        return list(islice(self._listed("/people", after, person_of, filter, conditions, limit), limit))

    def person(self, pid: int) -> Person | None:
        """As Gallery.person."""
        found = self._to.find(f"/people/{int(pid)}")
        return None if found is None else person_of(found)

    def audit(self, after: int = 0, limit: int | None = None, actions: Collection[str] = ()) -> Iterator[AuditLine]:
        """As Gallery.audit."""
        cursor: int | None = after
        while cursor is not None and limit != 0:
            page = 1000 if limit is None else min(limit, 1000)
            found = self._to.call("GET", "/audit", query={"cursor": cursor, "limit": page, "action": list(actions)})
            yield from (AuditLine(**each) for each in found["lines"])
            limit = None if limit is None else limit - len(found["lines"])
            cursor = found["next"]

    def stats(self) -> Stats:
        """As Gallery.stats."""
        told = self._to.call("GET", "/stats")
        if "audit_lines" not in told:
            raise ConfigError("stats is of the whole gallery, and this key is bounded to some cameras")
        return Stats(**{name: told[name] for name in Stats.__dataclass_fields__})

    def unfinished(self) -> bool:
        """As Gallery.unfinished."""
        return bool(self._to.call("GET", "/stats")["unfinished"])

    def verify(self, progress: Progress = silent) -> Iterator[Damage]:
        """As Gallery.verify, as a job of the service."""
        told = self._to.job("verify", progress)
        for text in told["first"]:
            where, _, rest = text.partition(": ")
            what, _, remedy = rest.partition("; ")
            yield Damage(where, what, remedy)

    def compact(self) -> None:
        """As Gallery.compact, as a job of the service."""
        self._to.job("compact")

    def export_lines(self) -> Iterator[bytes]:
        """The lines of an export, as `resight gallery import` reads them."""
        return self._to.lines("/export", self._told(None))

    def _listed(
        self,
        path: str,
        after: int | None,
        made: Callable[[dict[str, Any]], T],
        filter: Filter | None,
        conditions: dict[str, Any],
        limit: int = A_PAGE,
    ) -> Iterator[T]:
        """What a route lists, page by page."""
        told = conditions_of(filter, **conditions)
        query = {"limit": min(limit, A_PAGE), "where": json.dumps(told) if told else None}
        cursor: int | None = after
        while True:
            found = self._to.call("GET", path, query={**query, "cursor": cursor})
            yield from map(made, found[path[1:]])
            if (cursor := found["next"]) is None:
                return
