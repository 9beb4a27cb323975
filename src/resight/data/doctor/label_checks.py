"""What labels may mean other than they seem: cameras that are none, a person 0, names that are nearly one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from resight.core.records import DISTRACTOR_PID, NO_PERSON_PID, UNKNOWN_CAMERA
from resight.core.words import counted
from resight.data.doctor.findings import EXAMPLES, Finding
from resight.data.doctor.survey import Survey
from resight.data.labels import PERSON_ZERO

MANY_CAMERAS, FEW_EACH = 20, 1.5
FIRST_DATE = 100_000  # no site numbers so many cameras
FEW_PEOPLE = 5  # of so few each may well have been seen by a camera of their own
NEARLY_ALL = 0.9
# Formats whose own rules say what pid 0 is.
NUMBERED_BY_THE_USER = ("folder", "manifest")


def labels(s: Survey) -> Iterator[Finding]:
    """What pid 0 is taken for, labels that contradict each other, and names that could be meant otherwise."""
    if (s.pids == PERSON_ZERO).any():
        rows = np.flatnonzero(s.pids == PERSON_ZERO)
        yield Finding(
            "person-zero",
            "note",
            len(rows),
            f"{counted(len(rows), 'picture of pid 0 is', 'pictures of pid 0 are')} taken as a person, since query or "
            "train holds pid 0: the people are numbered from 0",
            f"Elsewhere pid 0 is nobody in particular, so that this person is told as {PERSON_ZERO}. All others keep "
            "their numbers.",
            "Nothing, if the people are numbered from 0; if these are distractors, leave them in the gallery only.",
            tuple((s.crops[row],) for row in rows[:EXAMPLES]),
        )
    zero = np.flatnonzero(s.pids == DISTRACTOR_PID)
    if len(zero) and s.dataset.format in NUMBERED_BY_THE_USER:
        yield Finding(
            "distractors",
            "note",
            len(zero),
            f"{counted(len(zero), 'picture')} of pid 0, in the gallery only, "
            f"{'is' if len(zero) == 1 else 'are'} taken as distractors: people who are nobody in particular",
            "They match no query and no picture of each other, and a gallery keeps no pid of them.",
            "Nothing, if so they are meant; if one person has the number 0, number the people from 1.",
            tuple((s.crops[row],) for row in zero[:EXAMPLES]),
        )
    nowhere = np.flatnonzero(s.camids == UNKNOWN_CAMERA)
    if len(nowhere):
        yield Finding(
            "unknown-camera",
            "warning",
            len(nowhere),
            f"{counted(len(nowhere), 'picture')} by the camera -1, which is no camera's number",
            "They count as pictures by one and the same camera: a query finds none of its person among them.",
            "Find out by which cameras they are, or leave them out.",
            tuple((s.crops[row],) for row in nowhere[:EXAMPLES]),
        )
    if s.dataset.contradictions:
        number = len({problem.name for problem in s.dataset.contradictions})
        yield Finding(
            "contradicting-rows",
            "error",
            number,
            f"{counted(number, 'picture is', 'pictures are')} listed with labels that contradict each other",
            "Within a split the first row is taken; in two splits the picture counts as two people, or as by two "
            "cameras. Training and every figure go by labels of which at least one is wrong.",
            "Find out which row is right, and remove the other.",
            files=s.dataset.contradictions[:EXAMPLES],
        )
    for doubt in s.dataset.doubts:
        yield Finding(
            "ambiguous-labels",
            "warning",
            1,
            doubt,
            "If they are meant otherwise, one person counts as two, or two as one, in training and in every figure.",
            "Write each person and each camera in one way, all as numbers or all as names.",
        )


def cameras(s: Survey) -> Iterator[Finding]:
    """Camera ids that are none."""
    if not len(s.crops):
        return
    distinct = np.unique(s.camids)
    if len(distinct) == 1:
        yield Finding(
            "one-camera",
            "warning",
            1,
            f"every picture is by one camera ({distinct[0]})",
            "Nobody can be found across cameras, so the market1501 protocol scores nothing.",
            "Evaluate with --protocol no-camera, or put the camera first in the file names.",
        )
    examples = tuple((crop,) for crop in s.crops[:EXAMPLES])
    kind = _moments(s)
    if kind is not None:
        yield Finding(
            "cameras-are-none",
            "error",
            len(distinct),
            f"{len(distinct):,} camera ids, with {_pictures_each(s):.1f} pictures of a person each, look like {kind}",
            "The next frame of the same walk by the same camera then counts as found across cameras: every figure is "
            "flattered.",
            "Put the camera first in the file names, or into the camid column of a manifest.",
            examples,
        )
    elif _are_people(s):
        yield Finding(
            "cameras-are-people",
            "error",
            len(distinct),
            f"each person has a camera of their own ({len(distinct):,} cameras): the camera is the person's own number "
            "or name, which stands first in the file names",
            "Nobody can be found across cameras, so that market1501 scores nothing, and no-camera, which flatters, is "
            "no way out; training learns nothing about cameras.",
            "Put the camera first in the file names (<camera>_<anything>), or into the camid column of a manifest.",
            examples,
        )


def cameras_are_none(s: Survey) -> bool:
    """Whether the camera ids are something else, so that no protocol measures what it says."""
    return _moments(s) is not None or _are_people(s)


def _pictures_each(s: Survey) -> float:
    """Of one person by one camera."""
    return len(s.crops) / len(np.unique(np.stack((s.pids, s.camids)), axis=1)[0])


def _moments(s: Survey) -> str | None:
    """What the camera ids are, where they are moments; else None."""
    distinct = np.unique(s.camids)
    if (distinct >= FIRST_DATE).any():
        return "dates or time stamps"
    if len(distinct) > MANY_CAMERAS and _pictures_each(s) < FEW_EACH and not _are_people(s):
        return "frame numbers"
    return None


def _are_people(s: Survey) -> bool:
    """Whether nearly every person has one camera, which sees nobody else."""
    known = (s.pids != DISTRACTOR_PID) & (s.pids != NO_PERSON_PID)
    pairs = np.unique(np.stack((s.pids[known], s.camids[known])), axis=1)
    by_person = np.unique(pairs[0], return_counts=True)[1]
    by_camera = np.unique(pairs[1], return_counts=True)[1]
    if len(by_person) < FEW_PEOPLE:
        return False
    return bool((by_person == 1).mean() >= NEARLY_ALL and (by_camera == 1).mean() >= NEARLY_ALL)
