"""The page's search, its people, one person over time, and the review of doubtful pairs."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from starlette.datastructures import FormData, UploadFile

from resight.core.calibration import FALSE_ACCEPT_RATE, Calibration
from resight.core.errors import ConfigError, UnreadableImage
from resight.gallery.curation.listing import Person
from resight.gallery.gallery import Gallery
from resight.gallery.people import pid_of_name
from resight.gallery.search.meaning import calibration_of
from resight.service.api import people as rest
from resight.service.api.answers import EntriesOut
from resight.service.api.common import caller_of, desk_of, read, view_of, write
from resight.service.api.entries import page_of
from resight.service.api.forms import checked
from resight.service.api.search import found
from resight.service.api.shapes import SearchOptions, Whole
from resight.service.page.lanes import lanes_of
from resight.service.page.rendering import form_of, go, number_of, page, render, text_in, texts_in
from resight.service.problems import missing
from resight.site.transform import SiteTransform

HIDDEN = {"": None, "lower third": (0.67, 1.0), "lower half": (0.5, 1.0), "upper half": (0.0, 0.5)}
RATES = (0.001, 0.01, 0.05, 0.1)
A_PAGE = 60
SHOWN = 300  # crops on a person's page


@page
async def search_page(request: Request) -> Response:
    """The form."""
    given = request.query_params.get("entry", "")
    asked: dict[str, Any] = {"entry": given if _is_whole(given) else "", "purpose": "", "cameras": []}
    return await _search(request, asked, None)


@page
async def search(request: Request) -> Response:
    """The verdict in a sentence, then the crops."""
    form = await form_of(request)
    files = [file for file in form.getlist("crop") if isinstance(file, UploadFile) and file.filename]
    pictures = [await file.read() for file in files]
    for file, data in zip(files, pictures, strict=True):
        if not data:
            raise UnreadableImage(str(file.filename), "the file is empty; choose another")
    entry = text_in(form, "entry")
    if not pictures and not _is_whole(entry):
        raise ConfigError("choose, drop or paste a picture of the person first")
    options = checked(SearchOptions, _options_of(form))
    answer = await found(request, options, **({"pictures": pictures} if pictures else {"entry": int(entry)}))
    asked = {"entry": "" if pictures else entry, "purpose": options.purpose, "cameras": options.cameras or []}
    asked |= {name: text_in(form, name) for name in ("after", "before", "hidden", "rate", "seen_by")}
    return await _search(request, asked, answer)


@page
async def people_page(request: Request) -> Response:
    """People with counts."""
    view, after = view_of(request), request.query_params.get("after", "")
    cursor = int(after) if after.removeprefix("-").isdecimal() and len(after) < 19 else None
    people = await read(request, view.people, cursor, A_PAGE)
    following = people[-1].pid if len(people) == A_PAGE else None
    return render(request, "people.html", people=people, following=following)


@page
async def find_person(request: Request) -> Response:
    """Leads to the page of a person of this name or pid."""
    return go(request, f"people/{await _found(request, request.query_params.get('who', ''))}")


@page
async def person_page(request: Request, pid: Whole) -> Response:
    """One person: lanes by camera over time, crops, and corrections."""
    done = request.query_params.get("done", "")
    return await _person(request, pid, done=done if done.isdecimal() else "")


@page
async def link_preview(request: Request, pid: Whole) -> Response:
    """What joining two people would do."""
    form = await form_of(request)
    return await _person(request, pid, other=await _found(request, text_in(form, "who")))


@page
async def correct(request: Request) -> Response:
    """Links two people, keeps them apart, or undoes either; then leads back."""
    form = await form_of(request)
    view, act = view_of(request), text_in(form, "act")
    first, second = (int(text) if _is_whole(text := text_in(form, name)) else 0 for name in ("pid", "other"))
    number = ""
    if act == "link":
        number = str(await write(request, view.link, first, second))
    elif act == "apart":
        await write(request, view.cannot_link, first, second)
    elif act == "unlink":
        await write(request, view.unlink, first)
    elif act == "allow":
        await write(request, view.allow_link, first)
    else:
        raise ConfigError("this is none of link, apart, unlink and allow")
    back = text_in(form, "back")
    if back == "review":
        skip = text_in(form, "skip")
        return go(request, f"review?skip={int(skip) if _is_whole(skip) else 0}&last={act}-{first}-{second}")
    return go(request, f"people/{int(back)}{f'?done={number}' if number else ''}" if _is_whole(back) else "people")


@page
async def review_page(request: Request) -> Response:
    """The pair that is least sure, beside each other."""
    skipped = request.query_params.get("skip", "")
    skip = int(skipped) if skipped.isdecimal() and len(skipped) < 4 else 0
    desk, view = desk_of(request), view_of(request)
    pairs = await read(request, rest.reviewed, view, skip + 1, desk.settings.doubtful)
    pair = pairs[skip] if len(pairs) > skip else None
    seen: list[EntriesOut] = []
    for each in (pair.first, pair.second) if pair else ():
        seen.append(await read(request, page_of, view, 0, 6, {"pids": (each.pid,)}))
    desk.ledger.count("search", caller_of(request).who, "review")
    return render(request, "review.html", pair=pair, seen=seen, skip=skip)


async def _person(request: Request, pid: int, *, other: int | None = None, done: str = "") -> Response:
    """other: whom a look at joining the two is asked for. done: the number of a link just made."""
    view = view_of(request)
    person, seen, links, pairs = await read(request, _all_of, view, pid)
    return render(
        request,
        "person.html",
        person=person,
        seen=seen.entries,
        more=person.entries > SHOWN,
        lanes=lanes_of(seen.entries),
        links=links,
        pairs=pairs,
        preview=None if other is None else await read(request, rest.previewed, view, other, pid),
        done=done,
    )


async def _search(request: Request, asked: dict[str, Any], answer: Any) -> Response:
    view = view_of(request)
    cameras, transform = await read(request, _cameras_of, view)
    calibration = calibration_of(view.model, transform)
    default = f"{FALSE_ACCEPT_RATE:g}"  # as everywhere: the same search has the same verdict
    asked = {"after": "", "before": "", "hidden": "", "rate": default, "seen_by": "", **asked}
    return render(
        request,
        "search.html",
        asked=asked,
        answer=answer,
        cameras=cameras,
        hidden=HIDDEN,
        rates=RATES,
        most_pixels=desk_of(request).settings.max_pixels,
        calibrated=calibration is not None,
        strictest=None if calibration is None else _strictest_of(calibration),
        sited=transform is not None,
        pictures=view.settings.keep_crops,
    )


def _strictest_of(calibration: Calibration) -> float | None:
    """The lowest of RATES that it can promise among as many people as it was made of."""
    able = (rate for rate in RATES if calibration.known_index(rate, calibration.num_people) is not None)
    return next(able, None)


def _options_of(form: FormData) -> dict[str, Any]:
    told: dict[str, Any] = {"purpose": text_in(form, "purpose"), "top_k": 24}
    if cameras := texts_in(form, "camera"):
        told["cameras"] = cameras
    told |= {name: text for name in ("after", "before", "seen_by") if (text := text_in(form, name))}
    if hidden := HIDDEN.get(text_in(form, "hidden")):
        told["hidden"] = hidden
    if rate := number_of(text_in(form, "rate")):
        told["false_positive_rate"] = rate
    return told


def _cameras_of(view: Gallery) -> tuple[list[str], SiteTransform | None]:
    cameras = view.cameras if view.cameras is not None else view.stats().cameras
    return sorted(cameras), view.site.transform


def _all_of(view: Gallery, pid: int) -> tuple[Person, EntriesOut, list[Any], list[Any]]:
    person = view.person(pid)
    if person is None:
        raise missing(f"person {pid}")
    seen = page_of(view, 0, SHOWN, {"pids": person.pids})
    seen.entries.sort(key=lambda entry: (entry.time is None, entry.time or 0.0, entry.id))
    links = [each for each in view.links() if each.pid in person.pids and view.sees_whole(each.pid, each.into)]
    pairs = [
        each
        for each in view.cannot_links()
        if {each.pid, each.other} & set(person.pids) and view.sees_whole(each.pid, each.other)
    ]
    return person, seen, links, pairs


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and len(text) < 20


async def _found(request: Request, text: str) -> int:
    """The pid of a person of this pid or name, as somebody typed it. Raises Refusal if there is none."""
    text = text.strip()
    pid = int(text) if _is_whole(text) else pid_of_name(text)
    if await read(request, view_of(request).person, pid) is None:
        raise missing(f"person {text!r}")
    return pid
