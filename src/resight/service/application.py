"""The application: the table of routes, the guard before it, and errors as problems."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from starlette.formparsers import MultiPartParser
from starlette.responses import Response
from starlette.types import ASGIApp, Scope

from resight.core.version import VERSION
from resight.service.api.answers import Problem
from resight.service.api.table import REST
from resight.service.desk import Desk
from resight.service.guard import Guard, UnderRoot
from resight.service.page.rendering import trouble_page
from resight.service.page.table import PAGES
from resight.service.problems import MEDIA, answer_errors
from resight.service.routes import Route, Table

ROUTES: tuple[Route, ...] = (*REST, *PAGES)
ERRORS = (400, 401, 403, 404, 405, 408, 409, 413, 415, 421, 422, 429, 503)


def application(desk: Desk) -> ASGIApp:
    """The ASGI application of a desk, which it opens and closes."""
    settings = desk.settings
    # A file of a form that does not fit is spooled to the temporary folder: none ever does.
    MultiPartParser.spool_max_size = max(MultiPartParser.spool_max_size, settings.max_body + 1)
    app = bare_application(desk)
    return UnderRoot(Guard(app, desk, Table(ROUTES), _as_page), settings.root)


def bare_application(desk: Desk | None) -> FastAPI:
    """The routes without the guard. None: for their description only."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if desk is not None:
            desk.open()
        yield
        if desk is not None:
            desk.close()

    app = FastAPI(
        title="resight",
        version=VERSION,
        description="A gallery of person re-identification. Every request needs `Authorization: Bearer KEY`.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.desk = desk
    told: dict[int | str, dict[str, Any]] = {
        status: {"description": "An error", "content": {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
        for status in ERRORS
    }
    for route in ROUTES:
        options = {"responses": {**told, **route.options.get("responses", {})}} if route.is_api else {}
        app.add_api_route(
            route.path,
            route.endpoint,
            methods=[route.method],
            include_in_schema=route.is_api,
            **{**{k: v for k, v in route.options.items() if k != "responses"}, **options},
        )
    answer_errors(app, _as_page)
    _describe(app)
    return app


def _as_page(scope: Scope, status: int, text: str) -> Response:
    return trouble_page(Request(scope), status, text)


def _describe(app: FastAPI) -> None:
    """Adds to the description what FastAPI cannot know: the shape of problems, and how to show a key."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        told = plain()
        parts = told.setdefault("components", {})
        parts.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        public = {route.path for route in ROUTES if route.role == "public"}
        for path, methods in told["paths"].items():
            for operation in methods.values():
                operation["security"] = [] if path in public else [{"key": []}]
        return told

    app.openapi = described  # type: ignore[method-assign]
