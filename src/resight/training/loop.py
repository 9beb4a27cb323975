"""The one training loop. What each step does is in plan.py, where it runs in execution.py, what it leaves in run.py."""

from __future__ import annotations

import copy
import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from resight.core.errors import ConfigError, NonFiniteLoss
from resight.core.pictures.preprocessing import Preprocessing
from resight.core.progress import Progress, silent
from resight.core.records import IntArray
from resight.data.crops import Dataset, Problem
from resight.models.catalogue import build_network
from resight.models.devices import channels_last
from resight.models.saved import CARD_FILE, ModelConfig, TrainedNetwork, save_model, with_origins
from resight.training.batches.augmentation import augment, flip_where, shrink
from resight.training.batches.images import MAX_MEMORY_MB, TrainingImages, load_training_images
from resight.training.batches.plan import Plan, check_seed, local_batches, mix_seed, seed_step
from resight.training.execution import (
    World,
    any_process,
    decide_compile,
    join_world,
    leave_world,
    mixed_precision,
)
from resight.training.objective import Objective, architecture_of, make_objective
from resight.training.pretrained import Beginning, load_pretrained
from resight.training.recipe import STATISTICS, Recipe
from resight.training.record import EpochHook
from resight.training.run import (
    Metrics,
    Position,
    claimed_directory,
    library_versions,
    load_checkpoint,
    save_checkpoint,
    write_or_check_config,
)
from resight.training.teaching.targets import TARGETS_DIR, Targets, load_targets
from resight.training.teaching.teachers import Teacher
from resight.training.updates.averaging import WeightAverage
from resight.training.updates.optimizers import hold_frozen, make_optimizer, set_rate
from resight.training.updates.steps import make_step


@dataclass(frozen=True)
class TrainOptions:
    """What does not change the mathematics.

    capture: launch a step on one GPU as a graph. checkpoint_every_s: seconds; 0 writes one after every step. targets: a
    folder of what teachers say, which several runs share; None: one in the run's directory.
    """

    device: str = "auto"
    compile: str = "auto"
    amp: bool = True
    capture: bool = True
    strict: bool = False
    resume: bool = False
    checkpoint_every_s: float = 30.0
    max_memory_mb: int = MAX_MEMORY_MB
    targets: Path | None = None


@dataclass(frozen=True)
class TrainResult:
    """finished: False where it was interrupted; `resume` goes on. problems: pictures left out. blank: the names of
    pictures that are the same all over, which were trained on like others."""

    run_dir: Path
    step: int
    finished: bool
    problems: tuple[Problem, ...]
    blank: tuple[str, ...]


def train(
    recipe: Recipe,
    dataset: Dataset,
    run_dir: Path,
    seed: int = 0,
    options: TrainOptions = TrainOptions(),
    progress: Progress = silent,
    pretrained: Path | None = None,
    teachers: Sequence[Teacher] = (),
    on_epoch: EpochHook | None = None,
) -> TrainResult:
    """Trains by the recipe into `run_dir`, which then holds a finished model.

    pretrained: the weights to begin with, as `load_pretrained` takes them. teachers: models to learn from, for a
    recipe with imitation or distillation; unlabelled pictures have nobody else. on_epoch: told of each epoch; the
    weights stay the same without.

    Raises ConfigError where the directory holds another run, or one to be resumed, or the seed is below 0; DataError
    where the pictures cannot be used; NonFiniteLoss where the loss is NaN or infinite. Ctrl-C saves and returns.
    """
    check_seed(seed)
    learns = bool(recipe.imitation or recipe.distillation)
    if learns and not teachers:
        raise ConfigError(
            "the recipe learns from other models: say from which by --teacher MODEL (teachers=), as --teacher default; "
            "or set --imitation and --distillation to 0"
        )
    if teachers and not learns:
        raise ConfigError(
            "this recipe learns nothing from a teacher: take --recipe general, or give --imitation or --distillation a "
            "weight above 0"
        )
    if recipe.mutual and not dataset.train:
        raise ConfigError("mutual learning is of people with names, and there are none: leave --mutual (mutual=) out")
    if dataset.unlabelled and not teachers:
        raise ConfigError(
            "nothing is learnt from unlabelled pictures without teachers: --recipe general and --teacher MODEL "
            "(teachers=), or leave --unlabelled out"
        )
    world = join_world(options.device)
    try:
        if recipe.batch_size % world.size:
            raise ConfigError(f"a batch of {recipe.batch_size} does not divide among {world.size} processes")
        with claimed_directory(run_dir, options.resume) if world.is_main else nullcontext():
            for height, width, _ in (*recipe.smaller_sizes(), (recipe.height, recipe.width, 0)):
                build_network(architecture_of(recipe), height, width)  # wrong sizes fail before the reading
            images = load_training_images(
                (*dataset.train, *dataset.unlabelled),
                recipe.height,
                recipe.width,
                strict=options.strict,
                max_memory_mb=options.max_memory_mb,
                progress=progress,
            )
            return _train(
                recipe, dataset, images, run_dir, seed, options, world, progress, pretrained, teachers, on_epoch
            )
    finally:
        leave_world()


def _train(
    recipe: Recipe,
    dataset: Dataset,
    images: TrainingImages,
    run_dir: Path,
    seed: int,
    options: TrainOptions,
    world: World,
    progress: Progress,
    pretrained: Path | None,
    teachers: Sequence[Teacher],
    on_epoch: EpochHook | None,
) -> TrainResult:
    plan = Plan.of(recipe, images, seed)
    compiled = decide_compile(options.compile, world.device, plan.total_steps * recipe.batch_size)
    amp = mixed_precision(world.device, options.amp)
    torch.manual_seed(mix_seed(seed, 0, 0))
    network = build_network(architecture_of(recipe), recipe.height, recipe.width)
    begun = load_pretrained(network, pretrained, images.sample, architecture_of(recipe)) if pretrained else None
    if world.is_main:
        fixed = {"recipe": recipe.to_dict(), "seed": seed, "data_digest": images.digest, "compiled": compiled}
        fixed |= {"processes": world.size, "amp": amp, "device": world.device.type}
        fixed["pretrained"] = begun.origin.identity if begun else None
        if teachers:
            fixed["teachers"] = [teacher.origin.identity for teacher in teachers]
        write_or_check_config(run_dir, fixed, _described(dataset, images, options, world))

    folder = options.targets or run_dir / TARGETS_DIR
    targets = _targets(recipe, images, teachers, folder, world, progress) if teachers else None
    preprocessing = _preprocessing(recipe, images, begun)
    config = ModelConfig(architecture_of(recipe), preprocessing, str(dataset), dataset.rights, images.digest)
    target_dim = targets.dim if targets else 0
    objective = make_objective(recipe, network, images.num_classes, preprocessing, target_dim)
    objective = channels_last(objective, world.device)
    optimizer = make_optimizer(recipe, objective)
    average = WeightAverage(network, recipe.average)
    trained: dict[str, nn.Module] = {"objective": objective}
    if recipe.average:
        trained["average"] = average.network
    position = load_checkpoint(run_dir, trained, optimizer)
    # What is frozen changes from epoch to epoch; a captured step cannot.
    capture = options.capture and world.size == 1 and not compiled and not recipe.unfreeze_epochs
    step = make_step(_prepare(objective, compiled, world), optimizer, world.device, amp=amp, capture=capture)
    metrics = Metrics(run_dir, position.step) if world.is_main else None
    saved_at = time.monotonic()

    with (
        interruption() as interrupted,
        progress(f"training {recipe.network}", plan.total_steps, position.step) as advance,
    ):
        for rows, pixels in local_batches(images, plan, position.step, world):
            rate = plan.rate(position.step)
            set_rate(optimizer, rate)
            generator = seed_step(seed, position.step, world.rank)
            epoch = position.step // plan.steps_per_epoch
            size = recipe.size_at(epoch)
            labels = plan.labels[rows]
            goal = [torch.from_numpy(labels[labels >= 0])]  # labelled rows come first
            batch = torch.from_numpy(pixels).to(world.device)  # changed where it is trained on
            if targets is not None:
                pictures = rows % len(images)
                views = torch.randint(targets.num_views, (len(rows),), generator=generator).numpy()
                others = None
                if targets.views.joined(views, pictures):
                    others = torch.from_numpy(images.take(targets.views.partners[views, pictures])).to(world.device)
                batch = targets.views.show(views, pictures, batch, others, size)
                goal.append(torch.from_numpy(targets.of(views, pictures)))
            mirrored = torch.from_numpy(rows >= len(images))
            batch = augment(flip_where(shrink(batch, *size), mirrored), recipe, generator)

            step_loss = step.loss(batch, [part.to(world.device) for part in goal])
            if not math.isfinite(step_loss):
                raise _non_finite(step_loss, position.step, rate, rows, images)
            step.update(partial(hold_frozen, recipe, network, epoch))
            average.update(position.step)

            position = Position(position.step + 1, position.loss_sum + step_loss)
            advance(1, f"loss {step_loss:.3f}")
            if position.step % plan.steps_per_epoch == 0:
                if metrics is not None:
                    values = {
                        "epoch": position.step // plan.steps_per_epoch,
                        "loss": position.loss_sum / plan.steps_per_epoch,
                        "kappa": objective.kappa,
                        "learning_rate": rate,
                    }
                    metrics.end_epoch(position.step, recipe.batch_size, values)
                if on_epoch is not None and world.is_main:
                    told = copy.deepcopy(average.network).eval()  # a copy: the one that learns stays as it is
                    on_epoch(position.step // plan.steps_per_epoch, TrainedNetwork(told, config))
                position = Position(position.step)
            if any_process(interrupted.is_set(), world):
                break
            if world.is_main and time.monotonic() - saved_at >= options.checkpoint_every_s:
                save_checkpoint(run_dir, trained, optimizer, position)
                saved_at = time.monotonic()

    finished = position.step == plan.total_steps
    if metrics is not None:
        metrics.close()
        save_checkpoint(run_dir, trained, optimizer, position)
    if world.is_main and finished:
        origins = [*([begun.origin] if begun else []), *(targets.origins if targets else [])]
        save_model(run_dir, average.network, with_origins(config, origins))
    any_process(False, world)  # nobody leaves before the model is written: the launcher would end the rest
    return TrainResult(run_dir, position.step, finished, images.problems, images.blank)


def _targets(
    recipe: Recipe,
    images: TrainingImages,
    teachers: Sequence[Teacher],
    folder: Path,
    world: World,
    progress: Progress,
) -> Targets:
    """The first process asks the teachers; the others read what it wrote."""
    for turn in (True, False):
        if world.is_main is turn:
            found = load_targets(
                teachers,
                images.crops,
                folder,
                digest=images.digest,
                views=recipe.views,
                colours=recipe.view_colours,
                joins=recipe.view_joins,
                progress=progress,
            )
        any_process(False, world)
    return found


def _prepare(objective: Objective, compiled: bool, world: World) -> nn.Module:
    module: nn.Module = objective
    if world.size > 1:
        ids = [world.device] if world.device.type == "cuda" else None
        module = nn.parallel.DistributedDataParallel(module, device_ids=ids)
    if compiled:
        module.compile(dynamic=False)  # one compilation a size of progressive training
    return module


def _preprocessing(recipe: Recipe, images: TrainingImages, begun: Beginning | None) -> Preprocessing:
    mean, std = STATISTICS[recipe.statistics] or (images.mean, images.std)
    centring = recipe.image_centring
    if begun and begun.preprocessing:  # what its weights are used to
        centring = centring or begun.preprocessing.image_centring
        if recipe.statistics == "data":
            mean, std = begun.preprocessing.mean, begun.preprocessing.std
    if not recipe.normalise:
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return Preprocessing(recipe.height, recipe.width, mean, std, image_centring=centring)


def _described(
    dataset: Dataset, images: TrainingImages, options: TrainOptions, world: World
) -> dict[str, str | int | bool | list[str] | dict[str, str]]:
    """What a run's configuration tells besides what resuming insists on."""
    return {
        "data": str(dataset),
        "data_rights": dataset.rights,
        "num_images": len(images),
        "num_classes": images.num_classes,
        "left_out": [f"{problem.name}: {problem.reason}" for problem in images.problems],
        "blank": list(images.blank),
        "threads": torch.get_num_threads(),
        "versions": library_versions(),
    }


def _non_finite(loss: float, step: int, rate: float, rows: IntArray, images: TrainingImages) -> NonFiniteLoss:
    names = ", ".join(images.crops[row % len(images)].name for row in rows.tolist())
    return NonFiniteLoss(
        f"the loss is {loss} at step {step}, with a learning rate of {rate:g}. The batch was: {names}. "
        "Look at those pictures, or take a lower learning rate or a longer warm-up. "
        "The last checkpoint is from before this step."
    )


@contextmanager
def interruption() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, so that the step under way ends and is saved; a second Ctrl-C stops at once."""
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return

    def stop(signum: int, frame: object) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


def is_finished(run_dir: Path) -> bool:
    """Whether the run has a finished model."""
    return (run_dir / CARD_FILE).exists()
