"""The timeline: a row a person, a lane a camera, and why each piece is believed to be of that person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup

from resight.data.crops import Crop
from resight.report.page import render
from resight.video.following import Followed, Sighting

WIDTH, LANE, GAP = 1000.0, 9.0, 3.0  # of a row's drawing, in its own units
SHORTEST = 3.0  # of a bar
HUES = 137.508  # degrees from one camera's colour to the next: far apart for any number of them


@dataclass(frozen=True)
class Piece:
    """One tracklet on the page: a bar and a card."""

    bar: Markup
    camera: str
    colour: str
    when: str
    chance: str
    reason: str
    unsure: bool
    crop: Crop | None
    entry: int
    start: float
    end: float


@dataclass(frozen=True)
class Row:
    """One person on the page."""

    title: str
    about: str
    height: float
    pieces: tuple[Piece, ...]


def timeline_page(people: Sequence[Followed], title: str, notes: Sequence[str] = ()) -> str:
    """The page. notes: lines below the title. Its times are UTC."""
    sightings = [each for person in people for each in person.sightings]
    first, last = min(each.start for each in sightings), max(each.end for each in sightings)
    cameras = sorted({each.camera for each in sightings})
    colours = {camera: f"hsl({number * HUES % 360:.0f} 65% 45%)" for number, camera in enumerate(cameras)}
    span = max(last - first, 1.0)
    rows = [_row(person, cameras, colours, first, span) for person in people]
    ticks = [_clock(first + span * share / 4, span) for share in range(5)]
    return render(
        "timeline.html",
        title=title,
        notes=notes,
        rows=rows,
        cameras=[(camera, colours[camera]) for camera in cameras],
        ticks=ticks,
        width=WIDTH,
        first=first,
        last=last,
    )


def _row(person: Followed, cameras: Sequence[str], colours: dict[str, str], first: float, span: float) -> Row:
    own = [each for each in person.sightings if not each.unsure]
    unsure = len(person.sightings) - len(own)
    seen_by = sorted({each.camera for each in own})
    title = f"person {person.person}" if person.person is not None else f"entry {own[0].entry}, linked with nobody"
    about = f"{len(own)} tracklet{'s' * (len(own) != 1)}, {', '.join(seen_by)}"
    about += f"; {unsure} more may be of this person" if unsure else ""
    pieces = [_piece(each, cameras.index(each.camera), colours[each.camera], first, span) for each in person.sightings]
    return Row(title, about, len(cameras) * (LANE + GAP), tuple(pieces))


def _piece(each: Sighting, lane: int, colour: str, first: float, span: float) -> Piece:
    left = (each.start - first) / span * (WIDTH - SHORTEST)
    wide = max(SHORTEST, (each.end - each.start) / span * (WIDTH - SHORTEST))
    style = (
        Markup('fill="none" stroke="{}" stroke-width="1.5" stroke-dasharray="3 2"')
        if each.unsure
        else Markup('fill="{}"')
    ).format(colour)
    when = f"{_clock(each.start, 0)} to {_clock(each.end, 0)}"
    chance = "" if each.probability is None else f"P {each.probability:.2f}"
    words = ", ".join(text for text in (each.camera, when, chance, each.reason) if text)
    bar = Markup(
        '<rect class="bar" data-camera="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:g}" rx="2" {}>'
        "<title>{}</title></rect>"
    ).format(each.camera, left, lane * (LANE + GAP) + 1, wide, LANE, style, words)
    crop = None if each.crop is None else Crop(f"entry {each.entry}", -1, 0, data=each.crop)
    return Piece(
        bar, each.camera, colour, when, chance, each.reason, each.unsure, crop, each.entry, each.start, each.end
    )


def _clock(seconds: float, span: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}" if span > 86_400 else f"{moment:%H:%M:%S}"
