"""What is strange about a fitted site, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from resight.core.records import FloatArray
from resight.site.transform import CameraFacts, is_no_better

FAR = 2.0  # times the median distance to the nearest other camera
NEAR = 0.25  # of the median distance of two cameras
FEW_TRACKLETS = 30  # of a camera, about as many people
MIXED = 0.35  # within-camera EER of raw embeddings: no model that is any good has it where tracks are right


def doubts_of(
    means: FloatArray,
    cameras: Sequence[str],
    facts: Mapping[str, CameraFacts],
    criterion: Mapping[str, float],
    exponent: float,
    left_out: Mapping[str, int],
) -> tuple[str, ...]:
    """The warnings of a fit. means: (c, dim), of the cameras in order; the rest as in `SiteFacts`."""
    found = [
        f"camera {name} has {num:,} pictures, too few for a mean: it gets the site's, and its searches end `unsure`"
        for name, num in list(left_out.items())[:5]
    ]
    if len(left_out) > 5:
        found.append(f"{len(left_out) - 5:,} more cameras have too few pictures for a mean")
    if len(cameras) > 2:
        distance = np.linalg.norm(means[:, None] - means[None], axis=2) + np.diag(np.full(len(means), np.inf))
        typical = float(np.median(distance[np.triu_indices(len(means), 1)]))
        twins = distance < NEAR * typical
        nearest = np.where(twins, np.inf, distance).min(axis=1)  # a camera under two names is far from others with both
        usual = float(np.median(nearest))
        for row in np.flatnonzero(nearest > FAR * usual).tolist():
            found.append(
                f"camera {cameras[row]} has a mean far from all others ({nearest[row]:.2f}, usual here {usual:.2f}): "
                "its light or lens differs, which the mean makes up for; or it sees other people, as a staff entrance "
                "does, and then the mean takes identity away: leave such a camera out"
            )
        for row, other in np.argwhere(np.triu(twins)).tolist():
            found.append(
                f"cameras {cameras[row]} and {cameras[other]} have nearly the same mean: one camera under two names?"
            )
    few = [name for name in cameras if 0 < facts[name].tracklets < FEW_TRACKLETS]
    if criterion and few:
        found.append(f"few tracklets, so that single people weigh much in the mean: {', '.join(few[:5])}")
    if criterion:
        raw = criterion["raw"]
        if raw > MIXED:
            found.append(
                f"pictures of one track are hardly more alike than those of two (EER {raw:.2f}): are the tracks right?"
            )
        if is_no_better(criterion, exponent):
            best = criterion[f"{exponent:g}"]
            found.append(
                f"within a camera, tracklets that were left out are told apart no better than raw (EER {best:.3f}, "
                f"{raw:.3f}). What the means bring between cameras this does not show: labelled people do, by "
                "`resight evaluate` with and without --site"
            )
    return tuple(found)
