"""What `resight evaluate` prints: a function a question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from resight.cli import output
from resight.evaluation.intervals import Interval, format_figure
from resight.evaluation.metrics import METRICS

if TYPE_CHECKING:
    from resight.core.calibration import Calibration
    from resight.data.crops import Crop
    from resight.evaluation.breakdown import Breakdown
    from resight.evaluation.decisions.calibrate import Promise
    from resight.evaluation.decisions.open_set import OpenSet
    from resight.evaluation.decisions.verification import Verification
    from resight.evaluation.evaluate import Evaluation
    from resight.evaluation.parts.occlusion import OcclusionRow


def print_evaluations(
    evaluations: Sequence[Evaluation],
    *,
    centred: bool = False,
    sited: bool = False,
    flipped: bool = False,
    pooled: bool = False,
) -> None:
    """A column a protocol, each figure with its interval; then what was counted. centred, sited, flipped, pooled: how
    the embeddings were prepared."""
    output.print_wide(_table(evaluations))
    for evaluation in evaluations:
        output.say(output.counts(evaluation))
    prepared = ", cameras centred by means of these very pictures" if centred else ""
    prepared += ", at the site" if sited else ""
    prepared += ", with mirrored pictures" if flipped else ""
    prepared += ", one query a person and camera" if pooled else ""
    output.say(f"by {evaluations[0].distance}{prepared}; {output.INTERVALS}")
    for evaluation in evaluations:
        told = [
            f"{METRICS[name].title} [{found.over_people.low:.3f}, {found.over_people.high:.3f}]"
            for name, found in evaluation.metrics.items()
            if found.over_people
        ]
        named = f"{evaluation.protocol}, over" if len(evaluations) > 1 else "over"
        output.say(f"{named} the people, whose queries are not independent: {', '.join(told)}")


def print_verification(found: Verification) -> None:
    """EER, and TAR at given FAR."""
    rows = [("EER", format_figure(found.eer, found.eer_interval), "")]
    for point in found.points:
        rows.append(
            _point(f"TAR at FAR {point.false_accept_rate:g}", point.true_accept_rate, point.interval, point.threshold)
        )
    _print_points("Same person or not, by two cameras", rows)
    output.say(
        f"{found.num_genuine:,} pairs of one person, {found.num_sampled:,} of {found.num_impostor:,} pairs of two, of "
        f"{found.num_people:,} people; in brackets: 95% bootstrap intervals over the people"
    )


def print_promises(calibration: Calibration, promises: Sequence[Promise]) -> None:
    """What the model's calibration promised, and what was counted here."""
    table = Table(box=None, pad_edge=False, title="What the model's calibration promised", title_justify="left")
    for heading in ("", "threshold", "FAR here", ""):
        table.add_column(heading, no_wrap=True)
    for p in promises:
        cells = (f"FAR {p.false_accept_rate:g}", f"{p.threshold:.3f}", str(p.counted), p.verdict)
        table.add_row(*cells)
    output.print_wide(table)
    output.say(f"fitted on {calibration.data}, {calibration.date}")
    if any(p.verdict == "broken" for p in promises):
        output.say("The calibration does not hold on these data: calibrate on people of this place.")


def print_open_set(found: OpenSet) -> None:
    """FNIR at given FPIR."""
    rows = [
        _point(f"FNIR at FPIR {p.false_positive_rate:g}", p.false_negative_rate, p.interval, p.threshold)
        for p in found.points
    ]
    _print_points("Somebody we know or nobody", rows)
    output.say(
        f"{found.num_known:,} of {found.num_people:,} people in the gallery, {found.splits} draws; a draw has "
        f"{found.num_mated:.0f} searches for them and {found.num_nonmated:.0f} for strangers; in brackets: 95% "
        "intervals over draws and people"
    )
    for size in found.sizes:
        output.say(
            f"with {size.num_people:.0f} people in the gallery and the first threshold, FPIR is {size.counted:.3f}; "
            f"1 - (1 - p)^(M / N) foretells {size.foretold:.3f}"
        )


def print_occlusion(found: Sequence[OcclusionRow]) -> None:
    """The figures with each third of the queries hidden."""
    rows = []
    for row in found:
        rank1, mean_ap = format_figure(row.rank1, row.rank1_interval), format_figure(row.mean_ap, row.mean_ap_interval)
        rows.append((f"{row.hidden}, {row.compared}", rank1, mean_ap))
    _print_rows("Queries with a third hidden", ("hidden, compared by", "rank-1", "mAP"), rows)
    output.say("mask: the first 100 put in order again by the strips that both show, the hidden rows being known")


def print_breakdown(found: Breakdown, crops: Sequence[Crop] = ()) -> None:
    """The hardest pairs of cameras, people and queries. crops: for what the data call people and cameras."""
    most = 8
    people_called = {crop.pid: crop.shown_person for crop in crops}
    cameras_called = {crop.camid: crop.shown_camera for crop in crops}

    def camera(camid: int) -> str:
        return cameras_called.get(camid, str(camid))

    pairs = [
        (
            f"camera {camera(pair.query_camid)} among {camera(pair.gallery_camid)}",
            format_figure(pair.rank1, pair.rank1_interval),
            format_figure(pair.mean_ap, pair.mean_ap_interval),
        )
        for pair in found.camera_pairs[:most]
    ]
    people = [
        (f"person {people_called.get(person.pid, person.pid)}", f"{person.rank1:.3f}", f"{person.mean_ap:.3f}")
        for person in found.people[:most]
    ]
    for title, rows in (("The hardest pairs of cameras", pairs), ("The people who cost most", people)):
        _print_rows(title, ("", "rank-1", "mAP"), rows)
    costly = [
        (q.name, f"{q.average_precision:.3f}", "-" if q.first_right is None else str(q.first_right))
        for q in found.costly[:most]
    ]
    _print_rows("The queries that cost most", ("", "AP", "first right"), costly)
    output.say(
        f"{len(found.camera_pairs)} pairs of cameras and {len(found.people)} people, under {found.protocol} by "
        f"{found.distance}; all of them by --json"
    )


def _point(name: str, value: float | None, interval: Interval | None, threshold: float | None) -> tuple[str, str, str]:
    if threshold is None:
        return name, "too few to tell", ""
    return name, format_figure(value, interval), f"{threshold:.3f}"


def _print_points(title: str, rows: list[tuple[str, str, str]]) -> None:
    _print_rows(title, ("", "", "threshold"), rows)


def _print_rows(title: str, headings: tuple[str, str, str], rows: list[tuple[str, str, str]]) -> None:
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    table.add_column(headings[0], overflow="fold")
    for heading in headings[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    output.print_wide(table)


def _table(evaluations: Sequence[Evaluation]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for evaluation in evaluations:
        table.add_column(evaluation.protocol, justify="right", no_wrap=True)
    for title in evaluations[0].cells():
        table.add_row(title, *(evaluation.cells()[title] for evaluation in evaluations))
    return table
