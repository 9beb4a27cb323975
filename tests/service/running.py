"""`resight serve` as a process of its own, as people start it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resight.service.client.remote import RemoteGallery, connect
from tests.service.conftest import Service


@dataclass
class Started:
    """A process that serves. secret: of the one-time address. log: its standard error so far."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    secret: str = ""

    def asking(self) -> Service:
        """To ask it by keys. It has no desk here."""
        return Service(None, self.port)  # type: ignore[arg-type]

    def first_key(self, role: str = "admin") -> str:
        """Makes a key in the session of the one-time address, as the page does."""
        asking = self.asking()
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        cookie = asking.ask("POST", "/login", None, f"key={self.secret}".encode(), form).headers["set-cookie"]
        session = {"Cookie": cookie.split(";")[0]}
        page = asking.ask("GET", "/keys", None, headers=session).body.decode()
        token = re.search(r'name="csrf" value="([^"]+)"', page)
        assert token is not None
        body = f"csrf={token[1]}&name=first-{role}&role={role}".encode()
        made = asking.ask("POST", "/keys", None, body, {**form, **session}).body.decode()
        found = re.search(r'id="made">([^<]+)<', made)
        assert found is not None, made
        return found[1]

    def connect(self, key: str, **options: Any) -> RemoteGallery:
        return connect(f"http://127.0.0.1:{self.port}", key, **options)


@contextmanager
def started(place: Path, folder: Path, *options: str) -> Iterator[Started]:
    """Runs until the end of the block. folder: of its temporary files, its home and its log."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    for name in ("home", "temporary"):
        (folder / name).mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(folder / "temporary"), "HOME": str(folder / "home")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    log = folder / "log.txt"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "resight.cli", "serve", str(place), "--port", str(port), *options]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out)
    running = Started(process, port, log)
    try:
        until = time.monotonic() + 60
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            try:
                if running.asking().get("/readyz", None).status == 200:
                    break
            except OSError:
                pass
            time.sleep(0.1)
        secret = re.search(r"#start=(\S+)", log.read_text())
        running.secret = secret[1] if secret else ""
        yield running
    finally:
        process.kill()
        process.wait()
