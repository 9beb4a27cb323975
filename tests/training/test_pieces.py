"""Recipes, samplers, schedule and augmentation: the pure parts of training."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from resight.core.errors import ConfigError
from resight.core.pictures.images import resize_image
from resight.data.city.synthetic import CityConfig, draw_city
from resight.data.crops import Dataset
from resight.data.decoding import decode_crops
from resight.data.doctor.doctor import examine
from resight.training.batches.augmentation import (
    augment,
    colour_cast,
    colour_jitter,
    flip_where,
    pad_and_crop,
    random_erasing,
    shrink,
)
from resight.training.batches.images import load_training_images
from resight.training.batches.plan import Plan, check_filled, epoch_batches, share_of
from resight.training.batches.samplers import balanced_batches, shuffled_batches
from resight.training.execution import World
from resight.training.recipes import BASELINE, RECIPES, Recipe, find_recipe
from resight.training.updates.averaging import WeightAverage
from resight.training.updates.schedule import rate_factor


def test_the_reference_recipes_are_the_reports() -> None:
    for name in ("baseline", "baseline-aug", "slicenet1", "slicenet2"):
        recipe = RECIPES[name]
        assert (recipe.learning_rate, recipe.batch_size, recipe.kappa, recipe.epochs) == (1e-3, 16, 1.0, 200)
        assert (recipe.schedule, recipe.dim, recipe.height, recipe.width) == ("constant", 128, 128, 48)
        assert recipe.slices == (4 if name.startswith("slice") else 1)
        assert f"{name}-quick" in RECIPES
    assert not BASELINE.normalise
    assert not BASELINE.flipped_copies


def test_overrides_and_their_errors() -> None:
    assert find_recipe("baseline", epochs=3).epochs == 3
    assert Recipe.from_dict(BASELINE.to_dict()) == BASELINE
    for wrong in (
        {"schedule": "step"}, {"sampler": "x"}, {"batch_size": 1}, {"random_erasing": 1.5},
        {"learning_rate": float("nan")}, {"random_flip": True, "flipped_copies": True},
        {"sampler": "balanced", "images_per_identity": 5},
    ):  # fmt: skip
        with pytest.raises(ConfigError):
            find_recipe("baseline", **wrong)
    with pytest.raises(ConfigError, match="Known: baseline"):
        find_recipe("nonsense")
    with pytest.raises(ConfigError, match="foreign"):
        Recipe.from_dict({**BASELINE.to_dict(), "foreign": 1})


@given(st.integers(16, 200), st.integers(2, 16), st.integers(0, 5))
def test_shuffled_batches_show_each_picture_once(num: int, batch: int, epoch: int) -> None:
    rows = shuffled_batches(num, batch, epoch, seed=1)
    assert rows.shape == (num // batch, batch)
    assert len(set(rows.ravel().tolist())) == rows.size
    assert (shuffled_batches(num, batch, epoch, seed=1) == rows).all()
    assert num < 64 or (shuffled_batches(num, batch, epoch + 1, seed=1) != rows).any()


def test_balanced_batches_hold_p_identities_of_k_pictures() -> None:
    labels = np.repeat(np.arange(10), [1, 2, 3, 9, 9, 9, 9, 9, 9, 40])
    rows = balanced_batches(labels, batch_size=12, images_per_identity=4, epoch=0, seed=0)
    assert rows.shape == (100 // 12, 12)
    for batch in rows:
        assert sorted(Counter(labels[batch].tolist()).values()) == [4, 4, 4]
        for label in (found for found in set(labels[batch].tolist()) if found >= 3):
            of_label = batch[labels[batch] == label]
            assert len(set(of_label.tolist())) == 4  # no picture twice where there are enough
    with pytest.raises(ConfigError, match="training set has 10"):
        balanced_batches(labels, 48, 4, 0, 0)
    with pytest.raises(ConfigError, match="do not fill one batch"):
        shuffled_batches(7, 8, 0, 0)


@given(st.integers(1, 12), st.integers(0, 12), st.integers(0, 12), st.sampled_from(["shuffled", "balanced"]))
def test_a_batch_that_is_not_filled_names_the_largest_that_is(
    groups: int, people: int, unlabelled: int, sampler: str
) -> None:
    people = max(people, int(unlabelled == 0))
    labels = np.concatenate([np.arange(people).repeat(3), np.full(unlabelled, -1)])
    recipe = find_recipe("baseline", sampler=sampler, images_per_identity=3, batch_size=groups * 3)

    def drawn(size: int) -> bool:
        try:
            epoch_batches(replace(recipe, batch_size=size), labels, labels, 0, 0)
        except (ConfigError, ValueError):
            return False
        return True

    if drawn(recipe.batch_size):
        check_filled(recipe, labels)
        return
    with pytest.raises(ConfigError) as caught:
        check_filled(recipe, labels)
    sizes = [size for size in range(2, recipe.batch_size) if sampler == "shuffled" or size % 3 == 0]
    working = [*filter(drawn, sizes)][-1:] or [*filter(drawn, [2 if sampler == "shuffled" else 6])]
    assert (f"--batch-size {working[0]} " if working else "give more pictures") in str(caught.value)


def test_a_batch_across_cameras_takes_one_of_each_before_a_second_of_any() -> None:
    labels = np.repeat(np.arange(4), [8, 8, 8, 2])
    cameras = np.array([1, 1, 1, 1, 1, 2, 3, 4] + [1, 1, 1, 1, 2, 2, 2, 2] + [5] * 8 + [1, 2])
    seen = set()
    for epoch in range(60):
        for batch in balanced_batches(labels, 16, 4, epoch, 0, cameras):
            of = {label: batch[labels[batch] == label] for label in range(4)}
            assert sorted(cameras[of[0]]) == [1, 2, 3, 4]
            assert sorted(cameras[of[1]]) == [1, 1, 2, 2]
            assert [len(set(of[label].tolist())) for label in range(3)] == [4, 4, 4]
            assert len(of[3]) == 4
            seen |= set(batch.tolist())
    assert seen == set(range(26))  # whichever camera has many, each of its pictures comes
    assert (balanced_batches(labels, 16, 4, 1, 0, cameras) == balanced_batches(labels, 16, 4, 1, 0, cameras)).all()


def test_the_schedule() -> None:
    assert [rate_factor("constant", step, 10, 3) for step in (0, 9)] == [1.0, 1.0]
    factors = [rate_factor("warmup-cosine", step, 12, 4) for step in range(12)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert factors[4] == 1.0
    assert factors[8] == pytest.approx(0.5 * (1 + math.cos(math.pi / 2)))
    assert factors[4:] == sorted(factors[4:], reverse=True)
    assert 0 < factors[-1] < 0.05


def test_the_last_epochs_at_a_constant_rate() -> None:
    recipe = find_recipe("stripnet", epochs=5, progressive="", warmup_epochs=1.0, constant_epochs=2, constant_rate=0.1)
    plan = Plan(recipe, np.zeros(8, np.int64), np.zeros(8, np.int64), 0, steps_per_epoch=4)
    alone = replace(plan, recipe=replace(recipe, epochs=3, constant_epochs=0))
    assert [plan.rate(step) for step in range(12)] == [alone.rate(step) for step in range(12)]
    assert alone.rate(11) < 0.1 * recipe.learning_rate
    assert {plan.rate(step) for step in range(12, plan.total_steps)} == {0.1}
    assert plan.total_steps == 20
    with pytest.raises(ConfigError, match="leaves none"):
        replace(recipe, constant_epochs=5)


def images() -> torch.Tensor:
    return torch.randint(1, 256, (6, 12, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.mark.parametrize("max_memory_mb", [4096, 0])
def test_training_pictures_are_read_by_the_rule(small_city: Dataset, max_memory_mb: int) -> None:
    crops, rule = list(small_city.train), "bicubic-antialias"
    crops[1] = replace(crops[1], data=b"")
    images = load_training_images(crops, 24, 12, max_memory_mb=max_memory_mb, resize=rule)
    assert (len(images), len(images.problems)) == (len(crops) - 1, 1)
    expected = decode_crops(crops, 24, 12, resize=rule).pixels
    np.testing.assert_array_equal(images.take(np.arange(len(images))), expected)
    if images.pixels is not None:
        assert images.pixels.base is not None  # cut from what was taken up once
        assert images.pixels.base.shape == (len(crops), 24, 12, 3)


@pytest.mark.parametrize("schedule", ["epoch-cosine", "stepwise"])
def test_epochs_at_a_constant_rate_are_refused_where_the_schedule_has_none(schedule: str) -> None:
    with pytest.raises(ConfigError, match=f"do not go with the schedule {schedule}"):
        find_recipe("stripnet", schedule=schedule, constant_epochs=5)
    recipe = find_recipe("stripnet", schedule=schedule)  # whose own ones are left out
    assert recipe.constant_epochs == 0
    assert Recipe.from_dict({**recipe.to_dict(), "constant_epochs": 20}) == recipe  # of a run of an earlier version


def test_flipping_mirrors_those_chosen() -> None:
    x = images()
    out = flip_where(x, torch.tensor([True, False] * 3))
    assert torch.equal(out[0], x[0].flip(1))
    assert torch.equal(out[1], x[1])


def test_pad_and_crop_shifts() -> None:
    x = images()
    out = pad_and_crop(x, 2, generator())
    assert out.shape == x.shape
    padded = torch.nn.functional.pad(x, (0, 0, 2, 2, 2, 2))
    for picture, whole in zip(out, padded, strict=True):
        windows = [whole[top : top + 12, left : left + 8] for top in range(5) for left in range(5)]
        assert any(torch.equal(picture, window) for window in windows)
    assert not torch.equal(out, x)


def test_colour_jitter_keeps_grey_grey_and_stays_near() -> None:
    grey = torch.full((4, 5, 5, 3), 100, dtype=torch.uint8)
    out = colour_jitter(grey, 0.2, generator())
    assert (out == out[:, :1, :1, :1]).all()
    assert 79 <= out.min() <= out.max() <= 121
    assert int(out.max()) > int(out.min())
    assert (colour_jitter(images(), 0.3, generator()).float() - images().float()).abs().mean() < 60


def test_colour_cast_is_a_gain_for_each_channel() -> None:
    images = torch.full((50, 4, 2, 3), 100, dtype=torch.uint8)
    out = colour_cast(images, 0.4, torch.Generator().manual_seed(0)).float()
    assert (out.amax(dim=(1, 2)) == out.amin(dim=(1, 2))).all()  # all pixels of a picture alike
    assert out[:, 0, 0].mean(dim=1).sub(100).abs().max() <= 1
    ratios = out[:, 0, 0, 0] / out[:, 0, 0, 2]
    assert ratios.max() > 1.3
    assert ratios.min() < 0.77
    assert ratios.max() < 2.3


def test_random_erasing_fills_one_rectangle() -> None:
    x = torch.zeros((40, 32, 16, 3), dtype=torch.uint8)
    out = random_erasing(x, 0.5, generator())
    changed = (out != 0).any(dim=3)
    erased = changed.flatten(1).any(dim=1)
    assert 10 <= int(erased.sum()) <= 30
    assert (x == 0).all()  # the input is left as it is
    for mask in changed[erased]:
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        area = int((rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1))
        assert area <= 0.45 * 32 * 16
        assert mask.sum() > 0.9 * area


def test_augment_does_what_the_recipe_asks_and_no_more() -> None:
    assert torch.equal(augment(images(), BASELINE, generator()), images())
    small = replace(BASELINE, height=12, width=8)
    recipe = replace(small, random_flip=True, pad_and_crop=2, colour_jitter=0.2, random_erasing=1.0)
    drawn = generator()
    by_hand = flip_where(images(), torch.rand(6, generator=drawn) < 0.5)
    by_hand = pad_and_crop(by_hand, 2, drawn)
    by_hand = colour_jitter(by_hand, 0.2, drawn)
    by_hand = random_erasing(by_hand, 1.0, drawn)
    assert torch.equal(augment(images(), recipe, generator()), by_hand)
    assert not torch.equal(by_hand, images())
    steps: dict[str, tuple[object, Callable[[torch.Tensor, torch.Generator], torch.Tensor]]] = {
        "random_flip": (True, lambda x, g: flip_where(x, torch.rand(6, generator=g) < 0.5)),
        "pad_and_crop": (2, lambda x, g: pad_and_crop(x, 2, g)),
        "colour_jitter": (0.2, lambda x, g: colour_jitter(x, 0.2, g)),
        "colour_cast": (0.4, lambda x, g: colour_cast(x, 0.4, g)),
        "random_erasing": (1.0, lambda x, g: random_erasing(x, 1.0, g)),
    }
    for field, (value, alone) in steps.items():
        only = replace(small, **{field: value})  # type: ignore[arg-type]
        assert torch.equal(augment(images(), only, generator()), alone(images(), generator())), field


def test_sizes_of_progressive_training() -> None:
    recipe = find_recipe("stripnet", epochs=10, constant_epochs=0, progressive="64x32*3, 96x48*2")
    assert [recipe.size_at(epoch) for epoch in (0, 2, 3, 4, 5, 9)] == [
        (64, 32), (64, 32), (96, 48), (96, 48), (128, 64), (128, 64)
    ]  # fmt: skip
    for wrong in ("64x32", "64*3", "64x32*0", "256x64*2", "64x32*10", "64x32*2,,96", "x"):
        with pytest.raises(ConfigError, match="progressive"):
            find_recipe("stripnet", epochs=10, constant_epochs=0, progressive=wrong)


def test_the_published_recipes_are_as_published() -> None:
    cosine, aligned = RECIPES["cosine"], RECIPES["resnet50-aligned"]
    identities = cosine.batch_size // cosine.images_per_identity
    assert (cosine.sampler, identities, cosine.images_per_identity) == ("balanced", 32, 4)
    assert (cosine.height, cosine.width, cosine.dim, cosine.kappa_softplus) == (128, 64, 128, True)
    assert (aligned.network, aligned.height, aligned.width, aligned.slices) == ("resnet50", 256, 128, 8)
    assert aligned.aligned
    assert aligned.triplet > 0


def test_the_doctor_advises_what_the_default_recipe_takes() -> None:
    """Nothing where the data fit the recipe; its sizes and its batches fitted to them else."""
    recipe = RECIPES["stripnet"]
    data = draw_city(CityConfig(train_people=16, test_people=2, cameras=2, crops_per_camera=2, height=128, width=64))
    assert examine(data, "d", recipe=recipe).advice.command == "resight train d -o runs/first"
    wide = replace(recipe, height=256, width=192, batch_size=128)
    advised = "resight train d --height 128 --width 64 --batch-size 64 -o runs/first"
    assert examine(data, "d", recipe=wide).advice.command == advised


def test_stages_go_with_the_epochs_and_the_size() -> None:
    whole = find_recipe("stripnet")
    assert find_recipe("stripnet", epochs=whole.epochs) == whole
    half = find_recipe("stripnet", epochs=70)
    assert (half.progressive, half.constant_epochs) == ("64x32*20,96x48*20", 10)
    assert find_recipe("stripnet", height=64, width=32).progressive == "64x32*40"
    assert find_recipe("stripnet", epochs=70, progressive="64x32*5").progressive == "64x32*5"
    assert (half.warmup_epochs, find_recipe("resnet50-aligned", epochs=10).warmup_epochs) == (2.0, 2.0)
    one = find_recipe("stripnet", epochs=1)
    assert (one.progressive, one.constant_epochs) == ("", 0)
    with pytest.raises(ConfigError, match="epochs must be between 1"):
        find_recipe("stripnet", epochs=-3)


def test_shrinking_averages() -> None:
    images = torch.randint(0, 256, (3, 8, 4, 3), dtype=torch.uint8)
    assert shrink(images, 8, 4) is images
    small = shrink(images, 4, 2)
    assert small.shape == (3, 4, 2, 3)
    assert small.dtype == torch.uint8
    by_pillow = [resize_image(image.numpy(), 4, 2) for image in images]
    assert (small.int() - torch.from_numpy(np.stack(by_pillow)).int()).abs().max() <= 1


def test_shifts_are_of_the_full_size() -> None:
    recipe = replace(find_recipe("baseline"), height=128, pad_and_crop=8)
    images = torch.full((64, 32, 16, 3), 255, dtype=torch.uint8)
    out = augment(images, recipe, torch.Generator().manual_seed(0))
    black_rows = (out.amax(dim=(2, 3)) == 0).sum(dim=1)
    assert black_rows.max() == 2  # 8 of 128 pixels are 2 of 32


def test_the_average_by_hand() -> None:
    linear, norm = torch.nn.Linear(1, 1, bias=False), torch.nn.BatchNorm1d(1)
    torch.nn.init.ones_(linear.weight)
    average = WeightAverage(torch.nn.Sequential(linear, norm), 0.5)
    expected = 1.0
    for step, value in enumerate((2.0, 3.0, 5.0)):
        torch.nn.init.constant_(linear.weight, value)
        norm.state_dict()["num_batches_tracked"].fill_(step)
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    kept = average.network.state_dict()
    assert kept["0.weight"].item() == pytest.approx(expected)
    assert kept["1.num_batches_tracked"].item() == 2
    assert linear.weight.item() == 5.0


def test_without_an_average_the_network_itself_is_kept() -> None:
    network = torch.nn.Linear(1, 1)
    average = WeightAverage(network, 0.0)
    average.update(0)
    assert average.network is network


@pytest.mark.parametrize(("sampler", "mixed"), [("cameras", False), ("balanced", False), ("balanced", True)])
def test_each_process_has_all_pictures_of_its_people(sampler: str, mixed: bool) -> None:
    labels = np.repeat(np.arange(40), 8)
    if mixed:
        labels = np.concatenate([labels, np.full(200, -1)])
    recipe = replace(RECIPES["stripnet"], sampler=sampler, batch_size=64)
    rows = epoch_batches(recipe, labels, labels % 3, 0, 0)[0]
    plan = Plan(recipe, labels, labels, 0, 1)
    shares = [share_of(plan, rows, World(rank, 4, torch.device("cpu"))) for rank in range(4)]
    assert sorted(np.concatenate(shares)) == sorted(rows)
    for share in shares:
        assert len(share) == 16
        people = labels[share][labels[share] >= 0]
        assert set(np.unique(people, return_counts=True)[1]) == {recipe.images_per_identity}
    assert np.array_equal(share_of(plan, rows, World(0, 1, torch.device("cpu"))), rows)
    with pytest.raises(ConfigError, match="do not divide among 32 processes"):
        share_of(plan, rows, World(0, 32, torch.device("cpu")))
