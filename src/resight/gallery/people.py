"""Which person an entry shows: its pid with links applied, else its track, else the entry itself; and people by name.

A name has one pid, computed from the name alone: so it is the same in each add, process, engine and export, and is
forgotten with the entries. Nothing keeps a table of names.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Collection, Mapping
from functools import cached_property

from resight.core.errors import ConfigError, GalleryError
from resight.data.labels import MOST_DIGITS, PERSON, PERSON_ZERO
from resight.gallery.records import Entry

Links = Mapping[int, int]  # pid: the pid that it is linked into
TRACKLETS = 2**51  # pids of tracklets of video are from here to NAMED: each is a person of its own until it is linked
NAMED = 2**52  # pids of names are from here to 2**53, above which JSON readers round


def pid_of_name(name: str) -> int:
    """The pid of a person's name. A number is its own pid, as in the data; 0 is a person here, as `labels` has it.

    Raises ConfigError for an empty name and for -1, which is nobody.

    Example:
        >>> pid_of_name("7")
        7
        >>> pid_of_name("bob") == pid_of_name("bob") != pid_of_name("carol")
        True
    """
    if not name.strip() or name == "-1":
        raise ConfigError(f"{name!r} is no person's name")
    if is_number(name):
        return int(name) or PERSON_ZERO
    return _pid_of_letters(plain_name(name))


def pids_of_name(name: str) -> tuple[int, ...]:
    """That of `pid_of_name`, and the one that the name had in earlier galleries if it came from macOS. Raises alike."""
    pid = pid_of_name(name)
    return (pid,) if is_number(name) else tuple({pid, _pid_of_letters(unicodedata.normalize("NFD", name))})


def plain_name(name: str) -> str:
    """The name with each letter as one character: macOS writes an é of file names as two."""
    return unicodedata.normalize("NFC", name)


def _pid_of_letters(name: str) -> int:
    return NAMED + int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") % NAMED


def pid_of_tracklet(key: str) -> int:
    """The pid of a tracklet of video that nobody has named: computed from its camera and track, so that it is the same
    in each add, process and engine, and that a link can say whose it is.

    Example:
        >>> TRACKLETS <= pid_of_tracklet("north/20260301T080000.000Z/17") < NAMED
        True
    """
    return TRACKLETS + int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") % TRACKLETS


def is_number(label: str) -> bool:
    """Whether a person's label is a number of the data's own, as 7 or 007."""
    return bool(PERSON.fullmatch(label)) and label.isascii() and len(label) <= MOST_DIGITS


def person_label(label: str, labels: Collection[str]) -> str:
    """A person's label as a gallery keeps it: 007 is 7, as in data whose people all have numbers, unless `labels`, all
    of this data, has both."""
    plain = str(int(label)) if is_number(label) else label
    return label if plain in labels else plain


def root_of(pid: int, links: Links) -> int:
    """The pid that this one is reported as."""
    while pid in links:
        pid = links[pid]
    return pid


class LinkTable(dict[int, int]):
    """Links of one moment, which do not change: each linked pid, with the pid that it is linked into.

    Example:
        >>> table = LinkTable({1: 2, 2: 5})
        >>> table.roots, table.members_of(2), table.members_of(7)
        ({1: 5, 2: 5}, frozenset({1, 2, 5}), frozenset({7}))
    """

    @cached_property
    def roots(self) -> dict[int, int]:
        """Each linked pid, with the pid that it is reported as."""
        found: dict[int, int] = {}
        for pid in self:
            passed = []
            while pid in self and pid not in found:
                passed.append(pid)
                pid = self[pid]
            found |= dict.fromkeys(passed, found.get(pid, pid))
        return found

    @cached_property
    def _members(self) -> dict[int, frozenset[int]]:
        """By the pid that they are reported as."""
        found: dict[int, list[int]] = {}
        for pid, root in self.roots.items():
            found.setdefault(root, [root]).append(pid)
        return {root: frozenset(pids) for root, pids in found.items()}

    def members_of(self, pid: int) -> frozenset[int]:
        """All pids that are linked with this one, itself included."""
        root = self.roots.get(pid, pid)
        return self._members.get(root) or frozenset((root,))


def check_link(pid: int, into: int, links: Links) -> tuple[int, int]:
    """The link to store: from root to root, so that none is ever overwritten. See `apart.check_apart` too.

    Raises GalleryError if both are the same person already.
    """
    first, second = root_of(pid, links), root_of(into, links)
    if first == second:
        raise GalleryError(f"pids {pid} and {into} are one person already")
    return first, second


def person_of(entry: Entry, links: Links, names: Mapping[int, str]) -> str:
    """The person's name in a result: `bob`, `7`, `track north/17`, or `entry 9`. names: of pids that have names."""
    if entry.pid is not None:
        root = root_of(entry.pid, links)
        if not TRACKLETS <= root < NAMED:
            return names.get(root, str(root))
    return f"track {entry.camera}/{entry.track}" if entry.track is not None else f"entry {entry.id}"
