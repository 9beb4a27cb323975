"""The site transform in Milvus: a long text of the records, and the embeddings that it gives, in a collection of their
own with all that filters ask for.

What is searched is that collection. Raw embeddings stay the truth in the entries': a new transform's collection is made
of them in batches while searches still compare the one before; then a single record says which is in force. Whoever
adds reads, after adding, the record that says which is being made, and then that one: so no entry is missing in either.
An interrupted rewriting goes on where it stopped, since a fit to the same entries is the same transform.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.core.errors import DataError, GalleryBusy, GalleryError
from resight.gallery.milvus.bookkeeping import Bookkeeping
from resight.gallery.milvus.rows import raw, row_of
from resight.gallery.milvus.syntax import among, in_parts
from resight.gallery.records import Damage, Entry, Settings
from resight.gallery.search import rows
from resight.gallery.siting import fit_to_what_is_left
from resight.site.crops import SiteCrops
from resight.site.files import from_bytes, to_bytes
from resight.site.transform import SiteTransform

if TYPE_CHECKING:
    from resight.gallery.milvus.connection import Connection

IN_FORCE, NEXT = "site", "site next"  # notes: what is searched, and what is being made
FIELDS = ("camera", "time", "track", "pid", "name", "attributes", "embedding", "checksum")
EVERYTHING = "id >= 0"
REMEDY = "fit it anew, or take it away"


class Sited:
    """Of one gallery, for one opening of it. Not for several threads at once."""

    def __init__(self, db: Connection, records: Bookkeeping, settings: Settings) -> None:
        self._db, self._records, self._settings = db, records, settings
        self._known: dict[str, SiteTransform] = {}  # by mark

    def identity(self) -> str:
        """Of the transform in force; empty: none."""
        return str(self._told(IN_FORCE).get("identity", ""))

    def transform(self) -> SiteTransform | None:
        """The one in force, or None. Raises GalleryError where it is damaged."""
        told = self._told(IN_FORCE)
        return self._read(told) if told else None

    def collection(self, identity: str) -> str:
        """Where embeddings of this transform are; empty: of none."""
        return f"{self._db.entries}_{identity.removeprefix('site:')[:16]}" if identity else self._db.entries

    def write(self, site: SiteTransform) -> None:
        """Makes the collection of a transform that is not in force yet."""
        data = base64.b64encode(to_bytes(site)).decode()
        mark = hashlib.sha256(data.encode()).hexdigest()
        self._records.set_long(f"{IN_FORCE}/{mark}", data)
        self._db.create_entries(self.collection(site.identity), self._settings.dim)  # before anybody is told of it
        self._records.set_note(NEXT, json.dumps({"identity": site.identity, "mark": mark}))
        for page in self._db.pages(self._db.entries, "id", EVERYTHING, "", FIELDS):
            there = self._there(site.identity, [row["id"] for row in page])
            missing = [row for row in page if row["id"] not in there]
            found = [rows.entry_of(raw(row), row["camera"], self._settings.dim) for row in missing]
            self._upsert(site, found, [row["id"] for row in missing])

    def put(self, site: SiteTransform | None) -> None:
        """Puts a transform in force that `write` has written, or none, and drops what is of all others."""
        text = self._records.note(NEXT) if site is not None else ""
        if site is not None and (not text or json.loads(text)["identity"] != site.identity):
            raise GalleryBusy(f"{self._db.name}: another process puts a site transform in force; try again")
        self._records.set_note(IN_FORCE, text)
        self._records.set_note(NEXT, "")
        mark = str(json.loads(text)["mark"]) if text else ""
        self._records.drop_long(IN_FORCE, f"{IN_FORCE}/{mark}")
        kept = self.collection(site.identity) if site else ""
        for name in self._db.call("list_collections"):
            if name.startswith(f"{self._db.entries}_") and name != kept:
                self._db.call("drop_collection", name)

    def added(self, entries: Sequence[Entry], ids: Sequence[int]) -> None:
        """Adds what new entries are at the site, after these."""
        # In this order: what is next becomes what is in force, and would be missed if it did so between the two looks.
        done = ""
        for note in (NEXT, IN_FORCE) if entries else ():
            told = self._told(note)
            while told and told["identity"] != done:
                try:
                    self._upsert(self._read(told), entries, ids)
                    done = told["identity"]
                except GalleryError:
                    before, told = told, self._told(note)
                    if told == before:
                        raise  # else another process has taken it away meanwhile

    def before_forgetting(self, ids: Sequence[int]) -> str:
        """Puts a transform of what will be left in force: what became of it, in words."""
        if not self._told(IN_FORCE):
            self.put(None)  # what an interrupted rewriting left
            return ""
        left = partial(self.crops, set(ids))
        return fit_to_what_is_left(self.transform, left, self._write_and_put).told

    def forgotten(self, ids: Sequence[int]) -> None:
        """Deletes what the entries are at the site."""
        identity = self.identity()
        for part in in_parts(list(ids)) if identity else ():
            self._db.call("delete", self.collection(identity), ids=part)

    def crops(self, without: set[int] | frozenset[int] = frozenset()) -> SiteCrops:
        """The entries, as a transform is fitted to them, without who they are."""
        pages = self._db.pages(self._db.entries, "id", EVERYTHING, "", ("camera", "track", "time", "embedding"))
        found = [row for page in pages for row in page if row["id"] not in without]
        vectors = np.array([row["embedding"] for row in found], np.float32).reshape(len(found), self._settings.dim)
        times = np.array([np.nan if row["time"] is None else row["time"] for row in found], np.float64)
        cameras, tracks = (tuple(row[name] for row in found) for name in ("camera", "track"))
        return SiteCrops(vectors, cameras, tracks, times, self._settings.model, f"{len(found):,} entries of a gallery")

    def damages(self) -> list[Damage]:
        """What is wrong with the transform and its collection."""
        told = self._told(IN_FORCE)
        if not told:
            return []
        try:
            self._read(told)
            there, all_ = (
                {row["id"] for page in self._db.pages(name, "id", EVERYTHING, "", ("camera",)) for row in page}
                for name in (self.collection(told["identity"]), self._db.entries)
            )
        except GalleryError as error:
            return [Damage("site transform", str(error), REMEDY)]
        what = f"{len(all_ - there):,} entries have no transformed embedding, and are not found"
        return [Damage("site transform", what, REMEDY)] if all_ - there else []

    def _write_and_put(self, site: SiteTransform | None) -> None:
        if site is not None:
            self.write(site)
        self.put(site)

    def _told(self, note: str) -> dict[str, str]:
        text = self._records.note(note)
        return dict(json.loads(text)) if text else {}

    def _read(self, told: dict[str, str]) -> SiteTransform:
        mark = told["mark"]
        if mark not in self._known:
            try:
                data = base64.b64decode(self._records.long(f"{IN_FORCE}/{mark}"))
                self._known = {mark: from_bytes(data, "the site transform")}
            except (DataError, ValueError) as error:
                raise GalleryError(
                    f"{error}; fit it anew: `resight site fit`, or take it away: `resight site remove`"
                ) from None
        return self._known[mark]

    def _there(self, identity: str, ids: Sequence[int]) -> set[int]:
        found: set[int] = set()
        for part in in_parts(list(ids)):
            found |= {row["id"] for row in self._db.read(self.collection(identity), among("id", part), ["id"])}
        return found

    def _upsert(self, site: SiteTransform, entries: Sequence[Entry], ids: Sequence[int]) -> None:
        if not entries:
            return
        moved = site.apply(np.stack([entry.embedding for entry in entries]), [entry.camera for entry in entries])
        told: list[dict[str, Any]] = []
        for entry, number, vector in zip(entries, ids, moved, strict=True):
            told.append(row_of(replace(entry, embedding=vector, name="", crop=None), number))
        self._db.upsert(self.collection(site.identity), told)
