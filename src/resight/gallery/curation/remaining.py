"""What becomes of links and cannot-links when pids that they name are forgotten: who remains stays one person."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from resight.gallery.people import root_of
from resight.gallery.records import Link


@dataclass(frozen=True)
class Mended:
    """removed: the links that go. changed: those that lead elsewhere now, by the same numbers. heirs: of a forgotten
    pid of whose person entries remain: a pid that remains, for which what was said of the person holds."""

    removed: tuple[Link, ...]
    changed: tuple[Link, ...]
    heirs: Mapping[int, int]


NOTHING = Mended((), (), {})


def without(links: Sequence[Link], gone: Collection[int], there: Callable[[list[int]], Collection[int]]) -> Mended:
    """What to do about the links when no entry of the pids `gone` is left.

    A link into one of them leads to what that was linked into. Where nothing of that remains, those that were linked
    into it are linked into one of them: the lowest that has entries. there: which of some pids have entries.
    """
    into = {link.pid: link.into for link in links}
    members: dict[int, list[int]] = {}
    for pid in {*into, *into.values()}:
        members.setdefault(root_of(pid, into), []).append(pid)
    touched = {root_of(pid, into) for pid in gone if pid in into} & set(members)
    touched |= set(gone) & set(members)
    if not touched:
        return NOTHING
    alive = set(there(sorted(pid for root in touched for pid in members[root] if pid not in gone)))

    def above(pid: int) -> int:
        """The next pid that remains, or the forgotten root."""
        while pid in gone and pid in into:
            pid = into[pid]
        return pid

    cut = [link for link in links if link.pid not in gone and link.into in gone]
    heads: dict[int, int] = {}  # of each forgotten root: what is in its place
    for link in sorted(cut, key=lambda link: (link.pid not in alive, link.pid)):
        if (root := above(link.into)) in gone:
            heads.setdefault(root, link.pid)
    led = [replace(link, into=heads.get(above(link.into), above(link.into))) for link in cut]
    removed = [link for link in links if link.pid in gone]
    removed += [link for link, after in zip(cut, led, strict=True) if after.into == link.pid]
    heirs: dict[int, int] = {}
    for root in touched:
        if alive & set(members[root]):
            heirs |= {pid: heads.get(above(pid), above(pid)) for pid in members[root] if pid in gone}
    return Mended(tuple(removed), tuple(link for link in led if link.into != link.pid), heirs)
