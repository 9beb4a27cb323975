"""`resight reduce`: a run with fewer values an embedding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from resight.cli import output
from resight.cli.data import open_data
from resight.core.files import check_new


def reduce(
    run: Annotated[Path, typer.Argument(help="A run's directory, of a stripnet or resnet50.")],
    data: Annotated[str, typer.Argument(help="What it was trained on: the training pictures choose what is kept.")],
    *,
    dim: Annotated[int, typer.Option(min=1, help="Values of the embedding.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The new run's directory.")],
    format: Annotated[str | None, typer.Option(help="The data's format, where it is not to be guessed.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Half the values, half the gallery: keeps each part's principal components, without training.

    `resight compare` of both says what it costs. A calibration is left out: calibrate anew.

    Example:

      resight reduce runs/mine my_data --dim 128 -o runs/small
    """
    from resight.embedding.loading import of_run
    from resight.models.reduce import reduce_values
    from resight.models.saved import beside, load_model, save_model

    check_new(out)
    model = load_model(run)
    dataset = open_data(data, format, False)
    embedded, problems = of_run(model, run, device=device).embed_crops(dataset.train, progress=output.progress)
    output.name_problems(problems)
    smaller = reduce_values(model, embedded.embeddings, dim)
    before, after = model.config.architecture.dim, smaller.config.architecture.dim
    card = replace(
        smaller.config,
        trained_on=beside(smaller.config.trained_on, "its values chosen on ", [str(dataset)]),
        rights=beside(smaller.config.rights, "of the pictures that its values were chosen on, ", [dataset.rights]),
    )
    save_model(out, smaller.network, card)
    output.tell(f"{before} values to {after}: {out}")
