"""`resight site`: what one place's cameras add to embeddings, fitted without identities."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer
from rich.table import Table

from resight.cli import output
from resight.cli.calibrate_answers import people_in, tell_answers
from resight.cli.data import FORMAT_HELP
from resight.cli.gallery import Json, Purpose, Who
from resight.cli.gallery_add import Uri, Wait
from resight.cli.sites import RATES, crops_of_place, needed_site, site_in_force
from resight.core.errors import ConfigError
from resight.core.files import check_folder_of
from resight.core.times import format_time, parse_period_s
from resight.embedding.card import short_of
from resight.gallery.engines import is_gallery
from resight.gallery.opening import open_gallery
from resight.gallery.store import without_password
from resight.site.drift import drift_of
from resight.site.files import save_site
from resight.site.transform import SiteTransform, short_of_site

MOVED = 7  # exit code
Place = Annotated[str, typer.Argument(help="A gallery, a file of embeddings, a data set or a folder of crops.")]
Site = Annotated[str, typer.Argument(help="A site that `fit` wrote, or a gallery that has one.")]
ModelOption = Annotated[str | None, typer.Option("--model", "-m", help="What embeds the pictures, of pictures.")]
After = Annotated[
    str | None,
    typer.Option(
        help="Pictures of this time or later: ISO 8601 (local unless it names a zone), or seconds since 1970."
    ),
]
Before = Annotated[str | None, typer.Option(help="Pictures before this time.")]
Splits = Annotated[
    list[str] | None, typer.Option("--split", help="Of a data set: train, query or gallery; all unless given.")
]
Format = Annotated[str | None, typer.Option(help=FORMAT_HELP)]


def fit(
    place: Place,
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write the site to this file. Of a gallery: and leave it as it is."),
    ] = None,
    model: ModelOption = None,
    tracks: Annotated[
        bool, typer.Option("--tracks/--no-tracks", help="Whether to use tracks, where there are any.")
    ] = True,
    exponent: Annotated[
        float | None, typer.Option(min=0, max=1, help="Of the whitening, instead of choosing it; 0: centring alone.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="A camera that gets no mean, as one of a staff entrance. May be repeated.")
    ] = None,
    after: After = None,
    before: Before = None,
    split: Splits = None,
    format: Format = None,
    who: Who = None,
    purpose: Purpose = "",
    wait: Wait = 5.0,
) -> None:
    """Fits a mean for each camera and one matrix to a site's pictures. Nobody need be named, nothing is trained.

    Of a gallery it is in force from then on: for what is stored and for what is searched for. Where pictures have
    tracks (equal for the pictures of one walk past one camera), it is better by half.

    Examples:

      resight site fit site.db

      resight site fit my_data --model default --split train -o my.site
    """
    if out is not None:
        check_folder_of(out, "--out", place, model)
    period = {"after": output.moment("--after", after), "before": output.moment("--before", before)}
    options = {"tracked": tracks, "exponent": exponent, "without": tuple(without or ()), **period}
    if is_gallery(place) and out is None:
        with open_gallery(place, wait_s=wait, who=who, purpose=purpose) as gallery:
            before_it = site_in_force(gallery)
            site = gallery.site.fit(**options)  # type: ignore[arg-type]
            in_force = gallery.site.transform
    elif out is None:
        if "://" not in place and not Path(place).exists():
            raise ConfigError(f"{place} is not there; give a gallery, a folder, a manifest or a file of embeddings")
        raise ConfigError(f"{place} is no gallery, so say by --out where to write the site")
    else:
        site = crops_of_place(place, model, split, format).fit(**options)  # type: ignore[arg-type]
        save_site(site, out)
    _print(site)
    where = out if out is not None else f"in force in {without_password(place)}"
    output.tell(f"site {short_of_site(site.identity)}: {where}")
    if out is None:
        _tell_of_calibration(before_it, in_force)
        if site.facts.no_better:
            output.say(f"to compare raw embeddings again: resight site remove {without_password(place)}")


def show(site: Site, *, json_: Json = False) -> None:
    """Says how a site was fitted, and whether it is calibrated."""
    found = needed_site(site, None)
    if json_:
        facts = {"identity": found.identity, "model": found.model, "dim": found.dim, **asdict(found.facts)}
        calibration = found.calibration.to_dict() if found.calibration else None
        output.tell(json.dumps({"schema": "resight.site-facts/1", **facts, "calibration": calibration}))
        return
    _print(found)
    output.tell(f"site {short_of_site(found.identity)}, of the model {short_of(found.model) or 'that is not named'}")
    if found.calibration is None:
        output.tell("not calibrated")
        return
    output.tell(f"calibrated on {found.calibration.data}")
    table = Table("same, at a false accept rate of", "threshold", "counted", box=None, pad_edge=False)
    for rate in RATES:
        index = found.calibration.accept_index(rate)
        if index is None:
            table.add_row(f"{rate:g}", "not supported", "")
        else:
            counted = found.calibration.false_accept.at(index)
            table.add_row(f"{rate:g}", f"{found.calibration.thresholds[index]:.3f}", str(counted))
    output.print_wide(table)
    tell_answers(found.calibration, people_in(site))


def check(
    site: Site,
    place: Annotated[str | None, typer.Argument(help="Recent pictures, as for `fit`; of a gallery its own.")] = None,
    *,
    model: ModelOption = None,
    after: After = None,
    before: Before = None,
    last: Annotated[str | None, typer.Option(help="Instead of --after: the last 7d or 12h.")] = None,
    split: Splits = None,
    format: Format = None,
) -> None:
    """Says whether recent pictures of each camera still look as its mean does: light, season and lenses change. Ends
    with code 7 where a camera moved or has no mean.

    Example: resight site check site.db --last 7d
    """
    found = needed_site(site, None)
    if place is None and not is_gallery(site):
        raise ConfigError("say which pictures to look at: resight site check SITE PLACE")
    if last is not None and after is not None:
        raise ConfigError("give either --after or --last")
    start = output.moment("--after", after)
    start = start if last is None else datetime.now(UTC).timestamp() - parse_period_s(last)
    recent = crops_of_place(place or site, model, split, format)
    if found.model and recent.model not in ("", found.model):
        raise ConfigError(f"{place or site} is embedded by another model than the site's; fit another site for it")
    everything, recent = recent, recent.within(start, output.moment("--before", before))
    if not len(recent):
        raise ConfigError(f"there are no pictures of that time; {_times_of(everything.times)}")
    table = Table("camera", "pictures", "moved by", "by chance", "", box=None)
    drifts = drift_of(found, recent.embeddings, recent.cameras, recent.tracks)
    for drift in drifts:
        figures = ("-" if value is None else f"{value:.3f}" for value in (drift.moved, drift.by_chance))
        table.add_row(drift.camera, f"{drift.pictures:,}", *figures, drift.state)
    output.print_wide(table)
    output.say(f"against the site of {found.facts.date}, {short_of_site(found.identity)}")
    strange = [drift.camera for drift in drifts if drift.state in ("moved", "no mean")]
    if strange:
        output.say(f"fit the site anew: {', '.join(strange)} {'is' if len(strange) == 1 else 'are'} not as then")
        raise typer.Exit(MOVED)


def use(
    uri: Uri,
    site: Annotated[str, typer.Argument(help="A site that `fit` wrote, or another gallery that has one.")],
    *,
    who: Who = None,
    purpose: Purpose = "",
    wait: Wait = 5.0,
) -> None:
    """Puts a site that was fitted elsewhere in force in a gallery."""
    found = needed_site(site, None)
    with open_gallery(uri, wait_s=wait, who=who, purpose=purpose) as gallery:
        before = site_in_force(gallery)
        gallery.site.use(found)
        _tell_of_calibration(before, gallery.site.transform)
    output.tell(f"site {short_of_site(found.identity)}: in force in {without_password(uri)}")


def remove(uri: Uri, *, who: Who = None, purpose: Purpose = "", wait: Wait = 5.0) -> None:
    """Takes a gallery's site away: embeddings are compared as they are stored again."""
    with open_gallery(uri, wait_s=wait, who=who, purpose=purpose) as gallery:
        before = site_in_force(gallery)
        gallery.site.use(None)
        _tell_of_calibration(before, None)
    output.tell(f"{without_password(uri)}: embeddings are compared as they are stored")


def _tell_of_calibration(before: SiteTransform | None, after: SiteTransform | None) -> None:
    """Where there is none now, as a calibration is of one transform, or of none."""
    if before is not None and before.calibration is not None and (after is None or after.calibration is None):
        output.say("the calibration was of the site before, and is gone with it: calibrate anew")
    elif after is not None and after.calibration is None:
        output.say(
            "searches have no verdict until this site is calibrated (resight calibrate MODEL PLACE --site, without "
            "names by --unlabelled): the model's own calibration is of raw embeddings"
        )


def _print(site: SiteTransform) -> None:
    facts = site.facts
    cameras = Table("camera", "pictures", "tracklets", box=None)
    for name, camera in facts.cameras.items():
        cameras.add_row(name, f"{camera.pictures:,}", f"{camera.tracklets:,}" if facts.method == "tracklets" else "-")
    output.print_wide(cameras)
    if facts.criterion:
        told = {"raw": "raw", "0": "centred"}
        figures = ", ".join(f"{told.get(name, f'whitened {name}')} {eer:.3f}" for name, eer in facts.criterion.items())
        output.tell(f"EER within cameras, of tracklets left out of the fit: {figures}")
    how = "the scatter within tracklets" if facts.method == "tracklets" else "the scatter of all pictures (no tracks)"
    output.tell(f"each camera's mean taken out, whitened by {how} to the power {facts.exponent:g}")
    output.tell(f"fitted {facts.date} to {facts.source or 'embeddings'}{_period(site)}")
    for warning in facts.warnings:
        output.say(f"warning: {warning}")


def _period(site: SiteTransform) -> str:
    after, before = site.facts.after, site.facts.before
    since = "" if after is None else f", from {format_time(after)}"
    return since + ("" if before is None else f", before {format_time(before)}")


def _times_of(times: npt.NDArray[np.float64]) -> str:
    """From when to when, for a message."""
    known = times[np.isfinite(times)]
    if not len(known):
        return "none has a time"
    return f"those that have a time are from {format_time(float(known.min()))} to {format_time(float(known.max()))}"
