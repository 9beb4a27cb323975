"""What a similarity means in one search: a decision, and numbers where a decision cannot be promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from resight.core.calibration import UNSURE, Calibration, Decision, Rate
from resight.core.records import FloatArray
from resight.site.transform import SiteTransform

if TYPE_CHECKING:
    from resight.embedding.model import Model


@dataclass(frozen=True)
class Said:
    """What is said of one similarity. probability: P(same) of `Calibration.same_among`. strangers: of
    `Calibration.strangers_as_alike`. None where there is no calibration of it."""

    decision: Decision | None = None
    probability: Rate | None = None
    strangers: Rate | None = None


@dataclass(frozen=True, eq=False)
class Meaning:
    """What similarities mean in a search among `num_people` people. calibration: of what is compared; None: there is
    none. site: the transform that was applied. The rates are those of `Calibration.decide_search`."""

    calibration: Calibration | None
    site: SiteTransform | None
    num_people: int
    false_positive_rate: float
    false_negative_rate: float

    @cached_property
    def margin(self) -> tuple[float, Rate] | None:
        """As `Calibration.naming_margin`."""
        if self.calibration is None or not self.num_people:
            return None
        return self.calibration.naming_margin(self.false_negative_rate, self.num_people)

    def undecided(self, similarity: float) -> bool:
        """Whether a similarity of pictures by cameras with means is `unsure`."""
        said = self._decided(similarity)
        return said is not None and said.verdict == UNSURE

    def unlike(self, rows: FloatArray) -> tuple[str, ...]:
        """What to say of rows (n, dim) at unit length that should be of one person: which are less alike the others
        than pictures of one person are, but for the rate of false negatives."""
        index = self.calibration.reject_index(self.false_negative_rate) if self.calibration else None
        if self.calibration is None or index is None or len(rows) < 2:
            return ()
        others = (rows @ rows.sum(axis=0) - (rows * rows).sum(axis=1)) / (len(rows) - 1)
        apart = np.flatnonzero(others < self.calibration.thresholds[index])
        if not apart.size:
            return ()
        which = ", ".join(str(row) for row in apart + 1)
        told = f"the pictures may show different people: {which} of {len(rows)} is less like the others"
        return (f"{told} (similarity {others.min():.2f}) than pictures of one person are; search for each by itself",)

    def of(self, similarity: float, cameras: Sequence[str | None], others: Sequence[float] = ()) -> Said:
        """What this similarity says of pictures by these cameras. others: as `Calibration.same_among`."""
        if self.calibration is None:
            return Said()
        if doubt := self._doubt(cameras):
            return Said(Decision(UNSURE, None, reason=doubt))
        decision = self._decided(similarity)
        likely = self.calibration.same_among(similarity, self.num_people, others)
        return Said(decision, likely, self.calibration.strangers_as_alike(similarity, self.num_people))

    def _decided(self, similarity: float) -> Decision | None:
        if self.calibration is None:
            return None
        return self.calibration.decide_search(
            similarity,
            self.num_people,
            false_positive_rate=self.false_positive_rate,
            false_negative_rate=self.false_negative_rate,
        )

    def _doubt(self, cameras: Sequence[str | None]) -> str:
        """Why the calibration does not say what the similarity means: a camera has no mean. Empty: it does."""
        unknown = [camera for camera in cameras if self.site is not None and not self.site.knows(camera)]
        if not unknown:
            return ""
        if unknown[0] is None:
            return "it is not said which camera saw what is searched for (seen_by): the site's means need it"
        return f"the site transform has no mean of the camera {unknown[0]}; fit it anew when it has 100 pictures"


def calibration_of(model: Model | None, site: SiteTransform | None) -> Calibration | None:
    """Of what is compared: the site's where embeddings are transformed, whose similarities are others; else the
    model's."""
    if site is not None:
        return site.calibration
    return None if model is None else model.calibration
