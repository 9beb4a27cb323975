"""How a label becomes a number, and what the numbers 0 and -1 mean: the home of both.

A label that is a number keeps it, so that one person has one number in every table. Labels that are names are numbered
from 1 in their order. pid -1 is no identity. pid 0 is a distractor, as Market-1501 has it: nobody in particular, in the
gallery alone. Where query or train holds pid 0 it is a person, and all people are numbered from 0: that person then has
the number PERSON_ZERO everywhere, and every other person keeps the number of the data.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from resight.core.errors import DatasetError
from resight.core.records import DISTRACTOR_PID, NO_PERSON_PID, IntArray
from resight.data.crops import Crop, Dataset, Problem

PERSON_ZERO = 1_000_000_000  # more digits than the pids of any layout may have
SPECIAL = re.compile(r"0*-1|0+", re.ASCII)  # 00-1, 0000: as MARS and Market-1501 write nobody and distractors
MOST_DIGITS = 18  # so that a number fits into 64 bits
PERSON = re.compile(r"(-1|\d+)")
CAMERA = re.compile(r"(?:(?:camera|cam|c)(?=\d))?(-?\d+)", re.IGNORECASE)  # cam-1 is a name, and not below 0
LIKE_A_CAMERA = re.compile(r"(camera|cam|c|ch|channel)[-_ ]?\d+", re.IGNORECASE)  # a name that no person has
SHOWN = 3  # of the labels that a doubt is about
# What tables write where there is nothing. A person of such a name is not to be told from no person.
NOTHING = frozenset({"", "nan", "none", "null", "na", "n/a", "<na>", "#n/a"})


@dataclass(frozen=True)
class Numbering:
    """numbers: of each label. by_place: whether they are places in an order, and not the labels' own. doubts: what the
    labels could also mean, in words."""

    numbers: Mapping[str, int]
    by_place: bool
    doubts: tuple[str, ...]

    def name_of(self, label: str) -> str | None:
        """The label itself, where its number is a place only; else None."""
        return label if self.by_place and self.numbers[label] > DISTRACTOR_PID else None


def number_people(labels: Iterable[str]) -> Numbering:
    """A number for each person's label: its own where all are numbers, else its place in sorted order, from 1.

    -1 and 0 keep their meaning in either case. Two names are never one number; two spellings of one number (7 and 007)
    are, and a doubt says so.
    """
    distinct = sorted(set(labels))
    special = {label: int(label.lstrip("0") or 0) for label in distinct if SPECIAL.fullmatch(label)}
    names = [label for label in distinct if label not in special]
    numbering = _number(names, PERSON, "person", "people")
    return replace(numbering, numbers={**special, **numbering.numbers}) if special else numbering


def number_cameras(labels: Iterable[str]) -> Numbering:
    """As `number_people`; c2, cam2 and camera2 are the number 2."""
    return _number(sorted(set(labels)), CAMERA, "camera", "cameras")


def _number(distinct: Sequence[str], pattern: re.Pattern[str], one: str, many: str) -> Numbering:
    matches = {label: pattern.fullmatch(label) for label in distinct}
    own = {
        label: int(match[1])
        for label, match in matches.items()
        if match and match[1].isascii() and len(match[1]) <= MOST_DIGITS
    }
    if len(own) == len(distinct):
        return Numbering(own, False, _spelled_alike(own, many))
    doubts = _named_alike(distinct, many)
    if own:
        strange = next(label for label in distinct if label not in own)
        first, place = next((label, place) for place, label in enumerate(distinct, 1) if label in own)
        doubts = (
            f"{strange!r} is no number, so all {many} are numbered by their place among the sorted names: "
            f"{first!r} is {place}",
            *doubts,
        )
    return Numbering({label: place for place, label in enumerate(distinct, 1)}, True, doubts)


def _spelled_alike(own: Mapping[str, int], many: str) -> tuple[str, ...]:
    by_number: dict[int, list[str]] = {}
    for label, number in own.items():
        by_number.setdefault(number, []).append(label)
    alike = [(number, labels) for number, labels in by_number.items() if len(labels) > 1]
    if not alike:
        return ()
    shown = "; ".join(f"{' and '.join(map(repr, labels))} are both {number}" for number, labels in alike[:SHOWN])
    more = f"; and {len(alike) - SHOWN} more" if len(alike) > SHOWN else ""
    return (f"{many} that are written in two ways are taken as one: {shown}{more}",)


def _named_alike(names: Sequence[str], many: str) -> tuple[str, ...]:
    by_key: dict[str, list[str]] = {}
    for name in names:
        key = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
        by_key.setdefault(key, []).append(name)
    alike = [found for found in by_key.values() if len(found) > 1]
    if not alike:
        return ()
    shown = "; ".join(" and ".join(map(repr, found)) for found in alike[:SHOWN])
    more = f"; and {len(alike) - SHOWN} more" if len(alike) > SHOWN else ""
    return (f"{many} whose names differ in case, spaces or accents' form only are taken as different: {shown}{more}",)


def settled(dataset: Dataset) -> Dataset:
    """With 0 and -1 as the data mean them: pictures without identity (-1) leave train and query, are named and
    counted; a person 0 gets the number PERSON_ZERO.

    Raises DatasetError where a person has that number already.
    """
    problems = list(dataset.problems)
    train = _identified(dataset.train, "there is nobody to learn from", problems)
    query = _identified(dataset.query, "there is nobody to search for", problems)
    dataset = replace(dataset, train=train, query=query, problems=tuple(problems))
    holders = [split for split in ("query", "train") if any(c.pid == DISTRACTOR_PID for c in getattr(dataset, split))]
    if not holders:
        return dataset
    if any(crop.pid == PERSON_ZERO for crop in (*dataset.train, *dataset.query, *dataset.gallery)):
        raise DatasetError(f"{dataset.name}: the pids 0 and {PERSON_ZERO} are both people; give one another number")

    def moved(crops: tuple[Crop, ...]) -> tuple[Crop, ...]:
        return tuple(replace(c, pid=PERSON_ZERO, person="0") if c.pid == DISTRACTOR_PID else c for c in crops)

    return replace(
        dataset,
        train=moved(dataset.train),
        query=moved(dataset.query),
        gallery=moved(dataset.gallery),
        notes=(*dataset.notes, zero_is_a_person(holders[0])),
    )


def zero_is_a_person(split: str) -> str:
    """In words. split: which holds pid 0."""
    return (
        f"pid 0 is a person here, not a distractor, since {split} holds it: the people are numbered from 0. "
        f"That person is told as {PERSON_ZERO}; all others keep their numbers"
    )


def settled_pids(pids: IntArray, has_person_zero: bool) -> IntArray:
    """(n,) int64, the person 0 as PERSON_ZERO where there is one."""
    return np.where((pids == DISTRACTOR_PID) & has_person_zero, np.int64(PERSON_ZERO), pids)


def _identified(crops: tuple[Crop, ...], reason: str, problems: list[Problem]) -> tuple[Crop, ...]:
    kept = tuple(crop for crop in crops if crop.pid != NO_PERSON_PID)
    if len(kept) < len(crops):
        problems += [
            Problem(crop.name, f"pid -1 is no identity: {reason}") for crop in crops if crop.pid == NO_PERSON_PID
        ]
    return kept


def camera_label(label: str, labels: Collection[str]) -> str:
    """A camera's label as galleries and sites keep it: c2 is 2, as in data whose cameras all have numbers, unless
    `labels`, all of this data, has both."""
    match = CAMERA.fullmatch(label)
    if match is None or not match[1].isascii() or len(match[1]) > MOST_DIGITS:
        return label
    plain = str(int(match[1]))
    return label if plain in labels else plain


def camera_names(crops: Sequence[Crop]) -> tuple[str, ...]:
    """What galleries and sites call the camera of each crop: the data's own name, or the number."""
    labels = {crop.camera for crop in crops if crop.camera is not None}
    return tuple(str(crop.camid) if crop.camera is None else camera_label(crop.camera, labels) for crop in crops)
