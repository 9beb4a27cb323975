"""The audit: a hash-chained log of who searched and who deleted, linked or migrated what; and, where a service keeps
it, who added, looked at pictures, exported, was refused, or made a key.

A changed, inserted or removed line breaks the chain. Only the last lines can be cut off unnoticed: to be able to tell,
keep a copy of the last hash elsewhere (`resight gallery audit` prints it).
"""

from __future__ import annotations

import getpass
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from resight.gallery.records import Damage, Detail

START = "0" * 64
LINES_AT_ONCE = 4096
Action = Literal[
    "search",
    "forget",
    "link",
    "unlink",
    "cannot-link",
    "allow-link",
    "migrate",
    "site",
    "add",
    "view",
    "export",
    "denied",
    "key",
    "job",
]
ACTIONS: tuple[str, ...] = get_args(Action)


@dataclass(frozen=True)
class AuditLine:
    """One line of the audit.

    time: ISO 8601, UTC. action: one of ACTIONS. who, purpose: as given by the caller. detail: counts and the names of
    filter conditions, never whom it was about. before: the hash of the line before.
    """

    number: int
    time: str
    action: str
    who: str
    purpose: str
    detail: Detail
    before: str
    hash: str

    def is_by(self, text: str) -> bool:
        """Whether its caller's name has this text, in small letters or capitals."""
        return text.casefold() in self.who.casefold()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def user() -> str:
    """Who is written down where nobody is named: this system's user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the user has no name, as in a container
        return "unknown"


def next_line(last: AuditLine | None, action: Action, who: str, purpose: str, detail: Detail) -> AuditLine:
    """The line that follows `last`, at the current time."""
    number, before = (last.number + 1, last.hash) if last else (1, START)
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = AuditLine(number, time, action, who, purpose, dict(detail), before, "")
    return AuditLine(**{**asdict(line), "hash": _hash(line)})


def next_row(last: Sequence[Any] | None, action: Action, who: str, purpose: str, detail: Detail) -> dict[str, Any]:
    """`next_line` as a table's row, by column; last: the last row of the table, if there is one."""
    line = asdict(next_line(line_of(last) if last else None, action, who, purpose, detail))
    return {**line, "detail": json.dumps(line["detail"], sort_keys=True)}


def line_of(row: Sequence[Any]) -> AuditLine:
    """The line in a table's row. A damaged row becomes a line whose hash does not fit it."""
    number, time, action, who, purpose, text, before, digest = row
    try:
        detail = dict(json.loads(text))
    except (TypeError, ValueError):
        detail = {"unreadable": True}  # which is not what the hash was computed from
    return AuditLine(number, time, action, who, purpose, detail, before, digest)


Page = Callable[[int, int, int], Sequence[Sequence[Any]]]


def lines_in_pages(page: Page, after: int, limit: int | None) -> Iterator[AuditLine]:
    """The lines of a table, as `Store.audit` has them, some thousand at a time.

    page: the table's rows by number: those above a number, without so many first ones, so many at the most.
    """
    above = -(2**63)
    while limit is None or limit > 0:
        asked = LINES_AT_ONCE if limit is None else min(limit, LINES_AT_ONCE)
        found = page(above, after, asked)
        yield from map(line_of, found)
        if len(found) < asked:
            return
        above, after = found[-1][0], 0
        limit = None if limit is None else limit - asked


def check_chain(lines: Iterable[AuditLine]) -> tuple[Damage, ...]:
    """The first line that does not fit the chain, if there is one. lines: in order."""
    before = START
    for number, line in enumerate(lines, 1):
        if line.number != number or line.before != before or line.hash != _hash(line):
            what = "was changed, or one before it was changed, removed or inserted"
            remedy = "the audit cannot be trusted from here on; compare with a backup"
            return (Damage(f"audit line {number}", what, remedy),)
        before = line.hash
    return ()


def _hash(line: AuditLine) -> str:
    values = asdict(line)
    del values["hash"]
    return hashlib.sha256(json.dumps(values, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
