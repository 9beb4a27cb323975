"""A service on a real socket, over a gallery of drawn people."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import resight
from resight.data.city.synthetic import CityConfig, draw_city
from resight.data.crops import Dataset
from resight.gallery.opening import open_with_model
from resight.service.access.roles import ROLES
from resight.service.settings import ServiceSettings

uvicorn = pytest.importorskip("uvicorn", reason="the extra `service` is not installed")

from resight.service.application import application  # noqa: E402
from resight.service.desk import Desk  # noqa: E402

API = "/api/v1"


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Service:
    """A service that runs, with a key for each role."""

    desk: Desk
    port: int
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self,
        method: str,
        path: str,
        role: str | None = "admin",
        body: Any = None,
        headers: dict[str, str] | None = None,
        key: str | None = None,
    ) -> Answer:
        """One request, by a role's key or another one. body: JSON, or bytes as they are."""
        told = dict(headers or {})
        key = key or (self.keys[role] if role else None)
        if key is not None:
            told.setdefault("Authorization", f"Bearer {key}")
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            told.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, told)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, role: str | None = "admin", **more: Any) -> Answer:
        return self.ask("GET", f"{API}{path}", role, **more)

    def post(self, path: str, body: Any = None, role: str | None = "admin", **more: Any) -> Answer:
        return self.ask("POST", f"{API}{path}", role, body, **more)

    def delete(self, path: str, role: str | None = "admin", **more: Any) -> Answer:
        return self.ask("DELETE", f"{API}{path}", role, **more)

    def log_in(self, key: str) -> dict[str, str]:
        """The headers of a session: its cookie, and the token that its forms have."""
        form = f"key={key}".encode()
        told = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self.ask("POST", "/login", None, form, told)
        assert answer.status == 303, answer.body
        cookie = answer.headers["set-cookie"].split(";")[0]
        caller = self.desk.sessions.caller(cookie.split("=", 1)[1])
        assert caller is not None
        return {"Cookie": cookie, "X-CSRF-Token": caller.csrf}


def multipart(fields: dict[str, str], files: list[tuple[str, str, bytes]]) -> tuple[bytes, dict[str, str]]:
    """A form's body and headers."""
    edge = "edge-of-a-part"
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n'.encode() for n, v in fields.items()
    ]
    for name, title, data in files:
        parts.append(_head_of(name, title) + data + b"\r\n")
    return b"".join(parts) + f"--{edge}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={edge}"}


def _head_of(name: str, title: str) -> bytes:
    return f'--edge-of-a-part\r\nContent-Disposition: form-data; name="{name}"; filename="{title}"\r\n\r\n'.encode()


Serve = Callable[..., Service]


@pytest.fixture(scope="session")
def people() -> Dataset:
    """Eight people by three cameras."""
    return draw_city(CityConfig(train_people=1, test_people=8, cameras=3, crops_per_camera=2, height=64, width=32))


@pytest.fixture(scope="session")
def ready_made(people: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of them, to be copied."""
    path = tmp_path_factory.mktemp("ready") / "site.db"
    with resight.open_gallery(path, resight.load("city"), new=True, keep_crops=True) as gallery:
        gallery.add_dataset(people, splits=["gallery"])
        gallery.compact()
    return path


@pytest.fixture
def serve(ready_made: Path, tmp_path: Path) -> Iterator[Serve]:
    """Starts services, each on a copy of the gallery."""
    running: list[tuple[Any, threading.Thread]] = []

    def start(settings: ServiceSettings | None = None, place: str | None = None) -> Service:
        path = tmp_path / f"site{len(running)}.db"
        if place is None:
            shutil.copy(ready_made, path)
        gallery = open_with_model(place or str(path), who="service") if place is None else resight.open_gallery(place)
        desk = Desk(gallery, tmp_path / f"state{len(running)}" / "keys.json", settings, {"market": "market"})
        service = Service(desk, 0, {role: desk.keys.make(f"the {role}", role)[1] for role in ROLES})
        listening = socket.create_server(("127.0.0.1", 0))
        service.port = listening.getsockname()[1]
        config = uvicorn.Config(application(desk), log_config=None, ws="none", lifespan="on", server_header=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        running.append((server, thread))
        until = time.monotonic() + 30
        while service.get("/readyz", None).status != 200:
            assert time.monotonic() < until
            time.sleep(0.02)
        return service

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def service(serve: Serve) -> Service:
    """One service with the settings as they are."""
    return serve()
