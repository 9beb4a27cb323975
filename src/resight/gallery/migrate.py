"""Copies a gallery into another one: in another engine, or of another model."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace

import numpy as np

from resight.core.errors import GalleryError, UnreadableImage
from resight.core.progress import Progress, silent
from resight.core.records import IntArray
from resight.gallery.filters import Filter
from resight.gallery.gallery import Gallery
from resight.gallery.people import root_of
from resight.gallery.records import Detail, Entry, Forgotten
from resight.gallery.siting import copy_site
from resight.gallery.transfer.batches import in_batches
from resight.gallery.transfer.copies import Came, begun, record
from resight.gallery.transfer.origins import NOT_KNOWN, copied_links, origins_of
from resight.gallery.transfer.placing import copy_cannot_links, facts_of

AT_ONCE = 10_000  # ids in one condition
NAMED = 10  # ids that are told


@dataclass(frozen=True)
class Migrated:
    """What a migration did.

    entries: of the old gallery, how many the new one has now, of which `before` had been there already. without_crop,
    unreadable: ids that stay in the old gallery only, because their pictures were not stored or cannot be read.
    forgotten: what became of entries that had come of the old gallery and are no longer there; None where there were
    none. undone: how many links and cannot-links that had come are no longer there, and were undone. others: how many
    entries of the new gallery are not in the old one, and stay; other_ids: the first of them. recorded: whether the new
    gallery knows of all its entries whether they came of the old one.
    """

    entries: int
    before: int
    without_crop: tuple[int, ...]
    unreadable: tuple[int, ...]
    forgotten: Forgotten | None = None
    undone: int = 0
    others: int = 0
    other_ids: tuple[int, ...] = ()
    recorded: bool = True


def migrate(
    old: Gallery, new: Gallery, progress: Progress = silent, *, source: str = "the old gallery", to: str = ""
) -> Migrated:
    """Copies the entries, with their ids, the links and the cannot-links. If the models differ, the stored pictures are
    embedded by the new gallery's, and a site transform, which is of one model, stays behind.

    Call it again after an interruption, or when the old gallery has changed: what is there already is skipped, and what
    came of the old gallery and is no longer there is forgotten in the new one too, with an audit line. What came in
    other ways stays. The entries of the old gallery are not changed; it notes `to`, where the copy is, which `forget`
    then names. Until it is done `verify` calls the new one incomplete. progress: advances by the entries looked at.
    source: what the audit calls the old gallery.

    Raises GalleryError if the new gallery has a different entry of the same id.

    Example:
        >>> import numpy as np, resight
        >>> model = resight.load("city")
        >>> with resight.open_gallery("old.db", model) as old, resight.open_gallery("new.db", model) as new:
        ...     ids = old.add_embeddings(np.eye(2, model.dim), model=model.identity, camera="north")
        ...     first = migrate(old, new)
        ...     gone = old.forget(ids=ids[:1])
        ...     first.entries, migrate(old, new).forgotten.entries, len(new)
        (2, 1, 1)
    """
    same = old.settings.model == new.settings.model
    count, before, without, unreadable = 0, 0, list[int](), list[int]()
    came = begun(old.store, new.store, to or "another gallery", new.who, new.purpose)
    seen = array("q")
    came.tell(new.store)
    with progress("migrating", old.store.count()) as advance:
        for batch in in_batches(old.store.scan(Filter())):
            there = _there(batch, new, old.settings.model)
            before += len(there)
            seen.extend(entry.id for entry in batch)
            wanted = [entry for entry in batch if entry.id not in there]
            if same:
                made = [entry if new.settings.keep_crops else replace(entry, crop=None) for entry in wanted]
            else:
                without += [entry.id for entry in wanted if not entry.crop]
                made = _embedded([entry for entry in wanted if entry.crop], new, unreadable)
            added = new.store.add(made) if made else []
            count += len(added)
            came.came(sorted({*added, *there}) if came.resumed else added, new.store)
            advance(len(batch))
    why = f"migration: no longer in {source}"
    forgotten, ids = _forget_gone(new, came, np.array(seen, np.int64), why)
    undone = _copy_links(old, new, came, why)
    site = old.site.transform
    if same and site is not None:
        copy_site(site, new)
    undone += _copy_cannot_links(old, new, came, why)
    left = len(without) + len(unreadable)
    detail: Detail = {"entries": count, "left_out": left, "from_model": old.settings.model}
    noted = record(came, ids, new.store, new.who, new.purpose, detail)
    new.store.set_unfinished("")
    others = max(0, len(new) - before - count)
    told = _first_of(new, ids, np.array(seen, np.int64)) if others else ()
    return Migrated(
        before + count,
        before,
        tuple(without),
        tuple(unreadable),
        forgotten,
        undone,
        others,
        told,
        noted and came.whole,
    )


def _forget_gone(new: Gallery, came: Came, there: IntArray, why: str) -> tuple[Forgotten | None, IntArray]:
    """Forgets what came and is no longer in the old gallery. there: the old gallery's ids. Also returns which came and
    stay."""
    ids = came.all_ids()
    gone = np.setdiff1d(ids, there).tolist()
    parts = [tuple(gone[start : start + AT_ONCE]) for start in range(0, len(gone), AT_ONCE)]
    forgotten: Forgotten | None = None
    for part in parts:
        if new.store.count(Filter(ids=part)):
            more = new.forget(ids=part, purpose=why)
            forgotten = more if forgotten is None else forgotten.with_more(more)
    return forgotten, np.intersect1d(ids, there)


def _copy_links(old: Gallery, new: Gallery, came: Came, why: str) -> int:
    """Copies the links, with who made them and what for, and undoes those that came and are no longer there: how many
    these are."""
    wanted = old.store.links()
    numbers = {link.number for link in wanted}
    earlier = copied_links(new.store.audit(actions=["link"]), came.token) if came.token else {}
    undone = 0
    for link in new.store.links():
        if link.number in earlier and earlier[link.number] not in numbers:
            new.store.unlink(link.number, new.who, why)
            undone += 1
    origins = origins_of(old.store.audit(actions=["link"])) if wanted else {}
    linked = dict(new.store.linked())
    for link in wanted:
        if root_of(link.pid, linked) != root_of(link.into, linked):
            made = origins.get(link.number, NOT_KNOWN)
            detail = made.detail(came.token or "migration", link.number)
            new.store.link(link.pid, link.into, new.who, made.purpose or new.purpose, detail)
            linked[root_of(link.pid, linked)] = root_of(link.into, linked)
    return undone


def _copy_cannot_links(old: Gallery, new: Gallery, came: Came, why: str) -> int:
    """As `_copy_links`, of the cannot-links."""
    wanted = [(pair.pid, pair.other) for pair in old.cannot_links()]
    gone = [pair for pair in new.cannot_links() if pair.number in came.apart and (pair.pid, pair.other) not in wanted]
    for pair in gone:
        new.store.allow_link(pair.number, new.who, why)
    before = {pair.number for pair in new.cannot_links()}
    copy_cannot_links(wanted, new)
    fresh = {pair.number for pair in new.cannot_links()} - before
    came.apart = (*(number for number in came.apart if number in before), *sorted(fresh))
    return len(gone)


def _first_of(new: Gallery, *known: IntArray) -> tuple[int, ...]:
    """The first ids of the new gallery that are none of these."""
    ours, found, last = set(np.concatenate(known).tolist()), list[int](), 0
    while len(found) < NAMED and (page := new.store.page(Filter(), last, AT_ONCE)):
        found += [entry.id for entry in page if entry.id not in ours]
        last = page[-1].id
    return tuple(found[:NAMED])


def _there(batch: list[Entry], new: Gallery, old_model: str) -> set[int]:
    """The ids that `new` has already. Raises GalleryError if one is of a different entry."""
    found = {entry.id: entry for entry in new.store.read([entry.id for entry in batch])}
    for entry in batch:
        other = found.get(entry.id)
        same_model = other is not None and old_model == new.settings.model
        if other is not None and (
            facts_of(other) != facts_of(entry)
            or (same_model and other.embedding.tobytes() != entry.embedding.tobytes())
        ):
            raise GalleryError(f"the new gallery has another entry {entry.id}; migrate into an empty one")
    return set(found)


def _embedded(entries: list[Entry], new: Gallery, unreadable: list[int]) -> list[Entry]:
    """Embedded by the new gallery's model: together if all can be; one by one if one cannot."""
    if not entries:
        return []
    try:
        vectors = new.needed_model().embed([entry.crop for entry in entries if entry.crop is not None])
    except UnreadableImage:
        if len(entries) == 1:
            unreadable.append(entries[0].id)
            return []
        return [made for entry in entries for made in _embedded([entry], new, unreadable)]
    keep = new.settings.keep_crops
    return [
        replace(entry, embedding=vector, crop=entry.crop if keep else None)
        for entry, vector in zip(entries, vectors, strict=True)
    ]
