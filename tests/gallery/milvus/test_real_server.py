"""A real Milvus that dies, and what it compares. The contract runs over it in tests/gallery/test_contract.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from resight import open_gallery
from resight.core.errors import GalleryError
from resight.gallery.milvus.store import MilvusStore
from tests.gallery.helpers import MODEL, pictures, unit
from tests.gallery.milvus.server import MilvusServer
from tests.gallery.test_siting import a_place, expected, found_by

pytestmark = pytest.mark.slow
WRITER = """
import sys
from resight import open_gallery
from tests.gallery.helpers import MODEL, pictures, unit
with open_gallery(sys.argv[1], MODEL, wait_s=60) as gallery:
    for seed in range(100_000):
        gallery.add(pictures(unit(10, seed=seed)), camera=sys.argv[2], time=float(seed))
        print(10 * seed + 10, flush=True)
"""


def test_a_gallery_on_a_server_without_nulls_says_so_to_older_versions(milvus_server: MilvusServer) -> None:
    with open_gallery(f"{milvus_server.address}form", MODEL, wait_s=60) as gallery:
        assert isinstance(gallery.store, MilvusStore)
        assert not gallery.store._db.form.nullable
        assert '"version": 2' in gallery.store._records.settings()
        gallery.add(pictures(unit(3)), camera="north", track=["", "t", "t"], pid=[0, 1, 2], time=[0.0, 1.0, 2.0])
        gallery.add(pictures(unit(1, seed=1)), camera="north")
        known = [(entry.track, entry.pid, entry.time) for entry in gallery.entries()]
        assert known == [("", 0, 0.0), ("t", 1, 1.0), ("t", 2, 2.0), (None, None, None)]
        assert [entry.id for entry in gallery.entries(pids=[0])] == [1]
        assert [entry.id for entry in gallery.entries(before=1.0)] == [1]
        assert len(list(gallery.entries(exclude_pid=0))) == 3


def test_it_compares_all_rows(milvus_server: MilvusServer) -> None:
    rows = unit(20_000)
    with open_gallery(f"{milvus_server.address}all", MODEL, wait_s=60) as gallery:
        for start in range(0, len(rows), 5000):
            gallery.add_embeddings(rows[start : start + 5000], model=MODEL.identity, camera="north")
        for number in (3, 7777, 19_999):
            found = [match.id - 1 for match in gallery.search(rows[number].tobytes(), 50)]
            near = rows.astype(np.float64) @ rows[number]
            assert near[found] == pytest.approx(np.sort(near)[::-1][:50], abs=1e-5)


def test_killed_while_two_processes_write(milvus_server: MilvusServer, tmp_path: Path) -> None:
    place = f"{milvus_server.address}killed"
    open_gallery(place, MODEL, wait_s=60).close()
    told = [(tmp_path / name).open("w+") for name in ("north", "south")]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, place, camera], stdout=out, stderr=subprocess.DEVNULL)
        for camera, out in zip(("north", "south"), told, strict=True)
    ]
    wait_for(lambda: all(count_of(out) >= 100 for out in told))
    os.kill(writers[0].pid, signal.SIGKILL)  # a client
    before = count_of(told[1])
    wait_for(lambda: count_of(told[1]) >= before + 50)  # the other goes on
    milvus_server.kill()
    milvus_server.start()
    writers[1].kill()
    for writer, out in zip(writers, told, strict=True):
        writer.wait()
        out.close()
    with open_gallery(place, MODEL, wait_s=60) as gallery:
        for camera, out in zip(("north", "south"), told, strict=True):
            kept = len(list(gallery.entries(camera=camera)))
            assert kept >= count_of(out)
            assert kept % 10 == 0  # a batch is there or not
        ids = [entry.id for entry in gallery.entries()]
        assert len(set(ids)) == len(ids)
        assert not list(gallery.verify())
        assert set(gallery.add(pictures(unit(1, seed=5)), camera="west")).isdisjoint(ids)


REWRITER = """
import os, sys
from resight import open_gallery
from resight.gallery.milvus import connection, siting
connection.READ_AT_ONCE = 50
upsert, done = siting.Sited._upsert, []
def killed(*given):
    upsert(*given)
    done.append(1)
    if len(done) == 2:
        os.kill(os.getpid(), 9)
siting.Sited._upsert = killed
open_gallery(sys.argv[1], wait_s=60).site.fit()
"""


def test_killed_while_it_rewrites_for_a_site_it_shows_the_one_before_and_goes_on(milvus_server: MilvusServer) -> None:
    drawn, query = a_place(), unit(1, seed=9)[0]
    with open_gallery(f"{milvus_server.address}rewritten", MODEL, wait_s=60) as gallery:
        gallery.add_embeddings(drawn.embeddings, model=MODEL.identity, camera=drawn.cameras, track=drawn.tracks)
        command = [sys.executable, "-c", REWRITER, f"{milvus_server.address}rewritten"]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        store = gallery.store
        assert isinstance(store, MilvusStore)
        (half,) = [name for name in store._db.call("list_collections") if name.startswith(f"{store._db.entries}_")]
        assert store._db.count(half, "id >= 0") == 100 < len(drawn.cameras)
        milvus_server.kill()
        milvus_server.start()
        assert gallery.site.transform is None
        assert found_by(gallery, query, None) == expected(None, drawn, query, None)[:30]
        (new,) = gallery.add_embeddings(
            unit(1, seed=4), model=MODEL.identity, camera="c0"
        )  # into what is half made too
        assert store._db.count(half, "id >= 0") == 101
        gallery.forget(id=new)
        site = gallery.site.fit()
        assert found_by(gallery, query, "c0") == expected(site, drawn, query, "c0")[:30]
        assert not list(gallery.verify())
        left = [name for name in store._db.call("list_collections") if name.startswith(f"{store._db.entries}_")]
        assert left == [store._sited.collection(site.identity)]


def test_writers_of_one_process_lose_nothing(milvus_server: MilvusServer) -> None:
    place = f"{milvus_server.address}many"
    open_gallery(place, MODEL, wait_s=60).close()
    lost: list[GalleryError] = []

    def write(camera: str) -> None:
        try:
            with open_gallery(place, MODEL, wait_s=60) as gallery:
                for seed in range(5):
                    gallery.add(pictures(unit(10, seed=seed)), camera=camera)
        except GalleryError as error:
            lost.append(error)

    threads = [Thread(target=write, args=(f"camera {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not lost
    with open_gallery(place, MODEL, wait_s=60) as gallery:
        assert len({entry.id for entry in gallery.entries()}) == 4 * 5 * 10


def test_after_compact_its_segments_hold_nothing_of_the_forgotten(milvus_server: MilvusServer) -> None:
    """Its message queue does, for three days: docs/scale.md."""
    rows = unit(300, seed=11)
    with open_gallery(f"{milvus_server.address}segments", MODEL, wait_s=60) as gallery:
        people = [1] * 20 + [2] * 280
        gallery.add_embeddings(rows, model=MODEL.identity, camera="north", pid=people)
        gallery.compact()
        forgotten, kept = ([row.tobytes() for row in part] for part in (rows[:20], rows[20:]))
        segments = milvus_server.folder / "data" / "insert_log"
        wait_for(lambda: all(found_in(segments, part) == len(part) for part in (forgotten, kept)))
        gallery.forget(pid=1)
        gallery.compact()
        wait_for(lambda: found_in(segments, forgotten) == 0)
        assert found_in(segments, kept) == len(kept)


def found_in(folder: Path, parts: list[bytes]) -> int:
    """How many of these are in a file below the folder."""
    left = set(parts)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with suppress(FileNotFoundError):  # the server has just removed it
                content = path.read_bytes()
                left = {part for part in left if part not in content}
    return len(parts) - len(left)


def count_of(out: object) -> int:
    lines = Path(out.name).read_text().split()  # type: ignore[attr-defined]
    return int(lines[-1]) if lines else 0


def wait_for(there: object) -> None:
    until = time.monotonic() + 120
    while not there() and time.monotonic() < until:  # type: ignore[operator]
        time.sleep(0.05)
