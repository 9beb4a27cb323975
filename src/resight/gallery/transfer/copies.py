"""Which gallery was made of which by migration, and which of its entries came so.

The old gallery notes where it was copied to, under a token. The new one notes, under the same token, the ids that came
of it: so that what is forgotten in the old one can be forgotten in the new one too, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

import numpy as np

from resight.core.errors import ConfigError, GalleryError
from resight.core.records import IntArray
from resight.gallery.people import Links
from resight.gallery.records import Detail
from resight.gallery.store import Store

COPIES, CAME = "copies", "came"  # the notes of the old gallery, and of the new one
UNFINISHED = "migration"
LONGEST_PROGRESS = 60_000  # characters; Milvus keeps no more than 65,535 bytes


@dataclass
class Came:
    """What a gallery knows of the entries that came of another one.

    token: of the two; empty where it is not recorded. ids: which came before, rising. apart: the numbers of the
    cannot-links that came. whole: whether it was recorded from the first entry on. resumed: whether a migration of the
    same two had not ended. fresh: which came since `record` was called last, in ranges.
    """

    token: str
    ids: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    apart: tuple[int, ...] = ()
    whole: bool = False
    resumed: bool = False
    fresh: list[int] = field(default_factory=list)
    _unwritten: int = 0

    def came(self, ids: Sequence[int], new: Store) -> None:
        """These came, rising and above those before: what the new gallery says of itself until the migration ends tells
        it, so that the next one knows it after a kill. Where there are very many ranges it is not told each time."""
        for number in ids:
            if self.fresh and self.fresh[-1] == number - 1:
                self.fresh[-1] = number
            else:
                self.fresh += [number, number]
        self._unwritten += len(ids)
        if self._unwritten >= len(self.fresh) // 2:
            self.tell(new)

    def tell(self, new: Store) -> None:
        """Marks the new gallery as incomplete, with what came."""
        told: dict[str, Any] = {UNFINISHED: self.token, "whole": self.whole, "ids": self.fresh}
        if not self.token:
            told = {UNFINISHED: ""}
        elif len(json.dumps(told)) > LONGEST_PROGRESS:
            del told["ids"]
        new.set_unfinished(json.dumps(told))
        self._unwritten = 0

    def all_ids(self) -> IntArray:
        """Which came before and since, rising."""
        return np.union1d(self.ids, out_of_ranges(self.fresh))


def places_of(old: Store) -> tuple[str, ...]:
    """Where galleries are that were made of this one by migration."""
    return tuple(dict.fromkeys(_copies(old.note(COPIES)).values()))


def begun(old: Store, new: Store, to: str, who: str, purpose: str) -> Came:
    """What the new gallery knows of what came of the old one. The first time, the old one notes where it is copied to;
    if it cannot be written, nothing is recorded and the token is empty."""
    came = json.loads(new.note(CAME) or "{}")
    unfinished = _unfinished(new.unfinished())
    known = set(_copies(old.note(COPIES)))
    token = next((each for each in (*came, str(unfinished.get(UNFINISHED, ""))) if each in known), "")
    if not token:
        token, empty = token_hex(8), not new.count()
        try:
            _note_copy(old, token, to, who, purpose)
        except GalleryError:  # it can be read only
            return Came("")
        return Came(token, whole=empty)
    told = came.get(token, {"ids": [], "apart": [], "whole": unfinished.get("whole", False)})
    resumed = unfinished.get(UNFINISHED) == token
    fresh = list(unfinished.get("ids", ())) if resumed else []
    return Came(token, out_of_ranges(told["ids"]), tuple(told["apart"]), bool(told["whole"]), resumed, fresh)


def record(came: Came, ids: IntArray, new: Store, who: str, purpose: str, detail: Detail) -> bool:
    """Notes what came and is still there, with the audit line of the migration; whether it could be noted."""
    if came.token:

        def edit(text: str, links: Links) -> tuple[str, Detail]:
            told = {"ids": in_ranges(ids), "apart": list(came.apart), "whole": came.whole}
            return json.dumps({**json.loads(text or "{}"), came.token: told}), detail

        try:
            new.amend(CAME, edit, "migrate", who, purpose)
            return True
        except ConfigError:  # of very many ranges, in Milvus
            pass
    new.append_audit("migrate", who, purpose, detail)
    return False


def in_ranges(ids: IntArray) -> list[int]:
    """The first and the last of each run of ids, one after the other.

    Example:
        >>> in_ranges(np.array([1, 2, 3, 7]))
        [1, 3, 7, 7]
    """
    if not len(ids):
        return []
    cuts = np.flatnonzero(np.diff(ids) != 1)
    firsts, lasts = ids[np.append(0, cuts + 1)], ids[np.append(cuts, len(ids) - 1)]
    return [int(each) for each in np.stack([firsts, lasts], 1).ravel()]


def out_of_ranges(ranges: list[int]) -> IntArray:
    """The ids that `in_ranges` told."""
    pairs = zip(ranges[::2], ranges[1::2], strict=True)
    parts = [np.arange(first, last + 1, dtype=np.int64) for first, last in pairs]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _note_copy(old: Store, token: str, to: str, who: str, purpose: str) -> None:
    def edit(text: str, links: Links) -> tuple[str, Detail]:
        return json.dumps({**_copies(text), token: to}), {"to": to}

    old.amend(COPIES, edit, "migrate", who, purpose)


def _copies(text: str) -> dict[str, str]:
    """Where copies are, by token."""
    return dict(json.loads(text)) if text else {}


def _unfinished(text: str) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except ValueError:  # of an import, or of a version that did not record
        return {}
    return told if isinstance(told, dict) else {}
