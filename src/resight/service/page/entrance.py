"""Logging in and out, and the few files of the page."""

from __future__ import annotations

from importlib.resources import files

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from resight.service.api.common import desk_of
from resight.service.guard import token_of
from resight.service.page.rendering import form_of, go, page, render, text_in
from resight.service.problems import Refusal, missing

STATIC = {
    "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "htmx.min.js": "text/javascript; charset=utf-8",
    "htmx.LICENSE.txt": "text/plain; charset=utf-8",
}


@page
async def login_form(request: Request) -> Response:
    """Asks for a key."""
    return render(request, "login.html", wrong=False)


@page
async def login(request: Request) -> Response:
    """Opens a session for a key, or for the secret of the one-time address."""
    desk = desk_of(request)
    address = request.client.host if request.client else "unknown"
    form = await request.form(max_files=0, max_fields=5)
    token = desk.sessions.open(text_in(form, "key"))
    if token is None:
        if wait := desk.failures.take(address):
            raise Refusal(429, f"too many wrong keys from this address; wait {wait:.0f} s", "too-often")
        desk.ledger.count("denied", "unknown", "key")
        return render(request, "login.html", 401, wrong=True)
    caller = desk.sessions.caller(token)
    first = caller is not None and caller.key == "first"
    answer = go(request, "keys" if first else "people" if caller and not caller.may("searcher") else "")
    answer.set_cookie(desk.cookie, token, httponly=True, samesite="strict", secure=desk.settings.secure, path="/")
    return answer


@page
async def logout(request: Request) -> Response:
    """Ends the session."""
    await form_of(request)
    desk = desk_of(request)
    desk.sessions.close(token_of(request.headers, desk.cookie))
    answer: RedirectResponse = go(request, "login")
    answer.delete_cookie(desk.cookie, path="/", secure=desk.settings.secure, httponly=True, samesite="strict")
    return answer


async def static(request: Request, name: str) -> Response:
    """A file of the page."""
    if name not in STATIC:
        raise missing("file of this name")
    data = files("resight.service.page").joinpath("static", name).read_bytes()
    return Response(data, media_type=STATIC[name], headers={"Cache-Control": "max-age=3600"})
