"""Cannot-links: pairs of pids that are two people, however alike they look. A store keeps them as one text."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from resight.core.errors import GalleryError
from resight.gallery.people import Links, root_of
from resight.gallery.records import CannotLink

APART = "cannot-links"  # the note under which a store keeps them


def read(text: str) -> tuple[CannotLink, ...]:
    """All of them, by number. text: as a store keeps it; empty: none."""
    return tuple(CannotLink(*values) for values in json.loads(text)["pairs"]) if text else ()


def added(text: str, pid: int, other: int, links: Links) -> tuple[str, int]:
    """The text with one more, and its number.

    Raises GalleryError if the two are linked as one person, or are kept apart already.
    """
    if root_of(pid, links) == root_of(other, links):
        raise GalleryError(f"pids {pid} and {other} are one person here: undo their link first")
    check_apart(text, pid, other, links)
    number = json.loads(text)["next"] if text else 1
    pairs = [*read(text), CannotLink(number, pid, other)]
    return _text_of(pairs, number + 1), number


def removed(text: str, number: int) -> str:
    """The text without that one. Raises GalleryError if there is none of this number."""
    pairs = read(text)
    if number not in {pair.number for pair in pairs}:
        raise GalleryError(f"there is no cannot-link {number}")
    return _text_of([pair for pair in pairs if pair.number != number], json.loads(text)["next"])


def without(text: str, gone: Collection[int], heirs: Mapping[int, int]) -> str:
    """The text without the pids of people who are forgotten. heirs: of `remaining.without`: who stands for them."""
    pairs: dict[frozenset[int], CannotLink] = {}
    for pair in read(text):
        pid, other = (heirs.get(each) if each in gone else each for each in (pair.pid, pair.other))
        if pid is not None and other is not None:
            pairs.setdefault(frozenset((pid, other)), CannotLink(pair.number, pid, other))
    left = tuple(pairs.values())
    return text if left == read(text) else _text_of(left, json.loads(text)["next"])


def check_apart(text: str, pid: int, other: int, links: Links) -> None:
    """Raises GalleryError if somebody said that these two, or pids linked with them, are two people."""
    two = {root_of(pid, links), root_of(other, links)}
    for pair in read(text):
        if {root_of(pair.pid, links), root_of(pair.other, links)} == two:
            raise GalleryError(
                f"pids {pid} and {other} are kept apart as two people by cannot-link {pair.number}; remove that first"
            )


def _text_of(pairs: Collection[CannotLink], following: int) -> str:
    values = [[pair.number, pair.pid, pair.other] for pair in pairs]
    return json.dumps({"next": following, "pairs": values})
