"""The routes of the page: method, path, the role that it needs, and the function."""

from __future__ import annotations

from typing import Any

from resight.service.page import entrance, finding, office
from resight.service.routes import PUBLIC, Route

HTML: dict[str, Any] = {"response_model": None}

PAGES: tuple[Route, ...] = (
    Route("GET", "/login", PUBLIC, entrance.login_form, HTML),
    Route("POST", "/login", PUBLIC, entrance.login, HTML),
    Route("GET", "/static/{name}", PUBLIC, entrance.static, HTML),
    Route("POST", "/logout", "viewer", entrance.logout, HTML),
    Route("GET", "/", "searcher", finding.search_page, HTML),
    Route("POST", "/", "searcher", finding.search, HTML, costs=True),
    Route("GET", "/people", "viewer", finding.people_page, HTML),
    Route("GET", "/find", "viewer", finding.find_person, HTML),
    Route("GET", "/people/{pid}", "viewer", finding.person_page, HTML),
    Route("POST", "/people/{pid}", "operator", finding.link_preview, HTML),
    Route("POST", "/correct", "operator", finding.correct, HTML),
    Route("GET", "/review", "operator", finding.review_page, HTML, costs=True),
    Route("GET", "/forget", "controller", office.forget_page, HTML),
    Route("POST", "/forget", "controller", office.forget_preview, HTML),
    Route("POST", "/forget/confirm", "controller", office.forget_confirm, HTML),
    Route("GET", "/audit", "controller", office.audit_page, HTML),
    Route("GET", "/health", "viewer", office.health_page, HTML),
    Route("GET", "/keys", "admin", office.keys_page, HTML),
    Route("POST", "/keys", "admin", office.make_key, HTML),
    Route("POST", "/keys/revoke", "admin", office.revoke_key, HTML),
)
