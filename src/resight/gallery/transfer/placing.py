"""Puts checked entries into a store: what is there already is not added again, and no number gets a second name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from resight.core.errors import ConfigError, GalleryError
from resight.gallery.arguments import check_ids, id_taken
from resight.gallery.curation.corrections import Corrections
from resight.gallery.filters import Filter
from resight.gallery.people import NAMED
from resight.gallery.records import Entry, Placed
from resight.gallery.search.rows import content_of
from resight.gallery.store import Store

Names = dict[int, str | None]  # of pids that stand for names, as far as they were looked up


def place(store: Store, entries: Sequence[Entry], names: Names, *, going_on: bool = False) -> Placed:
    """Adds entries that are not there. Entries with ids keep them, and are compared by them.

    names: what is known already; it is filled. going_on: an equal entry of the same id is there already; otherwise its
    id is taken.

    Raises ConfigError if an id is taken or given twice, or a pid stands for another name; GalleryError if the store
    fails.
    """
    if not entries:
        return Placed(())
    _check_names(store, entries, names)
    if not any(entry.id for entry in entries):
        return store.add_once(entries)
    check_ids([entry.id for entry in entries])
    there = {entry.id: entry for entry in store.read(sorted(entry.id for entry in entries if entry.id))}
    taken = [entry.id for entry in entries if entry.id in there and not (going_on and _equal(entry, there[entry.id]))]
    if taken:
        raise id_taken(min(taken))
    fresh = iter(store.add([entry for entry in entries if entry.id not in there]) if len(there) < len(entries) else ())
    return Placed(tuple(entry.id if entry.id in there else next(fresh) for entry in entries), tuple(sorted(there)))


def copy_cannot_links(pairs: Iterable[tuple[int, int]], new: Corrections) -> None:
    """Keeps these pids apart in another gallery too, unless they are there already, or nobody is left to tell apart."""
    for pid, other in pairs:
        with suppress(GalleryError):  # it is known there
            new.cannot_link(pid, other)


def facts_of(entry: Entry) -> tuple[object, ...]:
    """All that is known of an entry beside its embedding and picture."""
    return entry.camera, entry.time, entry.track, entry.pid, entry.person, entry.name, dict(entry.attributes)


def _equal(entry: Entry, other: Entry) -> bool:
    return facts_of(entry) == facts_of(other) and content_of(entry) == content_of(other)


def _check_names(store: Store, entries: Sequence[Entry], names: Names) -> None:
    """Raises ConfigError if a pid that is computed from a name is that of another person."""
    pids = {entry.pid for entry in entries if entry.pid is not None and NAMED <= entry.pid < 2 * NAMED}
    if not pids:
        return
    for pid in pids - set(names):
        for entry in store.scan(Filter(pids=(pid,))):
            if entry.pid == pid:  # and not another one that is linked with it
                names[pid] = entry.person
                break
    known = dict(names)
    for entry in entries:
        if entry.pid in pids and known.setdefault(entry.pid, entry.person) != entry.person:
            raise ConfigError(f"pid {entry.pid} is of {known[entry.pid]!r}, so it cannot be of {entry.person!r}")
    names |= {pid: known[pid] for pid in pids}
