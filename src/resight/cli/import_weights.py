"""`resight import`: weights made elsewhere into a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from resight.cli import output
from resight.core.errors import ConfigError
from resight.core.files import check_new

SHOWN = 3  # of the keys that were left out


def import_weights(
    weights: Annotated[Path, typer.Argument(help="A PyTorch or safetensors file of somebody else's.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The run's directory.")],
    model: Annotated[
        str | None, typer.Option(help="What it is, where its keys are not to tell: see resight models --importable.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE of what no file holds, as shift=8, side_weight=1.5, unseen=none, neck=after."),
    ] = None,
    mean: Annotated[
        str | None, typer.Option(help="Channel means in [0, 1], R,G,B; those of its project if not given.")
    ] = None,
    std: Annotated[str | None, typer.Option(help="Channel deviations, likewise.")] = None,
    trained_on: Annotated[str | None, typer.Option(help="The data it was trained on, for its card.")] = None,
    rights: Annotated[str | None, typer.Option(help="Who may do what with it, for its card.")] = None,
) -> None:
    """Reads weights of a known project into a run, exactly, or refuses them. No code in the file is executed.

    Examples:

      resight import transformer_120.pth -o runs/transreid

      resight import slicenet2.pth -o runs/report-slicenet2

      resight import transformer_120.pth --option unseen=3 --rights "research only" -o runs/camera3
    """
    from resight.core.pictures.preprocessing import check_scale
    from resight.models.foreign.importing import import_foreign
    from resight.models.saved import save_model

    check_new(out)
    means = three_numbers(mean, "--mean") if mean else None
    deviations = three_numbers(std, "--std") if std else None
    imported = import_foreign(weights, model, dict(map(_option, option or [])))
    config = imported.trained.config
    preprocessing = replace(
        config.preprocessing,
        mean=means or config.preprocessing.mean,
        std=deviations or config.preprocessing.std,
    )
    check_scale(preprocessing)
    config = replace(
        config,
        preprocessing=preprocessing,
        trained_on=trained_on or config.trained_on,
        rights=rights or config.rights,
    )
    save_model(out, imported.trained.network, config)
    if imported.assumed:
        assumed = ", ".join(f"{name}={value}" for name, value in imported.assumed.items())
        output.say(f"no file holds these, so its project's were taken (--option NAME=VALUE changes one): {assumed}")
    if imported.unused:
        more = ", ..." if len(imported.unused) > SHOWN else ""
        output.say(f"{len(imported.unused)} keys serve training only: {', '.join(imported.unused[:SHOWN])}{more}")
    size = f"{preprocessing.height} x {preprocessing.width}"
    output.tell(f"imported {imported.kind}, {size} pixels, {config.architecture.dim} values, from {weights}: {out}")


def _option(text: str) -> tuple[str, Any]:
    """NAME=VALUE, the value a whole number, a number, true, false, or a word. Raises ConfigError for another form."""
    name, given, value = text.partition("=")
    if not (name.isidentifier() and given and value):
        raise ConfigError(f"--option takes NAME=VALUE, as shift=8, not {text!r}")
    if value in ("true", "false"):
        return name, value == "true"
    for kind in (int, float):
        try:
            # A camera that is not known is named by a word, which may be a number.
            return name, value if name == "unseen" else kind(value)
        except ValueError:
            continue
    return name, value


def three_numbers(text: str, option: str) -> tuple[float, float, float]:
    """Of an option such as `0.485,0.456,0.406`; one number stands for three. Raises ConfigError."""
    try:
        values = [_number(part) for part in text.split(",")]
    except (ValueError, ZeroDivisionError):
        values = []
    if len(values) == 1:
        values *= 3
    if len(values) != 3:
        raise ConfigError(f"{option} takes three numbers such as 0.485,0.456,0.406, not {text!r}")
    return values[0], values[1], values[2]


def _number(text: str) -> float:
    """Also as a fraction, as 1/255."""
    above, _, below = text.partition("/")
    return float(above) / float(below) if below else float(above)
