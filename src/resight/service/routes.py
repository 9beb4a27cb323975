"""The one table of routes: method, path, the role that it needs, and the function. What is not in it is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.routing import compile_path

API = "/api/v1"
PUBLIC = "public"  # in place of a role: nobody is asked for a key


@dataclass(frozen=True)
class Route:
    """One route. role: one of ROLES, or PUBLIC. options: for FastAPI. streamed: the body may be of any length, and the
    function looks at its parts itself. costs: counts as a search for the rate of a key."""

    method: str
    path: str
    role: str
    endpoint: Callable[..., Any]
    options: dict[str, Any] = field(default_factory=dict)
    streamed: bool = False
    costs: bool = False

    @property
    def is_api(self) -> bool:
        """Whether programs use it, and not the page."""
        return self.path.startswith(API)


@dataclass(frozen=True)
class Found:
    """The route of a request, or None; and the methods that its path has."""

    route: Route | None
    methods: tuple[str, ...]


class Table:
    """Finds the route of a request."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._patterns: list[tuple[re.Pattern[str], Route]] = [(compile_path(each.path)[0], each) for each in routes]

    def find(self, method: str, path: str) -> Found:
        """The one that fits. A path that is in the table as it is, is no value of another one's parameter."""
        fitting = [route for pattern, route in self._patterns if pattern.match(path)]
        fitting = [route for route in fitting if "{" not in route.path] or fitting
        route = next((route for route in fitting if route.method == method), None)
        return Found(route, tuple(sorted({route.method for route in fitting})))
