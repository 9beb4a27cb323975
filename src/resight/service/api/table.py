"""The routes of REST: method, path, the role that it needs, and the function."""

from __future__ import annotations

from typing import Any

from resight.service.api import about, entries, forgetting, jobs, keys, people, search
from resight.service.routes import API, PUBLIC, Route

MADE: dict[str, Any] = {"status_code": 201}
BEGUN: dict[str, Any] = {"status_code": 202}
GONE: dict[str, Any] = {"status_code": 204}
JPEG: dict[str, Any] = {
    "responses": {200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}},
    "response_model": None,
}
LINES_IN: dict[str, Any] = {
    "response_model": None,
    "openapi_extra": {"requestBody": {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
    "responses": {200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
}
LINES_OUT: dict[str, Any] = {
    "response_model": None,
    "responses": {200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
}
TEXT: dict[str, Any] = {
    "response_model": None,
    "responses": {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
}

REST: tuple[Route, ...] = (
    Route("GET", f"{API}/livez", PUBLIC, about.livez),
    Route("GET", f"{API}/readyz", PUBLIC, about.readyz, {"response_model": None}),
    Route("GET", f"{API}/me", "viewer", about.me),
    Route("GET", f"{API}/openapi.json", "viewer", about.openapi, {"response_model": None}),
    Route("GET", f"{API}/model", "viewer", about.model),
    Route("GET", f"{API}/calibration", "viewer", about.calibration),
    Route("GET", f"{API}/site", "viewer", about.site),
    Route("GET", f"{API}/stats", "viewer", about.stats),
    Route("GET", f"{API}/metrics", "viewer", about.metrics, TEXT),
    Route("GET", f"{API}/entries", "viewer", entries.list_entries),
    Route("GET", f"{API}/entries/{{number}}", "viewer", entries.get_entry),
    Route("GET", f"{API}/entries/{{number}}/picture", "viewer", entries.get_picture, JPEG),
    Route("GET", f"{API}/people", "viewer", people.list_people),
    Route("GET", f"{API}/people/{{pid}}", "viewer", people.get_person),
    Route("GET", f"{API}/people/{{pid}}/timeline", "viewer", people.timeline),
    Route("GET", f"{API}/links", "viewer", people.list_links),
    Route("GET", f"{API}/cannot-links", "viewer", people.list_cannot_links),
    Route("POST", f"{API}/search", "searcher", search.search, costs=True),
    Route("POST", f"{API}/search/pictures", "searcher", search.search_pictures, costs=True),
    Route("POST", f"{API}/entries", "operator", entries.add, MADE),
    Route("POST", f"{API}/entries/pictures", "operator", entries.add_pictures, MADE),
    Route("POST", f"{API}/entries/lines", "operator", entries.add_lines, LINES_IN, streamed=True),
    Route("GET", f"{API}/review", "operator", people.review, costs=True),
    Route("POST", f"{API}/links/preview", "operator", people.preview_link),
    Route("POST", f"{API}/links", "operator", people.link, MADE),
    Route("DELETE", f"{API}/links/{{number}}", "operator", people.unlink, GONE),
    Route("POST", f"{API}/cannot-links", "operator", people.cannot_link, MADE),
    Route("DELETE", f"{API}/cannot-links/{{number}}", "operator", people.allow_link, GONE),
    Route("POST", f"{API}/forget/preview", "controller", forgetting.preview),
    Route("POST", f"{API}/forget", "controller", forgetting.confirm),
    Route("GET", f"{API}/audit", "controller", about.audit),
    Route("GET", f"{API}/audit/head", "controller", about.audit_head),
    Route("GET", f"{API}/export", "controller", about.export, LINES_OUT),
    Route("GET", f"{API}/keys", "admin", keys.list_keys),
    Route("POST", f"{API}/keys", "admin", keys.make_key, MADE),
    Route("DELETE", f"{API}/keys/{{number}}", "admin", keys.revoke_key, GONE),
    Route("GET", f"{API}/jobs", "admin", jobs.list_jobs),
    Route("GET", f"{API}/jobs/{{number}}", "admin", jobs.get_job),
    Route("POST", f"{API}/jobs/verify", "admin", jobs.verify, BEGUN),
    Route("POST", f"{API}/jobs/compact", "admin", jobs.compact, BEGUN),
    Route("POST", f"{API}/jobs/reembed", "admin", jobs.reembed, BEGUN),
)
