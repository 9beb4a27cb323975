"""`resight evaluate`: the figures of a run on a data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from resight.cli import output
from resight.cli.data import open_data
from resight.core.errors import ConfigError
from resight.evaluation.bootstrap import format_figure

if TYPE_CHECKING:
    from resight.core.records import EmbeddedCrops
    from resight.evaluation.evaluate import Evaluation
    from resight.evaluation.verification import Verification


def evaluate(
    run: Annotated[Path | None, typer.Argument(help="A run's directory.", show_default=False)] = None,
    data: Annotated[str | None, typer.Argument(help="A folder of crops, or `synthetic`.", show_default=False)] = None,
    embeddings: Annotated[
        Path | None,
        typer.Option(help="Instead of RUN and DATA: embeddings made by any tool, npz or Parquet (see the guide)."),
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(help="market1501, no-camera or report; may be given several times."),
    ] = None,
    metric: Annotated[str, typer.Option(help="cosine or euclidean.")] = "cosine",
    rerank: Annotated[bool, typer.Option("--rerank", help="k-reciprocal re-ranking: k1 20, k2 6, lambda 0.3.")] = False,
    query_expansion: Annotated[int, typer.Option(min=0, help="Join so many neighbours to each query.")] = 0,
    database_augmentation: Annotated[int, typer.Option(min=0, help="The same for each gallery picture.")] = 0,
    alpha: Annotated[float, typer.Option(min=0, help="Neighbours weigh by their similarity to this power.")] = 0.0,
    verification: Annotated[
        bool, typer.Option("--verification", help="Same or not, over pairs: EER, and TAR at given FAR.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
    format: Annotated[str | None, typer.Option(help="The data's format, where it is not to be guessed.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first unreadable picture.")] = False,
) -> None:
    """Prints rank-1, rank-5, mAP and mINP with 95% intervals, under named protocols.

    Examples:

      resight evaluate runs/first synthetic

      resight evaluate runs/mine my_data --protocol market1501 --protocol no-camera --json figures.json

      resight evaluate --embeddings theirs.npz --rerank
    """
    from resight.core.files import write_whole
    from resight.evaluation.evaluate import evaluate as score
    from resight.evaluation.expansion import Expansion
    from resight.evaluation.rerank import Reranking

    if json_file is not None and not json_file.parent.is_dir():
        raise ConfigError(f"--json: the folder {json_file.parent} does not exist")
    expanded = query_expansion or database_augmentation
    if alpha and not expanded:
        raise ConfigError("--alpha says how --query-expansion or --database-augmentation weigh; give one of them")
    if embeddings is not None and run is None:
        query, gallery, described = _read(embeddings)
    elif run is not None and data is not None and embeddings is None:
        query, gallery, described = _embed(run, data, format, device, strict)
    else:
        raise ConfigError("name a run and its data, or --embeddings FILE alone")
    evaluations = [
        score(
            query,
            gallery,
            name,
            metric=metric,
            expansion=Expansion(query_expansion, database_augmentation, alpha) if expanded else None,
            reranking=Reranking() if rerank else None,
            seed=seed,
        )
        for name in protocol or ["market1501"]
    ]
    output.console.print(_table(evaluations))
    for evaluation in evaluations:
        output.say(output.counts(evaluation))
    output.say(f"by {evaluations[0].metric}; {output.INTERVALS}")
    verified = _verify(query, gallery, seed) if verification else None
    if json_file is not None:
        values = {
            "schema": "resight.evaluations/1",
            **described,
            "evaluations": [evaluation.to_dict() for evaluation in evaluations],
            "verification": verified.to_dict() if verified else None,
        }
        write_whole(json_file, json.dumps(values, indent=2).encode())


def _verify(query: EmbeddedCrops, gallery: EmbeddedCrops, seed: int) -> Verification:
    from resight.evaluation.verification import verify

    found = verify(query, gallery, seed=seed)
    table = Table(box=None, pad_edge=False, title="Same person or not, by two cameras", title_justify="left")
    for heading in ("", "", "threshold"):
        table.add_column(heading, justify="right" if heading or table.columns else "left", no_wrap=True)
    table.add_row("EER", output.escape(format_figure(found.eer, found.eer_interval)), "")
    for point in found.points:
        if point.threshold is None:
            cells = ("too few pairs", "")
        else:
            cells = (format_figure(point.true_accept_rate, point.interval), f"{point.threshold:.3f}")
        table.add_row(f"TAR at FAR {point.false_accept_rate:g}", *map(output.escape, cells))
    output.console.print(table)
    output.say(
        f"{found.num_genuine:,} pairs of one person, {found.num_sampled:,} of {found.num_impostor:,} pairs of two, of "
        f"{found.num_people:,} people; in brackets: 95% bootstrap intervals over the people"
    )
    return found


Crops = tuple["EmbeddedCrops", "EmbeddedCrops", dict[str, Any]]


def _embed(run: Path, data: str, format: str | None, device: str, strict: bool) -> Crops:
    """Query, gallery, and what the JSON says of them."""
    from resight.models.saved import load_model
    from resight.training.embed import embed_dataset

    model = load_model(run)
    dataset = open_data(data, format, strict)
    embedded = embed_dataset(model, dataset, device=device, strict=strict, progress=output.progress)
    output.name_problems(embedded.problems)
    described = {
        "model": str(run),
        "weights_sha256": model.card.weights_sha256,
        "data": str(dataset),
        "left_out": [f"{problem.name}: {problem.reason}" for problem in embedded.problems],
    }
    return embedded.query, embedded.gallery, described


def _read(path: Path) -> Crops:
    from resight.data.embeddings import read_embeddings

    query, gallery = read_embeddings(path)
    return query, gallery, {"embeddings": str(path), "left_out": []}


def _table(evaluations: list[Evaluation]) -> Table:
    """A column a protocol, each figure with its interval."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for evaluation in evaluations:
        table.add_column(evaluation.protocol, justify="right", no_wrap=True)
    rows = {
        "rank-1": [format_figure(e.rank(1), e.rank1_interval) for e in evaluations],
        "rank-5": [format_figure(e.rank(5)) for e in evaluations],
        "mAP": [format_figure(e.mean_ap, e.mean_ap_interval) for e in evaluations],
        "mINP": [format_figure(e.mean_inp, e.mean_inp_interval) for e in evaluations],
    }
    for name, cells in rows.items():
        table.add_row(name, *map(output.escape, cells))
    return table
