"""`resight train`: every field of the recipe is an option."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from resight.cli import output
from resight.cli.data import open_training_data
from resight.cli.models import MODEL_HELP
from resight.cli.recipe_options import given, with_recipe_options
from resight.core.errors import ConfigError
from resight.core.progress import is_main_process
from resight.core.words import counted
from resight.training.recipes import RECIPES, Recipe, find_recipe

DEFAULT_RECIPE = "stripnet"


@with_recipe_options
def train(
    data: Annotated[
        str | None,
        typer.Argument(
            help="A folder of crops, a table of them (.csv, .parquet), or `synthetic`; not needed with --unlabelled."
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The run's directory.")],
    recipe: Annotated[
        str | None, typer.Option(help=f"One of: {', '.join(RECIPES)}. Default: {DEFAULT_RECIPE}.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The one seed of all randomness. Default: 0.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    pretrained: Annotated[
        Path | None,
        typer.Option(
            help="Begin with the weights of a run, bundle or packaged model; or of a PyTorch file trained on ImageNet."
        ),
    ] = None,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(help=f"Learn from this model too; several together. Of `general`, or --imitation. {MODEL_HELP}"),
    ] = None,
    targets: Annotated[
        Path | None,
        typer.Option(help="A folder for what teachers say of the pictures, to be shared by runs. Default: the run's."),
    ] = None,
    unlabelled: Annotated[
        list[Path] | None,
        typer.Option(help="A folder of crops of nobody in particular, all of one place, to learn from by --teacher."),
    ] = None,
    format: Annotated[str | None, typer.Option(help="The data's format, where it is not to be guessed.")] = None,
    rights: Annotated[str | None, typer.Option(help="The data's rights, for the model's card.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    compile: Annotated[str, typer.Option(help="torch.compile: auto, on or off.")] = "auto",
    amp: Annotated[bool, typer.Option(help="bfloat16 where the device computes in it.")] = True,
    capture: Annotated[bool, typer.Option(help="Launch each step on one GPU as one graph.")] = True,
    max_memory_mb: Annotated[int, typer.Option(min=0, help="Stream the pictures above this size.")] = 4096,
    checkpoint_every_s: Annotated[float, typer.Option(min=0, help="Seconds between checkpoints.")] = 30.0,
    record_every: Annotated[
        int | None,
        typer.Option(min=1, help="Score query and gallery every so many epochs, for the record (record.jsonl) alone."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first unreadable picture.")] = False,
    **overrides: Any,
) -> None:
    """Trains an embedding network and leaves a run: weights, configuration, metrics, TensorBoard events.

    Examples:

      resight train synthetic --recipe slicenet2-quick -o runs/first

      resight train my_data --epochs 70 --colour-cast 0.3 -o runs/mine

      resight train my_data -o runs/mine --resume

      resight train my_data --recipe general --unlabelled street --unlabelled shop --teacher net.resight -o runs/any

      torchrun --nproc-per-node 4 -m resight.cli train my_data --recipe slicenet2 -o runs/mine
    """
    from resight.training.loop import TrainOptions, is_finished, train
    from resight.training.record import PROTOCOLS, EpochRecord
    from resight.training.run import is_begun, read_config
    from resight.training.teaching.teachers import open_teacher

    chosen = given(overrides)
    if resume and is_begun(out):
        resolved, resolved_seed = _resumed(out, recipe, chosen, seed)
    else:
        resolved, resolved_seed = find_recipe(recipe or DEFAULT_RECIPE, **chosen), seed or 0
        if resume:
            output.say(f"nothing was begun in {out}: the training begins there")
    before = is_finished(out)
    dataset = open_training_data(data, unlabelled or [], format, strict)
    if rights is None and resume and is_begun(out):
        rights = read_config(out).get("data_rights")  # as it was begun with
    if rights is not None:
        dataset = replace(dataset, rights=rights)
    teachers = [open_teacher(path, device) for path in teacher or []]
    options = TrainOptions(
        device=device,
        compile=compile,
        amp=amp,
        capture=capture,
        strict=strict,
        resume=resume,
        checkpoint_every_s=checkpoint_every_s,
        max_memory_mb=max_memory_mb,
        targets=targets,
    )
    record = EpochRecord(out, (dataset,), PROTOCOLS, record_every, device) if record_every else None
    result = train(resolved, dataset, out, resolved_seed, options, output.progress, pretrained, teachers, record)
    output.name_problems(result.problems)
    output.name_blank(result.blank, "trained on")
    if not result.finished:
        output.say(f"stopped after step {result.step:,}, saved in {out}. Go on with: {output.same_command('--resume')}")
        raise typer.Exit(130)
    if is_main_process():
        done = "was trained before, for" if before else "trained"
        output.tell(f"{done} {counted(result.step, 'step')}: {out}")


def _resumed(out: Path, recipe: str | None, chosen: dict[str, Any], seed: int | None) -> tuple[Recipe, int]:
    """The recipe and seed that the run was begun with; what the user gives again must agree."""
    from resight.training.run import differences, read_config

    config = read_config(out)
    if "recipe" not in config:
        raise ConfigError(f"{out} is no training of `resight train`; an adaptation goes on by `resight adapt --resume`")
    saved, saved_seed = Recipe.from_dict(config["recipe"]), int(config["seed"])
    asked = find_recipe(recipe, **chosen) if recipe is not None else replace(saved, **chosen)
    if asked != saved or (seed is not None and seed != saved_seed):
        before = {**saved.to_dict(), "seed": saved_seed}
        now = {**asked.to_dict(), "seed": saved_seed if seed is None else seed}
        if recipe is None:  # what follows from the fields that were given is not told
            before, now = ({name: each[name] for name in (*chosen, "seed")} for each in (before, now))
        differ = differences(before, now)
        raise ConfigError(
            f"{out} was begun with another recipe or seed: {differ}. Leave --recipe, --seed and the recipe's fields "
            "out, or begin in another directory"
        )
    return saved, saved_seed
