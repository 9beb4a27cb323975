"""`resight export`: a run to a bundle, which engineers install without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from resight.cli import output
from resight.cli.data import open_data


def export(
    run: Annotated[Path, typer.Argument(help="A run's directory.")],
    *,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="The bundle, by custom NAME.resight; or NAME.onnx: its network alone, for other programs.",
        ),
    ],
    precision: Annotated[str, typer.Option(help="fp32 or int8.")] = "fp32",
    data: Annotated[
        str | None,
        typer.Option(help="Rank-1 and mAP of network and bundle are counted on its query and gallery."),
    ] = None,
    calibration_images: Annotated[
        Path | None, typer.Option(help="For int8: pictures of the kind that will come. Otherwise those of --data.")
    ] = None,
    max_loss: Annotated[float, typer.Option(min=0, max=1, help="Of mAP, with --data.")] = 0.005,
    weaknesses: Annotated[str, typer.Option(help="What the model is bad at, for its card.")] = "not stated",
    rights: Annotated[str | None, typer.Option(help="Who may do what with it. Default: as its run has it.")] = None,
    name: Annotated[str | None, typer.Option(help="What the model calls itself. Default: the file's name.")] = None,
    format: Annotated[str | None, typer.Option(help="The data's format, where it is not to be guessed.")] = None,
) -> None:
    """Writes the bundle, unless it gives other embeddings than the network: then it says by how much, and writes none.

    Examples:

      resight export runs/mine -o mine.resight --data my_data

      resight export runs/mine -o mine-int8.resight --precision int8 --calibration-images pictures

      resight export runs/mine -o mine.onnx
    """
    from resight.core.files import check_new_file
    from resight.data.pictures import open_pictures
    from resight.export.export import export_run
    from resight.export.plain import SUFFIX, in_words

    check_new_file(out, "--out")
    chosen = open_pictures(calibration_images) if calibration_images is not None else None
    exported = export_run(
        run,
        out,
        precision=precision,
        name=name,
        data=open_data(data, format, False) if data is not None else None,
        calibration_pictures=chosen,
        weaknesses=weaknesses,
        rights=rights,
        max_loss=max_loss,
        progress=output.progress,
    )
    parity = exported.parity
    table = Table(box=None, pad_edge=False, title="The network in PyTorch, and the bundle", title_justify="left")
    for heading in ("", "PyTorch", "bundle", "difference"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    largest, mean = f"{parity.max_difference:.1e} at most", f"{parity.mean_difference:.1e} on average"
    table.add_row(f"embeddings, {parity.num_pictures} pictures", "", "", f"{largest}, {mean}")
    table.add_row("their mean cosine", "", "", f"{parity.mean_cosine:.6f}")
    table.add_row("decoders, of 255", "", "", str(parity.decoder_difference))
    if parity.comparison is not None:
        for figure, title in (("rank1", "rank-1"), ("mean_ap", "mAP")):
            difference = parity.comparison.differences[figure]
            interval = difference.interval
            one, other = parity.comparison.figures(figure)
            signed = f"{difference.mean:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"
            table.add_row(title, f"{one:.4f}", f"{other:.4f}", signed)
    output.print_wide(table)
    if parity.comparison is None:
        output.say("rank-1 and mAP were not counted: give --data")
    if exported.calibration_left_out:
        output.say("the run's calibration is of fp32 and was left out: calibrate the bundle anew")
    if out.suffix.lower() == SUFFIX:
        output.say("plain ONNX, which resight itself does not take: for its commands export to NAME.resight")
        for line in in_words(exported.bundle):
            output.tell(line)
    output.tell(f"{out.stat().st_size / 1e6:.1f} MB, {exported.bundle.manifest.identity}: {out}")
