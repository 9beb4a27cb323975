"""What a gallery needs of a model: `resight.load`'s embedder has it, and this room need not know that one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from resight.core.calibration import Calibration
from resight.core.records import FloatArray


class Part(Protocol):
    """Which values of an embedding are of what: `whole`, or a strip."""

    @property
    def name(self) -> str:
        """`whole`, or `strip 1 of 4`, from the top."""
        ...

    @property
    def start(self) -> int:
        """The first value."""
        ...

    @property
    def stop(self) -> int:
        """The one after the last."""
        ...


class Card(Protocol):
    """What a gallery wants to know of a model."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def rights(self) -> str:
        """Who may do what with it, in a line."""
        ...

    @property
    def parts(self) -> Sequence[Part]:
        """Of the embedding, in order."""
        ...

    @property
    def calibration(self) -> Calibration | None:
        """What its similarities mean."""
        ...


class Model(Protocol):
    """What a gallery needs of `resight.load`'s embedder."""

    @property
    def identity(self) -> str:
        """Embeddings are comparable where it is equal."""
        ...

    @property
    def dim(self) -> int:
        """Values of an embedding."""
        ...

    @property
    def manifest(self) -> Card:
        """What the model says of itself."""
        ...

    @property
    def embed(self) -> Callable[..., FloatArray]:
        """Pictures to (n, dim)."""
        ...


def short_of(identity: str) -> str:
    """Enough of it to tell models apart in a message."""
    return identity.removeprefix("sha256:")[:12]
