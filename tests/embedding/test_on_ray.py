"""An archive embedded by a cluster of Ray: two nodes on this machine, and workers that die."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from resight.cli import embed
from resight.core.errors import ConfigError
from resight.data.city.synthetic import CityConfig, draw_city
from resight.data.embedding_files import EmbeddingFile
from tests.cli.calling import CITY, resight


def test_what_is_no_engine_is_refused(tmp_path: Path) -> None:
    for given in (["--engine", "spark"], ["--engine", "ray://"], ["--workers", "2"]):
        assert "--engine" in resight("embed", "city", CITY, "-o", tmp_path / "it.npz", *given, code=2).stderr
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one core each."""
    pytest.importorskip("ray", reason="Ray is not here: `make test-all` installs it")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    started: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    started.add_node(num_cpus=1)
    yield started
    started.shutdown()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Some 90 pictures, one of them broken."""
    folder = tmp_path / "archive"
    folder.mkdir()
    city = draw_city(CityConfig(train_people=0, test_people=10, cameras=3, crops_per_camera=3, height=32, width=16))
    for number, crop in enumerate((*city.query, *city.gallery)):
        (folder / f"{number:03}.jpg").write_bytes(crop.read())
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


def columns(path: Path) -> dict[str, Any]:
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray leaves sockets and processes to the interpreter's end
def test_a_cluster_writes_what_one_process_writes_though_workers_die(
    cluster: Any, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed, "PART", 4)
    here, there = tmp_path / "here.npz", tmp_path / "there.npz"
    resight("embed", "city", archive, "-o", here, "--plain", "--threads", "1")
    killed: list[int] = []

    def kill_a_worker() -> None:
        until = time.monotonic() + 120
        parts = tmp_path / "there.npz.parts"
        while len(list(parts.glob("part-*.npz"))) < 2 and time.monotonic() < until:
            time.sleep(0.005)
        for pid in workers_of_ray()[:1]:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    killer = Thread(target=kill_a_worker)
    killer.start()
    done = resight("embed", "city", archive, "-o", there, "--plain", "--engine", f"ray://{cluster.address}")
    killer.join()
    assert killed
    assert "broken.jpg" in done.stderr
    one, other = columns(here), columns(there)
    assert list(other["name"]) == list(one["name"])
    assert set(one) == set(other)
    np.testing.assert_allclose(other["vector"], one["vector"], atol=1e-5)
    assert not (tmp_path / "there.npz.parts").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_was_stopped_goes_on_with_the_parts_that_are_not_there(
    cluster: Any, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed, "PART", 4)
    out = tmp_path / "it.npz"
    call = ("embed", "city", str(archive), "--plain", "--engine", f"ray://{cluster.address}", "-o")
    finish = EmbeddingFile.finish
    monkeypatch.setattr(EmbeddingFile, "finish", lambda *_: (_ for _ in ()).throw(ConfigError("stopped")))
    resight(*call, out, code=2)
    parts = sorted((tmp_path / "it.npz.parts").glob("part-*.npz"))
    times = {path.name: path.stat().st_mtime_ns for path in parts}
    for path in (parts[0], parts[5]):
        path.unlink()  # holes, as workers of different speed leave them
    resight(*call, out, code=2)
    again = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "it.npz.parts").glob("part-*.npz")}
    assert {name for name in times if again[name] != times[name]} == {parts[0].name, parts[5].name}
    monkeypatch.setattr(EmbeddingFile, "finish", finish)
    assert "going on after" in resight(*call, out).stderr


def workers_of_ray() -> list[int]:
    """The processes that hold a model."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if "ray::Worker" in (folder / "cmdline").read_text(errors="replace"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found
