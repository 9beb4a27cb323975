"""The page that compares two models: metrics, curves, and what each found for each query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from resight.core.distances import unit_rows
from resight.core.records import EmbeddedCrops, FloatArray
from resight.data.crops import Crop
from resight.evaluation.compare import OUTCOMES, Comparison, Difference
from resight.evaluation.evaluate import Evaluation, RankedList, rankings
from resight.evaluation.intervals import format_figure
from resight.evaluation.metrics import METRICS
from resight.evaluation.parts.strips import Faithfulness, strip_similarities, swap_losses
from resight.report.drawings import cmc_drawing
from resight.report.page import Plot, Table, render
from resight.report.ranked_lists import Answer, ComparedQuery, FoundByModel, choose_queries, lists_json

TOP = 10
NOISE = 0.05
WHAT_THE_BARS_SHOW = (
    "The bars beside a picture show what each horizontal strip adds to its similarity; their mean is the similarity. "
    "What each strip did for a query is what the lead of the nearest right answer over the nearest wrong one loses "
    "when that strip of the query is swapped for the gallery's mean strip. The table of queries without a strip tells "
    "whether that is true: without the most important strip of every query the figures should fall most, without the "
    "least important least. Painted over means by the gallery's mean picture, and embedded anew."
)


@dataclass(frozen=True, eq=False)
class ComparedModel:
    """A model and its embeddings. slices: horizontal strips that the embedding consists of, 1 where it has none.
    importance: (q, slices), of `strip_importance`; faithful: whether it is true; None where the model is not sliced."""

    name: str
    query: EmbeddedCrops
    gallery: EmbeddedCrops
    slices: int = 1
    importance: FloatArray | None = None
    faithful: Faithfulness | None = None


def comparison_page(
    title: str,
    paragraphs: Sequence[str],
    models: tuple[ComparedModel, ComparedModel],
    comparisons: Sequence[Comparison],
    query: Sequence[Crop],
    gallery: Sequence[Crop],
    *,
    most: int = 300,
    more_tables: Sequence[Table] = (),
) -> str:
    """The page. comparisons: of the two models, one for each protocol; the ranked lists follow the first. query,
    gallery: the crops that were embedded, in the order of the embeddings. most: queries in the page, at most.
    more_tables: to put above the others. Raises EmbeddingError where embeddings cannot be compared."""
    by = comparisons[0]
    names = (models[0].name, models[1].name)
    outcomes = [OUTCOMES[place] for place in by.outcome]
    chosen = choose_queries((by.second.ap - by.first.ap).tolist(), outcomes, most)
    founds = [
        _found(model, evaluation, gallery, chosen)
        for model, evaluation in zip(models, (by.first, by.second), strict=True)
    ]
    shown = [
        ComparedQuery(query[int(by.first.query_index[place])], outcomes[place], first, second)
        for place, first, second in zip(chosen, *founds, strict=True)
    ]
    strips = [strips_table(model.name, model.faithful, by.first.protocol) for model in models if model.faithful]
    return render(
        "compare.html",
        title=title,
        paragraphs=[*paragraphs, _about_intervals(by), *([WHAT_THE_BARS_SHOW] if strips else [])],
        models=names,
        tables=[*more_tables, figures_table(names, comparisons), *strips],
        drawings=[_curves(names, comparison) for comparison in comparisons],
        outcomes={outcome: outcomes.count(outcome) for outcome in OUTCOMES},
        num_shown=len(shown),
        list_note=_list_note(names, by, len(shown)),
        data=lists_json(names, shown),
    )


def figures_table(names: tuple[str, str], comparisons: Sequence[Comparison]) -> Table:
    """A line a protocol and metric: both models, the difference, and how likely chance alone makes it."""
    rows = []
    for comparison in comparisons:
        both = comparison.first, comparison.second
        for name, difference in comparison.differences.items():
            values = (format_figure(e.metrics[name].value, e.metrics[name].interval) for e in both)
            rows.append((f"{both[0].protocol}, {METRICS[name].title}", *values, *difference_cells(difference)))
    return Table("Figures", ("", *names, f"{names[1]} less {names[0]}", "p", ""), tuple(rows))


def difference_cells(difference: Difference) -> tuple[str, str, str]:
    """Cells of a table: the difference with its interval, p, and `within noise` where p is above NOISE."""
    low, high = difference.interval.low, difference.interval.high
    p = f"{difference.p_value:.3f}" if difference.p_value >= 0.001 else "< 0.001"
    verdict = "within noise" if difference.p_value > NOISE else ""
    return f"{difference.mean:+.3f} [{low:+.3f}, {high:+.3f}]", p, verdict


def strips_table(name: str, faithful: Faithfulness, protocol: str) -> Table:
    """What leaving out a strip of every query costs."""
    whole = faithful.whole
    lines = {"whole": whole}
    for way, deletion in (("left out of the embedding", faithful.left_out), ("painted over", faithful.painted)):
        lines |= {
            f"least important strip {way}": deletion.least,
            f"any one strip {way} (mean)": deletion.any,
            f"most important strip {way}": deletion.most,
        }
    rows = tuple(
        (what, f"{rank1:.3f}", f"{rank1 - whole[0]:+.3f}", f"{mean_ap:.3f}", f"{mean_ap - whole[1]:+.3f}")
        for what, (rank1, mean_ap) in lines.items()
    )
    return Table(f"{name}, {protocol}: queries without a strip", ("", "rank-1", "change", "mAP", "change"), rows)


def _curves(names: tuple[str, str], comparison: Comparison) -> Plot:
    curves = {name: e.cmc.tolist() for name, e in zip(names, (comparison.first, comparison.second), strict=True)}
    caption = f"{comparison.first.protocol}: the share of queries with a right answer by each rank"
    return Plot(caption, cmc_drawing(curves))


def _about_intervals(by: Comparison) -> str:
    return (
        "In brackets: 95% intervals. Those of a model are over the queries; those of the difference, and p, are "
        f"bootstrapped over the {by.num_people:,} people of the queries, both models on the same draw. Where p is "
        f"above {NOISE}, "
        "chance alone shows such a difference that often: these data do not show that one model is better."
    )


def _list_note(names: tuple[str, str], by: Comparison, num_shown: int) -> str:
    total = by.first.num_scored
    which = "." if num_shown == total else ": those on which the models differ most, and some that both get wrong."
    return (
        f"Ranked under {by.first.protocol}. A solid green frame with a tick is the right person, a dashed red one with "
        f"a cross is somebody else. Gained: wrong by {names[0]}, right by {names[1]}; lost: the other way. "
        f"{num_shown:,} of {total:,} scored queries are in this page{which}"
    )


def _found(
    model: ComparedModel, evaluation: Evaluation, gallery: Sequence[Crop], chosen: Sequence[int]
) -> list[FoundByModel]:
    """For the chosen of the scored queries, in order."""
    rows = [int(evaluation.query_index[place]) for place in chosen]
    lists = rankings(model.query, model.gallery, evaluation.protocol, top=TOP)
    unit_q, unit_g = unit_rows(model.query.embeddings), unit_rows(model.gallery.embeddings)
    mean = unit_g.mean(axis=0)
    found = []
    for place, row in zip(chosen, rows, strict=True):
        importance = None
        if model.importance is not None and np.isfinite(model.importance[row]).all():
            importance = tuple(model.importance[row].tolist())
        answers = _answers(model.slices, lists[row], unit_q[row], unit_g, mean, gallery)
        found.append(FoundByModel(float(evaluation.ap[place]), answers, importance))
    return found


def _answers(
    slices: int, found: RankedList, query: FloatArray, unit_g: FloatArray, mean: FloatArray, gallery: Sequence[Crop]
) -> tuple[Answer, ...]:
    rows = found.gallery_index
    strips = losses = np.zeros((len(rows), 0), np.float32)
    if slices > 1:
        pairs = np.tile(query, (len(rows), 1)), unit_g[rows]
        strips, losses = strip_similarities(*pairs, slices), swap_losses(*pairs, mean, slices)
    return tuple(
        Answer(gallery[row], float(similarity), bool(relevant), tuple(parts.tolist()), tuple(lost.tolist()))
        for row, similarity, relevant, parts, lost in zip(
            rows, found.similarity, found.relevant, strips, losses, strict=True
        )
    )
