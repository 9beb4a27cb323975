"""`resight`: collects the verbs, and turns errors into one readable paragraph and an exit code."""

from __future__ import annotations

import errno
import sys
import warnings
from typing import Annotated, ClassVar

import typer

from resight.cli import output
from resight.cli.lazy import LazyGroup, Verbs, options_of
from resight.core.errors import MissingExtra, ResightError
from resight.core.files import without_part

EXIT_CODES = """Exit codes: 0 done, 1 a defect of resight's own, 2 a wrong option or name, 3 data that cannot be used,
4 weights that do not fit, 5 training cannot go on, 6 a part is not installed, 7 the doctor or
`site check` found a warning, 8 an error (see --fail-on), 9 another process is writing, 129, 130, 143
stopped by a signal."""
OF_A_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR)


class _ModelVerbs(LazyGroup):
    help_text: ClassVar[str] = "What a model says of itself."
    verbs: ClassVar[Verbs] = {"inspect": "model:inspect", "card": "model:card"}


class _GalleryVerbs(LazyGroup):
    help_text: ClassVar[str] = "Who was seen where: add, search, forget."
    verbs: ClassVar[Verbs] = {
        "create": "gallery:create",
        "add": "gallery_add:add",
        "search": "gallery:search",
        "forget": "gallery_forget:forget",
        "stats": "gallery:stats",
        "verify": "gallery:verify",
        "compact": "gallery:compact",
        "link": "gallery:link",
        "unlink": "gallery:unlink",
        "audit": "gallery:audit",
        "export": "gallery:export",
        "import": "gallery_add:import_lines",
        "migrate": "gallery_migrate:migrate",
    }


class _VideoVerbs(LazyGroup):
    help_text: ClassVar[str] = "From video to people across cameras."
    verbs: ClassVar[Verbs] = {
        "add": "video_add:add",
        "crops": "video_crops:crops",
        "link": "video_link:link",
        "evaluate": "video_evaluate:evaluate",
        "follow": "video_follow:follow",
        "draw": "video_draw:draw",
        "unlink": "video_link:unlink",
    }


class _SiteVerbs(LazyGroup):
    help_text: ClassVar[str] = "What your cameras add to embeddings, taken out without a label."
    verbs: ClassVar[Verbs] = {
        "fit": "site:fit",
        "show": "site:show",
        "check": "site:check",
        "use": "site:use",
        "remove": "site:remove",
    }


class _DataVerbs(LazyGroup):
    help_text: ClassVar[str] = "Data sets as tables."
    verbs: ClassVar[Verbs] = {"export": "data_export:data_export", "split": "data_split:data_split"}


class _Verbs(LazyGroup):
    verbs: ClassVar[Verbs] = {
        "demo": "demo:demo",
        "train": "train:train",
        "adapt": "adapt:adapt",
        "evaluate": "evaluate:evaluate",
        "calibrate": "calibrate:calibrate",
        "compare": "compare:compare",
        "doctor": "doctor:doctor",
        "reduce": "reduce:reduce",
        "export": "export:export",
        "embed": "embed:embed",
        "models": "model:models",
        "reproduce": "reproduce:reproduce",
        "serve": "serve:serve",
        "import": "import_weights:import_weights",
        "bundle": "bundle:bundle",
        "model": _ModelVerbs,
        "gallery": _GalleryVerbs,
        "video": _VideoVerbs,
        "site": _SiteVerbs,
        "data": _DataVerbs,
    }


app = typer.Typer(**{**options_of(_Verbs), "add_completion": True}, epilog=EXIT_CODES)


def _show_version(wanted: bool) -> None:
    if wanted:
        from resight.core.version import VERSION

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
        sys.exit(_fail(error, *_of_a_file(error)))
    except Exception as error:
        defect = f"{type(error).__name__}: {error}. This is a defect of resight's own; --debug shows where."
        sys.exit(_fail(error, 1, defect))


def _of_a_file(error: OSError) -> tuple[int, str | None]:
    """The exit code, and in words what a file or its place does not allow."""
    name = without_part(str(error.filename or ""))
    if error.errno == errno.ENAMETOOLONG:
        return 2, f"a name is too long for a file: {name[:60]}..."
    if error.errno == errno.ENOSPC:
        where = f" for {name}" if name else ""
        return 1, f"no space is left on the disk{where}; free some, and run the command again"
    if error.errno in OF_A_PLACE and name:
        return 2, f"{name} cannot be used ({error.strerror})"
    return 1, None


def _fail(error: Exception, code: int, text: str | None = None) -> int:
    if "--debug" in sys.argv:
        raise error
    output.fail(text or str(error))
    return code
