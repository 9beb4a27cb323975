"""What all methods of an open gallery share: its store, who asks, and which cameras they may see."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, Self

from resight.core.errors import ConfigError
from resight.gallery.arguments import camera_of, filter_of, text_of
from resight.gallery.filters import Filter
from resight.gallery.store import Store


class Opened:
    """The base of Gallery. cameras: those that this opening is bounded to; None: all."""

    store: Store
    who: str
    purpose: str
    cameras: tuple[str, ...] | None = None
    _names: dict[int, str | None]  # of pids that stand for names, as `placing.Names`; shared by what `within` returns

    def within(self, cameras: Sequence[str] | None, *, who: str | None = None, purpose: str | None = None) -> Self:
        """The same open gallery, for a caller who may see some cameras only.

        Whatever the caller asks is about the entries of those cameras: other entries are not found, listed, counted,
        linked, deleted or added. None: as bounded as this one is. Close the gallery, not what this returns.
        """
        bounded = copy(self)
        bounded.who, bounded.purpose = self._caller(who, purpose)
        if cameras is not None:
            wanted = tuple(camera_of(camera) for camera in cameras)
            bounded.cameras = tuple(camera for camera in wanted if self.cameras is None or camera in self.cameras)
        return bounded

    def _filter(self, filter: Filter | None = None, **conditions: Any) -> Filter:
        """The checked filter, and the bound on cameras with it."""
        return filter_of(filter, **conditions).within(self.cameras)

    def _caller(self, who: str | None, purpose: str | None) -> tuple[str, str]:
        return text_of(self.who if who is None else who), text_of(self.purpose if purpose is None else purpose)

    def _check_whole(self, what: str) -> None:
        if self.cameras is not None:
            raise ConfigError(f"{what} is of the whole gallery, and this opening is bounded to some cameras")

    def sees_whole(self, *pids: int) -> bool:
        """Whether all entries of these people are by cameras that this opening is bounded to."""
        for pid in pids if self.cameras is not None else ():
            everywhere = self.store.count(Filter(pids=(pid,)))
            if not everywhere or everywhere != self.store.count(Filter(pids=(pid,)).within(self.cameras)):
                return False
        return True

    def _check_people(self, *pids: int) -> None:
        """Raises ConfigError if one of these people is not here, or was seen beyond the cameras: who is who is then not
        for this caller to say."""
        for pid in pids:
            if not self.sees_whole(pid):
                raise ConfigError(f"no person {pid} is known to these cameras alone")
