"""The page that `resight reproduce` leaves: its tables, and how each training came to its figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from resight.report.drawings import progress_drawing
from resight.report.page import Plot, Table, render

Runs = Sequence[tuple[Sequence[int], Sequence[float]]]  # of each seed: epochs, and mAP at their ends


def reproduction_page(
    data: str, note: str, tables: Sequence[Table], told: Mapping[str, Runs], lists: str | None
) -> str:
    """One self-contained page. told: by model; empty where nothing was recorded. lists: the name of the page beside it
    that shows two of the models' ranked lists."""
    caption = "mAP under `top10` while they were trained, a line a seed; nothing was chosen by it."
    progress = Plot(caption, progress_drawing(told)) if any(told.values()) else None
    return render(
        "reproduction.html",
        title="The reference paper's table, trained anew",
        data=data,
        note=note,
        tables=tables,
        progress=progress,
        lists=lists,
    )
