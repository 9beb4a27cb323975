"""A finding: one thing that is wrong with a data set, what that does, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from resight.data.crops import Crop, Problem

SEVERITIES = ("note", "warning", "error")
EXAMPLES = 12


@dataclass(frozen=True)
class Finding:
    """code: its name, for programs. severity: `error` (figures or training would be wrong), `warning` or `note`. count:
    of pictures, identities or cameras, as `what` says. what, effect, fix: what is wrong, what that does, and how to
    mend it, in words. examples: crops to look at, one or two side by side. files: those that cannot be shown."""

    code: str
    severity: str
    count: int
    what: str
    effect: str
    fix: str
    examples: tuple[tuple[Crop, ...], ...] = ()
    files: tuple[Problem, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "code": self.code,
            "severity": self.severity,
            "count": self.count,
            "what": self.what,
            "effect": self.effect,
            "fix": self.fix,
            "examples": [[crop.name for crop in shown] for shown in self.examples],
            "files": [f"{problem.name}: {problem.reason}" for problem in self.files],
        }
