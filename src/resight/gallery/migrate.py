"""Copies a gallery into another one: in another engine, or of another model."""

from __future__ import annotations

from dataclasses import dataclass, replace

from resight.core.errors import GalleryError, UnreadableImage
from resight.core.progress import Progress, silent
from resight.gallery.filters import Filter
from resight.gallery.gallery import Gallery
from resight.gallery.people import root_of
from resight.gallery.records import Detail, Entry
from resight.gallery.siting import copy_site
from resight.gallery.transfer.batches import in_batches
from resight.gallery.transfer.placing import copy_cannot_links, facts_of


@dataclass(frozen=True)
class Migrated:
    """What a migration did. entries: of the old gallery, how many the new one has now, of which `before` had been there
    already. without_crop, unreadable: ids that stay in the old gallery only, because their pictures were not stored or
    cannot be read."""

    entries: int
    before: int
    without_crop: tuple[int, ...]
    unreadable: tuple[int, ...]


def migrate(old: Gallery, new: Gallery, progress: Progress = silent) -> Migrated:
    """Copies the entries, with their ids, the links and the cannot-links. If the models differ, the stored pictures are
    embedded by the new gallery's, and a site transform, which is of one model, stays behind.

    Call it again after an interruption, or when the old gallery has new entries: what is there already is skipped. The
    old gallery is not changed, and until it is done `verify` calls the new one incomplete. progress: advances by the
    entries looked at.

    Raises GalleryError if the new gallery has a different entry of the same id.

    Example:
        >>> import numpy as np, resight
        >>> model = resight.load("city")
        >>> with resight.open_gallery("old.db", model) as old, resight.open_gallery("new.db", model) as new:
        ...     ids = old.add_embeddings(np.eye(2, model.dim), model=model.identity, camera="north")
        ...     migrate(old, new).entries
        2
    """
    same = old.settings.model == new.settings.model
    count, before, without, unreadable = 0, 0, list[int](), list[int]()
    new.store.set_unfinished("migration")
    with progress("migrating", old.store.count()) as advance:
        for batch in in_batches(old.store.scan(Filter())):
            there = _there(batch, new, old.settings.model)
            before += len(there)
            wanted = [entry for entry in batch if entry.id not in there]
            if same:
                made = [entry if new.settings.keep_crops else replace(entry, crop=None) for entry in wanted]
            else:
                without += [entry.id for entry in wanted if not entry.crop]
                made = _embedded([entry for entry in wanted if entry.crop], new, unreadable)
            count += len(new.store.add(made)) if made else 0
            advance(len(batch))
    linked = {link.pid: link.into for link in new.store.links()}
    for link in old.store.links():
        if root_of(link.pid, linked) != root_of(link.into, linked):
            new.link(link.pid, link.into)
            linked = {each.pid: each.into for each in new.store.links()}
    site = old.site.transform
    if same and site is not None:
        copy_site(site, new)
    copy_cannot_links([(pair.pid, pair.other) for pair in old.cannot_links()], new)
    new.store.set_unfinished("")
    left = len(without) + len(unreadable)
    detail: Detail = {"entries": count, "left_out": left, "from_model": old.settings.model}
    new.store.append_audit("migrate", new.who, new.purpose, detail)
    return Migrated(before + count, before, tuple(without), tuple(unreadable))


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
