"""`resight export`: a run to a bundle, which engineers install without PyTorch; or a network for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from resight.cli import output
from resight.cli.data import open_data
from resight.core.errors import ConfigError
from resight.site.rounds import SITE_FILE

if TYPE_CHECKING:
    from resight.export.plain import PlainNetwork

MAX_LOSS = 0.005
NOT_STATED = "not stated"


def export(
    model: Annotated[
        Path, typer.Argument(help="A run's directory. For NAME.onnx also a bundle, or a packaged model's name.")
    ],
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
    max_loss: Annotated[float, typer.Option(min=0, max=1, help="Of mAP, with --data.")] = MAX_LOSS,
    scale: Annotated[
        str,
        typer.Option(help="Of NAME.onnx: how the program's values come, 0-255, 0-1 or imagenet, or the model's own."),
    ] = "own",
    size: Annotated[
        str | None,
        typer.Option(help="Of NAME.onnx: HEIGHTxWIDTH of the program's crops, whole multiples of the model's."),
    ] = None,
    weaknesses: Annotated[str, typer.Option(help="What the model is bad at, for its card.")] = NOT_STATED,
    rights: Annotated[str | None, typer.Option(help="Who may do what with it. Default: as its run has it.")] = None,
    name: Annotated[str | None, typer.Option(help="What the model calls itself. Default: the file's name.")] = None,
    format: Annotated[str | None, typer.Option(help="The data's format, where it is not to be guessed.")] = None,
) -> None:
    """Writes the bundle, unless it gives other embeddings than the network: then it says by how much, and writes none.

    Examples:

      resight export runs/mine -o mine.resight --data my_data

      resight export runs/mine -o mine-int8.resight --precision int8 --calibration-images pictures

      resight export runs/mine -o mine.onnx

      resight export default -o default.onnx --scale imagenet --size 256x128
    """
    from resight.core.files import check_new_file
    from resight.embedding.foreign.bundling import parse_size
    from resight.embedding.loading import is_run
    from resight.export.plain import SUFFIX

    check_new_file(out, "--out")
    sides = parse_size(size) if size is not None else None
    is_plain = out.suffix.lower() == SUFFIX
    if not is_plain and (scale != "own" or sides is not None):
        raise ConfigError("--scale and --size are of a network for other programs, NAME.onnx")
    if not is_run(model):
        of_runs = {"--precision": precision != "fp32", "--data": data, "--calibration-images": calibration_images}
        of_runs |= {"--weaknesses": weaknesses != NOT_STATED, "--rights": rights, "--name": name}
        of_runs |= {"--max-loss": max_loss != MAX_LOSS, "--format": format}
        given = [option for option, value in of_runs.items() if value]
        _export_bundle(model, out, is_plain, given, scale, sides)
        return

    from resight.data.pictures import open_pictures
    from resight.export.export import export_run

    chosen = open_pictures(calibration_images) if calibration_images is not None else None
    exported = export_run(
        model,
        out,
        precision=precision,
        name=name,
        data=open_data(data, format, False) if data is not None else None,
        calibration_pictures=chosen,
        weaknesses=weaknesses,
        rights=rights,
        max_loss=max_loss,
        scale=scale,
        size=sides,
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
    if exported.plain is not None:
        _tell_plain(exported.plain)
    elif (site := Path(model) / SITE_FILE).exists():
        output.say(f"{site} is of the run, not of the bundle: resight site fit PICTURES --model {out} -o FILE.site")
    output.tell(f"{out.stat().st_size / 1e6:.1f} MB, {exported.bundle.manifest.identity}: {out}")


def _export_bundle(
    model: Path, out: Path, is_plain: bool, given: list[str], scale: str, size: tuple[int, int] | None
) -> None:
    """The network of a bundle or of a packaged model, without PyTorch. given: options that are of runs."""
    from resight.core.files import write_whole
    from resight.embedding.loading import find_bundle
    from resight.export.plain import plain_network

    bundle = find_bundle(model)
    if not is_plain:
        raise ConfigError(f"{model} is a bundle already. Its network alone, for other programs: -o NAME.onnx")
    if given:
        raise ConfigError(f"{', '.join(given)}: of a run alone; {model} is a bundle, whose network is written as it is")
    plain = plain_network(bundle, scale, size)
    write_whole(out, plain.onnx)
    _tell_plain(plain)
    output.tell(f"rights: {' '.join(bundle.manifest.rights.split())}")
    output.tell(f"{out.stat().st_size / 1e6:.1f} MB, {bundle.manifest.identity}: {out}")


def _tell_plain(plain: PlainNetwork) -> None:
    from resight.export.plain import in_words

    output.say("plain ONNX, which resight itself does not take: its commands take NAME.resight, or a packaged name")
    for line in in_words(plain):
        output.tell(line)
