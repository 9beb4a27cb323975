"""`resight doctor`: what a data set holds, what is wrong with it, and what to do, before a week of training."""

from __future__ import annotations

import io
import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from resight.cli import output
from resight.cli.data import open_data
from resight.cli.models import MODEL_HELP
from resight.cli.train import DEFAULT_RECIPE
from resight.core.errors import ConfigError
from resight.core.words import counted

if TYPE_CHECKING:
    from resight.core.records import EmbeddedCrops, IntArray
    from resight.data.crops import Crop
    from resight.data.doctor.doctor import Diagnosis
    from resight.embedding.model import Model
    from resight.evaluation.labels import Suspect

FOUND_WARNING, FOUND_ERROR = 7, 8  # exit codes
STYLES = {"error": "bold red", "warning": "yellow", "note": ""}
DOUBTFUL_PRINTED, DOUBTFUL_SHOWN = 5, 50


class FailOn(StrEnum):
    """The least severity that makes the command fail."""

    error = "error"
    warning = "warning"
    never = "never"


def doctor(
    data: Annotated[str, typer.Argument(help="A folder of crops, a manifest, or `synthetic`.")],
    model: Annotated[
        Path | None,
        typer.Option(help=f"Also list pictures whose label is likely wrong, by this model's embeddings. {MODEL_HELP}"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write index.html, doctor.json and sample.png into this folder.")
    ] = None,
    fail_on: Annotated[
        FailOn, typer.Option(help="Exit with code 8 for an error, and with 7 for a warning where this is `warning`.")
    ] = FailOn.error,
    format: Annotated[str | None, typer.Option(help="The data's format, where it is not to be guessed.")] = None,
    device: Annotated[str, typer.Option(help="For --model: auto, cpu, cuda or cuda:N.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of the cross-validation of labels.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first unreadable picture.")] = False,
) -> None:
    """Checks a data set: says what it holds, what is wrong with it, and which command to begin with.

    Examples:

      resight doctor my_data -o doctor

      resight doctor my_data --model runs/mine -o doctor --fail-on warning
    """
    from resight.core.files import write_whole
    from resight.data.doctor.doctor import examine
    from resight.embedding.loading import load
    from resight.training.recipes import find_recipe

    if out is not None and out.exists() and not out.is_dir():
        raise ConfigError(f"--out: {out} is not a directory")
    loaded = load(model, device=device) if model is not None else None
    dataset = open_data(data, format, strict)
    diagnosis = examine(dataset, data, recipe=find_recipe(DEFAULT_RECIPE), strict=strict, progress=output.progress)
    suspects: list[Suspect] = []
    embedded, note = None, ""
    if loaded is not None:
        embedded, suspects, note = _doubtful(diagnosis, loaded, str(model), seed)
    _print(diagnosis)
    if embedded is not None:
        output.console.print(f"\n{note}", soft_wrap=True)
        called = {crop.pid: crop.shown_person for crop in diagnosis.survey.crops}
        for suspect in suspects[:DOUBTFUL_PRINTED]:
            own, other = (called.get(pid, pid) for pid in (suspect.pid, suspect.other_pid))
            line = f"  {embedded.names[suspect.row]}: labelled {own}, looks like {other} ({suspect.score:.2f})"
            output.console.print(line, soft_wrap=True)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        values = diagnosis.to_dict()
        if embedded is not None:
            values["doubtful_labels"] = [_to_dict(suspect, embedded) for suspect in suspects]
            values["doubtful_labels_from"] = note
        write_whole(out / "doctor.json", json.dumps(values, indent=2).encode())
        _write_page(out, diagnosis, suspects, embedded, note)
        output.say(f"the page, to look at: {out / 'index.html'}")
    if diagnosis.severity == "error" and fail_on != FailOn.never:
        raise typer.Exit(FOUND_ERROR)
    if diagnosis.severity == "warning" and fail_on == FailOn.warning:
        raise typer.Exit(FOUND_WARNING)


def _print(diagnosis: Diagnosis) -> None:
    for split in diagnosis.splits:
        output.console.print(
            f"{split.name}: {counted(split.num_images, 'image')} of {counted(split.num_ids, 'identity', 'identities')} "
            f"by {counted(split.num_cameras, 'camera')}; {split.per_identity[1]:g} an identity "
            f"({split.per_identity[0]:,} to {split.per_identity[2]:,})",
            soft_wrap=True,
        )
    if not diagnosis.findings:
        output.console.print("\nNothing wrong was found.")
    for finding in diagnosis.findings:
        sign = Text(finding.severity, STYLES[finding.severity])
        output.console.print(Text.assemble("\n", sign, ": ", output.visible(finding.what)), soft_wrap=True)
        names = [" = ".join(crop.name for crop in shown) for shown in finding.examples]
        names += [f"{problem.name}: {problem.reason}" for problem in finding.files]
        for line in (f"effect: {finding.effect}", f"fix: {finding.fix}", *(f"- {name}" for name in names[:3])):
            output.console.print(f"  {line}", soft_wrap=True)
    advice = diagnosis.advice
    for text in (
        f"\nprotocol: {', then '.join(advice.protocols) or 'none'}. {advice.protocol_reason}",
        *(
            f"a rank-1 of {guess:.2f} would have the 95% interval {queries[0]:.2f} to {queries[1]:.2f} if queries of a "
            f"person are independent, {people[0]:.2f} to {people[1]:.2f} if they are all right or all wrong together"
            for guess, queries, people in advice.intervals[1:2]
        ),
        f"to begin with: {advice.command or 'nothing'}\n  {advice.command_reason}",
    ):
        output.console.print(text, soft_wrap=True)


def _doubtful(diagnosis: Diagnosis, model: Model, name: str, seed: int) -> tuple[EmbeddedCrops, list[Suspect], str]:
    """The crops' embeddings, the pictures with doubtful labels, and how they were found, in words."""
    from resight.evaluation.labels import suspect_labels

    crops = diagnosis.survey.crops
    embedded, _ = model.embed_crops(crops, progress=output.progress)
    suspects = suspect_labels(embedded, seed=seed)
    note = (
        f"{len(suspects):,} of {len(crops):,} pictures lie nearer to another identity than to their own, by the "
        f"embeddings of {name} (trained on: {model.card.trained_on}), whitened in five-fold cross-validation. The "
        "most doubtful come first: look from the top until they are right. A weak model finds many that are merely "
        "hard; one that was trained long on these very labels finds too few. A whole walk under a wrong label is "
        "not found."
    )
    return embedded, suspects, note


def _to_dict(suspect: Suspect, embedded: EmbeddedCrops) -> dict[str, object]:
    names = embedded.names
    return {
        "name": names[suspect.row],
        "pid": suspect.pid,
        "looks_like": suspect.other_pid,
        "score": round(suspect.score, 4),
        "nearest_same_label": [names[row] for row in suspect.own],
        "nearest_other": [names[row] for row in suspect.other],
    }


def _write_page(
    out: Path, diagnosis: Diagnosis, suspects: list[Suspect], embedded: EmbeddedCrops | None, note: str
) -> None:
    from resight.core.files import write_whole
    from resight.report.doctor import DoubtfulLabel, doctor_page, sample_sheet

    by_name = {crop.name: crop for crop in diagnosis.survey.crops}
    crops = [by_name[name] for name in embedded.names] if embedded is not None else []

    def of(rows: IntArray) -> tuple[Crop, ...]:
        return tuple(crops[row] for row in rows)

    doubtful = [
        DoubtfulLabel(crops[s.row], s.other_pid, s.score, of(s.own), of(s.other)) for s in suspects[:DOUBTFUL_SHOWN]
    ]
    write_whole(out / "index.html", doctor_page(diagnosis, doubtful, note).encode())
    sheet = sample_sheet(diagnosis)
    if sheet is not None:
        picture = io.BytesIO()
        sheet.save(picture, "PNG")
        write_whole(out / "sample.png", picture.getvalue())
