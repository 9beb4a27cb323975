"""`resight`: collects the verbs, and turns errors into one readable paragraph and an exit code."""

from __future__ import annotations

import sys
import warnings
from typing import Annotated

import typer

from resight.cli import (
    adapt,
    bundle,
    calibrate,
    compare,
    data_export,
    demo,
    doctor,
    embed,
    evaluate,
    export,
    gallery,
    gallery_add,
    gallery_migrate,
    import_weights,
    model,
    output,
    reduce,
    reproduce,
    serve,
    site,
    train,
    video_add,
    video_draw,
    video_evaluate,
    video_follow,
    video_link,
)
from resight.cli.renamed import RenamedOptions
from resight.core.errors import MissingExtra, ResightError
from resight.core.version import VERSION

EXIT_CODES = """Exit codes: 0 done, 1 a defect of resight's own, 2 a wrong option or name, 3 data that cannot be used,
4 weights that do not fit, 5 training cannot go on, 6 a part is not installed, 7 the doctor or
`site check` found a warning, 8 an error (see --fail-on), 9 another process is writing, 129, 130, 143
stopped by a signal."""

HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings=HELP,
    epilog=EXIT_CODES,
)
app.command("demo")(demo.demo)
app.command("train")(train.train)
app.command("adapt")(adapt.adapt)
app.command("evaluate", cls=RenamedOptions)(evaluate.evaluate)
app.command("calibrate")(calibrate.calibrate)
app.command("compare")(compare.compare)
app.command("doctor")(doctor.doctor)
app.command("reduce")(reduce.reduce)
app.command("export")(export.export)
app.command("embed")(embed.embed)
app.command("models")(model.models)
app.command("reproduce")(reproduce.reproduce)
app.command("serve")(serve.serve)
app.command("import")(import_weights.import_weights)
app.command("bundle")(bundle.bundle)
model_app = typer.Typer(no_args_is_help=True, help="What a model says of itself.", context_settings=HELP)
model_app.command("inspect")(model.inspect)
model_app.command("card")(model.card)
app.add_typer(model_app, name="model")
gallery_app = typer.Typer(no_args_is_help=True, help="Who was seen where: add, search, forget.", context_settings=HELP)
for name, verb in (
    ("create", gallery.create),
    ("add", gallery_add.add),
    ("search", gallery.search),
    ("forget", gallery.forget),
    ("stats", gallery.stats),
    ("verify", gallery.verify),
    ("compact", gallery.compact),
    ("link", gallery.link),
    ("unlink", gallery.unlink),
    ("audit", gallery.audit),
    ("export", gallery.export),
    ("import", gallery_add.import_lines),
    ("migrate", gallery_migrate.migrate),
):
    gallery_app.command(name, cls=RenamedOptions)(verb)
app.add_typer(gallery_app, name="gallery")
video_app = typer.Typer(no_args_is_help=True, help="From video to people across cameras.", context_settings=HELP)
video_app.command("add")(video_add.add)
video_app.command("link")(video_link.link)
video_app.command("evaluate")(video_evaluate.evaluate)
video_app.command("follow")(video_follow.follow)
video_app.command("draw")(video_draw.draw)
video_app.command("unlink")(video_link.unlink)
app.add_typer(video_app, name="video")
site_app = typer.Typer(
    no_args_is_help=True, help="What your cameras add to embeddings, taken out without a label.", context_settings=HELP
)
site_app.command("fit")(site.fit)
site_app.command("show")(site.show)
site_app.command("check")(site.check)
site_app.command("use")(site.use)
site_app.command("remove")(site.remove)
app.add_typer(site_app, name="site")
data_app = typer.Typer(no_args_is_help=True, help="Data sets as tables.", context_settings=HELP)
data_app.command("export")(data_export.data_export)
app.add_typer(data_app, name="data")


def _show_version(wanted: bool) -> None:
    if wanted:
        output.tell(f"resight {VERSION}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Person re-identification: train, measure honestly, and find the same person again."""
    context.obj = {"debug": debug}


def main() -> None:
    """The entry point of the `resight` command."""
    warnings.showwarning = output.show_warning
    output.write_any_character()
    try:
        app()
    except ResightError as error:
        sys.exit(_fail(error, error.exit_code))
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors", "tensorboardX", "onnx"):
            raise
        missing = MissingExtra(f"{error.name}, which this command needs,", "train")
        sys.exit(_fail(missing, missing.exit_code))
    except OSError as error:
        sys.exit(_fail(error, 1))
    except Exception as error:
        defect = f"{type(error).__name__}: {error}. This is a defect of resight's own; --debug shows where."
        sys.exit(_fail(error, 1, defect))


def _fail(error: Exception, code: int, text: str | None = None) -> int:
    if "--debug" in sys.argv:
        raise error
    output.fail(text or str(error))
    return code
