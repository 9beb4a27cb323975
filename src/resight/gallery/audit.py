"""Who searched and who removed what: lines of which each holds the hash of the one before.

A changed, inserted or removed line breaks the chain, save that the last lines can be cut off unseen: whoever needs to
know keeps a copy of the last hash elsewhere (`resight gallery audit` prints it).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from resight.gallery.records import Damage

START = "0" * 64


@dataclass(frozen=True)
class Line:
    """One line. time: ISO 8601, UTC. action: search, forget, link or unlink. who, purpose: as given by
    whoever asked. detail: counts and the names of the filters, never whom it was about."""

    number: int
    time: str
    action: str
    who: str
    purpose: str
    detail: Mapping[str, str | int | float | bool | None]
    before: str
    hash: str


def next_line(
    last: Line | None, action: str, who: str, purpose: str, detail: Mapping[str, str | int | float | bool | None]
) -> Line:
    """The line that follows `last`, at this moment."""
    number, before = (last.number + 1, last.hash) if last else (1, START)
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = Line(number, time, action, who, purpose, dict(detail), before, "")
    return Line(**{**asdict(line), "hash": _hash(line)})


def check_chain(lines: Iterable[Line]) -> tuple[Damage, ...]:
    """The first line that is not what it was. lines: in order."""
    before = START
    for number, line in enumerate(lines, 1):
        if line.number != number or line.before != before or line.hash != _hash(line):
            what = "was changed, or one before it was changed, removed or inserted"
            remedy = "the audit cannot be trusted from here on; compare with a backup"
            return (Damage(f"audit line {number}", what, remedy),)
        before = line.hash
    return ()


def _hash(line: Line) -> str:
    values = asdict(line)
    del values["hash"]
    return hashlib.sha256(json.dumps(values, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
