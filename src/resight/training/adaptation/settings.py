"""How a model is adapted to a site: all that decides the result besides the model, the pictures and the seed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from resight.core.errors import ConfigError
from resight.training.recipe import Recipe


def _field(default: Any, text: str, low: float, high: float) -> Any:
    return field(default=default, metadata={"help": text, "bounds": (low, high)})


@dataclass(frozen=True)
class Adaptation:
    """One adaptation, resolved. Raises ConfigError for a value out of its bounds."""

    rounds: int = _field(12, "rounds of clustering the site and learning its clusters once", 1, 1000)
    across_from: int = _field(3, "the first round that learns across cameras, not within each alone", 1, 1000)
    held_out: float = _field(0.15, "share of the tracklets that only judge", 0.05, 0.5)
    eps: float = _field(0.0, "the clusters' reach, a Jaccard distance; 0: the criterion chooses each round", 0.0, 0.95)

    batch_size: int = _field(64, "pictures a step", 4, 100_000)
    images_per_cluster: int = _field(4, "of them, pictures of one cluster, by different cameras first", 2, 1000)
    least_steps: int = _field(50, "steps a round at the least, where a pass over few pictures has fewer", 1, 1_000_000)
    learning_rate: float = _field(3.5e-4, "Adam's rate at the start; it falls by half a cosine", 0.0, 10.0)
    weight_decay: float = _field(5e-4, "of all weights", 0.0, 10.0)
    average: float = _field(0.99, "decay of the weights' exponential average, which clusters and is kept", 0.0, 0.99999)
    frozen_norm: bool = field(
        default=False, metadata={"help": "keep the statistics of normalisation of the model that is adapted"}
    )

    temperature: float = _field(0.07, "of the softmaxes over proxies", 1e-3, 10.0)
    momentum: float = _field(0.2, "what of a proxy stays when pictures of it were seen", 0.0, 1.0)
    across: float = _field(0.5, "weight of the loss across cameras", 0.0, 100.0)
    negatives: int = _field(50, "nearest proxies of other clusters in it", 1, 100_000)

    colour_cast: float = _field(0.3, "largest change of each channel's gain by itself, as a power of e", 0.0, 3.0)
    random_erasing: float = _field(0.5, "probability of erasing one rectangle", 0.0, 1.0)
    pad_and_crop: int = _field(8, "pad by so many pixels, crop back at random", 0, 512)

    def __post_init__(self) -> None:
        for one in fields(self):
            low, high = one.metadata.get("bounds", (False, True))
            if not low <= getattr(self, one.name) <= high:
                raise ConfigError(f"{one.name} must be between {low} and {high}, not {getattr(self, one.name)}")
        if self.batch_size % self.images_per_cluster or self.batch_size < 2 * self.images_per_cluster:
            raise ConfigError(
                f"a batch of {self.batch_size} does not divide into two or more groups of {self.images_per_cluster}"
            )

    def recipe(self, height: int, width: int) -> Recipe:
        """What the parts of a training take: how pictures are changed, and the optimizer."""
        return Recipe(
            height=height,
            width=width,
            batch_size=self.batch_size,
            images_per_identity=self.images_per_cluster,
            sampler="cameras",
            optimizer="adam",
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            random_flip=True,
            pad_and_crop=self.pad_and_crop,
            colour_cast=self.colour_cast,
            random_erasing=self.random_erasing,
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
