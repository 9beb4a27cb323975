"""The page's forgetting, audit, health and keys."""

from __future__ import annotations

from collections import deque
from itertools import takewhile
from typing import Any

from fastapi import Request, Response

from resight.core.errors import ConfigError, unknown_name
from resight.embedding.card import short_of
from resight.gallery.audit import ACTIONS, AuditLine
from resight.gallery.curation.promise import kept_promise
from resight.gallery.gallery import Gallery
from resight.service.api import about, forgetting, keys
from resight.service.api.common import caller_of, desk_of, read, view_of, whole_gallery, write
from resight.service.api.forms import checked
from resight.service.api.shapes import ForgetBody, KeyBody
from resight.service.page.rendering import form_of, go, number_of, page, render, text_in, texts_in

LINES = 100
ASKED = dict.fromkeys(("pids", "people", "tracks", "cameras", "after", "before", "ids"), "")  # of a form that is empty


@page
async def forget_page(request: Request) -> Response:
    """Asks whom to forget."""
    who = request.query_params.get("pid", "")
    shown = {**ASKED, "pids": who if who.removeprefix("-").isdecimal() else ""}
    return render(request, "forget.html", preview=None, certificate=None, shown=shown)


@page
async def forget_preview(request: Request) -> Response:
    """Counts whom it would be about."""
    form = await form_of(request)
    told: dict[str, Any] = {}
    if pids := texts_in(form, "pid"):
        told["pids"] = [number_of(text) for text in pids]
    if text := text_in(form, "person"):
        told["people"] = [text]
    told |= {f"{name}s": [text] for name in ("track", "camera") if (text := text_in(form, name))}
    told |= {name: text for name in ("after", "before") if (text := text_in(form, name))}
    if text := text_in(form, "id"):
        told["ids"] = [number_of(each) for each in text.replace(",", " ").split()]
    if len({"pids" if name == "people" else name for name in told} & {"pids", "tracks", "ids"}) > 1:
        # Conditions are joined by "and": with two of these, less would go than somebody reads into the form.
        raise ConfigError(
            "fill in a pid or name, or a track, or ids, and not two of them, which would delete only the entries that "
            "fit both. Forget by one first, then by the other. Nothing was deleted"
        )
    preview = await forgetting.previewed(request, checked(ForgetBody, told))
    shown = {name: ", ".join(map(str, value)) if isinstance(value, list) else value for name, value in told.items()}
    return render(request, "forget.html", preview=preview, certificate=None, shown={**ASKED, **shown})


@page
async def forget_confirm(request: Request) -> Response:
    """Deletes, and shows the certificate."""
    form = await form_of(request)
    purpose = text_in(form, "purpose")
    if len(purpose) < 3:
        raise ConfigError("say what for: the audit keeps it")
    certificate = await forgetting.confirmed(request, text_in(form, "token"), purpose)
    return render(request, "forget.html", preview=None, certificate=certificate, shown=ASKED)


@page
async def audit_page(request: Request) -> Response:
    """The audit's state and its lines, the latest first: all, or those of one action or of whose name has a text."""
    desk, gallery = desk_of(request), whole_gallery(request)
    await write(request, desk.ledger.write, desk.gallery.store)
    head = await read(request, about.head_of, gallery)
    shown = {name: request.query_params.get(name, "").strip() for name in ("action", "who")}
    if shown["action"] not in ("", *ACTIONS):
        raise unknown_name("action", shown["action"], ACTIONS)
    asked = request.query_params.get("until", "")
    until = min(int(asked), head.lines) if asked.isdecimal() and len(asked) < 10 else head.lines
    lines = await read(request, _last_lines, gallery, until, **shown)
    earlier = lines[LINES].number if len(lines) > LINES else 0
    return render(
        request, "audit.html", head=head, lines=lines[:LINES], earlier=earlier, shown=shown, actions=sorted(ACTIONS)
    )


def _last_lines(gallery: Gallery, until: int, action: str, who: str) -> list[AuditLine]:
    """The latest lines up to that number, of this action and of whose name has this text, if any; one more than are
    shown."""
    unread = 0 if action or who else max(0, until - LINES - 1)
    lines = takewhile(lambda line: line.number <= until, gallery.audit(unread, actions=[action] if action else ()))
    return list(deque((line for line in lines if line.is_by(who)), LINES + 1))[::-1]


@page
async def health_page(request: Request) -> Response:
    """Rows, model, and whether the calibration keeps its promise on the people of this gallery."""
    desk, view = desk_of(request), view_of(request)
    counts = await read(request, about.counted, view)
    promise = await read(request, kept_promise, view)
    model = about.model_told(desk.gallery)
    return render(
        request,
        "health.html",
        counts=counts,
        promise=promise,
        sited=await read(request, lambda: view.site.transform) is not None,
        model=model,
        short=short_of(model["identity"]),
        unready=desk.unready,
        jobs=desk.jobs.all() if caller_of(request).may("admin") else [],
    )


@page
async def keys_page(request: Request) -> Response:
    """All keys, and a form for a new one."""
    return render(request, "keys.html", keys=desk_of(request).keys.all(), made=None)


@page
async def make_key(request: Request) -> Response:
    """Makes a key, and shows it once."""
    form = await form_of(request)
    told: dict[str, Any] = {"name": text_in(form, "name"), "role": text_in(form, "role")}
    if cameras := [each.strip() for each in text_in(form, "cameras").split(",") if each.strip()]:
        told["cameras"] = cameras
    if expires := text_in(form, "expires"):
        told["expires"] = expires
    made = await keys.made(request, checked(KeyBody, told))
    return render(request, "keys.html", keys=desk_of(request).keys.all(), made=made)


@page
async def revoke_key(request: Request) -> Response:
    """Ends a key."""
    form = await form_of(request)
    await keys.revoked(request, text_in(form, "id"))
    return go(request, "keys")
