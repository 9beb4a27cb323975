"""`resight video follow`: a page of where people were, and why that is believed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from resight.cli import output
from resight.cli.gallery_add import Model_, Uri
from resight.core.files import check_folder_of, write_whole
from resight.core.words import counted
from resight.gallery.opening import open_with_model
from resight.gallery.store import without_password
from resight.report.timeline import timeline_page
from resight.video.following import Followed
from resight.video.following import follow as followed
from resight.video.linking.site import read_site


def follow(
    uri: Uri,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write (.html).")],
    pid: Annotated[int | None, typer.Option(help="Only this person. By default everybody.")] = None,
    after: Annotated[
        str | None, typer.Option(help="Only tracklets that began at or after this time, local unless it names a zone.")
    ] = None,
    before: Annotated[str | None, typer.Option(help="Only tracklets that began before this time, as --after.")] = None,
    linked: Annotated[bool, typer.Option("--linked", help="Leave out tracklets that are linked with nobody.")] = False,
    site: Annotated[Path | None, typer.Option(help="The site file that was used to link.")] = None,
    model: Model_ = None,
) -> None:
    """Writes a timeline: a row a person, a lane a camera, the best crops, each link with its probability and reason.

    The page is one file that loads nothing. It shows pictures where the gallery keeps them.

    Example: resight video follow site.db --pid 1000012 -o timeline.html
    """
    check_folder_of(out, "--out", uri, site, model)
    place = read_site(site)
    first, last = output.moment("--after", after), output.moment("--before", before)
    with open_with_model(uri, model, reading=True) as gallery:
        people = followed(gallery, place, pid=pid, after=first, before=last, alone=not linked)
        kept = gallery.settings.keep_crops
    notes = ["Times are UTC. P: how likely the link is right, against every other person and somebody new."]
    if not kept:
        notes.append("This gallery keeps no pictures: `resight gallery create --keep-crops`.")
    title = f"Person {pid}" if pid is not None else f"Who was where: {Path(without_password(uri)).name}"
    write_whole(out, timeline_page(people, title, notes).encode(), private=True)
    output.tell(f"{_counts(people)}: {out}")


def _counts(people: Sequence[Followed]) -> str:
    """How many are on the page, each tracklet once."""
    alone = sum(person.person is None for person in people)
    sure = {each.entry for person in people for each in person.sightings if not each.unsure}
    unsure = {each.entry for person in people for each in person.sightings if each.unsure}
    parts = [counted(len(people) - alone, "person", "people")] if len(people) > alone else []
    parts += [f"{alone:,} linked with nobody"] if alone else []
    doubts = f"; {len(unsure):,} may be of somebody else there too" if unsure else ""
    return f"{counted(len(sure), 'tracklet')}: {', '.join(parts)}{doubts}"
