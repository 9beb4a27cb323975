"""A real Milvus: the standalone server, with its own etcd, from the wheel `milvus` (`pip install milvus==2.3.5`)."""

from __future__ import annotations

import gc
import importlib.util
import os
import socket
import subprocess
import time
import urllib.request
import warnings
from pathlib import Path

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
    """One server, its data in a folder. It has no option to listen on loopback alone (milvus-io/milvus#26538): all but
    etcd's ports are on all interfaces.

    What it reports of itself (addresses of its parts) is set to 127.0.0.1.
    """

    def __init__(self, folder: Path, settings: dict[str, str] | None = None) -> None:
        import milvus

        self.folder = folder
        folder.mkdir(exist_ok=True)
        client, peer = _free_port(), _free_port()
        self._port, self._health = _free_port(), _free_port()
        config = milvus.MilvusServerConfig(data_dir=str(folder), proxy_port=self._port, etcd_port=client)
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # the wheel leaves the closing of probes to Python
            config.resolve()
            gc.collect()
        milvus._initialize_data_files(str(folder))
        self.start()

    @property
    def address(self) -> str:
        """Up to the name of a gallery."""
        return f"milvus://127.0.0.1:{self._port}?gallery="

    @property
    def pid(self) -> int:
        """Of the server's process."""
        return self._process.pid

    def kill(self) -> None:
        """As a power cut does it."""
        self._process.kill()
        self._process.wait()

    def start(self) -> None:
        """Starts it, or starts it again on the same ports.

        Not by the wheel's own `start`, which tries the ports first and refuses those on which connections were cut a
        minute ago.
        """
        programs = self.folder / "bin"
        environment = {
            **os.environ,
            "DEPLOY_MODE": "STANDALONE",
            "METRICS_PORT": str(self._health),
            "MILVUS_RUN_DIR": str(self.folder / "run"),
            "LD_LIBRARY_PATH": f"{programs}:{os.environ.get('LD_LIBRARY_PATH', '')}",
            "ETCD_CONFIG_PATH": str(self.folder / "etcd.yaml"),
        }
        with (self.folder / "logs" / "milvus.log").open("a") as log:
            command = [str(programs / "milvus"), "run", "standalone"]
            self._process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self._health}/healthz", timeout=5) as told:
                    if b"OK" in told.read():
                        return
            except OSError:  # not yet
                time.sleep(0.1)
        self.stop()
        raise AssertionError(f"the server did not start; its log: {self.folder / 'logs'}")

    def stop(self) -> None:
        """Ends it, within seconds."""
        self._process.terminate()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
