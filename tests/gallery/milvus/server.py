"""A real Milvus: the standalone server, with its own etcd, from the wheel `milvus` (`pip install milvus==2.3.5`)."""

from __future__ import annotations

import gc
import importlib.util
import os
import socket
import time
import urllib.request
import warnings
from pathlib import Path
from typing import Any

WHY_NOT = "no Milvus server here: `make test-all` installs one, milvus==2.3.5, where it is Linux on x86-64"
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
        folder.mkdir(exist_ok=True)
        client, peer = _free_port(), _free_port()
        config = MilvusServerConfig(data_dir=str(folder), proxy_port=_free_port(), etcd_port=client)
        for name, value in (QUICK if settings is None else settings).items():
            config.set(name, value)
        for part in ("rootCoord", "proxy", "queryCoord", "queryNode", "indexNode", "dataCoord", "dataNode"):
            config.set(f"{part}.ip", "127.0.0.1")
        (folder / "etcd.yaml").write_text(
            f"name: one\ndata-dir: {folder / 'data' / 'etcd.data'}\n"
            f"listen-client-urls: http://127.0.0.1:{client}\nadvertise-client-urls: http://127.0.0.1:{client}\n"
            f"listen-peer-urls: http://127.0.0.1:{peer}\ninitial-advertise-peer-urls: http://127.0.0.1:{peer}\n"
            f"initial-cluster: one=http://127.0.0.1:{peer}\nlog-outputs: [{folder / 'etcd.log'}]\n"
        )
        self._server: Any = Standalone(config, wait_for_started=False)
        self.start()

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
        for log in self._server.proc_fds.values():
            log.close()

    def start(self) -> None:
        """Starts it, or starts it again on the same port."""
        os.environ["ETCD_CONFIG_PATH"] = str(self.folder / "etcd.yaml")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)  # the wheel leaves the closing of probes to Python
                self._server.start()
                gc.collect()
        finally:
            del os.environ["ETCD_CONFIG_PATH"]
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline and self._server.server_proc.poll() is None:
            try:
                with urllib.request.urlopen(
                    f"http://127.0.0.1:{self._server.webservice_port}/healthz", timeout=5
                ) as told:
                    if b"OK" in told.read():
                        return
            except OSError:  # not yet
                time.sleep(0.1)
        raise AssertionError(f"the server did not start; its log: {self.folder / 'logs'}")

    def stop(self) -> None:
        """Ends it, within seconds."""
        self._server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
