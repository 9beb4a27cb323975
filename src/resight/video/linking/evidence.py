"""How strongly each pair of tracklets speaks for one person: appearance, travel time, and how many people there are.

Everything is a log likelihood ratio of `one person` against `two`, in nats, and adds up.

Appearance begins with the model's calibration: a straight line through the log odds of its isotonic knots, which, other
than they, goes on beyond the last one; without that no pair could ever be called one person at a place of hundreds. It
is of single pictures by other cameras, so it is then fitted to this place, without labels. Tracklets that one camera
sees at one time are known to be of two people: if they are more alike than the calibration's strangers were, the line
moves by so much. Then each camera's mean is taken out of its embeddings, and a logistic line is fitted to the
similarities, each pair counting for both answers by the probability that it has so far. Travel times are learnt from
the same pairs, a camera pair at a time, and given ones are taken as they are. The share of pairs of one person, from
which the number of people follows, is the most likely one under these ratios.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resight.core.calibration import Calibration
from resight.core.distances import unit_rows
from resight.core.errors import ConfigError
from resight.core.records import FloatArray
from resight.video.linking.sightings import Bools, Sightings, Values
from resight.video.linking.site import UNKNOWN_PLACE, Pair, Site, Travel

LOWEST, HIGHEST = -8.0, 12.0  # of appearance
TRAVEL_LOWEST, TRAVEL_HIGHEST = -3.0, 4.0
EDGES_S = np.concatenate([[-np.inf], 2.0 ** np.arange(0, 13), [28_800.0, np.inf]])  # of gaps, doubling
AT_ONCE_S = 0.2  # for longer nobody is at two places at once; clocks and boxes are not better than this
ROUNDS = 3  # of fitting to the place
KNOWN_STRANGERS = 20  # pairs
ENOUGH_PAIRS = 40.0  # expected pairs of one person, below which nothing is fitted to the place
SHRINK = 30.0  # pairs for which the pooled travel times count, beside a camera pair's own
MOST_PEOPLE = 1e5
# Tracklets of a person, where little is known; and how many pairs that outweighs: a few, and a share of all, since the
# pairs of one tracklet depend on each other.
GUESSED_TRACKLETS, GUESSED_PAIRS, GUESSED_SHARE = 4.0, 100.0, 0.1


@dataclass(frozen=True)
class Line:
    """A log likelihood ratio that rises evenly with the similarity."""

    slope: float
    offset: float
    strangers: float | None = None  # the median similarity of two people where it was fitted, if known

    def __call__(self, similarity: FloatArray) -> FloatArray:
        found: FloatArray = np.clip(np.float32(self.slope) * similarity + np.float32(self.offset), LOWEST, HIGHEST)
        return found


@dataclass(frozen=True, eq=False)
class Evidence:
    """Of n tracklets, all (n, n). similarity: cosine, as it is, without anything fitted. appearance, travel: log
    likelihood ratios. gaps: seconds. forbidden: which cannot be one person. prior: log odds that two tracklets taken at
    random are of one person. fitted: whether appearance was fitted to this place. people: how many there are about, by
    the prior."""

    similarity: FloatArray
    appearance: FloatArray
    travel: FloatArray
    gaps: FloatArray
    forbidden: Bools
    prior: float
    fitted: bool

    @property
    def ratios(self) -> FloatArray:
        """(n, n): of appearance and travel together."""
        return self.appearance + self.travel

    @property
    def people(self) -> float:
        """About how many people are behind these tracklets."""
        return 1 + float(np.exp(-self.prior))


# Where a model has no calibration, as one that was adapted without names: amid those of the packaged models.
USUAL = Line(14.0, -3.8, 0.05)


def line_of(calibration: Calibration | None) -> Line:
    """The parametric form of a model's calibration; USUAL where it has none. Raises ConfigError where it has one step
    only."""
    if calibration is None:
        return USUAL
    similarity, odds = np.array(calibration.similarity), np.array(calibration.log_odds)
    if calibration.method == "isotonic" and len(odds) > 3:  # its first and last steps are level for want of data
        inner = (odds > odds.min() + 0.05) & (odds < odds.max() - 0.05)
        if inner.sum() >= 2:
            similarity, odds = similarity[inner], odds[inner]
    if len(odds) < 2 or np.ptp(similarity) == 0:
        raise ConfigError("the model's calibration has one step only; calibrate it on more people")
    slope, offset = np.polyfit(similarity, odds, 1)
    falls = np.array(calibration.false_accept.rate)
    half = int(np.argmax(falls <= 0.5))
    strangers = float(calibration.thresholds[half]) if falls[half] <= 0.5 and (falls[0] > 0.5 or half) else None
    return Line(float(slope), float(offset), strangers)


def moved(line: Line, similarity: FloatArray, strangers: Bools) -> Line:
    """The line, moved by how much more alike people are here. strangers: (n, n) pairs that are known to be two people;
    with fewer than KNOWN_STRANGERS of them all pairs stand for them, of which few are of one person."""
    known = similarity[np.triu(strangers, 1)]
    if len(known) < KNOWN_STRANGERS:
        known = similarity[np.triu_indices(len(similarity), 1)]
    if line.strangers is None or len(known) < KNOWN_STRANGERS:
        return line
    shift = max(0.0, float(np.median(known)) - line.strangers)
    return Line(line.slope, line.offset - line.slope * shift, line.strangers + shift)


def most_at_once(found: Sightings) -> int:
    """How many tracklets one camera saw at one time, at the most: there are so many people at the least."""
    most = 1
    for camera in range(len(found.names)):
        rows = found.cameras == camera
        changes = [(start + AT_ONCE_S, 1) for start in found.starts[rows]] + [(end, -1) for end in found.ends[rows]]
        most = max(most, int(np.cumsum([change for _, change in sorted(changes)]).max(initial=0)))
    return most


def evidence_of(found: Sightings, first: Line, site: Site = UNKNOWN_PLACE) -> Evidence:
    """All evidence of these tracklets. first: the model's own calibration, see `line_of`."""
    gaps = found.gaps()
    similarity = (found.embeddings @ found.embeddings.T).astype(np.float32)
    forbidden = cannot_link(found, gaps, site)
    pairs = np.triu_indices(len(found), 1)
    free = ~forbidden[pairs]
    same_camera = found.cameras[:, None] == found.cameras[None]
    here = moved(first, similarity, same_camera & (gaps < -AT_ONCE_S) & ~np.eye(len(found), dtype=np.bool_))
    appearance, travel = here(similarity), given_travel(found, gaps, site)
    least_people = most_at_once(found)
    centred = centre(found)
    centred_similarity = centred @ centred.T
    fitted = False
    for _ in range(ROUNDS):
        share = share_of_same((appearance + travel)[pairs][free], site, least_people)
        weights = np.where(free, _sigmoid((appearance + travel)[pairs] + _log_odds(share)), 0.0)
        if weights.sum() < ENOUGH_PAIRS:
            break
        line = fitted_line(centred_similarity[pairs][free], weights[free])
        if line is None:
            break
        appearance, fitted = line(centred_similarity), True
        travel = learnt_travel(found, gaps, weights, free, site)
    share = share_of_same((appearance + travel)[pairs][free], site, least_people)
    return Evidence(similarity, appearance, travel, gaps, forbidden, _log_odds(share), fitted)


def cannot_link(found: Sightings, gaps: FloatArray, site: Site) -> Bools:
    """(n, n): two at once, unless the views overlap; faster than anyone walks; or known to a user."""
    num = len(found)
    at_once = gaps < -AT_ONCE_S
    forbidden = np.zeros((num, num), np.bool_)
    for first, second, rows in camera_pairs(found):
        pair = frozenset((found.names[first], found.names[second]))
        if len(pair) == 2 and pair in site.overlaps:
            continue
        least = site.travel.get(pair, Travel()).least_s if len(pair) == 2 else 0.0
        forbidden |= rows & (at_once | (gaps < least if least > 0 else False))
    row_of = {int(number): row for row, number in enumerate(found.ids)}
    for one, other in site.apart:
        if one in row_of and other in row_of:
            forbidden[row_of[one], row_of[other]] = forbidden[row_of[other], row_of[one]] = True
    np.fill_diagonal(forbidden, False)
    return forbidden


def centre(found: Sightings) -> FloatArray:
    """The embeddings without their cameras' means, of unit length; of few tracklets, a part of the mean."""
    vectors = found.embeddings.astype(np.float32).copy()
    for camera in range(len(found.names)):
        rows = found.cameras == camera
        vectors[rows] -= vectors[rows].mean(axis=0) * (rows.sum() / (rows.sum() + 10))
    return unit_rows(vectors)


def share_of_same(ratios: npt.NDArray[np.floating], site: Site, least_people: int = 2) -> float:
    """The share of pairs that are of one person: 1 in the site's people, or else the most likely one, of so many people
    at the least."""
    if site.people is not None:
        return 1 / max(2.0, site.people)
    odds = np.exp(np.clip(ratios.astype(np.float64), -30, 30))
    start = share = 1 / max(5.0, (1 + (1 + 8 * len(odds)) ** 0.5) / 2 / GUESSED_TRACKLETS)
    guessed = GUESSED_PAIRS + GUESSED_SHARE * len(odds)
    for _ in range(200):
        same = float(np.sum(share * odds / (share * odds + 1 - share)))
        last, share = share, (same + guessed * start) / (len(odds) + guessed)
        if abs(np.log(share / last)) < 1e-4:
            break
    return float(np.clip(share, 1 / MOST_PEOPLE, 1 / max(2, least_people)))


def fitted_line(similarity: npt.NDArray[np.floating], weights: Values) -> Line | None:
    """A logistic line, each pair counting as one person by its weight and as two by the rest; None where it falls.
    Newton's method, on 400 bins of similarity."""
    bins = np.clip(((similarity + 1) * 200).astype(np.int64), 0, 399)
    total = np.bincount(bins, minlength=400).astype(np.float64)
    same = np.bincount(bins, weights, 400)
    design = np.stack([(np.arange(400) + 0.5) / 200 - 1, np.ones(400)], axis=1)
    state = np.array([10.0, -8.0])
    for _ in range(60):
        told = _sigmoid(design @ state)
        slope = design.T @ (same - total * told)
        bend = (design * (total * told * (1 - told))[:, None]).T @ design + 1e-3 * np.eye(2)
        step = np.linalg.solve(bend, slope)
        state = state + np.clip(step, -5, 5)
        if np.abs(step).max() < 1e-6:
            break
    if not 1 < state[0] < 100:
        return None
    return Line(float(state[0]), float(state[1] - _log_odds(float(same.sum() / total.sum()))))


def given_travel(found: Sightings, gaps: FloatArray, site: Site) -> FloatArray:
    """(n, n): of the times that the site file states, against gaps that are as likely in any hour; 0 elsewhere."""
    ratios = np.zeros_like(gaps)
    for first, second, rows in camera_pairs(found):
        travel = site.travel.get(frozenset((found.names[first], found.names[second])))
        if first != second and travel is not None and travel.typical_s is not None:
            ratios[rows] = _log_normal(gaps[rows], travel)
    return ratios


def learnt_travel(found: Sightings, gaps: FloatArray, weights: Values, free: Bools, site: Site) -> FloatArray:
    """(n, n): how much more often gaps of this length, between these cameras, lie between two tracklets of one person
    than of two. weights: of the upper triangle's pairs, P(one person). Given travel times stand."""
    ratios = np.zeros_like(gaps)
    pairs = np.triu_indices(len(found), 1)
    bins = (np.digitize(gaps, EDGES_S) - 1).clip(0, len(EDGES_S) - 2)
    num = len(EDGES_S) - 1
    upper = bins[pairs]
    same, other = weights * free, (1 - weights) * free
    all_same, all_other = np.bincount(upper, same, num), np.bincount(upper, other, num)
    shape_other = (all_other + 1) / (all_other.sum() + num)
    shape_same = (all_same + SHRINK * shape_other) / (all_same.sum() + SHRINK)
    given = given_travel(found, gaps, site)
    for first, second, rows in camera_pairs(found):
        mine = rows[pairs]
        own_same, own_other = np.bincount(upper[mine], same[mine], num), np.bincount(upper[mine], other[mine], num)
        density = (own_same + SHRINK * shape_same) / (own_same.sum() + SHRINK)
        background = (own_other + SHRINK * shape_other) / (own_other.sum() + SHRINK)
        likely_other = (own_other.sum() + 1) / (all_other.sum() + 1)
        likely_same = (own_same.sum() + SHRINK * likely_other) / (all_same.sum() + SHRINK)
        ratio = np.log(density / background) + np.log(likely_same / likely_other)
        ratios[rows] = ratio[bins[rows]].clip(TRAVEL_LOWEST, TRAVEL_HIGHEST)
        travel = site.travel.get(frozenset((found.names[first], found.names[second])))
        if first != second and travel is not None and travel.typical_s is not None:
            ratios[rows] = given[rows]
    return ratios


def camera_pairs(found: Sightings) -> list[tuple[int, int, Bools]]:
    """Of each pair of cameras (or a camera and itself): both, and which (n, n) pairs of tracklets are theirs."""
    masks = [found.cameras == camera for camera in range(len(found.names))]
    pairs = []
    for first in range(len(masks)):
        for second in range(first, len(masks)):
            rows = masks[first][:, None] & masks[second][None]
            pairs.append((first, second, rows | rows.T))
    return pairs


def pair_of(found: Sightings, one: int, other: int) -> Pair:
    """The cameras of two tracklets."""
    return frozenset((found.camera(one), found.camera(other)))


def _log_normal(gaps: FloatArray, travel: Travel) -> FloatArray:
    """Of log-normal times against times that are even over the logarithm from 1 s to an hour."""
    typical = travel.typical_s or 1.0
    width = np.log(travel.spread)
    off = (np.log(np.maximum(gaps, 0.5)) - np.log(typical)) / width
    ratio = -0.5 * off**2 - np.log(width * np.sqrt(2 * np.pi)) + np.log(np.log(3600.0))
    found: FloatArray = np.clip(ratio, TRAVEL_LOWEST, TRAVEL_HIGHEST).astype(np.float32)
    return found


def _sigmoid(values: npt.NDArray[np.floating]) -> Values:
    found: Values = 1 / (1 + np.exp(-np.clip(values.astype(np.float64), -60, 60)))
    return found


def _log_odds(share: float) -> float:
    return float(np.log(share / (1 - share)))
