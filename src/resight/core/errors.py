"""Everything that resight raises on purpose.

ResightError
├── ConfigError          an option, name or value that cannot work            exit 2
│                        (a ValueError too)
├── DataError            the data are not what they must be                    exit 3
│   ├── DatasetError     a folder whose layout or content cannot be used
│   └── UnreadableImage  one picture that cannot be decoded
├── WeightsError         weights that do not fit, or a file that is not one    exit 4
│   ├── CalibrationError a calibration that cannot be read
│   └── ParityError      a bundle that does not give what its network gave
├── EmbeddingError       embeddings of the wrong shape, or not finite          exit 3
├── GalleryError         a gallery that cannot be used, or refuses         exit 3
│   └── GalleryBusy      another process is writing to it                  exit 9
├── TrainingError        training cannot go on                                 exit 5
│   └── NonFiniteLoss
└── MissingExtra         a part of resight that is not installed               exit 6
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable

# What numpy raises on reading a damaged npz, and on one without a wanted array.
DAMAGED_NPZ = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    MemoryError,
    RuntimeError,  # NotImplementedError is one
    zipfile.BadZipFile,
    zlib.error,
)


class ResightError(Exception):
    """Base of all errors raised on purpose. The message says what was wrong, where, and what to do."""

    exit_code = 1


class ConfigError(ResightError, ValueError):
    """An option, a name or a value that cannot work. A ValueError too."""

    exit_code = 2


class DataError(ResightError):
    """The data are not what they must be."""

    exit_code = 3


class DatasetError(DataError):
    """A data set whose layout or content cannot be used."""


class UnreadableImage(DataError):
    """One picture that cannot be decoded. `name` is its path or its place, `reason` the cause."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason

    def __reduce__(self) -> tuple[type[UnreadableImage], tuple[str, str]]:
        return type(self), (self.name, self.reason)


class WeightsError(ResightError):
    """Weights that do not fit the network, or a file that holds no weights."""

    exit_code = 4


class CalibrationError(WeightsError):
    """A calibration that cannot be read, or is of another schema."""


class ParityError(WeightsError):
    """A bundle that does not give what the trained network gave."""


class EmbeddingError(ResightError):
    """Embeddings or distances of the wrong shape, or not finite."""

    exit_code = 3


class GalleryError(ResightError):
    """A gallery that cannot be opened, is damaged, or refuses what it is given. Nothing in it was changed, unless the
    message says so: a deletion that left traces in its files is an error too."""

    exit_code = 3


class GalleryBusy(GalleryError):
    """Another process kept writing to the gallery for longer than the caller would wait."""

    exit_code = 9


class TrainingError(ResightError):
    """Training cannot go on."""

    exit_code = 5


class NonFiniteLoss(TrainingError):
    """The loss became NaN or infinite."""


class MissingExtra(ResightError):
    """A part of resight that is not installed."""

    exit_code = 6

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} is not installed here. In a clone of resight: pip install '.[{extra}]'")


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error for a name that no table holds: it lists those that are there."""
    return ConfigError(f"unknown {kind} {name!r}. Known: {', '.join(sorted(known))}.")
