"""`resight import`: weights made elsewhere into a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from resight.cli import output
from resight.core.errors import ConfigError
from resight.core.files import check_new


def import_weights(
    weights: Annotated[Path, typer.Argument(help="A PyTorch state dict of the reference paper's.")],
    model: Annotated[str, typer.Option(help="bignet, slicenet1 or slicenet2.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The run's directory.")],
    mean: Annotated[
        str | None, typer.Option(help="Channel means in [0, 1], R,G,B; the paper's own if not given.")
    ] = None,
    std: Annotated[str | None, typer.Option(help="Channel deviations, likewise.")] = None,
    trained_on: Annotated[str | None, typer.Option(help="The data it was trained on, for its card.")] = None,
    rights: Annotated[str | None, typer.Option(help="Who may do what with it, for its card.")] = None,
) -> None:
    """Reads the reference paper's own weights into a run, exactly. No code in the file is executed.

    Example:

      resight import slicenet2.pth --model slicenet2 -o runs/report-slicenet2
    """
    from resight.models import reference_weights
    from resight.models.saved import save_model

    check_new(out)
    imported = reference_weights.import_reference_weights(
        weights,
        model,
        three_numbers(mean, "--mean") if mean else reference_weights.REFERENCE_MEAN,
        three_numbers(std, "--std") if std else reference_weights.REFERENCE_STD,
    )
    config = replace(
        imported.config,
        trained_on=trained_on or imported.config.trained_on,
        rights=rights or imported.config.rights,
    )
    save_model(out, imported.network, config)
    output.tell(f"imported {model} from {weights}: {out}")


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
