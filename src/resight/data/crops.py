"""A data set: the table of crops that every reader returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from resight.core.errors import UnreadableImage
from resight.core.files import read_regular
from resight.core.records import NO_PERSON_PID, IntArray
from resight.core.words import counted

UNKNOWN_PID = NO_PERSON_PID  # of a crop of somebody; nobody knows of whom


@dataclass(frozen=True, slots=True)
class Crop:
    """One picture of one person: a file (`path`) or its bytes (`data`), and who is in it and where.

    name: what to call it in a listing, unique in its data set. pid: the person's id; 0 is a distractor, nobody's match,
    and -1 no identity. camid: the camera's id. sequence, frame: numbers as the data set gives them. time: seconds.
    track: equal for the pictures of one walk past one camera. person, camera: what the data call them, where pid and
    camid are not the data's own numbers. The last six are None where not known.
    """

    name: str
    pid: int
    camid: int
    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)
    sequence: int | None = None
    frame: int | None = None
    time: float | None = None
    track: str | None = None
    person: str | None = None
    camera: str | None = None

    @property
    def shown_person(self) -> str:
        """The person as the data call them, cut where that is long; or the number."""
        return str(self.pid) if self.person is None else shortened(self.person)

    @property
    def shown_camera(self) -> str:
        """The camera likewise."""
        return str(self.camid) if self.camera is None else shortened(self.camera)

    def read(self) -> bytes:
        """The encoded picture. Raises UnreadableImage when the file cannot be read."""
        if self.data is not None:
            return self.data
        if self.path is None:
            raise UnreadableImage(self.name, "the crop has neither a path nor bytes")
        try:
            return read_regular(self.path)
        except OSError as error:
            raise UnreadableImage(self.name, error.strerror or str(error)) from None
        except ValueError as error:  # a path with a null character in it
            raise UnreadableImage(self.name, str(error)) from None


def shortened(name: str, most: int = 40) -> str:
    """A name for a table or a figure: its beginning and end where it is long."""
    half = most // 2
    return name if len(name) <= most else f"{name[: half - 1]}…{name[-half:]}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One file that was left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """Crops split into train, query and gallery. format: which reader read it. rights: who may do what with it, in a
    line. problems: files that were left out. notes: what to know when reading figures of it. unlabelled: crops to learn
    from too, of people without pid, whose cameras are none of the others'. doubts: what its labels could also mean.
    contradictions: pictures that the data list with more than one label, and those labels."""

    name: str
    format: str
    train: tuple[Crop, ...]
    query: tuple[Crop, ...]
    gallery: tuple[Crop, ...]
    rights: str = "not stated by the data"
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    unlabelled: tuple[Crop, ...] = ()
    doubts: tuple[str, ...] = ()
    contradictions: tuple[Problem, ...] = ()

    def part_in_words(self, name: str) -> str:
        """How many crops and people train, query or gallery has."""
        crops = getattr(self, name)
        people = len({crop.pid for crop in crops} - {NO_PERSON_PID})
        return f"{name} {counted(len(crops), 'crop')} of {counted(people, 'id')}"

    def __str__(self) -> str:
        cameras = {crop.camid for part in (self.train, self.query, self.gallery, self.unlabelled) for crop in part}
        parts = [self.part_in_words(name) for name in ("train", "query", "gallery") if getattr(self, name)]
        if self.unlabelled:
            places = sorted({crop.name.partition("/")[0] for crop in self.unlabelled})
            parts.append(f"unlabelled {counted(len(self.unlabelled), 'crop')} ({', '.join(places)})")
        return f"{self.name} ({self.format}): {', '.join(parts)}; {counted(len(cameras), 'camera')}"


SPLITS = ("train", "query", "gallery")
RIGHTS_UNKNOWN = "not stated by the data"


def pids_of(crops: Sequence[Crop]) -> IntArray:
    """The crops' pids: (n,) int64."""
    return np.fromiter((crop.pid for crop in crops), dtype=np.int64, count=len(crops))


def camids_of(crops: Sequence[Crop]) -> IntArray:
    """The crops' camids: (n,) int64."""
    return np.fromiter((crop.camid for crop in crops), dtype=np.int64, count=len(crops))


def labels_of(crops: Sequence[Crop]) -> IntArray:
    """Class indices 0..C-1 of the crops' pids, in the pids' order; -1 where the pid is unknown. (n,) int64."""
    pids = pids_of(crops)
    known = pids != UNKNOWN_PID
    labels = np.full(len(pids), -1, np.int64)
    labels[known] = np.unique(pids[known], return_inverse=True)[1]
    return labels
