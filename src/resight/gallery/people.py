"""Which person an entry shows: its pid with links applied, else its track, else the entry itself."""

from __future__ import annotations

from collections.abc import Mapping

from resight.core.errors import GalleryError
from resight.gallery.records import Entry

Links = Mapping[int, int]  # pid: the pid that it is linked into


def root_of(pid: int, links: Links) -> int:
    """The pid that this one is reported as."""
    while pid in links:
        pid = links[pid]
    return pid


def members_of(pid: int, links: Links) -> set[int]:
    """All pids that are linked with this one, itself included."""
    root = root_of(pid, links)
    return {root} | {member for member in links if root_of(member, links) == root}


def check_link(pid: int, into: int, links: Links) -> tuple[int, int]:
    """The link to store: from root to root, so that none is ever overwritten.

    Raises GalleryError if both are the same person already.
    """
    first, second = root_of(pid, links), root_of(into, links)
    if first == second:
        raise GalleryError(f"pids {pid} and {into} are one person already")
    return first, second


def person_of(entry: Entry, links: Links) -> str:
    """The person's name in a result: `7`, `track north/17`, or `entry 9`."""
    if entry.pid is not None:
        return str(root_of(entry.pid, links))
    return f"track {entry.camera}/{entry.track}" if entry.track is not None else f"entry {entry.id}"
