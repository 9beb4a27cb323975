"""`resight evaluate`: the figures of a model on a data set."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from resight.cli import evaluate_tables as tables
from resight.cli import output
from resight.cli.data import open_data
from resight.cli.models import MODEL_HELP
from resight.cli.sites import SiteOption, at_site, check_fits, open_site, tell_unknown
from resight.core.errors import ConfigError
from resight.core.files import check_folder_of


def evaluate(
    model: Annotated[Path | None, typer.Argument(help=MODEL_HELP, show_default=False)] = None,
    data: Annotated[
        str | None,
        typer.Argument(help="A folder of crops, a table of them (.csv, .parquet), or `synthetic`.", show_default=False),
    ] = None,
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
    distance: Annotated[str, typer.Option(help="How embeddings are compared: cosine or euclidean.")] = "cosine",
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
        bool,
        typer.Option(
            "--centre-cameras", help="Take each camera's mean over these very pictures from their embeddings."
        ),
    ] = False,
    site_: SiteOption = None,
    flip: Annotated[
        bool, typer.Option("--flip", help="Each embedding is the mean with that of the mirrored picture.")
    ] = False,
    cameras_as_trained: Annotated[
        bool,
        typer.Option(
            "--cameras-as-trained",
            help="Tell a TransReID or CLIP-ReID which camera took each picture, as published figures do.",
        ),
    ] = False,
    multi_query: Annotated[
        bool,
        typer.Option(
            "--multi-query", help="One query of all pictures of a person by a camera, those in the gallery included."
        ),
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
    seed: Annotated[int, typer.Option(min=0, help="Of what --verification and --open-set draw.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first unreadable picture.")] = False,
) -> None:
    """Prints rank-1, rank-5, rank-10, mAP and mINP with 95% intervals, under named protocols.

    Examples:

      resight evaluate runs/first synthetic

      resight evaluate mine.resight my_data --protocol market1501 --protocol no-camera --json figures.json

      resight evaluate --embeddings theirs.npz --rerank
    """
    from resight.core.files import write_whole
    from resight.data.embeddings import read_embeddings
    from resight.embedding.explain import measure_hidden
    from resight.embedding.loading import embed_as_trained, load
    from resight.evaluation.breakdown import break_down
    from resight.evaluation.centring import centre_cameras as centre
    from resight.evaluation.decisions.calibrate import check, was_fitted_on
    from resight.evaluation.decisions.open_set import measure_open_set
    from resight.evaluation.decisions.verification import score_pairs, verify
    from resight.evaluation.evaluate import evaluate as score
    from resight.evaluation.expansion import Expansion
    from resight.evaluation.multi_query import pool_queries
    from resight.evaluation.parts.aligned import Aligned
    from resight.evaluation.protocols import find_protocol
    from resight.evaluation.rerank import Reranking

    for name in protocol or ():
        find_protocol(name)  # before the work
    if json_file is not None:
        check_folder_of(json_file, "--json", model, data, site_, *(embeddings or ()))
    expanded = query_expansion or database_augmentation
    if alpha and not expanded:
        raise ConfigError("--alpha says how --query-expansion or --database-augmentation weigh; give one of them")
    if centre_cameras and site_:
        raise ConfigError("--site takes its cameras' means out itself: leave --centre-cameras out")
    if aligned and site_:
        raise ConfigError("--aligned compares strips, which a site's matrix mixes: leave it or --site out")
    if occlusion and (centre_cameras or site_ or flip or multi_query):
        raise ConfigError(
            "--occlusion compares plainly embedded queries: leave --centre-cameras, --site, --flip and --multi-query "
            "out"
        )
    if cameras_as_trained and (flip or occlusion):
        raise ConfigError("--cameras-as-trained embeds plainly: leave --flip and --occlusion out")
    if multi_query and set(protocol or ()) - {"market1501"}:
        raise ConfigError(
            "--multi-query takes pictures that market1501 leaves out; another protocol would look for them"
        )
    if embeddings and model is None and data is None:
        own = ("--flip", flip), ("--aligned", aligned), ("--occlusion", occlusion)
        for option, given in (*own, ("--cameras-as-trained", cameras_as_trained)):
            if given:
                raise ConfigError(f"{option} takes a model and its data, not embeddings")
        loaded, dataset = None, None
        embedded = read_embeddings(*embeddings, zeros=distance == "euclidean")
        described: dict[str, Any] = {"embeddings": [str(path) for path in embeddings]}
    elif model is not None and data is not None and not embeddings:
        loaded = load(model, device=device, runtime=runtime)
        dataset = open_data(data, format, strict)
        if cameras_as_trained:
            embedded = embed_as_trained(model, dataset, device=device, strict=strict, progress=output.progress)
            output.say("the network is told each picture's camera, of query and gallery: no figure for other cameras")
        else:
            embedded = loaded.embed_dataset(dataset, flip=flip, strict=strict, progress=output.progress)
        output.name_problems(embedded.problems)
        output.name_blank(embedded.blank)
        described = {"model": str(model), "model_identity": loaded.identity, "data": str(dataset)}
    else:
        raise ConfigError("name a model and its data, or --embeddings FILE alone")
    query, gallery = embedded.query, embedded.gallery
    site = open_site(site_, loaded)
    if site is not None and site_ is not None and loaded is None:
        check_fits(site, site_, embedded.model, query.embeddings.shape[1], "the model of these files")
    if centre_cameras:
        query, gallery = centre(query, gallery)
    if site is not None:
        tell_unknown(site, query.camera_names, gallery.camera_names)
        query, gallery = at_site(site, query), at_site(site, gallery)
    if multi_query:
        query = pool_queries(query, gallery)

    evaluations = [
        score(
            query,
            gallery,
            name,
            distance=distance,
            expansion=Expansion(query_expansion, database_augmentation, alpha) if expanded else None,
            reranking=Reranking() if rerank else None,
            aligned=Aligned(loaded.strips) if aligned and loaded else None,
        )
        for name in protocol or ["market1501"]
    ]
    tables.print_evaluations(evaluations, centred=centre_cameras, sited=bool(site), flipped=flip, pooled=multi_query)
    values: dict[str, Any] = {
        "schema": "resight.evaluations/1",
        **described,
        "left_out": [f"{problem.name}: {problem.reason}" for problem in embedded.problems],
        "flip": flip,
        "centre_cameras": centre_cameras,
        "cameras_as_trained": cameras_as_trained,
        "site": site.identity if site else None,
        "multi_query": multi_query,
        "evaluations": [evaluation.to_dict() for evaluation in evaluations],
        **dict.fromkeys(("verification", "open_set", "occlusion", "breakdown")),
        "calibration": [],
    }
    first = evaluations[0].protocol
    if verification:
        verified = verify(query, gallery, seed=seed)
        tables.print_verification(verified)
        values["verification"] = verified.to_dict()
        calibration = site.calibration if site else loaded.calibration if loaded else None
        if calibration:
            promises = check(calibration, score_pairs(query, gallery, seed=seed))
            tables.print_promises(calibration, promises)
            named = dataset is not None and str(dataset) in calibration.data
            if named or was_fitted_on(calibration, embedded.query, embedded.gallery):
                output.say(
                    "warning: the calibration was fitted on these very people: what is kept here need not be kept on "
                    "others. Check it on people whom `resight calibrate` did not see"
                )
            values["calibration"] = [{**asdict(promise), "verdict": promise.verdict} for promise in promises]
    if open_set:
        strangers = measure_open_set(query, gallery, seed=seed)
        tables.print_open_set(strangers)
        values["open_set"] = strangers.to_dict()
    if occlusion and loaded and dataset:
        rows = measure_hidden(loaded, dataset, embedded, first, progress=output.progress)
        tables.print_occlusion(rows)
        values["occlusion"] = [asdict(row) for row in rows]
    if breakdown:
        broken = break_down(query, gallery, first)
        tables.print_breakdown(broken, [*dataset.query, *dataset.gallery] if dataset else ())
        values["breakdown"] = broken.to_dict()
    if json_file is not None:
        write_whole(json_file, json.dumps(values, indent=2).encode())
