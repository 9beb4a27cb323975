"""What Prometheus reads. Nothing here is about people: routes are templates, and there are no labels of keys."""

from __future__ import annotations

from collections import Counter
from threading import Lock

BOUNDS_S = (0.005, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0)


class Metrics:
    """Counts requests and how long they took."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._buckets: Counter[tuple[str, str, float]] = Counter()
        self._seconds: dict[tuple[str, str], float] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request. method: one that the service knows, or it counts as `other`."""
        method = method if method in ("GET", "POST", "DELETE") else "other"
        with self._lock:
            self._requests[method, route, status] += 1
            self._seconds[method, route] = self._seconds.get((method, route), 0.0) + seconds
            for bound in BOUNDS_S:
                self._buckets[method, route, bound] += seconds <= bound

    def text(self, gauges: dict[str, float]) -> str:
        """In Prometheus's text format. gauges: further figures, by name."""
        lines = ["# TYPE resight_requests_total counter"]
        with self._lock:
            for (method, route, status), number in sorted(self._requests.items()):
                labels = f'method="{method}",route="{route}"'
                lines.append(f'resight_requests_total{{{labels},status="{status}"}} {number}')
            lines.append("# TYPE resight_request_seconds histogram")
            counts: Counter[tuple[str, str]] = Counter()
            for (method, route, _), number in self._requests.items():
                counts[method, route] += number
            for (method, route), number in sorted(counts.items()):
                labels = f'method="{method}",route="{route}"'
                for bound in BOUNDS_S:
                    below = self._buckets[method, route, bound]
                    lines.append(f'resight_request_seconds_bucket{{{labels},le="{bound:g}"}} {below}')
                lines.append(f'resight_request_seconds_bucket{{{labels},le="+Inf"}} {number}')
                lines.append(f"resight_request_seconds_sum{{{labels}}} {self._seconds[method, route]:.6f}")
                lines.append(f"resight_request_seconds_count{{{labels}}} {number}")
        for name, value in sorted(gauges.items()):
            lines += [f"# TYPE resight_{name} gauge", f"resight_{name} {value:g}"]
        return "\n".join(lines) + "\n"
