"""`resight adapt`: trains a model on one site's pictures, of which nobody says who is in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from resight.cli import output
from resight.cli.data import FORMAT_HELP, open_data
from resight.cli.models import MODEL_HELP
from resight.core.errors import ConfigError
from resight.core.files import write_whole
from resight.gallery.engines import is_gallery
from resight.gallery.transfer.rows import crops_of
from resight.site.rounds import SITE_FILE, Outcome, RoundFacts

PAGE = "adaptation.html"


def adapt(
    model: Annotated[Path, typer.Argument(help=f"The model to begin with: {MODEL_HELP}")],
    site: Annotated[
        str,
        typer.Argument(
            help="Pictures of the site: a table with path and camid (and track), a folder with a sub-folder for each "
            "camera, or any data set."
        ),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The new run's directory.")],
    tracks: Annotated[
        bool, typer.Option("--tracks/--no-tracks", help="Without tracks nothing tells whether it helped.")
    ] = True,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Rounds of clustering the site and learning its clusters. Default: 12.")
    ] = None,
    eps: Annotated[
        float | None,
        typer.Option(min=0.05, max=0.95, help="The clusters' reach, in place of what the criterion chooses."),
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(min=0, help="Adam's. Default: 3.5e-4.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=8, help="Pictures a step. Default: 64.")] = None,
    split: Annotated[
        list[str] | None, typer.Option("--split", help="Of a data set: train, query or gallery; all unless given.")
    ] = None,
    rights: Annotated[str | None, typer.Option(help="The pictures' rights, for the model's card.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The one seed of all randomness.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    format: Annotated[str | None, typer.Option(help=FORMAT_HELP)] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    amp: Annotated[bool, typer.Option(help="bfloat16 where the device computes in it.")] = True,
    max_memory_mb: Annotated[int, typer.Option(min=0, help="Stream the pictures above this size.")] = 4096,
    checkpoint_every_s: Annotated[float, typer.Option(min=0, help="Seconds between checkpoints.")] = 30.0,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first unreadable picture.")] = False,
) -> None:
    """Trains a model further on a site's own pictures, whoever is in them, and leaves a run with its site transform.

    `track` (equal for the pictures of one walk past one camera) is what it learns from first; some tracks are left out
    to tell whether it helped. Where it did not, the new run is the model as it was, with the site transform alone.

    Examples:

      resight adapt default my_site.csv -o runs/mine

      resight adapt default my_site.csv -o runs/mine --resume
    """
    from resight.training.adaptation.adapt import Site
    from resight.training.adaptation.adapt import adapt as run
    from resight.training.adaptation.begun import check_begun
    from resight.training.adaptation.settings import Adaptation
    from resight.training.loop import TrainOptions
    from resight.training.pretrained import is_bundle
    from resight.training.run import is_begun

    if is_gallery(site):
        raise ConfigError(
            "a gallery holds embeddings; training takes the pictures: a folder, a manifest or a data set. `resight "
            "video crops` writes those of films and streams"
        )
    asked = {"rounds": rounds, "eps": eps, "learning_rate": learning_rate, "batch_size": batch_size}
    settings = replace(Adaptation(), **{name: value for name, value in asked.items() if value is not None})  # type: ignore[arg-type]
    options = TrainOptions(
        device=device,
        amp=amp,
        strict=strict,
        resume=resume,
        checkpoint_every_s=checkpoint_every_s,
        max_memory_mb=max_memory_mb,
    )
    check_begun(out, model, settings, seed, tracks, options)
    dataset = open_data(site, format, strict, labelled=False)
    crops = crops_of(dataset, *([split] if split else []))
    place = Site(dataset.name, crops, rights or dataset.rights, tracked=tracks)
    page_lacks = not (out / PAGE).exists()
    try:
        result = run(model, place, out, settings, seed, options, output.progress, tell_round, page_lacks)
    except KeyboardInterrupt:  # while the pictures are read, or between two rounds
        result = None
    if result is None and not is_begun(out):
        output.say(f"stopped before the first round was begun: nothing is saved, and there is no {out} to go on with")
        raise typer.Exit(130)
    if result is None or result.outcome is None:
        output.say(f"stopped, saved in {out}. Go on with: {output.same_command('--resume')}")
        raise typer.Exit(130)
    output.name_problems(result.problems)
    tell_outcome(result.outcome, out, is_bundle(model))
    if result.pictures is not None:
        from resight.report.adaptation import adaptation_page

        pictures = result.pictures
        shown = [pictures.images.crops[row] for row in pictures.rows.tolist()]
        page = adaptation_page(result.outcome, out, shown, pictures.cameras)
        write_whole(out / PAGE, page.encode())
        output.tell(f"the rounds and samples of clusters, to look at: {out / PAGE}")


def tell_round(facts: RoundFacts) -> None:
    """A round, as it begins."""
    criterion = "" if facts.criterion is None else f"EER within cameras {facts.criterion:.4f}; "
    parted = f", {facts.parted:,} tracklets taken apart" if facts.parted else ""
    output.say(
        f"round {facts.number}: {criterion}{facts.clusters:,} clusters, {facts.across:,} of them across cameras, of "
        f"{facts.pictures:,} of {facts.of:,} pictures (eps {facts.eps:g}, the largest {facts.largest:.1%}{parted})"
    )


def tell_outcome(outcome: Outcome, out: Path, unfolded: bool) -> None:
    """How it ended, and what to do with it. unfolded: it was begun with a bundle."""
    if outcome.copies:
        output.say(f"{outcome.copies:,} pictures left out: the same camera has the very same picture")
    for warning in outcome.warnings:
        output.say(f"warning: {warning}")
    if outcome.adapted:
        output.tell(f"adapted to {outcome.site}: {outcome.reason}")
    else:
        output.tell(f"not adapted: {outcome.reason}. {out} holds {outcome.source} as it was, and its site transform")
        if unfolded:
            output.say(
                f"its embeddings are those of {outcome.source}, but it is stored as a run, so under another identity: "
                f"a gallery of {outcome.source} takes neither it nor its site transform; for that gallery: resight "
                "site fit GALLERY"
            )
    if outcome.spread is not None:
        spread = outcome.spread
        output.say(
            f"counted on {spread.tracklets:,} tracklets, {spread.pictures:,} pictures; the EER changed by "
            f"{spread.change[0]:+.4f} to {spread.change[1]:+.4f} (95%, by resampling tracklets)"
        )
    output.tell(f"{out}, used with --site {out / SITE_FILE}")
