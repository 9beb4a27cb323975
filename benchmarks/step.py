"""Where a training step's time goes: input, network, losses, backward pass, optimiser, average of the weights.

The steps are those of `resight train`, of its own parts, at each size of the recipe's stages, in bfloat16 where the
CPU computes in it. Prints the median of the steps in ms, and each part's share.

    python benchmarks/step.py [DATA] [--recipe stripnet] [--steps 20]
"""

from __future__ import annotations

import argparse
import statistics
import time
from itertools import islice, pairwise

import torch

from resight.core.pictures.preprocessing import Preprocessing
from resight.data.formats.catalogue import open_dataset
from resight.models.catalogue import build_network
from resight.models.devices import channels_last
from resight.training.batches.augmentation import augment, flip_where, shrink
from resight.training.batches.images import TrainingImages, load_training_images
from resight.training.batches.plan import Plan, local_batches, seed_step
from resight.training.execution import join_world, mixed_precision
from resight.training.objective import architecture_of, make_objective
from resight.training.recipes import RECIPES, Recipe, find_recipe
from resight.training.updates.averaging import WeightAverage

PARTS = ("input", "network", "losses", "backward", "optimiser", "average")
WARM_UP = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="synthetic")
    parser.add_argument("--recipe", default="stripnet", choices=list(RECIPES))
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    recipe = find_recipe(options.recipe)
    images = load_training_images(open_dataset(options.data).train, recipe.height, recipe.width)
    amp = mixed_precision(torch.device("cpu"), True)
    precision = "bfloat16" if amp else "float32"
    print(f"{recipe.network}, batches of {recipe.batch_size}, {precision}, {torch.get_num_threads()} threads")
    print(f"{'':10}{'ms a step':>12}{'images/s':>10}" + "".join(f"{part:>11}" for part in PARTS))
    sizes = [(height, width) for height, width, _ in recipe.smaller_sizes()] + [(recipe.height, recipe.width)]
    for size in sizes:
        parts = timed_steps(recipe, images, size, options.steps, amp)
        total = sum(parts)
        line = f"{size[0]} x {size[1]:<5}{1000 * total:>12.0f}{recipe.batch_size / total:>10.0f}"
        print(line + "".join(f"{part / total:>11.1%}" for part in parts), flush=True)


def timed_steps(recipe: Recipe, images: TrainingImages, size: tuple[int, int], steps: int, amp: bool) -> list[float]:
    """Seconds of each of PARTS: the median over the steps after the first few."""
    torch.manual_seed(0)
    network = build_network(architecture_of(recipe), recipe.height, recipe.width)
    preprocessing = Preprocessing(recipe.height, recipe.width, images.mean, images.std)
    objective = channels_last(make_objective(recipe, network, images.num_classes, preprocessing), torch.device("cpu"))
    optimizer = torch.optim.AdamW(objective.parameters(), fused=True)
    average = WeightAverage(network, recipe.average)
    plan = Plan.of(recipe, images, 0)
    marks = [time.perf_counter()]
    network.register_forward_pre_hook(lambda *_: marks.append(time.perf_counter()))
    network.register_forward_hook(lambda *_: marks.append(time.perf_counter()))
    found: list[list[float]] = []
    for step, (rows, pixels) in enumerate(islice(local_batches(images, plan, 0, join_world("cpu")), steps + WARM_UP)):
        mirrored = torch.from_numpy(rows >= len(images))
        batch = augment(flip_where(shrink(torch.from_numpy(pixels), *size), mirrored), recipe, seed_step(0, step, 0))
        with torch.autocast("cpu", torch.bfloat16, enabled=amp):
            value = objective(batch, torch.from_numpy(plan.labels[rows]))
        marks.append(time.perf_counter())
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        marks.append(time.perf_counter())
        optimizer.step()
        marks.append(time.perf_counter())
        average.update(step)
        marks.append(time.perf_counter())
        found.append([after - before for before, after in pairwise(marks)])
        marks[:] = [time.perf_counter()]
    return [statistics.median(part) for part in zip(*found[WARM_UP:], strict=True)]


if __name__ == "__main__":
    main()
