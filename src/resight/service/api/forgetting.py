"""Forgetting in two steps: a preview with counts, then a confirmation, which gives a certificate."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from fastapi import Request

from resight.core.errors import GalleryBusy, GalleryError
from resight.gallery.arguments import forgotten_of, seen_until
from resight.gallery.audit import AuditLine
from resight.gallery.curation.forgetting import ToForget
from resight.gallery.filters import Filter
from resight.gallery.records import Forgotten
from resight.service.api.answers import CertificateOut, ForgetPreviewOut
from resight.service.api.common import caller_of, desk_of, read, view_of, write
from resight.service.api.shapes import ConfirmBody, ForgetBody
from resight.service.lanes import ServiceBusy
from resight.service.problems import Refusal


@dataclass(frozen=True)
class Preview:
    """What was shown to somebody, and waits for a confirmation. key: whose. conditions: for `Gallery.forget`."""

    key: str
    filter: Filter
    entries: int


async def preview(body: ForgetBody, request: Request) -> ForgetPreviewOut:
    """Counts whom a deletion would be about. Nothing is deleted; the token confirms it, within ten minutes."""
    return await previewed(request, body)


async def previewed(request: Request, body: ForgetBody) -> ForgetPreviewOut:
    """As `preview`."""
    wanted = _filter_of(body)
    view, desk = view_of(request), desk_of(request)

    def counted() -> ToForget:
        return view.to_forget(filter=wanted, times=False)

    shown = await read(request, counted)
    token = secrets.token_urlsafe(24)
    desk.previews.put(token, Preview(caller_of(request).key, wanted, shown.entries))
    return ForgetPreviewOut(
        entries=shown.entries, people=shown.people, cameras=dict(shown.cameras), untimed=shown.untimed, token=token
    )


async def confirm(body: ConfirmBody, request: Request) -> CertificateOut:
    """Deletes what a preview was about, and looks for its bytes in the gallery's files. Asked again within ten minutes,
    as after a connection that broke, the same token gives the same certificate, and nothing more is deleted."""
    return await confirmed(request, body.token, body.purpose)


async def confirmed(request: Request, token: str, purpose: str) -> CertificateOut:
    """As `confirm`. Asked again, it waits for the same deletion and gives the same certificate: connections break."""
    desk, key = desk_of(request), caller_of(request).key
    begun = desk.certificates.get(token)
    if begun is None:
        shown = desk.previews.get(token)
        if isinstance(shown, Preview) and shown.key == key:
            desk.previews.drop(token)
            begun = key, asyncio.ensure_future(_deleted(request, token, shown, purpose))
            desk.certificates.put(token, begun)
    if begun is None or begun[0] != key:
        text = "there is no such preview, it is over ten minutes old, or something was deleted meanwhile: preview again"
        raise Refusal(409, text, "no-preview")
    made: CertificateOut = await asyncio.shield(begun[1])
    return made


async def _deleted(request: Request, token: str, shown: Preview, purpose: str) -> CertificateOut:
    desk, caller = desk_of(request), caller_of(request)
    view = view_of(request, purpose)

    def act() -> tuple[Forgotten, AuditLine | None]:
        if view.store.count(shown.filter.within(view.cameras)) != shown.entries:
            text = "other entries match now than were shown: preview again. Nothing was deleted"
            raise Refusal(409, text, "changed-meanwhile")
        gone, line = view.forget(filter=shown.filter), None
        with suppress(GalleryError):  # it is done, so nobody is told that it is not
            line = desk.gallery.store.last_line("forget")
        return gone, line

    try:
        gone, line = await write(request, act)
    except Exception as error:
        desk.certificates.drop(token)
        if isinstance(error, ServiceBusy | GalleryBusy):  # nothing was deleted, and it can be asked for again
            desk.previews.put(token, shown)
        raise
    for kept in (desk.previews, desk.answers):  # which tell of people and of entries
        kept.clear()
    desk.certificates.put(token, (shown.key, asyncio.current_task()))  # for ten minutes from now
    return certificate(gone, line, caller.who, purpose, shown.filter)


def certificate(gone: Forgotten, line: AuditLine | None, who: str, purpose: str, wanted: Filter) -> CertificateOut:
    """The certificate of a deletion."""
    words = f"{gone.entries:,} entries were deleted."
    if gone.looked_for:
        words += f" The bytes of {gone.sought} were then looked for in the files"
        words += " of the gallery: none were found." if not gone.traces else " of the gallery."
    if gone.traces:
        words += " Traces may be left: see below."
    copies = tuple(dict.fromkeys(place.replace("\\", "/").rpartition("/")[2] for place in gone.copies))  # names alone
    if elsewhere := replace(gone, copies=copies).elsewhere:
        words += f" {elsewhere[:1].upper()}{elsewhere[1:]}."
    return CertificateOut(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        who=who,
        purpose=purpose,
        by=", ".join(wanted.names()),
        entries=gone.entries,
        looked_for=gone.looked_for,
        traces=list(gone.traces),
        beyond=list(gone.beyond),
        untimed=gone.untimed,
        site=gone.site,
        copies=list(copies),
        audit_number=line.number if line else 0,
        audit_hash=line.hash if line else "",
        words=words,
    )


def _filter_of(body: ForgetBody) -> Filter:
    return forgotten_of(None, body.older_than_s, seen_until() if body.untimed else None, body.conditions())
