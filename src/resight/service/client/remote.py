"""`resight.connect`: a gallery that a service shows."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy.typing as npt

from resight.core.errors import ConfigError, DataError
from resight.data.crops import SPLITS, Dataset
from resight.data.formats.catalogue import open_dataset
from resight.gallery.arguments import (
    embeddings_of,
    listed,
    one_for_each,
    period_of,
    pooled,
    seconds_of,
)
from resight.gallery.audit import AuditLine
from resight.gallery.curation.forgetting import ToForget
from resight.gallery.curation.listing import Person
from resight.gallery.filters import Filter
from resight.gallery.records import Added, Attributes, CannotLink, Damage, Entry, Forgotten, Link, Settings, Stats
from resight.gallery.results import SearchResult
from resight.gallery.transfer.batches import in_batches
from resight.gallery.transfer.rows import Row, crops_of, rows_of_crops
from resight.service.client.records import (
    ShownSite,
    bytes_of,
    decision_of,
    entry_of,
    known,
    line_of,
    match_of,
    name_of,
    person_of,
    rate_of,
    site_of,
)
from resight.service.client.records import (
    conditions as conditions_of,
)
from resight.service.client.transport import Transport, ndjson

A_PAGE = 200


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


class RemoteGallery:
    """A gallery behind a service. `connect` makes one; use it in a `with`, or call `close`. Threads take turns.

    It has the methods of Gallery. Pictures are embedded by the service. Entries come without their embeddings and
    pictures (`picture` fetches one). Who asks is the key, so there is no `who`; what a key may not do raises
    GalleryError. A file's path never leaves this machine: its content does.
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

    # Searching.

    def search(
        self, crops: Any, top_k: int | None = 20, *, pool: str = "mean", channel_order: str = "rgb", **options: Any
    ) -> SearchResult:
        """As Gallery.search. crops: paths, or the bytes of files."""
        pictures = [base64.b64encode(bytes_of(item)).decode() for item in listed(crops)]
        return self._search({"crops": pictures, "pool": pool}, top_k, options)

    def search_embeddings(
        self, embeddings: npt.ArrayLike, top_k: int | None = 20, *, pool: str | None = None, **options: Any
    ) -> list[SearchResult]:
        """As Gallery.search_embeddings."""
        vectors = embeddings_of(embeddings, self.settings.dim)
        vectors = vectors if pool is None else pooled(vectors, pool)[1][None]
        model = self.settings.model
        return [self._search({"embedding": row.tolist(), "model": model}, top_k, options) for row in vectors]

    def _search(self, body: dict[str, Any], top_k: int | None, options: dict[str, Any]) -> SearchResult:
        if top_k is None:
            raise ConfigError("a service gives a number of matches (top_k), not all")
        named = ("min_similarity", "hidden", "false_positive_rate", "false_negative_rate", "seen_by")
        body |= {name: options.pop(name) for name in named if options.get(name) is not None}
        purpose = self._purpose(options.pop("purpose", None))
        options = {name: value for name, value in options.items() if value is not None and name not in named}
        told = self._to.call(
            "POST", "/search", body={**body, "top_k": top_k, "purpose": purpose, **conditions_of(**options)}
        )
        decision = decision_of(told["decision"])
        matches = tuple(match_of(each, decision) for each in told["matches"])
        facts = told["num_people"], told["recall"], told["person"], told["site"]
        said = rate_of(told["strangers"]), tuple(told["named"]), tuple(told.get("notes", ()))
        return SearchResult(matches, decision, *facts, *said)

    def _purpose(self, given: str | None) -> str:
        purpose = given or self.purpose
        if len(purpose) < 3:
            raise ConfigError("a service asks what for: give a purpose (--purpose, purpose=), which its audit keeps")
        return purpose

    # Adding.

    def add(
        self,
        crops: Any,
        *,
        camera: str | Sequence[str],
        time: Any = None,
        track: str | Sequence[str | None] | None = None,
        pid: int | Sequence[int | None] | None = None,
        person: str | Sequence[str | None] | None = None,
        attributes: Attributes | None = None,
    ) -> list[int]:
        """As Gallery.add, 64 pictures at most. crops: paths, or the bytes of files."""
        items = listed(crops)
        pictures = [{"crop": base64.b64encode(bytes_of(item)).decode(), "name": name_of(item)} for item in items]
        return self._add_all(pictures, camera, time, track, pid, person, attributes)

    def add_embeddings(
        self,
        embeddings: npt.ArrayLike,
        *,
        model: str,
        camera: str | Sequence[str],
        time: Any = None,
        track: str | Sequence[str | None] | None = None,
        pid: int | Sequence[int | None] | None = None,
        person: str | Sequence[str | None] | None = None,
        attributes: Attributes | None = None,
        names: Sequence[str] | None = None,
    ) -> list[int]:
        """As Gallery.add_embeddings, 64 at most."""
        vectors = embeddings_of(embeddings, self.settings.dim)
        rows = [
            {"embedding": vector.tolist(), "model": model, "name": name}
            for vector, name in zip(vectors, names or [""] * len(vectors), strict=True)
        ]
        return self._add_all(rows, camera, time, track, pid, person, attributes)

    def add_dataset(
        self,
        dataset: Dataset | str | Path,
        *,
        splits: Sequence[str] = SPLITS,
        camera: str | None = None,
        with_pids: bool = True,
        strict: bool = False,
        format: str | None = None,
    ) -> Added:
        """As Gallery.add_dataset."""
        found = dataset if isinstance(dataset, Dataset) else open_dataset(str(dataset), format)
        left_out = [f"{problem.name}: {problem.reason}" for problem in found.problems]
        if strict and left_out:
            raise DataError(left_out[0])
        ids, there = list[int](), list[int]()
        rows = rows_of_crops(crops_of(found, splits), camera, with_pids)
        for added in self.add_rows(rows, strict=strict):
            ids += added.ids
            there += added.there
            left_out += added.left_out
        return Added(tuple(ids), tuple(left_out), tuple(there))

    def add_rows(self, rows: Iterable[Row | DataError], *, strict: bool = False) -> Iterator[Added]:
        """As Gallery.add_rows."""
        return self.add_batches(in_batches(rows), strict=strict)

    def add_batches(self, batches: Iterable[Sequence[Row | DataError]], *, strict: bool = False) -> Iterator[Added]:
        """As Gallery.add_batches."""
        for batch in batches:
            outcomes: list[int | str] = [str(row) for row in batch]
            sent: dict[int, dict[str, Any]] = {}
            for place, row in enumerate(batch):
                try:
                    if isinstance(row, DataError):
                        raise row
                    sent[place] = line_of(row, self.settings.model)
                except DataError as error:
                    if strict:
                        raise
                    outcomes[place] = str(error)
            there = list[int]()
            for place, told in zip(sent, self._send(list(sent.values()), strict), strict=True):
                outcomes[place] = told["id"] if "id" in told else told["error"]
                there += [told["id"]] if told.get("there") else []
            fresh = tuple(each for each in outcomes if isinstance(each, int) and each not in there)
            left_out = tuple(each for each in outcomes if isinstance(each, str))
            yield Added(fresh, left_out, tuple(there), tuple(outcomes))

    def _add_all(self, rows: list[dict[str, Any]], camera: Any, *facts: Any) -> list[int]:
        names = ("time", "track", "pid", "person")
        columns = {"camera": one_for_each(camera, len(rows), "camera")}
        columns |= {name: one_for_each(fact, len(rows), name) for name, fact in zip(names, facts[:4], strict=True)}
        columns["time"] = [seconds_of(moment) for moment in columns["time"]]
        columns["attributes"] = [dict(facts[4] or {})] * len(rows)
        lines = [
            known({**row, **{name: column[place] for name, column in columns.items()}})
            for place, row in enumerate(rows)
        ]
        return [told["id"] for told in self._send(lines, True)]

    def _send(self, lines: list[dict[str, Any]], strict: bool) -> list[dict[str, Any]]:
        if not lines:
            return []
        headers = {"Content-Type": "application/x-ndjson"}
        query = {"strict": "true"} if strict else {}
        answer = self._to.call("POST", "/entries/lines", query=query, body=ndjson(lines), headers=headers)
        told = [json.loads(line) for line in answer.splitlines()]
        broken = next((each["problem"]["detail"] for each in told if "problem" in each), None)
        if broken is not None or len(told) != len(lines):
            raise DataError(broken or "the service did not answer every line; send them again, none becomes double")
        return told

    # Forgetting and correcting.

    def forget(
        self,
        *,
        older_than: Any = None,
        untimed: bool = False,
        filter: Filter | None = None,
        purpose: str | None = None,
        **conditions: Any,
    ) -> Forgotten:
        """As Gallery.forget: it previews, and confirms what was counted."""
        why = self._purpose(purpose)
        shown = self._previewed(older_than, untimed, filter, conditions)
        told = self._to.call("POST", "/forget", body={"token": shown["token"], "purpose": why})
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
        self, *, older_than: Any = None, untimed: bool = False, filter: Filter | None = None, **conditions: Any
    ) -> ToForget:
        """As Gallery.to_forget, without the times."""
        told = self._previewed(older_than, untimed, filter, conditions)
        return ToForget(told["entries"], told["people"], told["cameras"], told["untimed"])

    def _previewed(self, older_than: Any, untimed: bool, filter: Filter | None, conditions: dict[str, Any]) -> Any:
        body: dict[str, Any] = conditions_of(filter, **conditions)
        body |= {} if older_than is None else {"older_than_s": period_of(older_than)}
        return self._to.call("POST", "/forget/preview", body={**body, "untimed": untimed})

    def link(self, pid: int, into: int, *, purpose: str | None = None) -> int:
        """As Gallery.link."""
        body = {"pid": pid, "into": into, "purpose": purpose or self.purpose}
        return int(self._to.call("POST", "/links", body=body)["number"])

    def unlink(self, number: int) -> None:
        """As Gallery.unlink."""
        self._to.call("DELETE", f"/links/{int(number)}")

    def links(self) -> tuple[Link, ...]:
        """As Gallery.links."""
        return tuple(Link(**each) for each in self._to.call("GET", "/links"))

    def cannot_link(self, pid: int, other: int, *, purpose: str | None = None) -> int:
        """As Gallery.cannot_link."""
        body = {"pid": pid, "other": other, "purpose": purpose or self.purpose}
        return int(self._to.call("POST", "/cannot-links", body=body)["number"])

    def allow_link(self, number: int) -> None:
        """As Gallery.allow_link."""
        self._to.call("DELETE", f"/cannot-links/{int(number)}")

    def cannot_links(self) -> tuple[CannotLink, ...]:
        """As Gallery.cannot_links."""
        return tuple(CannotLink(**each) for each in self._to.call("GET", "/cannot-links"))

    # Listing.

    def entries(self, filter: Filter | None = None, **conditions: Any) -> Iterator[Entry]:
        """As Gallery.entries, without embeddings and pictures."""
        last = 0
        while part := self.page(last, A_PAGE, filter, **conditions):
            yield from part
            last = part[-1].id

    def page(self, after: int = 0, limit: int = 50, filter: Filter | None = None, **conditions: Any) -> list[Entry]:
        """As Gallery.page, without embeddings. By camera, track, pid, person, after and before."""
        told = conditions_of(filter, **conditions)
        names = {"cameras": "camera", "tracks": "track", "pids": "pid", "after": "after", "before": "before"}
        if unknown := sorted(set(told) - set(names)):
            raise ConfigError(f"a service lists by {', '.join(names.values())}, not by {unknown[0]}")
        query = {names[name]: value for name, value in told.items()}
        found = self._to.call("GET", "/entries", query={"cursor": after, "limit": limit, **query})
        return [entry_of(each) for each in found["entries"]]

    def entry(self, number: int) -> Entry | None:
        """As Gallery.entry, without its embedding."""
        found = self._to.find(f"/entries/{int(number)}")
        return None if found is None else entry_of(found)

    def picture(self, number: int) -> bytes | None:
        """As Gallery.picture."""
        found: bytes | None = self._to.find(f"/entries/{int(number)}/picture")
        return found

    def people(self, after: int | None = None, limit: int = 50) -> list[Person]:
        """As Gallery.people, without a filter."""
        found = self._to.call("GET", "/people", query={"cursor": after, "limit": limit})
        return [person_of(each) for each in found["people"]]

    def person(self, pid: int) -> Person | None:
        """As Gallery.person."""
        found = self._to.find(f"/people/{int(pid)}")
        return None if found is None else person_of(found)

    def audit(self) -> Iterator[AuditLine]:
        """As Gallery.audit."""
        cursor: int | None = 0
        while cursor is not None:
            found = self._to.call("GET", "/audit", query={"cursor": cursor, "limit": 1000})
            yield from (AuditLine(**each) for each in found["lines"])
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

    def verify(self) -> Iterator[Damage]:
        """As Gallery.verify, as a job of the service."""
        told = self._to.job("verify")
        for text in told["first"]:
            where, _, rest = text.partition(": ")
            what, _, remedy = rest.partition("; ")
            yield Damage(where, what, remedy)

    def compact(self) -> None:
        """As Gallery.compact, as a job of the service."""
        self._to.job("compact")

    def export_lines(self) -> Iterator[bytes]:
        """The lines of an export, as `resight gallery import` reads them."""
        return self._to.lines("/export")
