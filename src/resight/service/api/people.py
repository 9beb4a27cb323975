"""People: with counts, one of them over time, corrections of who is who, and pairs that are worth a look."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from fastapi import Query, Request, Response

from resight.core.errors import GalleryError, ResightError
from resight.gallery.arguments import filter_of
from resight.gallery.curation.apart import APART, check_apart
from resight.gallery.curation.review import doubtful_pairs
from resight.gallery.gallery import Gallery
from resight.gallery.people import check_link
from resight.gallery.records import CannotLink, Link
from resight.service.api.answers import (
    CannotLinkOut,
    EntriesOut,
    LinkOut,
    LinkPreviewOut,
    PairOut,
    PeopleOut,
    PersonOut,
    person_out,
)
from resight.service.api.common import Why, caller_of, desk_of, purpose_of, read, view_of, write
from resight.service.api.entries import CamerasOf, Cursor, Limit, WhereOf, page_of
from resight.service.api.forms import from_json
from resight.service.api.shapes import CannotLinkBody, LinkBody, Where, Whole
from resight.service.problems import missing


async def list_people(
    request: Request, camera: CamerasOf, where: WhereOf = "", cursor: Cursor = None, limit: Limit = 50
) -> PeopleOut:
    """A page of people who have pids, with links applied and counts: of the entries that match."""
    wanted = from_json(Where, where, **({"cameras": camera} if camera else {})).conditions()
    found = await read(request, view_of(request).people, cursor, limit, filter_of(None, **wanted))
    return PeopleOut(people=[person_out(each) for each in found], next=found[-1].pid if len(found) == limit else None)


async def get_person(request: Request, pid: Whole) -> PersonOut:
    """One person, by any of the pids that are linked."""
    found = await read(request, view_of(request).person, pid)
    if found is None:
        raise missing(f"person {pid}")
    return person_out(found)


async def timeline(request: Request, pid: Whole, limit: Annotated[int, Query(ge=1, le=5000)] = 500) -> EntriesOut:
    """Where a person was seen, by time; entries of no time come last. At most the first `limit` entries by id."""
    found = await read(request, page_of, view_of(request), 0, limit, {"pids": (pid,)})
    if not found.entries:
        raise missing(f"person {pid}")
    found.entries.sort(key=lambda entry: (entry.time is None, entry.time or 0.0, entry.id))
    return found


async def list_links(request: Request) -> list[LinkOut]:
    """All links between the people whom this key may see whole."""
    view = view_of(request)
    return [LinkOut.model_validate(each, from_attributes=True) for each in await read(request, _seen_links, view)]


async def list_cannot_links(request: Request) -> list[CannotLinkOut]:
    """All pairs that were said to be two people."""
    pairs = await read(request, _seen_pairs, view_of(request))
    return [CannotLinkOut.model_validate(each, from_attributes=True) for each in pairs]


async def preview_link(request: Request, body: LinkBody) -> LinkPreviewOut:
    """What a link would join, before it does."""
    return await read(request, previewed, view_of(request), body.pid, body.into)


async def link(request: Request, body: LinkBody) -> LinkOut:
    """Joins two people as one. DELETE undoes it."""
    view = view_of(request, body.purpose)
    await read(request, _check_there, view, body.pid, body.into)

    def linked() -> LinkOut:
        made = Link(view.link(body.pid, body.into), body.pid, body.into)
        with suppress(GalleryError):  # it is made, so nobody is told that it is not
            made = next((each for each in view.links() if each.number == made.number), made)
        return LinkOut.model_validate(made, from_attributes=True)

    return await write(request, linked)


async def unlink(request: Request, number: Whole, why: Why = "") -> Response:
    """Undoes a link."""
    view = view_of(request, purpose_of(why))
    if number not in {each.number for each in await read(request, _seen_links, view)}:
        raise missing(f"link {number}")
    await write(request, view.unlink, number)
    return Response(status_code=204)


async def cannot_link(request: Request, body: CannotLinkBody) -> CannotLinkOut:
    """Says that two people are two: they are suggested as one no more, and cannot be linked. DELETE undoes it."""
    view = view_of(request, body.purpose)
    await read(request, _check_there, view, body.pid, body.other)
    number = await write(request, view.cannot_link, body.pid, body.other)
    return CannotLinkOut(number=number, pid=body.pid, other=body.other)


async def allow_link(request: Request, number: Whole, why: Why = "") -> Response:
    """Undoes a cannot-link."""
    view = view_of(request, purpose_of(why))
    if number not in {each.number for each in await read(request, _seen_pairs, view)}:
        raise missing(f"cannot-link {number}")
    await write(request, view.allow_link, number)
    return Response(status_code=204)


async def review(request: Request, limit: Annotated[int, Query(ge=1, le=100)] = 10) -> list[PairOut]:
    """The pairs of people that are least sure to be one or two, the least sure first. Looking is a search."""
    desk, view = desk_of(request), view_of(request)
    answer = await read(request, reviewed, view, limit, desk.settings.doubtful)
    desk.ledger.count("search", caller_of(request).who, "review")
    return answer


def reviewed(view: Gallery, limit: int, most: int) -> list[PairOut]:
    """As `review`."""
    return [
        PairOut(
            first=person_out(pair.first),
            second=person_out(pair.second),
            similarity=pair.similarity,
            p_same=pair.probability,
            verdict=pair.verdict,
        )
        for pair in doubtful_pairs(view, limit, most)
    ]


def previewed(view: Gallery, pid: int, into: int) -> LinkPreviewOut:
    """As `preview_link`."""
    first, second = view.person(pid), view.person(into)
    refused = ""
    try:
        _check_there(view, pid, into)
        links = view.store.linked().roots
        check_link(pid, into, links)
        check_apart(view.store.note(APART), pid, into, links)
    except ResightError as error:
        refused = str(error)
    told = [None if each is None else person_out(each) for each in (first, second)]
    return LinkPreviewOut(first=told[0], second=told[1], refused=refused)


def _check_there(view: Gallery, *pids: int) -> None:
    for pid in pids:
        if view.person(pid) is None:
            raise missing(f"person {pid}")


def _seen_links(view: Gallery) -> list[Link]:
    return [each for each in view.links() if view.sees_whole(each.pid, each.into)]


def _seen_pairs(view: Gallery) -> list[CannotLink]:
    return [each for each in view.cannot_links() if view.sees_whole(each.pid, each.other)]
