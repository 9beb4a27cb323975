"""What the verbs print of a deletion."""

from __future__ import annotations

from resight.cli import output
from resight.gallery.records import Forgotten


def tell_proof(gone: Forgotten) -> None:
    """What was looked for afterwards and what came of it; what is out of reach, what is left, and where copies are."""
    if gone.looked_for:
        found = "" if gone.traces else ": none were found"
        output.tell(f"the bytes of {gone.sought} were looked for in the files afterwards{found}")
    if gone.site:
        output.say(gone.site)
    for beyond in gone.beyond:
        output.say(f"out of reach: {beyond}")
    for trace in gone.traces:
        output.say(f"left: {trace}")
    if gone.elsewhere:
        output.say(f"note: {gone.elsewhere}")
