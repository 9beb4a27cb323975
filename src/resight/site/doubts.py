"""What is strange about a fitted site, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import scipy  # whose parts it imports when they are used

from resight.core.records import FloatArray, IntArray
from resight.core.words import counted
from resight.site.transform import CameraFacts, is_no_better

FAR = 2.0  # times the median distance to the nearest other camera
NEAR = 0.25  # of the median distance of two cameras
BY_CHANCE = 1.25  # times what chance does to two means of one camera, of other people
OF_A_PERSON = 8  # pictures, about, whose errors are alike: so many count as one where there are no tracks
PAUSE_S = 600.0  # seconds without a picture after which a track is hardly the same walk
PAUSED = 0.05  # share of the tracks with such a pause that is told
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
        f"camera {name} has {counted(num, 'picture')}, too few for a mean: it gets the site's, and its "
        "searches end `unsure`"
        for name, num in list(left_out.items())[:5]
    ]
    if len(left_out) > 5:
        found.append(
            f"{counted(len(left_out) - 5, 'more camera has', 'more cameras have')} too few pictures for a mean"
        )
    if len(cameras) > 2:
        distance = scipy.spatial.distance.cdist(means, means) + np.diag(np.full(len(means), np.inf))
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
                f"pictures of one track are hardly more alike than those of two (EER {raw:.2f}): are the tracks right? "
                "--no-tracks does without them"
            )
        if is_no_better(criterion, exponent):
            best = criterion[f"{exponent:g}"]
            found.append(
                f"within a camera, tracklets that were left out are told apart no better than raw (EER {best:.3f}, "
                f"{raw:.3f}). What the means bring between cameras this does not show: labelled people do, by "
                "`resight evaluate` with and without --site"
            )
    return tuple(found)


def doubts_of_times(
    means: FloatArray,
    cameras: Sequence[str],
    facts: Mapping[str, CameraFacts],
    codes: IntArray,
    tracklets: IntArray,
    times: npt.NDArray[np.float64],
) -> tuple[str, ...]:
    """What the times tell. means: (c, dim), of the cameras in order. codes, tracklets: (n,), as `tracklet_codes` has
    them. times: (n,) seconds, NaN where not known. Empty where no time is known."""
    known = np.isfinite(times)
    found: list[str] = []
    spans = [times[known & (codes == code)] for code in range(len(cameras))]
    own = [code for code, span in enumerate(spans) if len(span)]
    noise = {
        code: facts[cameras[code]].spread ** 2
        / (facts[cameras[code]].tracklets or max(1.0, facts[cameras[code]].pictures / OF_A_PERSON))
        for code in own
    }
    for one in own:
        for other in own:
            apart = float(np.linalg.norm(means[one] - means[other]))
            alike = apart <= BY_CHANCE * float(np.sqrt(noise[one] + noise[other]))
            if spans[one].max() < spans[other].min() and alike:
                found.append(
                    f"camera {cameras[other]} begins after the last picture of {cameras[one]}, and is as like it as a "
                    "camera is to itself: was it renamed? Then give both one name"
                )
    found = [*found[:5], *([f"{len(found) - 5:,} more such pairs of cameras"] if len(found) > 5 else [])]
    tracked = known & (tracklets >= 0)
    order = np.lexsort((times[tracked], tracklets[tracked]))
    names, moments = tracklets[tracked][order], times[tracked][order]
    pauses = (np.diff(names) == 0) & (np.diff(moments) > PAUSE_S)
    paused, num = len(np.unique(names[1:][pauses])), len(np.unique(names))
    if paused > PAUSED * num:
        found.append(
            f"{paused:,} of {counted(num, 'track')} {'goes' if paused == 1 else 'go'} on after a pause of "
            f"{PAUSE_S / 60:.0f} minutes and more: does the tracker count anew each day? Then add the day to `track`, "
            "or two people are one"
        )
    return tuple(found)
