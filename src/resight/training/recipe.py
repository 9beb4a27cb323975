"""One training, resolved: everything that changes the resulting weights, but the seed and the data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from resight.core.errors import ConfigError, unknown_name
from resight.core.pictures.preprocessing import IMAGENET, MAX_SIDE_PX

EPOCH_SCHEDULES = ("epoch-cosine", "stepwise")
SCHEDULES = ("constant", "warmup-cosine", *EPOCH_SCHEDULES)
OPTIMIZERS = ("adamw", "adam", "sgd")
CLASSIFIERS = ("cosine", "bnneck", "local")
Three = tuple[float, float, float]
# Channel mean and deviation in [0, 1]; None: those of the training pictures.
STATISTICS: dict[str, tuple[Three, Three] | None] = {
    "data": None,
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": IMAGENET,
}
# The forms of transformers: TransReID's, and a tiny one of ours for training from scratch.
FORMS: dict[str, dict[str, Any]] = {
    "vit-base": {"width": 768, "depth": 12, "heads": 12},
    "deit-small": {"width": 384, "depth": 12, "heads": 6},
    "vit-small": {"width": 768, "depth": 8, "heads": 8, "mlp": 3.0, "qkv_bias": False, "scale": 768**-0.5},
    "tiny": {"width": 192, "depth": 4, "heads": 3},
}
TRANSFORMERS = ("la-transformer", "transreid")
SAMPLERS = ("shuffled", "balanced", "cameras")


def _field(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


def _weight(default: float, text: str) -> Any:
    """Of a loss, under the name that it has in losses/joint.py."""
    return field(default=default, metadata={"help": text, "bounds": (0.0, 1000.0)})


@dataclass(frozen=True)
class Recipe:
    """One training, resolved. Sizes are in pixels."""

    network: str = _field(
        "bignet",
        "the network: bignet, cosinenet, resnet50, slicenet1, slicenet2, stripnet, transreid, la-transformer, ...",
    )
    slices: int = _field(1, "horizontal strips, of all but bignet and cosinenet")
    dim: int = _field(128, "values of the embedding")
    pooling: str = _field("avg-max", "of a stripnet or resnet50: avg, max, avg-max or gem")
    strips: str = _field("own", "of a stripnet or resnet50: own or shared dense layers, or strips of the image")
    form: str = _field("vit-base", "of a transformer: vit-base, deit-small, vit-small or tiny")
    patch_stride: int = _field(16, "of a transformer: pixels from one patch of 16 to the next")
    jigsaw: bool = _field(False, "of a transreid: four parts of shuffled patches beside the whole")
    drop_path: float = _field(0.0, "of a transformer: how often its last block is left out, rising to that")
    unfreeze_epochs: int = _field(
        0, "of a transformer: its last two blocks learn, one more every so many epochs; 0: all"
    )
    height: int = _field(128, "input height in pixels")
    width: int = _field(48, "input width in pixels")
    normalise: bool = _field(True, "normalise by the training set's own channel mean and deviation")
    statistics: str = _field("data", "whose mean and deviation: the training set's (data), half or imagenet")
    image_centring: float = _field(
        0.0, "share of each picture's own channel means that is taken out; 0: as in the weights that it begins with"
    )
    classifier: str = _field("cosine", "cosine; bnneck (linear, behind a batch norm); or local (one a branch)")
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
    view_colours: float = _field(0.0, "how far apart the colours of the views' drawn cameras are, 1: as cameras are")
    view_joins: float = _field(0.0, "share of unlabelled views whose lower part is of another picture")
    mutual: bool = _field(False, "train two networks that learn from each other, and keep one")
    aligned: bool = _field(False, "the strips' triplets by aligned distances (AlignedReID++)")

    epochs: int = _field(200, "passes over the training set, flipped copies included")
    batch_size: int = _field(16, "pictures a step, over all processes")
    sampler: str = _field("shuffled", "shuffled, balanced (P identities x K pictures), or cameras (K by many cameras)")
    images_per_identity: int = _field(4, "K of a balanced batch")
    progressive: str = _field("", "smaller sizes for the first epochs, as 64x32*30,96x48*15 (height x width * epochs)")

    optimizer: str = _field("adamw", "adamw, adam or sgd (momentum 0.9)")
    learning_rate: float = _field(1e-3, "the optimizer's rate")
    bias_rate: float = _field(1.0, "what the rate of biases is times, under adam and sgd")
    weight_decay: float = _field(0.0, "adamw: decoupled, of matrices and kernels only; else of everything")
    average: float = _field(0.0, "decay of the weights' exponential average, which becomes the model; 0: none")
    schedule: str = _field("constant", "the rate over time: constant, warmup-cosine, epoch-cosine or stepwise")
    warmup_epochs: float = _field(0.0, "epochs of linear warm-up under warmup-cosine")
    constant_epochs: int = _field(0, "of the epochs, the last ones, after warmup-cosine or constant: at constant_rate")
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
        _check_choice("optimizer", self.optimizer, OPTIMIZERS)
        _check_choice("classifier", self.classifier, CLASSIFIERS)
        _check_choice("statistics", self.statistics, tuple(STATISTICS))
        _check_choice("form", self.form, tuple(FORMS))
        _check_fits(self)
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
        if self.constant_epochs and self.schedule in EPOCH_SCHEDULES:
            raise ConfigError(
                f"constant_epochs do not go with the schedule {self.schedule}, which sets every rate: leave them out, "
                "or take the schedule constant or warmup-cosine"
            )
        if sum(epochs for _, _, epochs in self.smaller_sizes()) >= self.epochs and self.progressive:
            raise ConfigError(f"progressive {self.progressive!r} leaves none of the {self.epochs} epochs at full size")

    def network_options(self) -> dict[str, Any]:
        """What of the recipe a transformer's own form says; of other networks nothing."""
        if self.network not in TRANSFORMERS:
            return {}
        options = {**FORMS[self.form], "stride": self.patch_stride, "drop_path": self.drop_path}
        return {**options, **({"jigsaw": self.jigsaw} if self.network == "transreid" else {"rows": self.slices})}

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
        if values.get("schedule") in EPOCH_SCHEDULES:  # earlier versions took some, which did nothing
            values["constant_epochs"] = 0
        known = {f.name for f in fields(cls)}
        if set(values) - known or known - set(values) - ADDED:
            raise ConfigError(f"not a recipe of this version: {sorted(set(values) ^ known)} differ")
        return cls(**values)


# What recipes of version 0.1.0 lack, and what they may hold that does nothing at this value.
_OF_TRANSFORMERS = ("form", "patch_stride", "jigsaw", "drop_path", "unfreeze_epochs")
_OF_THEIR_TRAINING = ("statistics", "classifier", "optimizer", "bias_rate")
_OF_VIEWS = ("views", "view_colours", "view_joins")
ADDED = frozenset(["image_centring", "identity", "imitation", *_OF_VIEWS, *_OF_TRANSFORMERS, *_OF_THEIR_TRAINING])
GONE = {"centre": 0.0, "greyscale": 0.0}
_BOUNDS: tuple[tuple[str, float, float], ...] = (
    ("slices", 1, 64),
    ("dim", 1, 65536),
    ("height", 8, MAX_SIDE_PX),
    ("width", 8, MAX_SIDE_PX),
    ("image_centring", 0.0, 1.0),
    ("kappa", 1e-6, 1e6),
    ("label_smoothing", 0.0, 0.9),
    ("margin", 0.0, 2.0),
    ("patch_stride", 1, 64),
    ("drop_path", 0.0, 0.99),
    ("unfreeze_epochs", 0, 1_000_000),
    ("bias_rate", 0.0, 100.0),
    ("views", 1, 1000),
    ("view_colours", 0.0, 3.0),
    ("view_joins", 0.0, 1.0),
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


def _check_fits(recipe: Recipe) -> None:
    """Raises ConfigError for fields that do not go together, of transformers and of classifiers behind a batch norm."""
    if recipe.network in TRANSFORMERS and recipe.progressive:
        raise ConfigError("a transformer takes pictures of one size: leave progressive out")
    if recipe.unfreeze_epochs and recipe.network not in TRANSFORMERS:
        raise ConfigError("unfreeze_epochs is of a transformer's blocks")
    if recipe.classifier == "local" and recipe.triplet:
        raise ConfigError("the classifier local has no triplets beside it: leave triplet out")
    cosine_only = ("circle", "margin", "imitation", "distillation", "mutual", "aligned", "kappa_softplus")
    taken = [name for name in cosine_only if getattr(recipe, name)]
    if recipe.classifier != "cosine" and taken:
        raise ConfigError(f"the classifier {recipe.classifier} does not go with {', '.join(taken)}; cosine does")


def _check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise unknown_name(name, value, known)
