"""The data doctor: what a data set holds, what is wrong with it, and what to do about that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from resight.core.progress import Progress, silent
from resight.core.records import NO_PERSON_PID, IntArray
from resight.core.version import VERSION
from resight.data.crops import SPLITS, Dataset
from resight.data.doctor.advice import Advice, RecipeSizes, advise
from resight.data.doctor.findings import SEVERITIES, Finding
from resight.data.doctor.label_checks import cameras, labels
from resight.data.doctor.people_checks import identities, queries, what_is_missing
from resight.data.doctor.picture_checks import bad_files, nearly_same_pictures, odd_sizes, same_pictures
from resight.data.doctor.survey import Survey, survey

SCHEMA = "resight.doctor/1"
CHECKS: tuple[Callable[[Survey], Iterator[Finding]], ...] = (
    same_pictures,
    identities,
    cameras,
    labels,
    queries,
    nearly_same_pictures,
    bad_files,
    odd_sizes,
    what_is_missing,
)


@dataclass(frozen=True)
class SplitSummary:
    """Counts of one split. per_identity, per_camera: (least, median, most) pictures of an identity, or by a camera."""

    name: str
    num_images: int
    num_ids: int
    num_cameras: int
    per_identity: tuple[int, float, int]
    per_camera: tuple[int, float, int]


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What the doctor found. splits: counts of each. height_px, width_px: (least, median, most) of the pictures.
    presence: (num_ids, num_cameras) int64, pictures of each identity by each camera, over all splits, in the order of
    `ids` and `cameras`. findings: what is wrong, the most severe first."""

    survey: Survey
    splits: tuple[SplitSummary, ...]
    height_px: tuple[int, float, int]
    width_px: tuple[int, float, int]
    ids: IntArray
    cameras: IntArray
    presence: IntArray
    findings: tuple[Finding, ...]
    advice: Advice

    @property
    def severity(self) -> str | None:
        """Of the most severe finding; None where there is none."""
        found = {finding.severity for finding in self.findings}
        return next((severity for severity in reversed(SEVERITIES) if severity in found), None)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: all but the pictures."""
        data = self.survey.dataset
        return {
            "schema": SCHEMA,
            "resight_version": VERSION,
            "data": data.name,
            "format": data.format,
            "rights": data.rights,
            "notes": list(data.notes),
            "num_images": len(self.survey.crops),
            "splits": [
                {
                    "name": split.name,
                    "num_images": split.num_images,
                    "num_ids": split.num_ids,
                    "num_cameras": split.num_cameras,
                    "images_per_identity": list(split.per_identity),
                    "images_per_camera": list(split.per_camera),
                }
                for split in self.splits
            ],
            "height_px": list(self.height_px),
            "width_px": list(self.width_px),
            "severity": self.severity,
            "findings": [finding.to_dict() for finding in self.findings],
            "advice": self.advice.to_dict(),
        }


def examine(
    dataset: Dataset,
    data: str | None = None,
    *,
    recipe: RecipeSizes | None = None,
    strict: bool = False,
    progress: Progress = silent,
) -> Diagnosis:
    """What is wrong with a data set, what that does, and how to mend it. Reads every picture once.

    data: what the user calls it, for the advised command. recipe: as for `advise`. strict: an unreadable picture is an
    error, not a finding. Memory grows by some hundred bytes a picture.

    Raises UnreadableImage for the first unreadable picture, where strict.

    Example:

        >>> import resight
        >>> from resight.data.doctor.doctor import examine
        >>> diagnosis = examine(resight.open_dataset("synthetic:train_people=1,test_people=2"))
        >>> [(finding.severity, finding.code) for finding in diagnosis.findings]
        [('warning', 'few-queries')]
    """
    s = survey(dataset, strict=strict, progress=progress)
    found = [finding for check in CHECKS for finding in check(s)]
    findings = tuple(sorted(found, key=lambda finding: -SEVERITIES.index(finding.severity)))
    known = s.pids != NO_PERSON_PID
    ids, id_rows = np.unique(s.pids[known], return_inverse=True)
    camids, camera_rows = np.unique(s.camids[known], return_inverse=True)
    presence = np.zeros((len(ids), len(camids)), np.int64)
    np.add.at(presence, (id_rows, camera_rows), 1)
    return Diagnosis(
        survey=s,
        splits=tuple(_summary(s, split) for split in SPLITS if len(s.rows(split))),
        height_px=_spread(s.height_px),
        width_px=_spread(s.width_px),
        ids=ids,
        cameras=camids,
        presence=presence,
        findings=findings,
        advice=advise(s, data or dataset.name, recipe),
    )


def _summary(s: Survey, split: str) -> SplitSummary:
    rows = s.rows(split)
    known = rows[s.pids[rows] != NO_PERSON_PID]
    each_id = np.unique(s.pids[known], return_counts=True)[1]
    each_camera = np.unique(s.camids[rows], return_counts=True)[1]
    return SplitSummary(split, len(rows), len(each_id), len(each_camera), _spread(each_id), _spread(each_camera))


def _spread(values: IntArray) -> tuple[int, float, int]:
    if not len(values):
        return 0, 0.0, 0
    return int(values.min()), float(np.median(values)), int(values.max())
