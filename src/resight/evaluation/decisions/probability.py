"""P(same person) as a function of the similarity, fitted on histograms of pairs of one person and of two.

Isotonic (Zadrozny and Elkan, KDD 2002) or logistic (Platt, 1999).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

Values = npt.NDArray[np.float64]
Knots = tuple[Values, Values]
BINS = 1024  # of similarity, from -1 to 1
CENTRES = np.linspace(-1.0001, 1.0001, 2 * BINS + 1)[1::2]


def histogram(similarity: npt.NDArray[np.float32], weight: float) -> Values:
    """The histogram of the similarities in BINS bins, scaled so that it adds up to `weight`: (BINS,)."""
    counts = np.histogram(similarity, BINS, (-1.0001, 1.0001))[0].astype(np.float64)
    scaled: Values = counts * (weight / max(1.0, counts.sum()))
    return scaled


def bins_of(similarity: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """The bin of each similarity, as `histogram` has them: (n,)."""
    place: npt.NDArray[np.int64] = ((similarity.astype(np.float64) + 1.0001) * (BINS / 2.0002)).astype(np.int64)
    return np.clip(place, 0, BINS - 1)


def fit_isotonic(genuine: Values, impostor: Values, people: int) -> Knots:
    """Isotonic regression: neighbouring bins are pooled until P(same) rises. P(same) stays between 1 / (people + 2) and
    1 less that: no surer than so many people can show. genuine, impostor: weights by bin, (BINS,)."""
    filled = np.flatnonzero(genuine + impostor)
    weight = (genuine + impostor)[filled]
    fit = isotonic_regression(genuine[filled] / weight, weights=weight)
    first, last = fit.blocks[:-1], fit.blocks[1:]
    place = np.array([np.average(CENTRES[filled[a:b]], weights=weight[a:b]) for a, b in zip(first, last, strict=True)])
    surest = 1 / (people + 2)
    probability = np.clip(fit.x[first], surest, 1 - surest)
    log_odds: Values = np.log(probability / (1 - probability))
    return place, log_odds


def fit_logistic(genuine: Values, impostor: Values, people: int) -> Knots:
    """Logistic regression: the log-odds are a straight line, fitted by Newton's method towards Platt's targets
    (n + 1) / (n + 2) instead of 1. genuine, impostor: weights by bin, (BINS,)."""
    target, weight = (people + 1) / (people + 2), genuine + impostor
    aim = genuine * target + impostor * (1 - target)
    features = np.stack((np.ones(BINS), CENTRES), axis=1)
    line = np.zeros(2)
    for _ in range(100):
        told = 1 / (1 + np.exp(-np.clip(features @ line, -40, 40)))
        gradient = features.T @ (weight * told - aim)
        curvature = (features * (weight * told * (1 - told))[:, None]).T @ features + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        line -= step / max(1.0, np.abs(step).max() / 5)  # far steps overshoot where the data are split cleanly
        if np.abs(step).max() < 1e-9:
            break
    line[1] = max(line[1], 0.0)
    knots = np.array([-1.0, 1.0])
    log_odds: Values = line[0] + line[1] * knots
    return knots, log_odds


FITS = {"isotonic": fit_isotonic, "logistic": fit_logistic}
