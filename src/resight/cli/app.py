"""`resight`: collects the verbs, and turns errors into one readable paragraph and an exit code."""

from __future__ import annotations

import sys
from typing import Annotated

import click
import typer

import resight
from resight.cli import demo, evaluate, import_weights, output, reproduce, train
from resight.core.errors import MissingExtra, ResightError

EXIT_CODES = """Exit codes: 0 done, 1 a defect of resight's own, 2 a wrong option or name, 3 data that cannot be used,
4 weights that do not fit, 5 training cannot go on, 6 a part is not installed, 130 interrupted."""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)
app.command("demo")(demo.demo)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("reproduce")(reproduce.reproduce)
app.command("import")(import_weights.import_weights)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"resight {resight.__version__}")
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
    try:
        code = app(standalone_mode=False)
    except ResightError as error:
        code = _fail(error, error.exit_code)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors", "tensorboardX"):
            raise
        code = _fail(MissingExtra(f"This command needs {error.name}, which", "train"), MissingExtra.exit_code)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        output.say("interrupted")
        code = 130
    except OSError as error:
        code = _fail(error, 1)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(error: Exception, code: int) -> int:
    if "--debug" in sys.argv:
        raise error
    output.fail(str(error))
    return code
