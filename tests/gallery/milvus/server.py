"""A real Milvus: the standalone server, with its own etcd, from the wheel `milvus` (`pip install milvus==2.3.5`)."""

from __future__ import annotations

import importlib.util
import socket
import time
from pathlib import Path
from typing import Any

WHY_NOT = (
    "there is no Milvus server here: `make test-all` installs one, the wheel milvus==2.3.5 for Linux on x86-64"
)
# A reader waits for the server's clock, 200 ms, and whoever makes a collection for its checks. Shorter for the tests.
QUICK = {
    "proxy.timeTickInterval": "20",
    "queryCoord.checkInterval": "50",
    "queryCoord.distPullInterval": "50",
    "dataCoord.gc.interval": "2",
    "dataCoord.gc.dropTolerance": "1",
    "dataCoord.gc.missingTolerance": "5",
}


def is_installed() -> bool:
    """Whether the wheel is."""
    return importlib.util.find_spec("milvus") is not None


class MilvusServer:
    """One server, its data in a folder. It has no option to listen on loopback alone: all ports are on all interfaces.

    What it reports of itself (ports of its parts) is set to 127.0.0.1.
    """

    def __init__(self, folder: Path, settings: dict[str, str] | None = None) -> None:
        from milvus import MilvusServer as Standalone
        from milvus import MilvusServerConfig

        self.folder = folder
        config = MilvusServerConfig(data_dir=str(folder), proxy_port=_free_port())
        for name, value in (QUICK if settings is None else settings).items():
            config.set(name, value)
        for part in ("rootCoord", "proxy", "queryCoord", "queryNode", "indexNode", "dataCoord", "dataNode"):
            config.set(f"{part}.ip", "127.0.0.1")
        self._server: Any = Standalone(config)
        self._server.start()

    @property
    def address(self) -> str:
        """Up to the name of a gallery."""
        return f"milvus://127.0.0.1:{self._server.listen_port}?gallery="

    @property
    def pid(self) -> int:
        """Of the server's process."""
        return int(self._server.server_proc.pid)

    def kill(self) -> None:
        """As a power cut does it."""
        self._server.server_proc.kill()
        self._server.server_proc.wait()

    def start(self) -> None:
        """Starts it again, on the same port."""
        deadline = time.monotonic() + 60
        while True:
            try:
                self._server.start()
                return
            except RuntimeError:  # the port is still being closed
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def stop(self) -> None:
        """Ends it, within seconds."""
        self._server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
