"""The models that come with the package: no download, ever."""

from __future__ import annotations

from pathlib import Path

from resight.core.errors import WeightsError
from resight.embedding.bundle import SUFFIX, Bundle, read_bundle

FOLDER = Path(__file__).parent / "models"
DEFAULT = "default"


def packaged_models() -> tuple[str, ...]:
    """Their names, the default first."""
    names = sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}"))
    return tuple(sorted(names, key=lambda name: name != DEFAULT))


def packaged_bundle(name: str | Path | None = None) -> Bundle:
    """By name; None: the default. Raises WeightsError for a name that is neither packaged nor a path that is there."""
    chosen = DEFAULT if name is None else str(name)
    if chosen not in packaged_models():
        known = ", ".join(packaged_models())
        raise WeightsError(f"{chosen} is not there, and no packaged model has that name (packaged: {known})")
    return read_bundle(FOLDER / f"{chosen}{SUFFIX}")
