"""Fills the page's templates, and turns what goes wrong into a page that says so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from resight.core.errors import ResightError
from resight.core.times import format_time
from resight.core.version import VERSION
from resight.service.access.roles import Caller
from resight.service.api.common import desk_of
from resight.service.guard import CALLER, csrf_fits, up
from resight.service.problems import TITLES, Refusal, problem_of

Handler = Callable[..., Awaitable[Response]]
# The page's parts: address, title, and the role that it needs.
PARTS = (
    ("", "Search", "searcher"),
    ("people", "People", "viewer"),
    ("review", "Review", "operator"),
    ("forget", "Forget", "controller"),
    ("audit", "Audit", "controller"),
    ("health", "Health", "viewer"),
    ("keys", "Keys", "admin"),
)
_environment = Environment(
    loader=PackageLoader("resight.service.page"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters["when"] = lambda seconds: format_time(seconds).replace("T", " ").removesuffix("Z")
_environment.filters["percent"] = lambda share: ">99.9%" if 0.9995 <= share < 1 else f"{share:.1%}"


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page. `up` leads from its address to the root of the service: all its addresses are relative."""
    caller: Caller | None = request.scope.get(CALLER)
    shown = {
        "up": up(request.scope["path"]),
        "here": request.scope["path"].strip("/").split("/")[0],
        "caller": caller,
        "parts": [part for part in PARTS if caller is not None and caller.may(part[2])],
        "version": VERSION,
        "bounded": None if caller is None or caller.cameras is None else ", ".join(caller.cameras),
    }
    return HTMLResponse(_environment.get_template(template).render(**shown, **values), status)


def go(request: Request, to: str) -> RedirectResponse:
    """Leads to another page. to: from the root of the service, without a slash before it."""
    return RedirectResponse(up(request.scope["path"]) + to, 303)


def page(handler: Handler) -> Handler:
    """Decorates a handler so that errors become pages."""

    @wraps(handler)
    async def shown(*args: Any, **options: Any) -> Response:
        request: Request = options["request"]
        try:
            return await handler(*args, **options)
        except (ResightError, HTTPException) as error:
            told = problem_of(error, desk_of(request).place)
            return trouble_page(request, told.status_code, told.text)
        finally:
            await request.close()  # the files of its form

    return shown


async def form_of(request: Request) -> FormData:
    """The form that was posted, if it is of this session. Raises Refusal otherwise."""
    form = await request.form(max_files=desk_of(request).settings.max_items, max_fields=200)
    caller: Caller | None = request.scope.get(CALLER)
    if caller is None or not csrf_fits(caller, request.headers, text_in(form, "csrf")):
        desk_of(request).ledger.count("denied", caller.who if caller else "unknown", "csrf")
        raise Refusal(403, "this form is of another session; load the page again", "denied")
    return form


def text_in(form: FormData, name: str) -> str:
    """A field's text; empty if there is none."""
    value = form.get(name)
    return value.strip() if isinstance(value, str) else ""


def number_of(text: str) -> float | int | str:
    """A number in a form's text; the text itself where it is none, which its shape then refuses."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def texts_in(form: FormData, name: str) -> list[str]:
    """All texts of a field that are not empty."""
    return [value.strip() for value in form.getlist(name) if isinstance(value, str) and value.strip()]


def trouble_page(request: Request, status: int, text: str) -> HTMLResponse:
    """A page that says what is wrong."""
    return render(request, "error.html", status, title=TITLES.get(status, "Error"), text=text)
