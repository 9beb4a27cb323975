"""What to train and how, by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from resight.core.errors import unknown_name
from resight.training.recipe import EPOCH_SCHEDULES, Recipe

__all__ = ["RECIPES", "Recipe", "find_recipe"]

# The four reference models, as the paper trained them: Adam at 1e-3, batches of 16, kappa from 1. The
# counts of batches inside the paper's own weights show that both SliceNets saw flipped copies.
BASELINE = Recipe(normalise=False)
BASELINE_AUG = Recipe(flipped_copies=True)
SLICENET1 = Recipe(network="slicenet1", slices=4, flipped_copies=True)
SLICENET2 = Recipe(network="slicenet2", slices=4, flipped_copies=True)

# Deep cosine metric learning by its authors' settings (Wojke and Bewley, WACV 2018, and their published code): Adam
# at 1e-3 with a decay of 1e-8, batches of 32 identities x 4, mirrored at random, pixels in [0, 1].
COSINE = Recipe(
    network="cosinenet",
    width=64,
    normalise=False,
    kappa=math.log(2),  # softplus of the 0 that they begin with
    kappa_softplus=True,
    batch_size=128,
    sampler="balanced",
    weight_decay=1e-8,
    random_flip=True,
)
# Ours: a global and four strip embeddings of one small network of ReLUs, trained small first (docs/results.md).
STRIPNET = Recipe(
    network="stripnet",
    slices=4,
    dim=512,
    width=64,
    kappa=14.0,
    label_smoothing=0.1,
    triplet=1.0,
    circle=1.0,
    epochs=140,
    batch_size=64,
    sampler="cameras",
    progressive="64x32*40,96x48*40",
    learning_rate=2.5e-3,
    weight_decay=0.05,
    average=0.9995,
    schedule="warmup-cosine",
    warmup_epochs=2.0,
    constant_epochs=20,
    random_flip=True,
    pad_and_crop=8,
    colour_jitter=0.3,
    random_erasing=0.5,
)
# For cameras that nobody trained on: what teachers say of crops from many places, under drawn cameras and of joined
# people too; identities lightly beside it. Best begun with a stripnet's weights (`--pretrained`).
GENERAL = replace(
    STRIPNET,
    image_centring=0.5,
    identity=0.15,
    imitation=5.0,
    distillation=2.0,
    views=8,
    view_colours=0.7,
    view_joins=0.3,
    epochs=60,
    batch_size=128,
    progressive="64x32*10,96x48*25",
    learning_rate=1e-3,
    average=0.998,
    constant_epochs=0,
    random_flip=False,
    pad_and_crop=6,
    colour_cast=0.2,
)
# At home: one's own people, from a generalist's weights (`--pretrained default`), at a rate that keeps what it knows.
HOME = replace(STRIPNET, epochs=40, progressive="", learning_rate=4e-4, constant_epochs=0)
# AlignedReID++ (Luo et al., 2019) on a ResNet-50, for `--pretrained` with weights trained on ImageNet.
RESNET50_ALIGNED = replace(
    STRIPNET,
    network="resnet50",
    slices=8,
    dim=2048,
    height=256,
    width=128,
    aligned=True,
    circle=0.0,
    sampler="balanced",
    epochs=60,
    progressive="",
    learning_rate=3.5e-4,
    weight_decay=5e-4,
    average=0.0,
    warmup_epochs=10.0,
    constant_epochs=0,
    random_erasing=0.5,
)

# TransReID by its authors' settings (He et al., ICCV 2021, section 4.1): from weights trained on ImageNet
# (`--pretrained`), without side information, since a new site has new cameras.
TRANSREID = Recipe(
    network="transreid",
    form="vit-base",
    patch_stride=12,
    jigsaw=True,
    dim=5 * 768,
    drop_path=0.1,
    height=256,
    width=128,
    statistics="half",
    classifier="bnneck",
    triplet=1.0,
    epochs=120,
    batch_size=64,
    sampler="balanced",
    optimizer="sgd",
    learning_rate=0.008,
    bias_rate=2.0,
    weight_decay=1e-4,
    schedule="epoch-cosine",
    warmup_epochs=5.0,
    random_flip=True,
    pad_and_crop=10,
    random_erasing=0.5,
)
# Its small form, DeiT-small, as published without jigsaw and with patches side by side.
TRANSREID_SMALL = replace(
    TRANSREID,
    form="deit-small",
    patch_stride=16,
    jigsaw=False,
    dim=384,
    learning_rate=0.005,
    random_erasing=0.8,
)
# LA-Transformer by its authors' settings (Sharma et al., 2021): from a ViT trained on ImageNet (`--pretrained`), freed
# block by block. They keep the best epoch by held-out pictures; here the last one is kept.
LA_TRANSFORMER = Recipe(
    network="la-transformer",
    form="vit-base",
    slices=14,
    dim=14 * 768,
    height=224,
    width=224,
    statistics="imagenet",
    classifier="local",
    epochs=30,
    batch_size=32,
    optimizer="adam",
    learning_rate=3e-4,
    weight_decay=5e-4,
    schedule="stepwise",
    unfreeze_epochs=2,
    random_flip=True,
)
# Ours, to be trained from scratch: depth 4, 192 wide, with the losses and the optimizer of `stripnet`.
TRANSREID_TINY = replace(
    TRANSREID_SMALL,
    form="tiny",
    dim=192,
    drop_path=0.05,
    height=128,
    width=64,
    statistics="data",
    patch_stride=12,
    classifier="cosine",
    kappa=14.0,
    label_smoothing=0.1,
    circle=1.0,
    epochs=140,
    sampler="cameras",
    optimizer="adamw",
    learning_rate=1e-3,
    bias_rate=1.0,
    weight_decay=0.05,
    average=0.999,
    schedule="warmup-cosine",
    warmup_epochs=10.0,
    pad_and_crop=8,
    colour_jitter=0.3,
    random_erasing=0.5,
)


def _quick(recipe: Recipe) -> Recipe:
    """A short form for two cores: half the pixels each way, few epochs, and a rate that falls to nothing."""
    epochs = 8 if recipe.flipped_copies else 16
    return replace(recipe, height=64, width=24, epochs=epochs, schedule="warmup-cosine", warmup_epochs=1.0, kappa=8.0)


MOST_WARMUP = 0.2  # of a recipe made shorter

RECIPES: dict[str, Recipe] = {
    "baseline": BASELINE,
    "baseline-aug": BASELINE_AUG,
    "slicenet1": SLICENET1,
    "slicenet2": SLICENET2,
    "cosine": COSINE,
    "stripnet": STRIPNET,
    "general": GENERAL,
    "home": HOME,
    "stripnet-aligned": replace(STRIPNET, aligned=True),
    "resnet50-aligned": RESNET50_ALIGNED,
    "transreid": TRANSREID,
    "transreid-small": TRANSREID_SMALL,
    "transreid-tiny": TRANSREID_TINY,
    "la-transformer": LA_TRANSFORMER,
    "baseline-quick": _quick(BASELINE),
    "baseline-aug-quick": _quick(BASELINE_AUG),
    "slicenet1-quick": _quick(SLICENET1),
    "slicenet2-quick": _quick(SLICENET2),
}


def find_recipe(name: str, **overrides: Any) -> Recipe:
    """The recipe by name, with some fields set otherwise. Raises ConfigError for what does not fit.

    Where `epochs` is set and the epochs of its stages are not, those are as much longer or shorter, and the warm-up
    takes a fifth of all at most; stages of smaller pictures that would not be smaller are left out.
    """
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    recipe = RECIPES[name]
    return replace(recipe, **{**_stages(recipe, overrides), **overrides})


def _stages(recipe: Recipe, overrides: Mapping[str, Any]) -> dict[str, Any]:
    epochs = max(0, overrides.get("epochs", recipe.epochs))
    share = epochs / recipe.epochs
    schedule = overrides.get("schedule", recipe.schedule)
    height, width = overrides.get("height", recipe.height), overrides.get("width", recipe.width)
    smaller = [(h, w, round(length * share)) for h, w, length in recipe.smaller_sizes()]
    if sum(length for _, _, length in smaller) >= epochs:  # too few for stages: one is left at full size
        smaller = []
    kept = [f"{h}x{w}*{length}" for h, w, length in smaller if length and h <= height and w <= width]
    return {
        "progressive": ",".join(kept),
        "constant_epochs": 0 if schedule in EPOCH_SCHEDULES else round(recipe.constant_epochs * share),
        "warmup_epochs": min(recipe.warmup_epochs, epochs * MOST_WARMUP),
    }
