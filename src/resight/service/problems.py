"""Errors as RFC 9457 has them: a title, a status, and the same words of remedy that the command line gives."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Scope

from resight.core.errors import (
    ConfigError,
    DataError,
    EmbeddingError,
    GalleryBusy,
    GalleryError,
    MissingExtra,
    ResightError,
    UnreadableImage,
)
from resight.service.lanes import ServiceBusy

MEDIA = "application/problem+json"
URN = "urn:resight:problem:"
AsPage = Callable[[Scope, int, str], Response]  # shows a problem's status and text to people
log = logging.getLogger("resight.service")
# The first class that fits. A gallery that refuses is a conflict with what it holds.
STATUS: tuple[tuple[type[ResightError], int], ...] = (
    (ServiceBusy, 503),
    (GalleryBusy, 503),
    (ConfigError, 422),
    (EmbeddingError, 422),
    (DataError, 422),
    (GalleryError, 409),
    (MissingExtra, 501),
)


class Refusal(ResightError):
    """A request that is refused with a status of its own. kind: the last part of the problem's type."""

    def __init__(self, status: int, text: str, kind: str = "refused", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.kind = kind
        self.headers = dict(headers or {})


def missing(what: str) -> Refusal:
    """What is not there, or not for this caller: the two are told alike."""
    return Refusal(404, f"there is no {what} here", "not-found")


class ProblemAnswer(JSONResponse):
    """A problem as it is sent; `text` is its detail."""

    def __init__(self, told: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        super().__init__(told, told["status"], dict(headers), MEDIA)
        self.text: str = told["detail"]


def problem(status: int, text: str, kind: str, headers: Mapping[str, str] | None = None, **more: Any) -> ProblemAnswer:
    """The answer. more: further fields."""
    told = {"type": f"{URN}{kind}", "title": TITLES.get(status, "Error"), "status": status, "detail": text, **more}
    return ProblemAnswer(told, headers or {})


def problem_of(error: Exception, place: str) -> ProblemAnswer:
    """The answer to an error that was raised on purpose. place: as `Desk.place`."""
    if isinstance(error, Refusal):
        return problem(error.status, str(error), error.kind, error.headers)
    if isinstance(error, HTTPException):
        text = str(error.detail) or TITLES.get(error.status_code, "Error")
        return problem(error.status_code, text, "http", error.headers)
    status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
    headers = {"Retry-After": "1"} if status == 503 else {}
    more = {"name": error.name, "reason": error.reason} if isinstance(error, UnreadableImage) else {}
    return problem(status, without_place(str(error), place), type(error).__name__, headers, **more)


def without_place(text: str, place: str) -> str:
    """A message without the path of the gallery, which may be a short word: no part of another one is taken."""
    return re.sub(rf"(?<![\w./'-]){re.escape(place)}(?![\w/])", "the gallery", text) if place else text


def for_its_reader(told: ProblemAnswer, scope: Scope, as_page: AsPage) -> Response:
    """A problem as a page, where a browser asked for one; else as it is."""
    if "text/html" not in Headers(scope=scope).get("accept", "") or scope["path"].startswith("/api/"):
        return told
    shown = as_page(scope, told.status_code, told.text)
    for name in ("Allow", "Retry-After", "WWW-Authenticate"):
        if name in told.headers:
            shown.headers[name] = told.headers[name]
    return shown


def answer_errors(app: FastAPI, as_page: AsPage) -> None:
    """Makes the application answer every error as a problem, or as a page, without a traceback."""

    async def told(request: Request, error: Exception) -> Response:
        return for_its_reader(problem_of(error, request.app.state.desk.place), request.scope, as_page)

    async def left(request: Request, error: Exception) -> Response:
        return problem(400, "the connection ended before the request did", "http")  # which nobody reads

    async def invalid(request: Request, error: Exception) -> Response:
        wrongs = error.errors() if isinstance(error, RequestValidationError) else []
        wrong = [{"where": ".".join(map(str, each["loc"])), "what": each["msg"]} for each in wrongs[:20]]
        text = "; ".join(f"{each['where']}: {each['what']}" for each in wrong[:3]) or "the request is not as it must be"
        return for_its_reader(problem(422, text, "invalid", wrong=wrong), request.scope, as_page)

    async def defect(request: Request, error: Exception) -> Response:
        number = secrets.token_hex(4)
        log.error("defect %s: %s", number, type(error).__name__, exc_info=error)
        text = f"a defect of resight's own; the service's log has it as {number}"
        return for_its_reader(problem(500, text, "defect"), request.scope, as_page)

    app.add_exception_handler(ResightError, told)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, told)
    app.add_exception_handler(ClientDisconnect, left)
    app.add_exception_handler(Exception, defect)


TITLES = {
    400: "Bad request",
    401: "No valid key",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported content",
    421: "Wrong host",
    422: "Cannot be used",
    429: "Too often",
    500: "Internal error",
    501: "Not available",
    503: "Busy",
}
