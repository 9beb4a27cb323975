"""The routes of the page."""

from __future__ import annotations

from resight.service.routes import Route

PAGES: tuple[Route, ...] = ()
