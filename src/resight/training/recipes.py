"""What to train and how, by name. Everything that changes the resulting weights, but the seed and the data."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from resight.core.errors import ConfigError, unknown_name
from resight.core.pictures.preprocessing import MAX_SIDE_PX

SCHEDULES = ("constant", "warmup-cosine")
SAMPLERS = ("shuffled", "balanced", "cameras")


def _field(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


def _weight(default: float, text: str) -> Any:
    """Of a loss, under the name that it has in losses/joint.py."""
    return field(default=default, metadata={"help": text, "bounds": (0.0, 1000.0)})


@dataclass(frozen=True)
class Recipe:
    """One training, resolved. Sizes are in pixels."""

    network: str = _field("bignet", "the network: bignet, cosinenet, resnet50, slicenet1, slicenet2 or stripnet")
    slices: int = _field(1, "horizontal strips, of all but bignet and cosinenet")
    dim: int = _field(128, "values of the embedding")
    pooling: str = _field("avg-max", "of a stripnet or resnet50: avg, max, avg-max or gem")
    strips: str = _field("own", "of a stripnet or resnet50: own or shared dense layers, or strips of the image")
    height: int = _field(128, "input height in pixels")
    width: int = _field(48, "input width in pixels")
    normalise: bool = _field(True, "normalise by the training set's own channel mean and deviation")
    kappa: float = _field(1.0, "start of the cosine softmax's scale")
    kappa_softplus: bool = _field(False, "learn kappa as log(1 + exp(scale)), which stays above 0")
    label_smoothing: float = _field(0.0, "share of the softmax's target spread over all classes")
    margin: float = _field(0.0, "how much less the right class's cosine counts in the softmax (CosFace)")
    triplet: float = _weight(0.0, "weight of the soft-margin batch-hard triplet loss")
    circle: float = _weight(0.0, "weight of the circle loss of all pairs of a batch")
    identity: float = _weight(1.0, "weight of all losses of labels: the softmax, triplets and circles")
    imitation: float = _weight(0.0, "weight of being where the teachers are; takes --teacher")
    distillation: float = _weight(0.0, "weight of how alike the teachers find every two pictures; takes --teacher")
    views: int = _field(1, "views of each picture that teachers see: itself, mirrored, and others cut at random")
    mutual: bool = _field(False, "train two networks that learn from each other, and keep one")
    aligned: bool = _field(False, "the strips' triplets by aligned distances (AlignedReID++)")

    epochs: int = _field(200, "passes over the training set, flipped copies included")
    batch_size: int = _field(16, "pictures a step, over all processes")
    sampler: str = _field("shuffled", "shuffled, balanced (P identities x K pictures), or cameras (K by many cameras)")
    images_per_identity: int = _field(4, "K of a balanced batch")
    progressive: str = _field("", "smaller sizes for the first epochs, as 64x32*30,96x48*15 (height x width * epochs)")

    learning_rate: float = _field(1e-3, "Adam's rate")
    weight_decay: float = _field(0.0, "decoupled weight decay, of matrices and kernels only")
    average: float = _field(0.0, "decay of the weights' exponential average, which becomes the model; 0: none")
    schedule: str = _field("constant", "the rate over time: constant or warmup-cosine")
    warmup_epochs: float = _field(0.0, "epochs of linear warm-up under warmup-cosine")
    constant_epochs: int = _field(0, "of the epochs, the last ones: after the schedule's end, at constant_rate")
    constant_rate: float = _field(6e-4, "the rate of those")

    flipped_copies: bool = _field(False, "add a mirrored copy of each training picture to the set")
    random_flip: bool = _field(False, "mirror each picture with probability one half")
    pad_and_crop: int = _field(0, "pad by so many pixels, crop back at random")
    colour_jitter: float = _field(0.0, "largest relative change of brightness, contrast and saturation")
    colour_cast: float = _field(0.0, "largest change of each channel's gain by itself, as a power of e")
    random_erasing: float = _field(0.0, "probability of erasing one rectangle (Zhong et al., 2020)")

    def __post_init__(self) -> None:
        _check_choice("schedule", self.schedule, SCHEDULES)
        _check_choice("sampler", self.sampler, SAMPLERS)
        if self.aligned and (self.network not in ("resnet50", "stripnet") or not self.triplet):
            raise ConfigError("aligned says how the triplet loss of a stripnet's or resnet50's strips measures")
        if self.random_flip and self.flipped_copies:
            raise ConfigError("random_flip and flipped_copies do the same thing twice: choose one")
        if self.sampler != "shuffled" and self.batch_size % self.images_per_identity:
            raise ConfigError(
                f"a balanced batch of {self.batch_size} does not divide into groups of "
                f"{self.images_per_identity} pictures (images_per_identity)"
            )
        own = [(f.name, *f.metadata["bounds"]) for f in fields(self) if "bounds" in f.metadata]
        for name, low, high in (*_BOUNDS, *own):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"{name} must be between {low} and {high}, not {value}")
        if self.constant_epochs >= self.epochs:
            raise ConfigError(f"constant_epochs {self.constant_epochs} leaves none of {self.epochs} to the schedule")
        if sum(epochs for _, _, epochs in self.smaller_sizes()) >= self.epochs and self.progressive:
            raise ConfigError(f"progressive {self.progressive!r} leaves none of the {self.epochs} epochs at full size")

    def smaller_sizes(self) -> tuple[tuple[int, int, int], ...]:
        """What `progressive` says: (height, width, epochs) of each part. Raises ConfigError where it cannot be read."""
        found = []
        for part in filter(None, self.progressive.split(",")):
            match = re.fullmatch(r"\s*(\d{1,4})x(\d{1,4})\*(\d{1,6})\s*", part)
            if not match:
                raise ConfigError(f"progressive: {part!r} is not of the form HEIGHTxWIDTH*EPOCHS, as in 64x32*30")
            height, width, epochs = (int(number) for number in match.groups())
            if not (8 <= height <= self.height and 8 <= width <= self.width and epochs):
                raise ConfigError(f"progressive: {part.strip()} is not smaller than {self.height}x{self.width}")
            found.append((height, width, epochs))
        return tuple(found)

    def size_at(self, epoch: int) -> tuple[int, int]:
        """(height, width) of the pictures in 0-based `epoch`."""
        for height, width, epochs in self.smaller_sizes():
            if epoch < epochs:
                return height, width
            epoch -= epochs
        return self.height, self.width

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe of a saved configuration. Raises ConfigError for a foreign or missing field."""
        values = {name: value for name, value in values.items() if name not in GONE or value != GONE[name]}
        known = {f.name for f in fields(cls)}
        if set(values) - known or known - set(values) - ADDED:
            raise ConfigError(f"not a recipe of this version: {sorted(set(values) ^ known)} differ")
        return cls(**values)


# What recipes of version 0.1.0 lack, and what they may hold that does nothing at this value.
ADDED = frozenset(["identity", "imitation", "views"])
GONE = {"centre": 0.0, "greyscale": 0.0}
_BOUNDS: tuple[tuple[str, float, float], ...] = (
    ("slices", 1, 64),
    ("dim", 1, 65536),
    ("height", 8, MAX_SIDE_PX),
    ("width", 8, MAX_SIDE_PX),
    ("kappa", 1e-6, 1e6),
    ("label_smoothing", 0.0, 0.9),
    ("margin", 0.0, 2.0),
    ("views", 1, 1000),
    ("epochs", 1, 1_000_000),
    ("batch_size", 2, 1_000_000),
    ("images_per_identity", 1, 1_000_000),
    ("learning_rate", 0.0, 100.0),
    ("weight_decay", 0.0, 100.0),
    ("average", 0.0, 0.99999),
    ("constant_epochs", 0, 1_000_000),
    ("constant_rate", 0.0, 100.0),
    ("warmup_epochs", 0.0, 1_000_000.0),
    ("pad_and_crop", 0, 512),
    ("colour_jitter", 0.0, 1.0),
    ("colour_cast", 0.0, 3.0),
    ("random_erasing", 0.0, 1.0),
)


def _check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise unknown_name(name, value, known)


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
# For cameras that nobody trained on: what teachers say of crops from many places, identities lightly beside it, and
# strong changes of colour that leave the target where it is. Best begun with a stripnet's weights (`--pretrained`).
GENERAL = replace(
    STRIPNET,
    identity=0.15,
    imitation=5.0,
    distillation=2.0,
    views=4,
    epochs=60,
    batch_size=128,
    progressive="64x32*10,96x48*25",
    learning_rate=1e-3,
    average=0.998,
    constant_epochs=0,
    random_flip=False,
    pad_and_crop=6,
    colour_cast=0.3,
)
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
    "stripnet-aligned": replace(STRIPNET, aligned=True),
    "resnet50-aligned": RESNET50_ALIGNED,
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
    height, width = overrides.get("height", recipe.height), overrides.get("width", recipe.width)
    smaller = [(h, w, round(length * share)) for h, w, length in recipe.smaller_sizes()]
    kept = [f"{h}x{w}*{length}" for h, w, length in smaller if length and h <= height and w <= width]
    return {
        "progressive": ",".join(kept),
        "constant_epochs": round(recipe.constant_epochs * share),
        "warmup_epochs": min(recipe.warmup_epochs, epochs * MOST_WARMUP),
    }
