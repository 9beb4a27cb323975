"""`resight video link` and `unlink`: tracklets to people, and back."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from resight.cli import output
from resight.cli.gallery_add import Model_, Uri, Wait
from resight.cli.stopping import exit_code, stopping
from resight.core.errors import DataError
from resight.core.files import check_folder_of, write_whole
from resight.core.times import parse_period_s
from resight.core.words import counted
from resight.gallery.gallery import Gallery
from resight.gallery.opening import open_gallery, open_with_model
from resight.video.linking.linker import Done, carry_out, plan_links, undo_links
from resight.video.linking.planning import SURE, Plan, Unsure
from resight.video.linking.site import Site, read_site

SHOWN = 10
ROUGH = 40  # tracklets below which the number of people is hardly known
Who = Annotated[str | None, typer.Option(help="Who does it, for the audit. By default this system's user.")]


def link(
    uri: Uri,
    *,
    site: Annotated[Path | None, typer.Option(help="What the place knows of itself, as TOML: docs/video.md.")] = None,
    since: Annotated[str | None, typer.Option(help="Only tracklets of the last 1h, 30m or 2d.")] = None,
    after: Annotated[
        str | None, typer.Option(help="Only tracklets that began at or after this time, local unless it names a zone.")
    ] = None,
    before: Annotated[str | None, typer.Option(help="Only tracklets that began before this time, as --after.")] = None,
    sure: Annotated[
        float, typer.Option(min=0.01, max=0.99, help="The least probability of a link; less is `unsure`.")
    ] = SURE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be linked, and change nothing.")] = False,
    watch: Annotated[
        str | None, typer.Option(help="Again every 10s or 1m, until a signal ends it: for live cameras, with --since.")
    ] = None,
    review: Annotated[
        Path | None, typer.Option(help="Write what is unsure into this file, as lines of JSON, to look at.")
    ] = None,
    model: Model_ = None,
    who: Who = None,
    wait: Wait = 5.0,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Links the tracklets of one person, in one camera and across, each with the probability that it is right.

    Nobody is at two places at once, and nobody is faster than the site file says. Links of users stay. `resight video
    unlink` takes all back, `resight gallery unlink` one of them; the audit has each.

    Example: resight video link site.db --site site.toml --since 1h
    """
    place = read_site(site)
    period = None if since is None else parse_period_s(since)
    pause = None if watch is None else max(0.1, parse_period_s(watch))
    first, last = output.moment("--after", after), output.moment("--before", before)
    if review is not None:
        check_folder_of(review, "--review", uri, site)
    stop = threading.Event()
    with stopping(stop.set) as came, open_with_model(uri, model, wait_s=wait, who=who) as gallery:
        if gallery.needed_model().calibration is None:
            output.say(
                "note: the model has no calibration, so that linking begins with a usual one and fits it to this "
                "place: look at the links before they are relied on (--dry-run, `resight video follow`)"
            )
        while True:
            begin = first if period is None else datetime.now(UTC).timestamp() - period
            try:
                unsure = _pass(gallery, place, begin, last, sure, dry_run, json_)
                if review is not None:
                    lines = "".join(json.dumps(asdict(each)) + "\n" for each in unsure)
                    write_whole(review, lines.encode())
            except DataError:
                if pause is None:
                    raise
            if pause is None or stop.wait(pause):
                break
    if came:
        raise typer.Exit(exit_code(came[0]))


def unlink(uri: Uri, *, who: Who = None, wait: Wait = 5.0) -> None:
    """Takes back all links that `resight video link` made. Those that users made stay."""
    with open_gallery(uri, wait_s=wait, who=who) as gallery:
        done = undo_links(gallery)
    output.tell(f"{counted(done.undone, 'link')} taken back")


def _pass(
    gallery: Gallery, site: Site, after: float | None, before: float | None, sure: float, dry: bool, as_json: bool
) -> Sequence[Unsure]:
    unsure: list[Unsure] = []
    for plan in plan_links(gallery, site, after=after, before=before, sure=sure):
        done = Done() if dry else carry_out(gallery, plan)
        unsure += plan.unsure
        if as_json:
            output.tell(json.dumps({"schema": "resight.video-link/1", "dry_run": dry, **asdict(done), **asdict(plan)}))
        else:
            _tell(plan, site, dry)
    return unsure


def _tell(plan: Plan, site: Site, dry: bool) -> None:
    would = "would be " if dry else ""
    output.tell(
        f"{counted(plan.tracklets, 'tracklet')}: {counted(plan.people, 'person', 'people')} of two or more, "
        f"{counted(plan.alone, 'tracklet by itself', 'tracklets by themselves')}, {len(plan.unsure):,} unsure"
    )
    output.tell(
        f"{counted(len(plan.links), 'link')} {would}made, {len(plan.undo):,} {would}undone, {plan.stay:,} stay; "
        f"expected F-measure of pairs {plan.expected_f:.2f}"
    )
    about = counted(round(plan.about), "person", "people")
    if site.people:
        output.say(f"the site file says that about {about} were there")
    else:
        rough = "little more than a guess of so few tracklets" if plan.tracklets < ROUGH else "roughly"
        output.say(f"looks suggest about {about} in all, {rough}; if you know better: `people` in the file of --site")
    for table, rest in _tables(plan, dry):
        output.print_wide(table)
        if rest:
            output.tell(rest)


def _tables(plan: Plan, dry: bool) -> Iterator[tuple[Table, str]]:
    """And what says how many rows are left out, if any are."""
    if plan.links and dry:
        table = Table("entry", "person", "probability", "why", title="to link", box=None, title_justify="left")
        for each in plan.links[:SHOWN]:
            person = f"{each.person}" if each.person >= 0 else f"new {-each.person}"
            table.add_row(str(each.entry), person, f"{each.probability:.2f}", each.reason)
        yield table, _rest(len(plan.links), "--json has all")
    if plan.unsure:
        table = Table("entry", "and", "probability", "why", title="unsure", box=None, title_justify="left")
        for doubt in plan.unsure[:SHOWN]:
            table.add_row(str(doubt.entry), str(doubt.other), f"{doubt.probability:.2f}", doubt.reason)
        yield table, _rest(len(plan.unsure), "--review FILE has all")


def _rest(number: int, where: str) -> str:
    return f"... {number - SHOWN:,} more; {where}" if number > SHOWN else ""
