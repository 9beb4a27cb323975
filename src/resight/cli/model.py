"""`resight model` and `resight models`: what a model says of itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from resight.cli import output
from resight.cli.models import MODEL_HELP
from resight.core.files import check_folder_of


def inspect(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    as_json: Annotated[bool, typer.Option("--json", help="All of it, as the model's file has it.")] = False,
) -> None:
    """Prints the card of a model."""
    from resight.embedding.card_text import card_rows
    from resight.embedding.loading import find_card

    found, identity, document = find_card(model)
    if as_json:
        output.tell(json.dumps(document, indent=2))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for title, text in card_rows(found, identity):
        table.add_row(title, text)
    output.console.print(table)


def card(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A file instead of the terminal.")] = None,
) -> None:
    """Writes the card as Markdown, in the form that model hubs read."""
    from resight.core.files import write_whole
    from resight.embedding.card_text import model_card
    from resight.embedding.loading import find_card

    found, identity, _ = find_card(model)
    text = model_card(found, identity, Path(model).name)
    if out is None:
        output.tell(text.rstrip("\n"))
        return
    check_folder_of(out, "--out", model)
    write_whole(out, text.encode())


def models(
    importable: Annotated[
        bool, typer.Option("--importable", help="What `resight import` reads, whence one gets it, and its rights.")
    ] = False,
) -> None:
    """Lists the models that come with the package, or those that can be imported."""
    from resight.embedding.packaged import FOLDER, packaged_bundle, packaged_models

    if importable:
        _print_importable()
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "precision", "size", "dim", "counted on", "rank-1", "mAP", "rights"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "rights")
    for name in packaged_models():
        bundle = packaged_bundle(name)
        manifest = bundle.manifest
        figure = manifest.figures[0] if manifest.figures else None
        table.add_row(
            name,
            manifest.network.precision,
            f"{len(bundle.onnx) / 1e6:.1f} MB",
            str(manifest.network.dim),
            re.split(r" \(|:", figure.data)[0] if figure else "",
            f"{figure.rank1:.3f}" if figure else "",
            f"{figure.mean_ap:.3f}" if figure else "",
            re.split(r" \(|[;:,]", manifest.rights)[0],  # all of it: model inspect
        )
    output.print_wide(table)
    output.say("figures on different data do not compare; the rights in full, and more: resight model inspect NAME")
    output.say(f"the files: {FOLDER}")


def _print_importable() -> None:
    from resight.models.foreign.importable import IMPORTABLE

    table = Table(box=None, pad_edge=False)
    for heading in ("--model", "networks and files", "from", "printed", "rights in code; weights"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "--model")
    for one in IMPORTABLE:
        printed = "none on its page"
        if one.rank1 is not None and one.mean_ap is not None:
            printed = f"{one.data}: rank-1 {one.rank1:.3f}, mAP {one.mean_ap:.3f} ({one.protocol})"
        table.add_row(one.kind, f"{one.networks}: {one.files}", one.source, printed, f"{one.code}; {one.rights}")
    output.print_wide(table)
    output.say("printed figures are their makers' own, by the protocol beside them; count them anew on your data")
    output.say("nothing is downloaded: get the file there, then resight import FILE -o RUN (docs/import.md)")
