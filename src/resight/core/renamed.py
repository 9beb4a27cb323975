"""Names of an earlier version that are accepted for one version more."""

from __future__ import annotations

import warnings


def renamed(kind: str, old: str, new: str) -> None:
    """Warns that the `kind` called `old` is called `new` now, as a FutureWarning of the caller's caller."""
    warnings.warn(
        f"the {kind} {old!r} is called {new!r} now; the old name goes with the next version",
        FutureWarning,
        stacklevel=3,
    )
