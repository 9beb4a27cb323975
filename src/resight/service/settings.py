"""The settings of a service: limits, and where it is reached."""

from __future__ import annotations

from dataclasses import dataclass, field

MB = 1 << 20


@dataclass(frozen=True)
class ServiceSettings:
    """What a service allows.

    hosts: names that it answers to besides the loopback's. secure: it is reached by https, here or at a proxy. root:
    the path under which a proxy shows it, as /resight. max_body: bytes of a request, lines apart. max_line: bytes of a
    line. max_pixels: of a picture. max_items: pictures of a request. readers: threads
    that read, search and embed; waiting: requests that may wait for one. deadline_s: of a request in its lane. body_s:
    how long the next piece of a body may take. searches_a_minute, requests_a_minute: by each key. failures_a_minute:
    wrong keys by each address. doubtful: people that the review queue compares at most.
    """

    hosts: tuple[str, ...] = ()
    secure: bool = False
    root: str = ""
    max_body: int = 16 * MB
    max_line: int = 8 * MB
    max_pixels: int = 4_000_000
    max_items: int = 64
    readers: int = 2
    waiting: int = 128
    deadline_s: float = 60.0
    body_s: float = 30.0
    searches_a_minute: float = 600
    requests_a_minute: float = 6000
    failures_a_minute: float = 20
    doubtful: int = 1000
    loopback: tuple[str, ...] = field(default=("127.0.0.1", "localhost", "[::1]"))
