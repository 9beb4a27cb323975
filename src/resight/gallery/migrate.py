"""A gallery into another one: onto another engine, or into another model's embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from resight.core.errors import GalleryError, UnreadableImage
from resight.core.progress import Progress, silent
from resight.gallery.gallery import Gallery
from resight.gallery.people import root_of
from resight.gallery.records import Entry, Where
from resight.gallery.store import Detail

BATCH = 64  # entries that are kept together: what a kill costs at the most


@dataclass(frozen=True)
class Migrated:
    """entries: now in the new gallery, of which `before` were there already. without_crop, unreadable: ids that only
    the old gallery has, since their pictures were not kept or cannot be read."""

    entries: int
    before: int
    without_crop: tuple[int, ...]
    unreadable: tuple[int, ...]


def migrate(old: Gallery, new: Gallery, progress: Progress = silent) -> Migrated:
    """Copies entries under their ids, and links. Where the models differ, the kept pictures are embedded by `new`'s.

    It may be called again after it was interrupted, or when `old` has got more; what is there already stays. `old` is
    left as it is. progress: told of the entries looked at.

    Raises GalleryError where `new` has another entry under one of the ids.
    """
    same = old.settings.model == new.settings.model
    count, before, without, unreadable = 0, 0, list[int](), list[int]()
    with progress("migrating", old.store.count()) as advance:
        for batch in _batches(old.store.scan(Where())):
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
    left = len(without) + len(unreadable)
    detail: Detail = {"entries": count, "left_out": left, "from_model": old.settings.model}
    new.store.write_line("migrate", new.who, new.purpose, detail)
    return Migrated(before + count, before, tuple(without), tuple(unreadable))


def _batches(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    for entry in entries:
        batch.append(entry)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _there(batch: list[Entry], new: Gallery, old_model: str) -> set[int]:
    """The ids that `new` has already."""
    found = {entry.id: entry for entry in new.store.read([entry.id for entry in batch])}
    for entry in batch:
        other = found.get(entry.id)
        same_model = other is not None and old_model == new.settings.model
        if other is not None and (
            _facts(other) != _facts(entry) or (same_model and other.embedding.tobytes() != entry.embedding.tobytes())
        ):
            raise GalleryError(f"the new gallery has another entry {entry.id}; migrate into one of its own")
    return set(found)


def _facts(entry: Entry) -> tuple[object, ...]:
    return entry.camera, entry.time, entry.track, entry.pid, entry.name, dict(entry.attributes)


def _embedded(entries: list[Entry], new: Gallery, unreadable: list[int]) -> list[Entry]:
    """By the new gallery's model. Together where all can be; one by one where one cannot."""
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
