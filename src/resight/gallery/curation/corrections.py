"""Corrections of who is who: two pids are one person, or two people for good. Each can be undone by its number."""

from __future__ import annotations

from resight.core.errors import ConfigError
from resight.gallery.arguments import whole_of
from resight.gallery.curation.apart import APART, read
from resight.gallery.curation.opened import Opened
from resight.gallery.records import CannotLink, Link


class Corrections(Opened):
    """The part of Gallery that links people."""

    def link(self, pid: int, into: int, *, who: str | None = None, purpose: str | None = None) -> int:
        """Links two pids as one person, who is reported as `into`. Returns the link's number, for `unlink`.

        Raises ConfigError if they are no pids, GalleryError if they are one person already, or kept apart by a
        cannot-link.
        """
        first, second = two_pids("a link", pid, into)
        self._check_people(first, second)
        return self.store.link(first, second, *self._caller(who, purpose))

    def unlink(self, number: int, *, who: str | None = None, purpose: str | None = None) -> None:
        """Removes a link. Raises GalleryError if there is none of that number."""
        self._check_people(*(pid for link in self.links() if link.number == number for pid in (link.pid, link.into)))
        self.store.unlink(whole_of(number) or 0, *self._caller(who, purpose))

    def links(self) -> tuple[Link, ...]:
        """All links, by number."""
        return self.store.links()

    def cannot_link(self, pid: int, other: int, *, who: str | None = None, purpose: str | None = None) -> int:
        """Says that two pids are two people, whatever they look like: they cannot be linked from now on, and are not
        suggested as one. It holds for all pids that are linked with them. Returns its number, for `allow_link`.

        Raises ConfigError if they are no pids, GalleryError if they are linked as one person, or kept apart already.

        Example:
            >>> import numpy as np, resight
            >>> gallery = resight.open_gallery("apart.db", resight.load("city"), new=True)
            >>> two = np.eye(2, gallery.settings.dim, dtype=np.float32)
            >>> ids = gallery.add_embeddings(two, model=gallery.settings.model, camera="north", pid=[1, 2])
            >>> gallery.cannot_link(1, 2)
            1
            >>> gallery.allow_link(1), gallery.cannot_links()
            (None, ())
        """
        first, second = two_pids("a cannot-link", pid, other)
        self._check_people(first, second)
        return self.store.cannot_link(first, second, *self._caller(who, purpose))

    def allow_link(self, number: int, *, who: str | None = None, purpose: str | None = None) -> None:
        """Removes a cannot-link. Raises GalleryError if there is none of that number."""
        pairs = (pair for pair in self.cannot_links() if pair.number == number)
        self._check_people(*(pid for pair in pairs for pid in (pair.pid, pair.other)))
        self.store.allow_link(whole_of(number) or 0, *self._caller(who, purpose))

    def cannot_links(self) -> tuple[CannotLink, ...]:
        """All cannot-links, by number."""
        return read(self.store.note(APART))


def two_pids(what: str, pid: int, other: int) -> tuple[int, int]:
    """Both, as whole numbers. what: needs them, for the message. Raises ConfigError if one is none."""
    if (first := whole_of(pid)) is None or (second := whole_of(other)) is None:
        raise ConfigError(f"{what} needs two pids")
    return first, second
