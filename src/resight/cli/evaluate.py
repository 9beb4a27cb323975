"""`resight evaluate`: the figures of a model on a data set."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from resight.cli import output
from resight.cli.data import open_data
from resight.cli.models import MODEL_HELP
from resight.core.errors import ConfigError
from resight.evaluation.bootstrap import Interval, format_figure

if TYPE_CHECKING:
    from resight.cli.models import OpenedModel
    from resight.core.calibration import Calibration
    from resight.core.records import EmbeddedCrops
    from resight.data.crops import Dataset
    from resight.evaluation.breakdown import Breakdown
    from resight.evaluation.decisions.calibrate import Promise
    from resight.evaluation.decisions.open_set import OpenSet
    from resight.evaluation.decisions.verification import Verification
    from resight.evaluation.evaluate import Evaluation
    from resight.evaluation.parts.aligned import Aligned


def evaluate(
    model: Annotated[Path | None, typer.Argument(help=MODEL_HELP, show_default=False)] = None,
    data: Annotated[str | None, typer.Argument(help="A folder of crops, or `synthetic`.", show_default=False)] = None,
    embeddings: Annotated[
        list[Path] | None,
        typer.Option(
            help="Instead of MODEL and DATA: embeddings made by `resight embed` or any other tool, npz or Parquet (see "
            "the guide); several times, for several shards."
        ),
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(help="market1501, no-camera or top10; may be given several times."),
    ] = None,
    metric: Annotated[str, typer.Option(help="cosine or euclidean.")] = "cosine",
    rerank: Annotated[bool, typer.Option("--rerank", help="k-reciprocal re-ranking: k1 20, k2 6, lambda 0.3.")] = False,
    query_expansion: Annotated[int, typer.Option(min=0, help="Join so many neighbours to each query.")] = 0,
    database_augmentation: Annotated[int, typer.Option(min=0, help="The same for each gallery picture.")] = 0,
    alpha: Annotated[float, typer.Option(min=0, help="Neighbours weigh by their similarity to this power.")] = 0.0,
    verification: Annotated[
        bool, typer.Option("--verification", help="Same or not, over pairs: EER, and TAR at given FAR.")
    ] = False,
    open_set: Annotated[
        bool, typer.Option("--open-set", help="Searches for strangers: FNIR at FPIR 10% and 1%.")
    ] = False,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="Compare by the whole and by strips aligned on a shortest path.")
    ] = False,
    centre_cameras: Annotated[
        bool, typer.Option("--centre-cameras", help="Take each camera's mean embedding from its pictures' embeddings.")
    ] = False,
    flip: Annotated[
        bool, typer.Option("--flip", help="Each embedding is the mean with that of the mirrored picture.")
    ] = False,
    occlusion: Annotated[
        bool,
        typer.Option("--occlusion", help="Queries with a third hidden: compared plainly, and on what both show."),
    ] = False,
    breakdown: Annotated[
        bool, typer.Option("--breakdown", help="By pairs of cameras, by person, and the queries that cost most.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
    format: Annotated[str | None, typer.Option(help="The data's format, where it is not to be guessed.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    runtime: Annotated[str, typer.Option(help="Of a bundle: onnxruntime or openvino.")] = "onnxruntime",
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first unreadable picture.")] = False,
) -> None:
    """Prints rank-1, rank-5, mAP and mINP with 95% intervals, under named protocols.

    Examples:

      resight evaluate runs/first synthetic

      resight evaluate mine.resight my_data --protocol market1501 --protocol no-camera --json figures.json

      resight evaluate --embeddings theirs.npz --rerank
    """
    from resight.cli.models import open_model
    from resight.core.files import write_whole
    from resight.evaluation.centring import centre_cameras as centre
    from resight.evaluation.evaluate import evaluate as score
    from resight.evaluation.expansion import Expansion
    from resight.evaluation.rerank import Reranking

    if json_file is not None and not json_file.parent.is_dir():
        raise ConfigError(f"--json: the folder {json_file.parent} does not exist")
    expanded = query_expansion or database_augmentation
    if alpha and not expanded:
        raise ConfigError("--alpha says how --query-expansion or --database-augmentation weigh; give one of them")
    if flip and model is None:
        raise ConfigError("--flip mirrors pictures: it takes a model and its data, not embeddings")
    if embeddings and model is None:
        query, gallery, described = _read(embeddings)
        opened, dataset = None, None
    elif model is not None and data is not None and not embeddings:
        opened = replace(open_model(model, device, strict, runtime), flip=flip)
        dataset = open_data(data, format, strict)
        query, gallery, described = _embed(opened, dataset)
    else:
        raise ConfigError("name a model and its data, or --embeddings FILE alone")
    if centre_cameras:
        query, gallery = centre(query, gallery)
    evaluations = [
        score(
            query,
            gallery,
            name,
            distance=metric,
            expansion=Expansion(query_expansion, database_augmentation, alpha) if expanded else None,
            reranking=Reranking() if rerank else None,
            aligned=_strips_of(opened) if aligned else None,
            seed=seed,
        )
        for name in protocol or ["market1501"]
    ]
    output.print_wide(_table(evaluations))
    for evaluation in evaluations:
        output.say(output.counts(evaluation))
    prepared = ", cameras centred" if centre_cameras else ""
    prepared += ", with mirrored pictures" if flip else ""
    output.say(f"by {evaluations[0].distance}{prepared}; {output.INTERVALS}")
    verified = _verify(query, gallery, seed) if verification else None
    calibration = opened.calibration if opened else None
    promises = _check(calibration, query, gallery, seed) if verification and calibration else ()
    strangers = _open_set(query, gallery, seed) if open_set else None
    occluded = None
    if occlusion:
        if opened is None or dataset is None:
            raise ConfigError("--occlusion paints over pictures: it takes a model and its data, not embeddings")
        if centre_cameras or flip:
            raise ConfigError("--occlusion compares plainly embedded queries: leave --centre-cameras and --flip out")
        occluded = _occlude(opened, dataset, query, gallery, evaluations[0].protocol, seed)
    broken = _break_down(query, gallery, evaluations[0].protocol, seed) if breakdown else None
    if json_file is not None:
        values = {
            "schema": "resight.evaluations/1",
            **described,
            "flip": flip,
            "centre_cameras": centre_cameras,
            "evaluations": [evaluation.to_dict() for evaluation in evaluations],
            "verification": verified.to_dict() if verified else None,
            "calibration": [{**asdict(promise), "verdict": promise.verdict} for promise in promises],
            "open_set": strangers.to_dict() if strangers else None,
            "occlusion": occluded,
            "breakdown": broken.to_dict() if broken else None,
        }
        write_whole(json_file, json.dumps(values, indent=2).encode())


def _strips_of(model: OpenedModel | None) -> Aligned:
    from resight.core.visibility import Parts
    from resight.evaluation.parts.aligned import Aligned

    if model is None:
        raise ConfigError("--aligned needs to know where the strips are: it takes a model and its data, not embeddings")
    return Aligned(Parts.of(model.parts))


def _verify(query: EmbeddedCrops, gallery: EmbeddedCrops, seed: int) -> Verification:
    from resight.evaluation.decisions.verification import verify

    found = verify(query, gallery, seed=seed)
    rows = [("EER", format_figure(found.eer, found.eer_interval), "")]
    for point in found.points:
        rows.append(
            _point(f"TAR at FAR {point.false_accept_rate:g}", point.true_accept_rate, point.interval, point.threshold)
        )
    _print_points("Same person or not, by two cameras", rows)
    output.say(
        f"{found.num_genuine:,} pairs of one person, {found.num_sampled:,} of {found.num_impostor:,} pairs of two, of "
        f"{found.num_people:,} people; in brackets: 95% bootstrap intervals over the people"
    )
    return found


def _check(calibration: Calibration, query: EmbeddedCrops, gallery: EmbeddedCrops, seed: int) -> tuple[Promise, ...]:
    from resight.evaluation.decisions.calibrate import check
    from resight.evaluation.decisions.verification import score_pairs

    promises = check(calibration, score_pairs(query, gallery, seed=seed))
    table = Table(box=None, pad_edge=False, title="What the model's calibration promised", title_justify="left")
    for heading in ("", "threshold", "FAR here", ""):
        table.add_column(heading, no_wrap=True)
    for p in promises:
        cells = (f"FAR {p.false_accept_rate:g}", f"{p.threshold:.3f}", str(p.counted), p.verdict)
        table.add_row(*map(output.escape, cells))
    output.print_wide(table)
    output.say(f"fitted on {calibration.data}, {calibration.date}")
    if any(p.verdict == "broken" for p in promises):
        output.say("The calibration does not hold on these data: calibrate on people of this place.")
    return promises


def _break_down(query: EmbeddedCrops, gallery: EmbeddedCrops, protocol: str, seed: int) -> Breakdown:
    from resight.evaluation.breakdown import break_down

    found = break_down(query, gallery, protocol, seed=seed)
    most = 8
    pairs = [
        (
            f"camera {pair.query_camid} among {pair.gallery_camid}",
            format_figure(pair.rank1, pair.rank1_interval),
            format_figure(pair.mean_ap, pair.mean_ap_interval),
        )
        for pair in found.camera_pairs[:most]
    ]
    people = [
        (f"person {person.pid}", f"{person.rank1:.3f}", f"{person.mean_ap:.3f}") for person in found.people[:most]
    ]
    for title, rows in (("The hardest pairs of cameras", pairs), ("The people who cost most", people)):
        _print_rows(title, ("", "rank-1", "mAP"), rows)
    costly = [
        (q.name, f"{q.average_precision:.3f}", "-" if q.first_right is None else str(q.first_right))
        for q in found.costly[:most]
    ]
    _print_rows("The queries that cost most", ("", "AP", "first right"), costly)
    output.say(
        f"{len(found.camera_pairs)} pairs of cameras and {len(found.people)} people, under {found.protocol} by "
        f"{found.distance}; all of them by --json"
    )
    return found


def _open_set(query: EmbeddedCrops, gallery: EmbeddedCrops, seed: int) -> OpenSet:
    from resight.evaluation.decisions.open_set import measure_open_set

    found = measure_open_set(query, gallery, seed=seed)
    rows = [
        _point(f"FNIR at FPIR {p.false_positive_rate:g}", p.false_negative_rate, p.interval, p.threshold)
        for p in found.points
    ]
    _print_points("Somebody we know or nobody", rows)
    output.say(
        f"{found.num_known:,} of {found.num_people:,} people in the gallery, {found.splits} draws; a draw has "
        f"{found.num_mated:.0f} searches for them and {found.num_nonmated:.0f} for strangers; in brackets: 95% "
        "intervals over draws and people"
    )
    for size in found.sizes:
        output.say(
            f"with {size.num_people:.0f} people in the gallery and the first threshold, FPIR is {size.counted:.3f}; "
            f"1 - (1 - p)^(M / N) foretells {size.foretold:.3f}"
        )
    return found


def _point(name: str, value: float | None, interval: Interval | None, threshold: float | None) -> tuple[str, str, str]:
    if threshold is None:
        return name, "too few to tell", ""
    return name, format_figure(value, interval), f"{threshold:.3f}"


def _print_points(title: str, rows: list[tuple[str, str, str]]) -> None:
    _print_rows(title, ("", "", "threshold"), rows)


def _print_rows(title: str, headings: tuple[str, str, str], rows: list[tuple[str, str, str]]) -> None:
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    table.add_column(headings[0], overflow="fold")
    for heading in headings[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*map(output.escape, row))
    output.print_wide(table)


def _occlude(
    model: OpenedModel, dataset: Dataset, query: EmbeddedCrops, gallery: EmbeddedCrops, name: str, seed: int
) -> list[dict[str, Any]]:
    """Each third of the queries hidden in turn; a row a third and a way of comparing."""
    from resight.core.visibility import THIRDS, Parts, hide
    from resight.data.decoding import mean_picture
    from resight.evaluation.parts.occlusion import measure_occlusion

    parts = Parts.of(model.parts)
    picture = mean_picture(dataset.gallery, model.size.height, model.size.width)
    named = {crop.name: crop for crop in dataset.query}
    crops = [named[crop] for crop in query.names]
    hidden = {
        third: model.embed_edited(crops, f"hiding the {third}", partial(hide, third=third, picture=picture))[0]
        for third in THIRDS
    }
    found = measure_occlusion(query, hidden, gallery, parts, name, seed=seed)
    rows = []
    for row in found:
        rank1, mean_ap = format_figure(row.rank1, row.rank1_interval), format_figure(row.mean_ap, row.mean_ap_interval)
        rows.append((f"{row.hidden}, {row.compared}", rank1, mean_ap))
    _print_rows("Queries with a third hidden", ("hidden, compared by", "rank-1", "mAP"), rows)
    output.say("mask: the first 100 put in order again by the strips that both show, the hidden rows being known")
    return [asdict(row) for row in found]


def _embed(model: OpenedModel, dataset: Dataset) -> tuple[EmbeddedCrops, EmbeddedCrops, dict[str, Any]]:
    """Query, gallery, and what the JSON says of them."""
    embedded = model.embed_dataset(dataset)
    described = {
        "model": str(model.path),
        **model.identity,
        "data": str(dataset),
        "left_out": [f"{problem.name}: {problem.reason}" for problem in embedded.problems],
    }
    return embedded.query, embedded.gallery, described


def _read(paths: list[Path]) -> tuple[EmbeddedCrops, EmbeddedCrops, dict[str, Any]]:
    from resight.data.embeddings import read_embeddings

    query, gallery = read_embeddings(*paths)
    return query, gallery, {"embeddings": [str(path) for path in paths], "left_out": []}


def _table(evaluations: list[Evaluation]) -> Table:
    """A column a protocol, each figure with its interval."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for evaluation in evaluations:
        table.add_column(evaluation.protocol, justify="right", no_wrap=True)
    for title in evaluations[0].cells():
        table.add_row(title, *(output.escape(evaluation.cells()[title]) for evaluation in evaluations))
    return table
