"""The gallery: a store, the model whose embeddings it holds, and what a similarity means there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from resight.core.calibration import BESIDE, FALSE_ACCEPT_RATE, FALSE_REJECT_RATE
from resight.core.errors import ConfigError, DataError, EmbeddingError, GalleryError
from resight.core.progress import Progress, silent
from resight.data.crops import SPLITS, Dataset
from resight.embedding.card import is_model, short_of
from resight.gallery.arguments import (
    embeddings_of,
    encoded,
    entries_of,
    listed,
    min_similarity_of,
    one_for_each,
    pool_of,
    pooled_entry,
    rate_of,
    renamed_arguments,
    top_k_of,
    word_of,
)
from resight.gallery.audit import AuditLine, user
from resight.gallery.curation.corrections import Corrections
from resight.gallery.curation.forgetting import Forgetting
from resight.gallery.filters import Filter
from resight.gallery.records import Added, Attributes, Damage, Detail, Entry, Placed, Settings, Stats
from resight.gallery.results import Query, SearchResult, search
from resight.gallery.search.approximate import Approximation
from resight.gallery.search.occluded import hidden_of
from resight.gallery.siting import GallerySite
from resight.gallery.store import Store
from resight.gallery.transfer.batches import added_in_batches, in_batches
from resight.gallery.transfer.placing import Names, place
from resight.gallery.transfer.rows import Row, columns_of, crops_of, rows_of_crops

if TYPE_CHECKING:
    from resight.embedding.model import Model

Times = float | datetime | Sequence[float | datetime | None] | None


class Gallery(Corrections, Forgetting):
    """An open gallery. `open_gallery` makes one; use it in a `with`, or call `close`. Threads may share it.

    Methods that take `filter` also take its conditions as keywords: the fields of Filter, or in the singular for one
    value (camera="north", exclude_track="17"). who, purpose: what the audit records, in place of the gallery's own.
    What Corrections, Forgetting and Listing have are its methods too.

    Example:
        >>> import numpy as np, resight
        >>> gallery = resight.open_gallery("example.db", resight.load("city"), new=True)
        >>> embeddings = np.eye(3, gallery.settings.dim, dtype=np.float32)
        >>> gallery.add_embeddings(embeddings, model=gallery.settings.model, camera="north", pid=[1, 1, 2])
        [1, 2, 3]
        >>> [(match.id, match.pid) for match in gallery.search_embeddings(embeddings[2], top_k=1)[0]]
        [(3, 2)]
        >>> gallery.forget(pid=1, purpose="request 12").entries
        2
        >>> [entry.id for entry in gallery.entries(camera="north")]
        [3]
        >>> gallery.close()
    """

    def __init__(self, store: Store, model: Model | None = None, *, who: str | None = None, purpose: str = "") -> None:
        """who: this system's user unless given. Raises GalleryError if the gallery holds another model's embeddings."""
        self.store = store
        self.model = model
        self.who = who if who is not None else user()
        self.purpose = purpose
        self._names: Names = {}
        if model is not None and model.identity != store.settings.model:
            raise GalleryError(
                f"this gallery holds embeddings of the model {store.settings.model_label}, and those of "
                f"{model.name} ({short_of(model.identity)}) cannot be compared with them. Open it with its "
                "own model, or make another gallery for this one"
            )

    def __enter__(self) -> Gallery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return self.store.count(self._filter())

    def close(self) -> None:
        """Closes the gallery."""
        self.store.close()

    @property
    def site(self) -> GallerySite:
        """Its site transform: to fit, to use another, to take away."""
        return GallerySite(self.store, self._caller)

    @property
    def settings(self) -> Settings:
        """The settings that it was created with."""
        return self.store.settings

    @renamed_arguments(join="pool")
    def add(
        self,
        crops: Any,
        *,
        camera: str | Sequence[str],
        time: Times = None,
        track: str | Sequence[str | None] | None = None,
        pid: int | Sequence[int | None] | None = None,
        person: str | Sequence[str | None] | None = None,
        attributes: Attributes | None = None,
        pool: str | None = None,
        channel_order: str = "rgb",
    ) -> list[int]:
        """Embeds pictures, adds an entry for each and returns their ids. All are added or, if anything is wrong, none.
        One that is there already, by name, camera, time, track and embedding, is not added again, and has that id.

        crops: one picture or several, as the model's `embed` takes them. camera, time, track, pid, person: one for all,
        or one for each. time: seconds since 1970, or a datetime with a time zone. person: a name, in place of a pid.
        pool: makes one entry of all pictures: `mean`, their mean embedding at unit length, or `best`, the one that is
        nearest to the mean.

        Raises UnreadableImage, ConfigError for a wrong argument, GalleryError if the store fails.
        """
        model = self.needed_model()
        items = listed(crops)
        embeddings = model.embed(items, channel_order=channel_order)
        return self.add_embeddings(
            embeddings,
            model=model.identity,
            camera=camera,
            time=time,
            track=track,
            pid=pid,
            person=person,
            attributes=attributes,
            names=[str(item) if isinstance(item, str | Path) else "" for item in items],
            crops=[encoded(item) for item in items] if self.settings.keep_crops else None,
            pool=pool,
        )

    @renamed_arguments(join="pool")
    def add_embeddings(
        self,
        embeddings: npt.ArrayLike,
        *,
        model: str,
        camera: str | Sequence[str],
        time: Times = None,
        track: str | Sequence[str | None] | None = None,
        pid: int | Sequence[int | None] | None = None,
        person: str | Sequence[str | None] | None = None,
        attributes: Attributes | Sequence[Attributes] | None = None,
        names: Sequence[str] | None = None,
        crops: Sequence[bytes | None] | None = None,
        ids: Sequence[int] | None = None,
        pool: str | None = None,
    ) -> list[int]:
        """As `add`, of embeddings (n, dim) that are made already.

        model: the identity of the model that made them. ids: of entries from another gallery, which keep theirs.

        Raises EmbeddingError for another model, shape or length, ConfigError for a wrong argument or a taken id,
        GalleryError.
        """
        if not is_model(model, self.settings.model):
            own = self.settings.model_label
            raise EmbeddingError(f"these embeddings are of model {short_of(model)}, the gallery is of {own}")
        vectors = embeddings_of(embeddings, self.settings.dim)
        entries = entries_of(vectors, camera, time, track, pid, person, attributes, names, crops, ids)
        if pool is not None and entries:
            entries = [pooled_entry(entries, pool)]
        return list(self._place(entries).ids)

    def add_dataset(
        self,
        dataset: Dataset | str | Path,
        *,
        splits: Sequence[str] = SPLITS,
        camera: str | None = None,
        with_pids: bool = True,
        strict: bool = False,
        format: str | None = None,
        progress: Progress = silent,
    ) -> Added:
        """Embeds and adds the crops of a data set, with their cameras, times, tracks and pids.

        dataset: opened, or what `open_dataset` takes, such as a folder of crops. camera: a name for all, in place of
        the data's own. with_pids: whether to store who the crops show: by the data's names, or numbers. strict: raises
        the first error; otherwise pictures that cannot be read are left out.

        Raises DatasetError, ConfigError for a wrong argument, GalleryError if the store fails; with strict, DataError.
        """
        from resight.data.formats.catalogue import open_dataset  # slow to import, and searches do not need it

        found = dataset if isinstance(dataset, Dataset) else open_dataset(str(dataset), format)
        left_out = [f"{problem.name}: {problem.reason}" for problem in found.problems]
        if strict and left_out:
            raise DataError(left_out[0])
        crops = crops_of(found, splits)
        ids, there = list[int](), list[int]()
        with progress("adding to the gallery", len(crops)) as advance:
            for added in self.add_rows(rows_of_crops(crops, camera, with_pids), strict=strict):
                ids += added.ids
                there += added.there
                left_out += added.left_out
                advance(len(added.ids) + len(added.there) + len(added.left_out))
        return Added(tuple(ids), tuple(left_out), tuple(there))

    def add_rows(
        self, rows: Iterable[Row | DataError], *, strict: bool = False, keep_ids: bool = False, going_on: bool = False
    ) -> Iterator[Added]:
        """Adds rows 64 at a time, and yields what became of each batch once it is committed: iterate over it.

        rows: see `transfer.rows` and `transfer.lines`; a DataError stands for a row that could not be read. strict:
        raises the first error. keep_ids: entries keep the ids of their rows. going_on: equal ones are there already.

        Raises GalleryError if the store fails; with strict, DataError.
        """
        prepare = partial(self._entries_of_rows, keep_ids=keep_ids)
        return added_in_batches(in_batches(rows), prepare, partial(self._place, going_on=going_on), strict)

    def add_batches(self, batches: Iterable[Sequence[Row | DataError]], *, strict: bool = False) -> Iterator[Added]:
        """As `add_rows`, of rows that come in batches already."""
        return added_in_batches(batches, self._entries_of_rows, self._place, strict)

    def _entries_of_rows(self, rows: Sequence[Row], keep_ids: bool = False) -> list[Entry]:
        made: list[Any] = []
        pictures = [row.picture for row in rows if row.embedding is None and row.picture]
        if pictures:
            made = list(self.needed_model().embed([picture.read() for picture in pictures]))
        columns = columns_of(rows, made, self.settings, keep_ids)
        vectors = embeddings_of(columns.pop("embeddings"), self.settings.dim)
        return entries_of(vectors, **columns)

    def _place(self, entries: Sequence[Entry], going_on: bool = False) -> Placed:
        beyond = {entry.camera for entry in entries} - set(self.cameras or ()) if self.cameras is not None else set()
        if beyond:
            raise ConfigError(f"this opening is bounded to some cameras, and {min(beyond)!r} is none of them")
        return place(self.store, entries, self._names, going_on=going_on)

    @renamed_arguments(top="top_k", at_least="min_similarity")
    def search(
        self, crops: Any, top_k: int | None = 20, *, pool: str = "mean", channel_order: str = "rgb", **options: Any
    ) -> SearchResult:
        """Searches for the person in a picture, or in several pictures of one person.

        crops: as the model's `embed` takes them. pool: how several pictures become one query: `mean`, their mean
        embedding at unit length, or `best`, the one that is nearest to the mean. options: as `search_embeddings`.

        Raises UnreadableImage, and what `search_embeddings` raises.
        """
        from resight.embedding.pictures import shape_notes  # needs Pillow, which a search by an embedding does not

        pictures = listed(crops)
        embeddings = self.needed_model().embed(pictures, channel_order=channel_order)
        found = self.search_embeddings(embeddings, top_k, pool=pool, **options)[0]
        return replace(found, notes=(*shape_notes(pictures), *found.notes))

    @renamed_arguments(top="top_k", at_least="min_similarity")
    def search_embeddings(
        self,
        embeddings: npt.ArrayLike,
        top_k: int | None = 20,
        *,
        pool: str | None = None,
        min_similarity: float | None = None,
        filter: Filter | None = None,
        hidden: tuple[float, float] | None = None,
        seen_by: str | Sequence[str | None] | None = None,
        false_positive_rate: float = FALSE_ACCEPT_RATE,
        false_negative_rate: float = FALSE_REJECT_RATE,
        who: str | None = None,
        purpose: str | None = None,
        **conditions: Any,
    ) -> list[SearchResult]:
        """A result for each row of embeddings (q, dim), or one for all of them with pool.

        top_k: how many; None: all. pool: as in `search`; all rows are then one person's. min_similarity: matches of
        this cosine similarity or more only. filter: which entries to search.

        hidden: the occluded part of the picture, as (from, to) in fractions of its height from the top: (0.6, 1) is the
        lower two fifths. The 100 nearest are then compared again on the visible strips, without a decision:
        calibrations are of whole pictures.

        seen_by: the camera that saw what is searched for, of all rows or of each, which a gallery with a site transform
        needs for a decision.

        false_positive_rate: the largest acceptable rate of strangers reported as known people; false_negative_rate: of
        known people reported as strangers. They hold as far as the model's calibration does.

        Raises EmbeddingError for another shape or length, ConfigError for a wrong argument, GalleryError.
        """
        top_k, least, wanted = top_k_of(top_k), min_similarity_of(min_similarity), self._filter(filter, **conditions)
        rates = rate_of(false_positive_rate, "false_positive_rate"), rate_of(false_negative_rate, "false_negative_rate")
        vectors = embeddings_of(embeddings, self.settings.dim)
        cameras = tuple(word_of(name, "camera") for name in one_for_each(seen_by, len(vectors), "seen_by"))
        occluded = None if hidden is None else hidden_of(hidden)
        parts = None if hidden is None else self.needed_model().strips
        asked = Query(vectors, top_k, wanted, least, *rates, occluded, parts, cameras, pool_of(pool, len(vectors)))
        results = search(self.store, self.model, asked)
        if self.settings.audit_searches:
            num_matches = sum(map(len, results))
            detail: Detail = {"searches": len(vectors), "answers": num_matches, "by": ", ".join(wanted.names())}
            try:
                self.store.append_audit("search", *self._caller(who, purpose), detail)
            except GalleryError as error:
                told = f"searches of this gallery are audited, so this one has no answer: {error}"
                raise type(error)(told) from None
        return results

    @renamed_arguments(top="top_k")
    def approximate(self, top_k: int = 20, *, recall: float = 0.99) -> Approximation:
        """Builds an HNSW index in memory, which searches without a filter for up to `top_k` matches (20 at the
        least) then use.

        Building takes a while. Its recall is measured on rows of the gallery and stands in each result. Other searches
        stay exact, and all are again once an entry is removed. recall: what to reach; a higher one is slower.

        Raises MissingExtra without usearch, ConfigError if the engine is exact only, GalleryError if it is empty.
        """
        wanted, recall = top_k_of(top_k), rate_of(recall, "recall")
        if wanted is None:
            raise ConfigError("approximate search is for a number of matches (top_k), not for all")
        return self.store.approximate(max(wanted, BESIDE), recall)

    def audit(self, after: int = 0, limit: int | None = None, actions: Collection[str] = ()) -> Iterator[AuditLine]:
        """The audit, in order: who searched, and who deleted, linked and migrated. after: how many lines to leave out
        first. limit: the most that are wanted; None: all. actions: lines of these actions only."""
        self._check_whole("the audit")
        return self.store.audit(after, limit, actions)

    def stats(self) -> Stats:
        """Counts of entries, people, pictures and so on."""
        self._check_whole("stats")
        return self.store.stats()

    def verify(self, progress: Progress = silent) -> Iterator[Damage]:
        """Checks every entry against its checksum, and the audit's chain; yields what is damaged. Searches and changes
        go on meanwhile; of entries that are added or deleted while it runs it may say nothing."""
        self._check_whole("verify")
        return self.store.verify(progress)

    def compact(self) -> None:
        """Returns freed space to the file system. Raises GalleryError if the engine fails, GalleryBusy if it cannot do
        all of it while another process reads or writes."""
        self._check_whole("compact")
        self.store.compact()

    def needed_model(self) -> Model:
        """The model. Raises ConfigError if the gallery was opened without one."""
        if self.model is None:
            raise ConfigError("the gallery was opened without a model, which pictures need: open_gallery(uri, model)")
        return self.model
