"""Errors as RFC 9457 has them: a title, a status, and the same words of remedy that the command line gives."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from resight.core.errors import (
    ConfigError,
    DataError,
    EmbeddingError,
    GalleryBusy,
    GalleryError,
    MissingExtra,
    ResightError,
)
from resight.service.lanes import ServiceBusy

MEDIA = "application/problem+json"
URN = "urn:resight:problem:"
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


def problem_of(error: Exception) -> JSONResponse:
    """The answer to an error that was raised on purpose."""
    if isinstance(error, Refusal):
        return problem(error.status, str(error), error.kind, error.headers)
    status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
    headers = {"Retry-After": "1"} if status == 503 else {}
    return problem(status, str(error), type(error).__name__, headers)


def answer_errors(app: FastAPI) -> None:
    """Makes the application answer every error as a problem, without a traceback."""

    async def told(request: Request, error: Exception) -> JSONResponse:
        return problem_of(error)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        wrongs = error.errors() if isinstance(error, RequestValidationError) else []
        wrong = [{"where": ".".join(map(str, each["loc"])), "what": each["msg"]} for each in wrongs[:20]]
        text = "; ".join(f"{each['where']}: {each['what']}" for each in wrong[:3]) or "the request is not as it must be"
        return problem(422, text, "invalid", wrong=wrong)

    async def http(request: Request, error: Exception) -> JSONResponse:
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = getattr(error, "headers", None)
        return problem(status, str(getattr(error, "detail", "")) or TITLES.get(status, "Error"), "http", headers)

    async def defect(request: Request, error: Exception) -> JSONResponse:
        number = secrets.token_hex(4)
        log.error("defect %s: %s", number, type(error).__name__, exc_info=error)
        return problem(500, f"a defect of resight's own; the service's log has it as {number}", "defect")

    app.add_exception_handler(ResightError, told)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
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
