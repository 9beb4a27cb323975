"""The calibration's page."""

from __future__ import annotations

from resight.core.calibration import Calibration, RateCurve
from resight.evaluation.decisions.calibrate import Fitted
from resight.evaluation.decisions.verification import Verification
from resight.report.drawings import det_drawing, rates_drawing, reliability_drawing
from resight.report.page import Plot, Table, render

ACCEPT_RATES = (0.1, 0.01, 0.001, 0.0001)
REJECT_RATES = (0.1, 0.05, 0.01)
COST = "cost: FRR of same, FAR of different, FNIR of known; refused: too few people for this rate"


def thresholds_table(calibration: Calibration, accept_rates: tuple[float, ...] = ACCEPT_RATES) -> Table:
    """The threshold for each error rate, with the rate as it was counted and what it costs; `refused` where the people
    are too few for it. Of pairs, and of searches among as many people as it was fitted on."""
    c = calibration
    rows = [_row(c, f"same, FAR {r:g}", c.accept_index(r), c.false_accept, c.false_reject) for r in accept_rates]
    rows += [_row(c, f"different, FRR {r:g}", c.reject_index(r), c.false_reject, c.false_accept) for r in REJECT_RATES]
    rows += [
        _row(c, f"known, FPIR {r:g}", c.known_index(r, c.num_people), c.false_positive, c.false_negative)
        for r in accept_rates[:2]
    ]
    return Table("Thresholds", ("decision", "threshold", "counted", "cost"), tuple(rows))


def _row(c: Calibration, name: str, index: int | None, rate: RateCurve, cost: RateCurve) -> tuple[str, ...]:
    if index is None:
        return name, "refused", "", ""
    return name, f"{c.thresholds[index]:.3f}", str(rate.at(index)), str(cost.at(index))


def calibration_page(
    model: str, fitted: Fitted, verified: Verification, accept_rates: tuple[float, ...] = ACCEPT_RATES
) -> str:
    """The page of a calibration. model: what to call it. verified: on the same data. accept_rates: of its table."""
    c = fitted.calibration
    pairs = {"false accepts, of pairs of two": c.false_accept, "false rejects, of pairs of one": c.false_reject}
    searches = {"FPIR, strangers taken for somebody": c.false_positive, "FNIR, known people missed": c.false_negative}
    return render(
        "calibration.html",
        title=f"Calibration: {model}",
        calibration=c,
        thresholds=thresholds_table(c, accept_rates),
        cost=COST,
        reliability=Plot(
            f"Out of fold, at even odds; {c.method}. On the dashed line P(same) is what it says. Expected calibration "
            f"error {c.ece}.",
            reliability_drawing(fitted.reliability),
        ),
        det=Plot(
            f"Detection error trade-off over the pairs. EER {verified.eer:.3f} "
            f"[{verified.eer_interval.low:.3f}, {verified.eer_interval.high:.3f}].",
            det_drawing(verified.curve_far.tolist(), verified.curve_tar.tolist()),
        ),
        pairs=Plot("Two pictures by two cameras.", rates_drawing(c.thresholds, pairs)),
        searches=Plot(f"A search among {c.num_people:,} people.", rates_drawing(c.thresholds, searches)),
    )
