"""`resight bundle`: any network from crops to embeddings, as a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from resight.cli import output
from resight.cli.data import open_data
from resight.cli.import_weights import three_numbers
from resight.core.files import check_new_file
from resight.core.words import counted


def bundle(
    onnx: Annotated[Path, typer.Argument(help="The network: one input of pictures, an output of embeddings.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The bundle, by custom NAME.resight.")],
    mean: Annotated[str, typer.Option(help="Of the channels, in their order, in [0, 1]: 0.485,0.456,0.406.")],
    std: Annotated[str, typer.Option(help="Likewise. A network that takes 0 to 255: --mean 0,0,0 --std 1/255.")],
    channel_order: Annotated[str, typer.Option(help="rgb or bgr.")],
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH in pixels, where the network leaves it open.")] = None,
    output_name: Annotated[
        str | None, typer.Option("--output", help="The embedding's name, where the network has several outputs.")
    ] = None,
    resize: Annotated[
        str, typer.Option(help="bilinear-antialias (Pillow), bicubic-antialias, or bilinear (OpenCV's).")
    ] = "bilinear-antialias",
    image_centring: Annotated[
        float, typer.Option(help="Takes so much of each picture's own colour out, 0 to 1 (docs/guide.md).")
    ] = 0.0,
    probe: Annotated[
        str | None,
        typer.Option(help="Crops of known people: warns where another channel order or scale tells them apart better."),
    ] = None,
    trained_on: Annotated[str, typer.Option(help="The data it was trained on, for its card.")] = "not stated",
    rights: Annotated[str, typer.Option(help="Who may do what with it, for its card.")] = "not stated",
    weaknesses: Annotated[str, typer.Option(help="What it is bad at, for its card.")] = "not stated",
    name: Annotated[str | None, typer.Option(help="What the model calls itself. Default: the file's name.")] = None,
    format: Annotated[str | None, typer.Option(help="Of --probe, where it is not to be guessed.")] = None,
) -> None:
    """Writes a bundle of a network made elsewhere; it then works wherever ours do.

    It is opened and run once before anything is written. No code in the file is executed.

    Example:

      resight bundle osnet.onnx --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --channel-order rgb
      --probe my_data -o osnet.resight
    """
    from resight.core.pictures.preprocessing import Preprocessing
    from resight.embedding.bundle import write_bundle
    from resight.embedding.foreign.bundling import bundle_onnx, size_of
    from resight.embedding.foreign.files import read_network
    from resight.embedding.foreign.probing import probe_preprocessing
    from resight.embedding.graph import read_graph

    check_new_file(out, "--out")
    data = read_network(onnx)
    height, width = size_of(read_graph(data, str(onnx)), size)
    means, deviations = three_numbers(mean, "--mean"), three_numbers(std, "--std")
    declared = Preprocessing(height, width, means, deviations, resize, channel_order, image_centring)
    made = bundle_onnx(
        data,
        declared,
        name=name or out.stem,
        source=str(onnx),
        output=output_name,
        trained_on=trained_on,
        rights=rights,
        weaknesses=weaknesses,
    )
    if probe is not None:
        dataset = open_data(probe, format, False)
        result = probe_preprocessing(made, dataset, progress=output.progress)
        table = Table(box=None, pad_edge=False, title="Which preprocessing tells people apart", title_justify="left")
        for heading in ("scale", "channels", "mAP", ""):
            table.add_column(heading, no_wrap=True)
        for trial in result.trials:
            note = "declared" if trial.declared else ""
            table.add_row(trial.scale, trial.channel_order, f"{trial.mean_ap:.3f}", note)
        output.print_wide(table)
        output.say(f"{result.num_crops:,} crops of {result.num_people:,} people")
        for warning in result.warnings:
            output.say(f"warning: {warning}")
    write_bundle(out, made)
    network, rule = made.manifest.network, made.manifest.preprocessing
    batch = "any number of pictures" if network.batch is None else counted(network.batch, "picture")
    output.tell(
        f"pictures of {rule.height} x {rule.width} pixels (height x width), {rule.channel_order}, {rule.resize}; "
        f"{batch} at once; {network.dim:,} values, {network.precision}"
    )
    if "output" in made.manifest.provenance:
        output.tell(f"the embedding is the output {made.manifest.provenance['output']}; --output takes another")
    output.tell(f"{out.stat().st_size / 1e6:.1f} MB, {made.manifest.identity}: {out}")
