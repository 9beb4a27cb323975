"""What each step of a training does, as a function of the seed and the step alone.

No random choice depends on what happened before it, so a run that was killed goes on from its last
checkpoint to the very weights of the unbroken run.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from resight.core.errors import ConfigError
from resight.core.records import IntArray
from resight.training.batches.images import TrainingImages
from resight.training.batches.samplers import balanced_batches, batch_stream, shuffled_batches
from resight.training.execution import World
from resight.training.recipe import EPOCH_SCHEDULES, Recipe
from resight.training.updates.schedule import epoch_factor, rate_factor


@dataclass(frozen=True, eq=False)
class Plan:
    """Which rows each step takes, and at which rate. labels, cameras: of the rows; mirrored copies come last."""

    recipe: Recipe
    labels: IntArray
    cameras: IntArray
    seed: int
    steps_per_epoch: int

    @classmethod
    def of(cls, recipe: Recipe, images: TrainingImages, seed: int) -> Plan:
        copies = 2 if recipe.flipped_copies else 1
        labels = np.tile(images.labels, copies)
        cameras = np.tile([crop.camid for crop in images.crops], copies)
        check_filled(recipe, labels)
        return cls(recipe, labels, cameras, seed, len(epoch_batches(recipe, labels, cameras, 0, seed)))

    @property
    def total_steps(self) -> int:
        return self.recipe.epochs * self.steps_per_epoch

    def rate(self, step: int) -> float:
        """The learning rate at 0-based `step`."""
        recipe = self.recipe
        if recipe.schedule in EPOCH_SCHEDULES:
            epoch = step // self.steps_per_epoch
            return recipe.learning_rate * epoch_factor(recipe.schedule, epoch, recipe.epochs, recipe.warmup_epochs)
        scheduled_steps = (recipe.epochs - recipe.constant_epochs) * self.steps_per_epoch
        if step >= scheduled_steps:
            return recipe.constant_rate
        warmup_steps = round(recipe.warmup_epochs * self.steps_per_epoch)
        return recipe.learning_rate * rate_factor(recipe.schedule, step, scheduled_steps, warmup_steps)

    def batches(self, first_step: int) -> Iterator[IntArray]:
        """The rows of each batch from `first_step` to the end."""
        first_epoch, skipped = divmod(first_step, self.steps_per_epoch)
        for epoch in range(first_epoch, self.recipe.epochs):
            rows = epoch_batches(self.recipe, self.labels, self.cameras, epoch, self.seed)
            yield from rows[skipped if epoch == first_epoch else 0 :]


def epoch_batches(recipe: Recipe, labels: IntArray, cameras: IntArray, epoch: int, seed: int) -> IntArray:
    """The rows of each batch of one epoch: (num_batches, batch_size) int64.

    Where some rows are unlabelled (-1), the first half of each batch are labelled ones, by the recipe's sampler, and
    the second half are not; either half goes through its own rows again and again, whatever the epoch.
    """
    labelled, unlabelled = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
    if not len(unlabelled):
        return _labelled_batches(recipe, labels, cameras, recipe.batch_size, epoch, seed)
    if not len(labelled):
        return shuffled_batches(len(labels), recipe.batch_size, epoch, seed)
    half = recipe.batch_size // 2
    num_batches = max(1, len(labels) // recipe.batch_size)
    first = batch_stream(
        lambda turn: labelled[_labelled_batches(recipe, labels[labelled], cameras[labelled], half, turn, seed)],
        epoch * num_batches,
        num_batches,
    )
    second = batch_stream(
        lambda turn: unlabelled[shuffled_batches(len(unlabelled), recipe.batch_size - half, turn, seed)],
        epoch * num_batches,
        num_batches,
    )
    return np.concatenate([first, second], axis=1)


def check_filled(recipe: Recipe, labels: IntArray) -> None:
    """Raises ConfigError where the pictures do not fill one batch: which ones, and the largest batch that they fill.

    labels: of the rows, mirrored copies too; -1 of the unlabelled ones.
    """
    lacking = _lacking(recipe, labels, recipe.batch_size)
    if lacking is None:
        return
    group = 1 if recipe.sampler == "shuffled" else recipe.images_per_identity
    smaller = range(recipe.batch_size // group * group, 1, -group)
    most = next((size for size in smaller if _lacking(recipe, labels, size) is None), None)
    if most is not None:
        advice = f"take --batch-size {most} (batch_size=) or less, or give more of them"
    elif _lacking(recipe, labels, 2 * group) is None:
        advice = f"take --batch-size {2 * group} (batch_size=)"
    else:
        advice = "give more pictures"
    raise ConfigError(f"a batch of {recipe.batch_size} takes {lacking}: {advice}")


def _lacking(recipe: Recipe, labels: IntArray, batch_size: int) -> str | None:
    """What one batch of that size takes more of than there is; None where all is there. As `epoch_batches` draws it."""
    labelled, unlabelled = labels[labels >= 0], int(np.sum(labels < 0))
    own = batch_size // 2 if len(labelled) and unlabelled else batch_size if len(labelled) else 0
    if batch_size - own > unlabelled:
        return f"{batch_size - own} unlabelled pictures, and {unlabelled} are there"
    if recipe.sampler == "shuffled":
        return f"{own} labelled pictures, and {len(labelled)} are there" if own > len(labelled) else None
    people, there = own // recipe.images_per_identity, len(np.unique(labelled))
    if own and not people:
        return f"{recipe.images_per_identity} pictures of one person, and half of it is unlabelled ones"
    if people > there:
        return f"{people} people, {recipe.images_per_identity} pictures of each, and the training set has {there}"
    return None


def _labelled_batches(
    recipe: Recipe, labels: IntArray, cameras: IntArray, batch_size: int, turn: int, seed: int
) -> IntArray:
    if recipe.sampler == "shuffled":
        return shuffled_batches(len(labels), batch_size, turn, seed)
    spread = cameras if recipe.sampler == "cameras" else None
    return balanced_batches(labels, batch_size, recipe.images_per_identity, turn, seed, spread)


def local_batches(
    images: TrainingImages, plan: Plan, first_step: int, world: World
) -> Iterator[tuple[IntArray, npt.NDArray[np.uint8]]]:
    """This process's share of each batch: its rows (those past the pictures are mirrored ones), and pixels."""
    mine, again = itertools.tee(share_of(plan, rows, world) for rows in plan.batches(first_step))
    yield from zip(mine, images.batches(rows % len(images) for rows in again), strict=True)


def share_of(plan: Plan, rows: IntArray, world: World) -> IntArray:
    """This process's part of a batch: where a batch is of people, all pictures of each of its people, since each
    process compares its own pictures only (triplets, circle loss).

    Raises ConfigError where the people do not divide among the processes.
    """
    mine = slice(world.rank, None, world.size)
    if plan.recipe.sampler == "shuffled":
        return rows[mine]
    labelled = plan.labels[rows] >= 0
    people = rows[labelled].reshape(-1, plan.recipe.images_per_identity)
    if len(people) % world.size:
        raise ConfigError(f"a batch has {len(people)} people, who do not divide among {world.size} processes")
    return np.concatenate([people[mine].ravel(), rows[~labelled][mine]])


def check_seed(seed: int) -> None:
    """Raises ConfigError where nothing can be drawn from it."""
    if seed < 0:
        raise ConfigError(f"a seed is a whole number of 0 and above, not {seed}")


def mix_seed(seed: int, step: int, rank: int) -> int:
    """One seed out of three numbers, so that no two of them share a random stream."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0])


def seed_step(seed: int, step: int, rank: int) -> torch.Generator:
    """Seeds dropout by the step, and returns the generator of the step's augmentation."""
    mixed = mix_seed(seed, step + 1, rank)
    torch.manual_seed(mixed)
    return torch.Generator().manual_seed(mixed)
