"""The guard: before a request's body is read, it checks host, origin, key, role, rate and size; denied is the default.

Plain ASGI, since FastAPI reads the body before its own dependencies run.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import time
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resight.service.access.roles import Caller
from resight.service.desk import Desk
from resight.service.problems import AsPage, ProblemAnswer, for_its_reader, problem
from resight.service.routes import PUBLIC, Found, Route, Table

CALLER = "resight.caller"  # where the scope has it
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]/@]+)(?::\d{1,5})?")  # a name or an address, and a port
SAFE = ("GET", "HEAD", "OPTIONS")
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="resight"'}  # with a 401
log = logging.getLogger("resight.service")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers give forms the origin null
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """Lets through what the table of routes allows to this caller."""

    def __init__(self, app: ASGIApp, desk: Desk, table: Table, as_page: AsPage) -> None:
        self.app = app
        self.desk = desk
        self.table = table
        self.as_page = as_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        began = time.monotonic()
        path = scope["path"]
        found = self.table.find(scope["method"], path)
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._dress(message, path)
            await send(message)

        try:
            refusal = self._refusal(scope, found)
            if refusal is not None:
                if isinstance(refusal, ProblemAnswer):
                    refusal = for_its_reader(refusal, scope, self.as_page)
                await refusal(scope, receive, sending)
                return
            streamed = found.route is not None and found.route.streamed
            await self.app(scope, self._limited(scope, receive, streamed), sending)
        finally:
            name = found.route.path if found.route else "-"
            took = time.monotonic() - began
            self.desk.metrics.observe(scope["method"], name, status, took)
            caller = scope.get(CALLER)
            log.info("%s %s %d %.0f ms %s", scope["method"], name, status, 1000 * took, caller.key if caller else "-")

    def _refusal(self, scope: Scope, found: Found) -> Response | None:
        """The answer, if it is no."""
        headers = Headers(scope=scope)
        if not self._is_ours(headers.get("host", "")):
            text = "this service does not answer to that name; start it with --host-name NAME"
            return problem(421, text, "wrong-host")
        if scope["method"] not in SAFE and self._is_foreign(headers):
            return self._denied(None, "origin", 403, "the request comes from another site's page")
        route = found.route
        if route is not None and route.role == PUBLIC:
            scope[CALLER] = _by_cookie(self.desk, headers)
            return self._too_large(headers, route)
        address = (scope.get("client") or ("unknown", 0))[0]
        key = _key_of(headers)
        caller = who_asks(self.desk, headers)
        if caller is None:
            return self._unknown(scope, found, address, key is not None)
        scope[CALLER] = caller
        if route is None:
            return self._no_route(found)
        if not caller.may(route.role):
            text = f"this needs the role {route.role}, and this key has the role {caller.role}"
            return self._denied(caller, "role", 403, text)
        if key is None and scope["method"] not in SAFE and route.is_api and not csrf_fits(caller, headers):
            return self._denied(caller, "csrf", 403, "a page's own request needs its X-CSRF-Token")
        wait = self.desk.requests.take(caller.key) or (self.desk.searches.take(caller.key) if route.costs else 0)
        if wait:
            return _too_often(wait, "this key asks too often")
        return self._too_large(headers, route)

    def _is_ours(self, host: str) -> bool:
        found = HOST.fullmatch(host.lower())
        return found is not None and found[1] in self.desk.hosts

    def _is_foreign(self, headers: Headers) -> bool:
        """Whether a browser says that another site's page made this request."""
        origin = headers.get("origin")
        if origin is not None:
            try:
                return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
            except ValueError:  # it is no address
                return True
        return headers.get("sec-fetch-site", "none") not in ("same-origin", "none")

    def _unknown(self, scope: Scope, found: Found, address: str, with_key: bool) -> Response:
        if with_key:
            if wait := self.desk.failures.take(address):
                return _too_often(wait, "too many wrong keys from this address")
            self.desk.ledger.count("denied", "unknown", "key")
        route = found.route
        if route is not None and not route.is_api and scope["method"] == "GET":
            return RedirectResponse(f"{up(scope['path'])}login", 303)
        text = "a key is needed: Authorization: Bearer KEY, or log in on the page"
        if with_key:
            text = "this key is not known here, or no longer valid: whoever makes the keys can make another"
        return problem(401, text, "no-key", CHALLENGE)

    def _no_route(self, found: Found) -> Response:
        if found.methods:
            allowed = ", ".join(found.methods)
            return problem(405, f"here is {allowed} only", "method", {"Allow": allowed})
        return problem(404, "there is nothing at this address", "not-found")

    def _denied(self, caller: Caller | None, what: str, status: int, text: str) -> Response:
        self.desk.ledger.count("denied", caller.who if caller else "unknown", what)
        return problem(status, text, "denied")

    def _too_large(self, headers: Headers, route: Route) -> Response | None:
        length = headers.get("content-length", "0")
        if not route.streamed and (
            not length.isdecimal() or len(length) > 18 or int(length) > self.desk.settings.max_body
        ):
            return problem(413, _too_long(self.desk.settings.max_body), "too-large")
        return None

    def _limited(self, scope: Scope, receive: Receive, streamed: bool) -> Receive:
        """Gives the body on, but not too much of it, and not for ever."""
        settings, total, ended = self.desk.settings, 0, False

        async def receiving() -> Message:
            nonlocal total, ended
            if ended:
                return await receive()  # which tells of the end of the connection
            try:
                message = await asyncio.wait_for(receive(), settings.body_s)
            except TimeoutError:
                raise HTTPException(408, f"nothing of the body came for {settings.body_s:g} s") from None
            ended = not message.get("more_body", False)
            total += len(message.get("body", b""))
            if not streamed and total > settings.max_body:
                raise HTTPException(413, _too_long(settings.max_body))
            return message

        return receiving

    def _dress(self, message: Message, path: str) -> None:
        headers = MutableHeaders(scope=message)
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        if not path.startswith("/static/"):
            headers["Cache-Control"] = "no-store"
        if self.desk.settings.secure:
            headers.setdefault("Strict-Transport-Security", "max-age=31536000")


class UnderRoot:
    """Lets a service be shown under a path of a proxy, whether or not the proxy takes the path away."""

    def __init__(self, app: ASGIApp, root: str) -> None:
        self.app = app
        self.root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] == "http" and self.root:
            scope = {**scope, "path": _path_of(scope["path"], self.root), "root_path": "", "raw_path": None}
        await self.app(scope, receive, send)


def who_asks(desk: Desk, headers: Headers) -> Caller | None:
    """Whose key or session the headers have, if it is active now."""
    key = _key_of(headers)
    if key is None:
        return _by_cookie(desk, headers)
    found = desk.keys.check(key)
    return found.caller if found else None


def csrf_fits(caller: Caller, headers: Headers, given: str = "") -> bool:
    """Whether the request has the token of the caller's session. given: of a form."""
    token = given or headers.get("x-csrf-token", "")
    return bool(caller.csrf) and hmac.compare_digest(token.encode(), caller.csrf.encode())


def token_of(headers: Headers, cookie: str) -> str:
    """The session's token; empty if there is none."""
    try:
        found: Any = SimpleCookie(headers.get("cookie", "")).get(cookie)
    except CookieError:
        return ""
    return found.value if found else ""


def up(path: str) -> str:
    """The relative way from a path up to the root of the service: so the page works wherever a proxy shows it."""
    depth = path.count("/") - 1
    return "../" * depth or "./"


def _by_cookie(desk: Desk, headers: Headers) -> Caller | None:
    token = token_of(headers, desk.cookie)
    return desk.sessions.caller(token) if token else None


def _key_of(headers: Headers) -> str | None:
    """The key in the headers, if one is given in whatever form."""
    given = headers.get("authorization")
    if given is not None:
        kind, _, key = given.partition(" ")
        return key.strip() if kind.lower() == "bearer" else ""
    return headers.get("x-api-key")


def _path_of(path: str, root: str) -> str:
    if path == root or path.startswith(f"{root}/"):
        return path[len(root) :] or "/"
    return path


def _too_often(wait: float, text: str) -> Response:
    return problem(429, f"{text}; wait {wait:.0f} s", "too-often", {"Retry-After": str(max(1, round(wait)))})


def _too_long(most: int) -> str:
    return f"a request has {most:,} bytes at most here; send less at a time, or lines to /entries/lines"
