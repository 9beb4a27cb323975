"""Who an entry shows: by pid, as linked; else by track; else itself."""

from __future__ import annotations

from collections.abc import Mapping

from resight.core.errors import GalleryError
from resight.gallery.records import Entry

Links = Mapping[int, int]


def root_of(pid: int, links: Links) -> int:
    """What a pid is told as."""
    while pid in links:
        pid = links[pid]
    return pid


def members_of(pid: int, links: Links) -> set[int]:
    """All pids that are told as this one's root, the root included."""
    root = root_of(pid, links)
    return {root} | {member for member in links if root_of(member, links) == root}


def check_link(pid: int, into: int, links: Links) -> tuple[int, int]:
    """The link to write: root to root, so that none is ever overwritten. Raises GalleryError where it says nothing."""
    first, second = root_of(pid, links), root_of(into, links)
    if first == second:
        raise GalleryError(f"{pid} and {into} are one person already")
    return first, second


def person_of(entry: Entry, links: Links) -> str:
    """In words, for an answer."""
    if entry.pid is not None:
        return str(root_of(entry.pid, links))
    return f"track {entry.camera}/{entry.track}" if entry.track is not None else f"entry {entry.id}"
