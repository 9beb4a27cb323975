"""Who made a link, and what for: so that a copy of a gallery still knows which links were made automatically.

The audit has it, and is not copied. So the audit line of a copied link has the purpose of the line that made it, and in
its detail who that was (`made_by`) and by what it was copied (`copied`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from resight.gallery.audit import AuditLine
from resight.gallery.records import Detail

MADE_BY, COPIED, SOURCE_LINK = "made_by", "copied", "source_link"


@dataclass(frozen=True)
class Origin:
    """Who made a link, and what for; empty where it is not known."""

    who: str = ""
    purpose: str = ""

    def detail(self, copied: str, source_link: int | None = None) -> Detail:
        """What the audit line of the copied link has beside its number. copied: by what; source_link: the number that
        the link has where it was copied from."""
        told: dict[str, str | int] = {COPIED: copied}
        told |= {MADE_BY: self.who} if self.who else {}
        return told if source_link is None else {**told, SOURCE_LINK: source_link}


NOT_KNOWN = Origin()


def origins_of(audit: Iterable[AuditLine]) -> dict[int, Origin]:
    """Who made each link, by its number; of a copied one who made it in the first place."""
    made = {}
    for line in audit:
        if line.action == "link" and isinstance(number := line.detail.get("link"), int):
            made[number] = Origin(str(line.detail.get(MADE_BY) or line.who), line.purpose)
    return made


def copied_links(audit: Iterable[AuditLine], copied: str) -> Mapping[int, int]:
    """The links that were copied so, by number: the numbers that they have where they were copied from."""
    found = {}
    for line in audit:
        number, source = line.detail.get("link"), line.detail.get(SOURCE_LINK)
        ours = line.action == "link" and line.detail.get(COPIED) == copied
        if ours and isinstance(number, int) and isinstance(source, int):
            found[number] = source
    return found
