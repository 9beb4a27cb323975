"""`resight video evaluate`: tracklets and links against the truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from resight.cli import output
from resight.gallery.opening import open_gallery
from resight.video.scoring.evaluate import VideoEvaluation, evaluate_tracks, tracks_of_lines
from resight.video.scoring.metrics import Scores
from resight.video.scoring.reading import read_truth, tracks_of_gallery


def evaluate(
    source: Annotated[str, typer.Argument(help="A gallery, or lines of tracks: a file, or a folder of CAMERA.txt.")],
    truth: Annotated[Path, typer.Argument(help="The truth: truth.jsonl, CAMERA.txt of MOT lines, AI City lines.")],
    *,
    start: Annotated[
        str | None,
        typer.Option(help="Of frame 1, local unless it names a zone: for lines that have frame numbers only."),
    ] = None,
    rate: Annotated[float | None, typer.Option(min=0.01, help="Frames a second, for the same.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Scores tracklets and links: IDF1 and HOTA pooled over cameras, and what each part of the way loses.

    Example: resight video evaluate site.db truth/
    """
    began = output.moment("--start", start)
    real = read_truth(truth, began, rate)
    path = Path(source)
    if path.is_dir() or path.suffix in (".txt", ".jsonl", ".csv"):
        tracks = tracks_of_lines(read_truth(path, began, rate))
    else:
        with open_gallery(source, read_only=True) as gallery:
            tracks = tracks_of_gallery(gallery)
    found = evaluate_tracks(tracks, real)
    if json_:
        output.tell(json.dumps(found.to_dict()))
    else:
        _tell(found)


def _tell(found: VideoEvaluation) -> None:
    table = Table("", "IDF1", "IDP", "IDR", "HOTA", "DetA", "AssA", box=None)
    rows = {"as linked": found.linked, "each tracklet by itself": found.alone, "linked perfectly": found.perfect}
    for name, each in (*rows.items(), *((f"camera {name}", each) for name, each in found.cameras.items())):
        table.add_row(name, *_cells(each))
    output.print_wide(table)
    ceiling = found.perfect.identity.idf1
    share = found.linked.identity.idf1 / ceiling if ceiling else 0.0
    output.tell(
        f"IDF1 as linked: 95% [{found.interval[0]:.3f}, {found.interval[1]:.3f}] over people; {share:.2f} of what "
        "perfect links of these tracklets would have; the rest of the way to 1 is the detector's and the tracker's"
    )
    output.tell(
        f"{found.num_people:,} people, {found.num_identities:,} identities, {found.num_tracklets:,} tracklets "
        f"({found.false_tracklets:,} of nobody); a person is {found.identities_per_person:.2f} identities, an identity "
        f"is {found.people_per_identity:.2f} people; people are under their main identity for "
        f"{found.right_time:.0%} of their time"
    )
    pairs = Table("cameras", "pairs of one person", "linked", "precision", "recall", box=None)
    for pair in found.pairs:
        name = pair.first if pair.first == pair.second else f"{pair.first}, {pair.second}"
        shares = ((pair.precision, pair.linked), (pair.recall, pair.same))
        told = (f"{share:.2f}" if number else "none" for share, number in shares)
        pairs.add_row(name, f"{pair.same:,}", f"{pair.linked:,}", *told)
    output.print_wide(pairs)


def _cells(each: Scores) -> list[str]:
    i, h = each.identity, each.hota
    return [f"{value:.3f}" for value in (i.idf1, i.precision, i.recall, h.hota, h.det_a, h.ass_a)]
