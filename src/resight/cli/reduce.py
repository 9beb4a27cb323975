"""`resight reduce`: a run with embeddings of a smaller dimension."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from resight.cli import output
from resight.cli.data import open_training_data
from resight.core.files import check_new


def reduce(
    run: Annotated[Path, typer.Argument(help="A run's directory, of a stripnet or resnet50.")],
    data: Annotated[
        str | None,
        typer.Argument(
            help="The data that it was trained on: the components that are kept are of its training pictures. May be "
            "absent with --unlabelled."
        ),
    ] = None,
    *,
    dim: Annotated[int, typer.Option(min=1, help="The new dimension of the embeddings.")],
    unlabelled: Annotated[
        list[Path] | None, typer.Option(help="A folder of crops without labels that it was trained on.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The new run's directory.")],
    format: Annotated[str | None, typer.Option(help="The data's format, where it is not to be guessed.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Makes a run whose embeddings have a smaller dimension, without training: half the dimension, half the gallery.

    Each part of the embedding is projected onto the principal components of its differences within cameras. `resight
    compare` of both runs says what that costs. A calibration is not taken over: calibrate again.

    Example:

      resight reduce runs/mine my_data --dim 128 -o runs/small
    """
    from resight.embedding.loading import of_run
    from resight.models.reduce import reduce_dimension
    from resight.models.saved import beside, load_model, save_model

    check_new(out)
    model = load_model(run)
    dataset = open_training_data(data, unlabelled or [], format, False)
    crops = (*dataset.train, *dataset.unlabelled)
    embedded, problems = of_run(model, run, device=device).embed_crops(crops, progress=output.progress)
    output.name_problems(problems)
    smaller = reduce_dimension(model, embedded.embeddings, embedded.camids, dim)
    before, after = model.config.architecture.dim, smaller.config.architecture.dim
    card = replace(
        smaller.config,
        trained_on=beside(smaller.config.trained_on, "its values chosen on ", [str(dataset)]),
        rights=beside(smaller.config.rights, "of the pictures that its values were chosen on, ", [dataset.rights]),
    )
    save_model(out, smaller.network, card)
    output.tell(f"dimension {before} to {after}: {out}")
