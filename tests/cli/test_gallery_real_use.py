"""What real use does to a gallery, by the command: names, numbers, times, kills, parts of files, rows sent twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from resight import load, open_dataset, open_gallery
from tests.cli.calling import CITY, resight

CITY_MODEL = "city"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.db"
    resight("gallery", "create", path, "--model", CITY_MODEL)
    return path


def line(number: int = 0, **facts: object) -> str:
    """A line with an embedding of its own."""
    model = load(CITY_MODEL)
    row = np.random.default_rng(number).standard_normal(model.dim)
    embedding = (row / np.linalg.norm(row)).tolist()
    return json.dumps({"camera": "north", "model": model.identity, "embedding": embedding, **facts})


def put(day: Path, person: str, camera: str, first: int) -> None:
    """Three pictures of a person by a camera, as the README has folders."""
    folder = day / "gallery" / person
    folder.mkdir(parents=True)
    for number, crop in enumerate(open_dataset(CITY).gallery[first : first + 3]):
        (folder / f"{camera}_{number}.jpg").write_bytes(crop.read())


def test_a_migration_that_moves_nothing_fails_and_says_what_to_do(site: Path, tmp_path: Path) -> None:
    put(tmp_path / "a", "alice", "north", 0)
    resight("gallery", "add", site, tmp_path / "a")
    done = resight("gallery", "migrate", site, tmp_path / "new.db", "--model", "default", code=3)
    assert "nothing could be moved" in done.stderr
    assert f"resight gallery add {tmp_path / 'new.db'} DATA --model default" in done.stderr
    assert "--keep-crops" in done.stderr


def test_bob_is_bob_on_every_day(site: Path, tmp_path: Path) -> None:
    put(tmp_path / "a", "alice", "north", 0)
    put(tmp_path / "a", "bob", "north", 3)
    put(tmp_path / "b", "bob", "south", 6)
    put(tmp_path / "b", "carol", "south", 9)
    resight("gallery", "add", site, tmp_path / "a")
    resight("embed", CITY_MODEL, tmp_path / "b", "-o", tmp_path / "b.npz")
    resight("gallery", "add", site, tmp_path / "b.npz")  # made elsewhere
    with open_gallery(site) as gallery:
        found = {(entry.person, entry.camera) for entry in gallery.entries()}
        assert found == {("alice", "north"), ("bob", "north"), ("bob", "south"), ("carol", "south")}
        assert len({entry.pid for entry in gallery.entries()}) == 3
    picture = tmp_path / "b" / "gallery" / "carol" / "south_0.jpg"
    said = resight("gallery", "search", site, picture, "--exclude-camera", "north", "--top-k", "1").stdout
    assert "carol" in said
    said = resight("gallery", "search", site, picture, "--person", "bob", "--json").stdout
    assert {match["person"] for match in json.loads(said)["matches"]} == {"bob"}
    linked = resight("gallery", "link", site, "alice", "robert")
    assert "is reported as robert" in linked.stdout
    assert "nothing here is of robert yet" in linked.stderr
    assert "alice yet" not in linked.stderr
    assert "6 entries forgotten" in resight("gallery", "forget", site, "--person", "bob").stdout
    resight("gallery", "export", site, "-o", tmp_path / "all.jsonl")
    resight("gallery", "import", tmp_path / "copy.db", tmp_path / "all.jsonl")
    assert "3 entries forgotten" in resight("gallery", "forget", tmp_path / "copy.db", "--person", "carol").stdout
    with open_gallery(tmp_path / "copy.db") as gallery:
        assert {entry.person for entry in gallery.entries()} == {"alice"}


def test_names_and_numbers_in_lines(site: Path) -> None:
    lines = [line(0, person="bob"), line(1, person="7"), line(2, pid=7), line(3, pid=0), line(4, pid=-1)]
    done = resight(
        "gallery", "add", site, "-", stdin="\n".join([*lines, line(5, person="x", pid=3), line(6, person=7)])
    )
    assert "5 added, 2 left out" in done.stdout
    assert "1 line has the pid 0" in done.stderr
    with open_gallery(site) as gallery:
        facts = [(entry.pid, entry.person) for entry in gallery.entries()]
        assert facts[0][1] == "bob"
        assert facts[1:] == [(7, None), (7, None), (0, None), (None, None)]
    resight("gallery", "add", site, "-", "--unnamed", stdin="\n".join([line(10, person="bob"), line(11, pid=7)]))
    with open_gallery(site) as gallery:
        assert [(entry.pid, entry.person) for entry in gallery.entries(ids=[6, 7])] == [(None, None)] * 2


def test_what_was_added_is_not_added_again(site: Path, tmp_path: Path) -> None:
    num = len(open_dataset(CITY).gallery)
    assert f"{num} added, 0 left out;" in resight("gallery", "add", site, CITY, "--split", "gallery").stdout
    said = resight("gallery", "add", site, CITY, "--split", "gallery").stdout
    assert f"0 added, 0 left out, {num} there already; {num} entries" in said
    text = line(0, time=1772352000.0, track="1")
    for already in ("", ", 1 there already"):
        assert f"left out{already};" in resight("gallery", "add", site, "-", stdin=text).stdout


def test_times_in_other_units_and_none(site: Path) -> None:
    old = time.time() - 90 * 86400
    rows = [line(0, time=old), line(1, time=old * 1e3), line(2)]
    done = resight("gallery", "add", site, "-", stdin="\n".join(rows))
    assert "2 added, 1 left out" in done.stdout
    assert "milliseconds look like this" in done.stderr
    done = resight("gallery", "forget", site, "--older-than", "30d")
    assert "1 entry forgotten" in done.stdout
    assert "not judged: 1 entry has no time" in done.stderr
    assert "1 entry forgotten" in resight("gallery", "forget", site, "--older-than", "30d", "--untimed").stdout
    assert "milliseconds" in resight("gallery", "forget", site, "--before", str(old * 1e3), code=2).stderr


def test_a_part_of_an_export_is_told(site: Path, tmp_path: Path) -> None:
    resight("gallery", "add", site, "-", stdin="\n".join(line(number) for number in range(9)))
    whole, cut, old = tmp_path / "all.jsonl", tmp_path / "cut.jsonl", tmp_path / "old.jsonl"
    resight("gallery", "export", site, "-o", whole)
    lines = whole.read_text().splitlines(keepends=True)
    cut.write_text("".join(lines[:6]))
    copy = tmp_path / "copy.db"
    assert "it has 5 of 9 entries" in resight("gallery", "import", copy, cut, code=3).stderr
    assert "has not ended" in resight("gallery", "verify", copy, code=3).stdout
    assert "incomplete" in resight("gallery", "stats", copy).stdout
    assert json.loads(resight("gallery", "stats", copy, "--json").stdout)["unfinished"] is True
    assert "4 added, 0 left out, 5 there already; 9 entries" in resight("gallery", "import", copy, whole).stdout
    resight("gallery", "verify", copy)
    header = json.loads(lines[0])
    del header["entries"]  # as version 0.1.0 wrote it
    old.write_text("".join([json.dumps(header) + "\n", *lines[1:6]]))
    assert "cannot be told" in resight("gallery", "import", tmp_path / "old.db", old).stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_lines_of_windows_are_read(site: Path, tmp_path: Path) -> None:
    rows = tmp_path / "bom.jsonl"
    rows.write_bytes(b"\xef\xbb\xbf" + (line(0) + "\r\n" + line(1) + "\r\n").encode() + b'{"camera": "\xe9"}\r\n')
    done = resight("gallery", "add", site, rows)
    assert "2 added, 1 left out" in done.stdout
    assert "line 3: byte 13 is not UTF-8" in done.stderr


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_what_a_camera_sent_is_kept_when_it_is_stopped(site: Path, how: signal.Signals) -> None:
    call = [sys.executable, "-m", "resight.cli", "gallery", "add", str(site), "-"]
    pipe = subprocess.PIPE

    def heed() -> None:  # a shell's background job, as these tests may be, is started with SIGINT ignored
        signal.signal(how, signal.SIG_DFL)

    with subprocess.Popen(call, stdin=pipe, stderr=pipe, stdout=pipe, preexec_fn=heed) as process:
        assert process.stdin is not None
        process.stdin.write("".join(line(number) + "\n" for number in range(5)).encode())
        process.stdin.flush()
        until = time.monotonic() + 120
        while time.monotonic() < until:
            with open_gallery(site, read_only=True) as gallery:
                if len(gallery) == 5:  # though the stream goes on, and the batch is not full
                    break
            time.sleep(0.2)
        process.stdin.write((line(5) + "\n").encode())
        process.stdin.flush()
        time.sleep(0.5)
        process.send_signal(how)
        assert process.wait(120) == 128 + how
        assert process.stderr is not None
        assert f"stopped by {how.name}: what was read is kept" in process.stderr.read().decode()
    with open_gallery(site, read_only=True) as gallery:
        assert len(gallery) == 6
