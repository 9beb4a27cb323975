"""Links the tracklets of a gallery, a window at a time, and takes links back.

Offline is one pass over all; online is the same pass, again and again, over the last hour, say: identities within the
window are provisional and are mended, those before it stand. Memory and time are those of a window. Each change is a
link or an unlink of the gallery, durable and audited, with its probability as the purpose.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from resight.core.errors import ConfigError, DataError
from resight.gallery.filters import Filter
from resight.gallery.gallery import Gallery
from resight.gallery.records import Entry
from resight.video.adding import is_tracklet
from resight.video.linking.clustering import cluster
from resight.video.linking.evidence import evidence_of, line_of
from resight.video.linking.planning import SURE, Plan, held_together, plan_of
from resight.video.linking.sightings import Sightings, sightings_of
from resight.video.linking.site import UNKNOWN_PLACE, Site

WINDOW = 3000  # tracklets that are compared at once; windows overlap by half
PEOPLE = 1_000_000  # who is made here is numbered above it, out of the way of data sets' own people 1, 2, 3, ...
PURPOSE = "video link"
PROBABILITY = re.compile(rf"{PURPOSE}: P (\d\.\d+)")


@dataclass(frozen=True)
class Done:
    """What was changed. linked, undone: how many links were made and taken back."""

    linked: int = 0
    undone: int = 0


def plan_links(
    gallery: Gallery, site: Site = UNKNOWN_PLACE, *, after: float | None = None, before: float | None = None,
    sure: float = SURE,
) -> Iterator[Plan]:  # fmt: skip
    """A plan for each window of the tracklets, by time; carry one out before the next is asked for, or the next knows
    nothing of it.

    after, before: seconds since 1970. sure: the least probability of a link.

    Raises ConfigError if the model's calibration has one step only, or the site file names cameras that are not there;
    DataError if there are no tracklets.
    """
    if not 0 < sure < 1:
        raise ConfigError(f"a probability lies between 0 and 1, not at {sure}")
    first = line_of(gallery.needed_model().calibration)
    entries = _tracklets(gallery, after, before)
    if not entries:
        raise DataError("no tracklet of video is there to link: `resight video add` first, or a longer --since")
    check_cameras(site, entries)
    start = 0
    while True:
        found = sightings_of(entries[start : start + WINDOW], site)
        evidence = evidence_of(found, first, with_cannot_links(site, found, gallery))
        links, ours = gallery.links(), frozenset(own_links(gallery))
        held = held_together(found, links, ours)
        clusters = cluster(evidence.ratios, evidence.prior, evidence.forbidden, held)
        yield plan_of(found, evidence, clusters, links, ours, sure)
        if start + WINDOW >= len(entries):
            return
        start += WINDOW // 2


def with_cannot_links(site: Site, found: Sightings, gallery: Gallery) -> Site:
    """The site, with the pairs of tracklets whose people a user of the gallery has said to be two."""
    links = gallery.store.linked()
    entry_of = {int(pid): int(entry) for pid, entry in zip(found.pids, found.ids, strict=True)}
    pairs = []
    for pair in gallery.cannot_links():
        first, second = (
            [entry_of[pid] for pid in links.members_of(each) if pid in entry_of] for each in (pair.pid, pair.other)
        )
        pairs += [(one, other) for one in first for other in second]
    return replace(site, apart=(*site.apart, *pairs))


def carry_out(gallery: Gallery, plan: Plan, *, who: str | None = None) -> Done:
    """Makes and undoes the links of a plan, each durable by itself. Raises GalleryError if the store fails."""
    for number in plan.undo:
        gallery.unlink(number, who=who, purpose=f"{PURPOSE}: mended")
    fresh: dict[int, int] = {}
    number = next_number(gallery)
    for each in plan.links:
        person = each.person
        if person < 0:
            if person not in fresh:
                number = _free(gallery, number)
                fresh[person], number = number, number + 1
            person = fresh[person]
        gallery.link(each.pid, person, who=who, purpose=f"{PURPOSE}: P {each.probability:.3f}")
    return Done(len(plan.links), len(plan.undo))


def own_links(gallery: Gallery) -> dict[int, float]:
    """The links that linking made, as far as the audit tells: their probabilities by number."""
    found = {}
    for line in gallery.audit(actions=["link"]):
        told = PROBABILITY.match(line.purpose)
        if told:
            found[int(line.detail["link"] or 0)] = float(told[1])
    return found


def undo_links(gallery: Gallery, *, who: str | None = None) -> Done:
    """Takes back all links that linking made and that are still there; those of users stay."""
    ours = own_links(gallery)
    numbers = [link.number for link in gallery.links() if link.number in ours]
    for number in numbers:
        gallery.unlink(number, who=who, purpose=f"{PURPOSE}: taken back")
    return Done(undone=len(numbers))


def next_number(gallery: Gallery) -> int:
    """A number for a person that nobody ever had: links are numbered too, and a person has two of them or more."""
    links = max((int(line.detail.get("link") or 0) for line in gallery.audit(actions=["link"])), default=0)
    return PEOPLE + links + 1


def check_cameras(site: Site, entries: list[Entry]) -> None:
    """Raises ConfigError where the site file names a camera that no tracklet is of, if more than half are so."""
    there = {entry.camera for entry in entries}
    unknown = sorted(site.cameras() - there)
    if unknown and len(unknown) * 2 > len(site.cameras()):
        raise ConfigError(f"the site file names {', '.join(unknown)}, but the cameras are {', '.join(sorted(there))}")


def _tracklets(gallery: Gallery, after: float | None, before: float | None) -> list[Entry]:
    found = gallery.entries(Filter(after=after, before=before))
    entries = [replace(entry, crop=None) for entry in found if is_tracklet(entry)]
    return sorted(entries, key=lambda entry: (entry.time or 0.0, entry.id))


def _free(gallery: Gallery, number: int) -> int:
    """The first number from this one on that no entry has as its pid."""
    while gallery.store.count(Filter(pids=(number,))):
        number += 1
    return number
