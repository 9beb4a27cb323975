"""`resight calibrate`: fits what a model's similarities mean at a site, and writes it into the model."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from resight.cli import output
from resight.cli.calibrate_answers import people_in, tell_answers
from resight.cli.calibrate_places import check_model, named_places
from resight.cli.sites import RATES, crops_of_place, keep_calibration, open_site, tell_unknown
from resight.core.calibration import Calibration
from resight.core.errors import ConfigError, DataError
from resight.core.files import check_folder_of, check_new, check_new_file
from resight.embedding.loading import calibrated_copy, load
from resight.embedding.model import Model
from resight.site.transform import SiteTransform


def calibrate(
    model: Annotated[
        Path,
        typer.Argument(
            help="A run's directory or a bundle, into which the calibration is written; a packaged name, with --out."
        ),
    ],
    data: Annotated[
        list[str],
        typer.Argument(
            help="A folder of crops, a manifest, `synthetic`, a gallery whose people have names, or a file of MODEL's "
            "embeddings; of several places, one each."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Write a calibrated copy here, NAME.resight (of a run a new directory), and leave MODEL as it is.",
        ),
    ] = None,
    site_: Annotated[
        str | None,
        typer.Option(
            "--site",
            help="Calibrate what MODEL gives at this site: a site of `resight site fit`, or a gallery that has one, "
            "into which the calibration is written.",
        ),
    ] = None,
    far: Annotated[
        list[float] | None,
        typer.Option(help="A false accept rate that there must be a threshold for; may be given several times."),
    ] = None,
    unlabelled: Annotated[
        bool,
        typer.Option(
            "--unlabelled",
            help="Nobody is named: thresholds for false accept rates alone. DATA may be a gallery or a file of "
            "embeddings too, of a place where no picture need have a name.",
        ),
    ] = False,
    split: Annotated[
        list[str] | None,
        typer.Option("--split", help="With --unlabelled, of a data set: train, query or gallery; all unless given."),
    ] = None,
    everybody: Annotated[
        bool,
        typer.Option(
            "--everybody", help="Use DATA's training pictures too: for a model that was trained on other data."
        ),
    ] = False,
    page: Annotated[
        Path | None,
        typer.Option(help="Write a page with the reliability diagram, the DET curve and the rates by threshold."),
    ] = None,
    format: Annotated[str | None, typer.Option(help="The data's format, where it is not to be guessed.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the folds, the bootstrap and the sample of pairs.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first unreadable picture.")] = False,
) -> None:
    """Fits P(same), and thresholds that keep to given rates of errors, on people whom the model was not trained on.

    Rates that the people are too few to support are refused, and at the end it says which are supported and how to ask
    for them. Of several places the rates are those of all their pairs
    together, none of which is of two places: for a model that is to work at places not known yet.

    Examples:

      resight calibrate runs/mine my_data --page calibration.html

      resight calibrate runs/mine other_site --everybody --far 0.01 --far 0.001

      resight calibrate runs/mine site_a site_b site_c

      resight calibrate default my_data -o mine.resight

      resight calibrate default site.db --site site.db --unlabelled
    """
    from resight.core.files import write_whole
    from resight.evaluation.decisions.calibrate import calibrate as fit
    from resight.evaluation.decisions.verification import pairs_within, verify_pairs
    from resight.report.calibration import ACCEPT_RATES, COST, calibration_page, thresholds_table

    for rate in far or ():
        if not 0 < rate < 1:
            raise ConfigError(f"--far: a rate lies between 0 and 1, not at {rate:g}")
    if page is not None:
        check_folder_of(page, "--page", model, site_, *data)
        if page == out:
            raise ConfigError(f"--page and --out are both {page}; name another file")
    opened = load(model, device=device)
    site = open_site(site_, opened)
    if out is not None:
        _check_out(model, out, site_)
    if site is None and out is None and not opened.can_keep_calibration:
        raise ConfigError(opened.no_calibration)
    keep = partial(_keep, opened, model, out, site_, site)
    if unlabelled:
        if everybody or page is not None or len(data) > 1:
            raise ConfigError("--unlabelled takes one place, all its pictures, and makes no page")
        _without_labels(opened, data[0], split, site, site_, tuple(far or RATES), format, strict, seed, keep, out)
        return
    if split:
        raise ConfigError("--split goes with --unlabelled; with names the test people are taken, or --everybody")
    people = named_places(data, opened, site, format, everybody=everybody, strict=strict)
    places = people.places
    fitted = fit(
        places,
        data=people.data,
        rights=people.rights,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        site=site.identity if site else "",
        seed=seed,
    )
    c = fitted.calibration
    rates = tuple(sorted(far, reverse=True)) if far else ACCEPT_RATES
    if all(c.accept_index(rate) is None for rate in rates):
        raise DataError(
            f"{c.num_people} people are too few for a false accept rate of {max(rates):g}: with as many others it "
            f"could be {min(c.false_accept.high):.2g} at any threshold. Nothing was written. Ask for a higher rate, "
            "or give pictures of more people."
        )
    before = site.calibration if site else opened.card.calibration
    written = keep(c)
    if page is not None:
        verified = verify_pairs(pairs_within(places, seed=seed), seed=seed)
        write_whole(page, calibration_page(model.resolve().name, fitted, verified, rates).encode())
    shown = thresholds_table(c, rates)
    table = Table(box=None, pad_edge=False)
    for heading in shown.headings:
        table.add_column(heading, overflow="fold")
    for row in shown.rows:
        table.add_row(*row)
    output.print_wide(table)
    output.say(COST)
    output.say(
        f"{c.num_people:,} people{' at the least a place' if len(places) > 1 else ''}, {c.num_genuine:,} pairs of one "
        f"and {c.num_impostor:,} of two, by two cameras; in brackets: 95% intervals for as many other people"
    )
    output.say(
        f"P(same): {c.method} (Brier score {c.brier[c.method]:.4f} out of fold), expected calibration error {c.ece}"
    )
    tell_answers(c, people_in(site_, *data))
    _tell_written(written, None if out else before, out)


def _check_out(model: Path, out: Path, site: str | None) -> None:
    if site is not None:
        raise ConfigError("--site keeps the calibration with the site, and --out in a copy of the model: give one")
    if out.is_dir() and not model.is_dir():
        raise ConfigError(f"--out: {out} is a directory; name a file, such as mine.resight")
    if model.is_dir():
        check_folder_of(out, "--out")
        check_new(out)
    else:
        check_new_file(out, "--out")


def _keep(
    opened: Model, model: Path, out: Path | None, spec: str | None, site: SiteTransform | None, c: Calibration
) -> str | Path:
    """Writes the calibration where it belongs, and says where."""
    if out is not None:
        return calibrated_copy(model, c, out)
    return opened.save_calibration(c) if site is None or spec is None else keep_calibration(spec, site, c)


def _tell_written(written: str | Path, before: Calibration | None, out: Path | None) -> None:
    if before is not None:
        had = ", with its P(same)" if before.method != "none" else ""
        output.say(f"this replaces the calibration of {before.date} on {before.data}{had}")
    output.say(f"written into {written}; at another site, calibrate anew")
    if out is not None:
        output.say(f"embeddings stay the same: a gallery of the model before opens with --model {out}, calibrated so")


def _without_labels(
    model: Model,
    place: str,
    split: list[str] | None,
    site: SiteTransform | None,
    spec: str | None,
    rates: tuple[float, ...],
    format: str | None,
    strict: bool,
    seed: int,
    keep: Callable[[Calibration], str | Path],
    out: Path | None,
) -> None:
    from resight.evaluation.decisions.unlabelled import calibrate_unlabelled

    crops = crops_of_place(place, model, split, format, strict, leave_known=True)
    if site is not None:
        tell_unknown(site, crops.cameras)
    check_model(place, crops.model, crops.embeddings.shape[1], model)
    embeddings = crops.embeddings if site is None else site.apply(crops.embeddings, crops.cameras)
    identity = site.identity if site else ""
    blind = calibrate_unlabelled(
        embeddings, crops.cameras, crops.tracks, data=f"{crops.source}, without labels", site=identity, seed=seed
    )
    c = blind.calibration
    if all(c.accept_index(rate) is None for rate in rates):
        raise DataError(
            f"{len(crops):,} pictures are too few for a false accept rate of {max(rates):g}: it could be "
            f"{min(c.false_accept.high):.2g} at any threshold. Nothing was written. Ask for a higher rate, or give more"
        )
    before = site.calibration if site else model.card.calibration
    written = keep(c)
    refused: list[str] = []
    table = Table("decision", "threshold", "counted", "missed within a track", box=None, pad_edge=False)
    for rate in sorted(rates, reverse=True):
        index = c.accept_index(rate)
        if index is None:
            refused.append(f"{rate:g}")
            table.add_row(f"same, FAR {rate:g}", "refused", "", "")
            continue
        missed = f"{blind.missed_within[index]:.2g}" if blind.missed_within else "-"
        table.add_row(f"same, FAR {rate:g}", f"{c.thresholds[index]:.3f}", str(c.false_accept.at(index)), missed)
    output.print_wide(table)
    if refused:
        output.say(
            f"refused: {len(crops):,} pictures cannot show a rate of {' or '.join(refused)}: it could be "
            f"{min(c.false_accept.high):.2g} at any threshold. It takes pictures of more people"
        )
    output.say(
        f"{c.num_impostor:,} pairs by two cameras, of which {blind.one_person:.2g} at the most are of one person. They "
        "count as false accepts too: the rates are rather lower"
    )
    output.say(
        "how many pairs of one person are missed is not known without labels: more than within a track. So nothing is "
        "told to be `different` or `nobody we know`"
    )
    tell_answers(c, people_in(spec, place))
    _tell_written(written, None if out else before, out)
