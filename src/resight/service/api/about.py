"""What a service says of itself: model, calibration, counts, audit, health, metrics, and who is asking."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from resight.core.version import VERSION
from resight.gallery.audit import START, Action, AuditLine, check_chain
from resight.gallery.filters import Filter
from resight.gallery.gallery import Gallery
from resight.gallery.search.meaning import calibration_of
from resight.gallery.transfer.lines import header_line, last_line, line_of
from resight.gallery.transfer.origins import origins_of
from resight.service.api.answers import AuditHeadOut, AuditLineOut, AuditOut
from resight.service.api.common import (
    Why,
    caller_of,
    check_active,
    desk_of,
    purpose_of,
    read,
    view_of,
    whole_gallery,
    write,
)
from resight.service.desk import Desk
from resight.service.problems import Refusal, problem
from resight.site.transform import SiteFacts

CHECKED_EVERY = 1000  # entries of an export


async def livez() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "alive"}


async def readyz(request: Request) -> Response:
    """Whether searches are answered: the index has been read, and pictures are embedded."""
    if unready := desk_of(request).unready:
        return problem(503, unready, "not-ready", {"Retry-After": "1"})
    return JSONResponse({"status": "ready"})


async def me(request: Request) -> dict[str, Any]:
    """Who this key is, and what it may do."""
    caller = caller_of(request)
    told = {"key": caller.key, "name": caller.name, "role": caller.role}
    return {**told, "cameras": None if caller.cameras is None else list(caller.cameras), "version": VERSION}


async def model(request: Request) -> dict[str, Any]:
    """The model of this gallery: identity, preprocessing, what it was trained on and under which rights."""
    return model_told(desk_of(request).gallery)


def model_told(gallery: Gallery) -> dict[str, Any]:
    """As `model`."""
    settings, card = gallery.settings, None if gallery.model is None else gallery.model.card
    told = {"identity": settings.model, "name": settings.model_name, "dim": settings.dim, "rights": settings.rights}
    if card is None:
        return {**told, "calibrated": False}
    return {
        **told,
        "network": card.network,
        "trained_on": card.trained_on,
        "weaknesses": card.weaknesses,
        "preprocessing": card.preprocessing.to_dict(),
        "calibrated": card.calibration is not None,
    }


async def calibration(request: Request) -> dict[str, Any]:
    """The calibration of what searches compare, the site transform's where there is one: what similarities mean, and
    with which error rates."""
    gallery = desk_of(request).gallery
    transform = await read(request, lambda: gallery.site.transform)
    found = calibration_of(gallery.model, transform)
    if found is None:
        what = "model is" if transform is None else "site transform is"
        raise Refusal(404, f"the {what} not calibrated: run `resight calibrate` on people of your site", "not-found")
    return found.to_dict()


async def site(request: Request) -> dict[str, Any]:
    """The site transform that searches apply: its identity, how it was fitted, and whether it is calibrated. A key that
    is bounded to cameras is told of those, and neither `source` nor `warnings`, which tell of others too."""
    found = await read(request, lambda: desk_of(request).gallery.site.transform)
    if found is None:
        raise Refusal(404, "this gallery has no site transform: `resight site fit` makes one", "not-found")
    return {"identity": found.identity, "calibrated": found.calibration is not None, **_seen(found.facts, request)}


def _seen(facts: SiteFacts, request: Request) -> dict[str, Any]:
    """What the caller may see of them."""
    told, cameras = asdict(facts), caller_of(request).cameras
    if cameras is None:
        return told
    for name in ("cameras", "left_out"):
        told[name] = {camera: each for camera, each in told[name].items() if camera in cameras}
    without = [camera for camera in facts.without if camera in cameras]
    return {**told, "without": without, "source": "", "warnings": []}


async def stats(request: Request) -> dict[str, Any]:
    """How much there is, for the cameras of this key."""
    return await read(request, counted, view_of(request))


def counted(view: Gallery) -> dict[str, Any]:
    """As `stats`."""
    settings = view.settings
    told: dict[str, Any] = {"settings": asdict(settings), "unfinished": view.unfinished()}
    told |= {"model": settings.model, "model_name": settings.model_name, "keep_crops": settings.keep_crops}
    if view.cameras is None:
        return {**told, **view.stats().to_dict()}
    cameras = {camera: view.store.count(Filter(cameras=(camera,))) for camera in view.cameras}
    return {**told, "entries": sum(cameras.values()), "cameras": cameras}


async def audit(
    request: Request,
    cursor: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    action: Annotated[list[Action] | None, Query(description="Lines of these alone.")] = None,
) -> AuditOut:
    """A page of the audit, in order."""
    lines = await read(request, audit_page, whole_gallery(request), cursor, limit, action or ())
    told = [AuditLineOut.model_validate(line, from_attributes=True) for line in lines]
    return AuditOut(lines=told, next=cursor + limit if len(lines) == limit else None)


def audit_page(gallery: Gallery, cursor: int, limit: int, actions: Collection[str] = ()) -> list[AuditLine]:
    """The lines, of these actions if any, after so many."""
    return list(gallery.audit(cursor, limit, actions))


async def audit_head(request: Request) -> AuditHeadOut:
    """The last hash, to be kept elsewhere, and whether the chain is whole."""
    desk = desk_of(request)
    await write(request, desk.ledger.write, desk.gallery.store)
    return await read(request, head_of, whole_gallery(request))


def head_of(gallery: Gallery) -> AuditHeadOut:
    """As `audit_head`."""
    last, number = None, 0

    def counted() -> Iterator[AuditLine]:
        nonlocal last, number
        for line in gallery.audit():
            last, number = line, number + 1
            yield line

    lines = counted()
    damage = next(iter(check_chain(lines)), None)
    deque(lines, 0)  # beyond a damage too
    broken = "" if damage is None else f"{damage.where} {damage.what}; {damage.remedy}"
    return AuditHeadOut(lines=number, hash=last.hash if last else START, broken=broken)


async def export(request: Request, why: Why = "") -> Response:
    """The whole gallery as lines of JSON, with embeddings and pictures, as `resight gallery import` reads them. The
    last line says how many entries came."""
    gallery = whole_gallery(request)
    count = await read(request, gallery.store.count)
    detail = {"entries": count}
    await write(request, gallery.store.append_audit, "export", caller_of(request).who, purpose_of(why), detail)

    def lines() -> Iterator[bytes]:
        links, apart, site = gallery.links(), gallery.cannot_links(), gallery.site.transform
        origins = origins_of(gallery.audit(actions=["link"])) if links else {}
        yield header_line(gallery.settings, links, count, apart, site, origins, counted_last=True).encode() + b"\n"
        number = 0
        for entry in gallery.entries():
            number += 1
            if number % CHECKED_EVERY == 0:
                check_active(request)  # a slow reader reads for hours; without its last line it is no whole gallery
            yield line_of(entry, gallery.settings.model).encode() + b"\n"
        yield last_line(number).encode() + b"\n"

    headers = {"Content-Disposition": 'attachment; filename="gallery.jsonl"'}
    return StreamingResponse(lines(), media_type="application/x-ndjson", headers=headers)


async def metrics(request: Request) -> Response:
    """Figures for Prometheus: requests and seconds by route, entries, and how busy it is. None is about people."""
    desk = desk_of(request)
    entries = await read(request, whole_gallery(request).store.count)
    text = desk.metrics.text(gauges(desk, entries))
    return Response(text, media_type="text/plain; version=0.0.4")


def gauges(desk: Desk, entries: int) -> dict[str, float]:
    """Figures of the moment."""
    return {
        "entries": entries,
        "ready": not desk.unready,
        "lane_reading_busy": desk.reading.busy,
        "lane_writing_busy": desk.writing.busy,
        "jobs_running": sum(job.state == "running" for job in desk.jobs.all()),
    }


async def openapi(request: Request) -> Response:
    """This description."""
    return Response(json.dumps(request.app.openapi()), media_type="application/json")
