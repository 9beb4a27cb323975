"""The base class of networks: what each says of itself, so that nobody else keeps a table of names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from numbers import Integral
from typing import Any, ClassVar, Self, TypeVar

from torch import Tensor, nn

from resight.core.errors import ConfigError
from resight.core.pictures.preprocessing import MAX_SIDE_PX


@dataclass(frozen=True)
class Architecture:
    """A network by name, and its sizes. dim: of its embeddings. slices: horizontal strips that part of the embedding
    comes from, 1 where it does not slice. pooling, strips: of networks with a global and a local branch. options: what
    else a network's own form says, by name; see its module."""

    name: str
    dim: int = 128
    slices: int = 1
    pooling: str = "avg-max"
    strips: str = "own"
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not all(isinstance(value, Integral) for value in (self.dim, self.slices)):
            raise ConfigError(f"dim and slices must be whole numbers, not {self.dim!r} and {self.slices!r}")
        if not all(isinstance(value, str) for value in (self.name, self.pooling, self.strips)):
            raise ConfigError(
                f"name, pooling and strips must be texts, not {self.name!r}, {self.pooling!r} and {self.strips!r}"
            )

    def to_dict(self) -> dict[str, Any]:
        """For a card; options only where there are any, so that a model without keeps its identity."""
        values = asdict(self)
        return values if self.options else {name: value for name, value in values.items() if name != "options"}

    def check_dim(self, dim: int) -> None:
        """Raises ConfigError where the embedding's size is not that which follows from the options."""
        if self.dim != dim:
            raise ConfigError(f"a {self.name} of this form has embeddings of dim {dim}, not {self.dim}")


Form = TypeVar("Form")


def read_options(form: Callable[..., Form], architecture: Architecture) -> Form:
    """The architecture's options as a network's own form. Raises ConfigError for an unknown one, or a wrong value."""
    try:
        return form(**architecture.options)
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        known = ", ".join(inspect.signature(form).parameters)
        raise ConfigError(
            f"the options of a {architecture.name} are not {dict(architecture.options)}. Known: {known}."
        ) from None


class Network(nn.Module):
    """(n, 3, height, width) float32, normalised, to embeddings (n, dim) float32 of unit length, in every mode.

    A network sets these class attributes and implements `build`; its other class methods follow from them.

    stride: pixels a cell of the feature map, in height and in width. slices_images: whether it takes more than one
    slice. halves: whether half of the embedding is of the whole picture, and only the other half of strips.
    own_layers: prefixes of the parameters that no weights from elsewhere hold. foreign_layers: prefixes of the
    parameters of such weights that it has no use for; None where it takes none.
    """

    stride: ClassVar[int]
    slices_images: ClassVar[bool] = False
    halves: ClassVar[bool] = False
    own_layers: ClassVar[tuple[str, ...]] = ()
    foreign_layers: ClassVar[tuple[str, ...] | None] = None

    @classmethod
    def build(cls, architecture: Architecture, height: int, width: int) -> Self:
        """With fresh weights. The sizes fit: `check` was called before."""
        raise NotImplementedError

    @classmethod
    def parts(cls, architecture: Architecture) -> tuple[tuple[str, int, int], ...]:
        """What of the person each part of the embedding is of: (name, start, stop), strips from top to bottom."""
        if not cls.slices_images:
            return (("whole", 0, architecture.dim),)
        first = architecture.dim // 2 if cls.halves else 0
        step = (architecture.dim - first) // architecture.slices
        starts = range(first, architecture.dim, step)
        strips = tuple(
            (f"strip {k} of {architecture.slices}", start, start + step) for k, start in enumerate(starts, 1)
        )
        return (("whole", 0, first), *strips) if first else strips

    @classmethod
    def trained_parts(cls, architecture: Architecture) -> tuple[tuple[int, int], ...]:
        """The parts of the embedding, (start, stop) each, that a loss is taken of separately."""
        if cls.halves:
            return ((0, architecture.dim // 2), (architecture.dim // 2, architecture.dim))
        return ((0, architecture.dim),)

    @classmethod
    def check(cls, architecture: Architecture, height: int, width: int) -> None:
        """Raises ConfigError where the network does not take these sizes, and says which nearest it does."""
        name, dim, slices = architecture.name, architecture.dim, architecture.slices
        if slices != 1 and not cls.slices_images:
            raise ConfigError(f"{name} does not slice: use slicenet1 or slicenet2, or slices 1")
        parts = 2 * slices if cls.halves else slices
        if slices < 1 or dim < 1 or dim % parts:
            raise ConfigError(f"an embedding of dimension {dim} does not divide into {parts} equal parts")
        step = cls.stride * slices  # every strip is one cell of the feature map high at least
        if height < step or height % step or width < cls.stride or width % cls.stride:
            near = max(step, round(height / step) * step), max(cls.stride, round(width / cls.stride) * cls.stride)
            raise ConfigError(
                f"{name} with {slices} slice(s) does not take images of {height} x {width}: the height must be a "
                f"multiple of {step} and the width of {cls.stride}. The nearest that does is {near[0]} x {near[1]}."
            )
        if max(height, width) > MAX_SIDE_PX:
            raise ConfigError(f"images of {height} x {width} are larger than {MAX_SIDE_PX} on a side")

    def forward(self, images: Tensor) -> Tensor:
        """As the class says."""
        raise NotImplementedError

    def begin_with(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The network's own weights, those of a file trained elsewhere (on ImageNet) among them; what does not fit is
        left in, to be named by whoever loads them. Raises ConfigError for a network that takes none."""
        if self.foreign_layers is None:
            raise ConfigError(f"a {type(self).__name__} begins with a run's weights only, not with a file")
        taken = {name: tensor for name, tensor in weights.items() if not name.startswith(self.foreign_layers)}
        own = {name: tensor for name, tensor in self.state_dict().items() if name.startswith(self.own_layers)}
        return {**taken, **own}

    def branches(self, images: Tensor) -> Tensor:
        """What classifiers of their own learn from, one each: (n, branches, width), not of unit length. Raises
        ConfigError for a network that has none."""
        raise ConfigError(f"a {type(self).__name__} learns by the cosine classifier only")
