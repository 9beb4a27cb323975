"""`resight video draw`: films of the drawn town, with the whole truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resight.cli import output
from resight.core.files import check_new
from resight.data.city.moving.town import Town, parse_town
from resight.data.city.moving.writing import save_town


def draw(
    spec: Annotated[str, typer.Argument(help="town, or town:seed=3,people=60,cameras=4,seconds=240,dropped=0.3.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="A new folder.")],
    no_pixels: Annotated[bool, typer.Option("--no-pixels", help="Only the truth, by the figures' measures.")] = False,
) -> None:
    """Films a drawn town: a video a camera, its boxes and people as MOT lines and JSON, and its site file.

    No real person is in it, and the same words give the same films.

    Example: resight video draw town:people=20 -o town
    """
    town = Town(parse_town(spec))
    check_new(out)
    save_town(town, out, pixels=not no_pixels, progress=output.progress)
    output.tell(f"{len(town.looks):,} people, {len(town.visits):,} walks past {len(town.names)} cameras: {out}")
    if no_pixels:
        return
    output.tell("next: resight gallery create site.db -m city --keep-crops")
    output.tell(
        f"      for camera in {' '.join(town.names)}; do resight video add site.db {out}/$camera.mp4 --camera $camera "
        f"--start 2026-03-01T08:00:00Z --tracks {out}/truth/$camera.txt; done"
    )
    output.tell(f"      resight video link site.db --site {out}/site.toml")
