"""What a service leaves behind: every acknowledged row after a kill, and nothing of who was forgotten."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import time
from base64 import b64encode
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

import resight
from resight.core.errors import GalleryBusy
from resight.data.crops import Dataset
from resight.gallery.opening import open_with_model
from resight.gallery.records import StoreHits
from resight.service.client.answers import LINES
from resight.service.desk import Desk, Remembered
from tests.service.conftest import API, multipart
from tests.service.running import started
from tests.service.test_rest import picture


@pytest.mark.slow
def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    place = tmp_path / "site.db"
    model = resight.load("city")
    resight.open_gallery(place, model, new=True).close()
    rows = np.random.default_rng(0).standard_normal((20_000, model.dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    lines = [
        json.dumps({"camera": "0", "name": f"row {n}", "embedding": row.tolist(), "model": model.identity}) + "\n"
        for n, row in enumerate(rows[:1500])
    ]
    acknowledged: dict[int, int] = {}
    with started(place, tmp_path) as service:
        key = service.first_key("operator")
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
        connection.putrequest("POST", f"{API}/entries/lines")
        for name, value in (("Authorization", f"Bearer {key}"), ("Transfer-Encoding", "chunked")):
            connection.putheader(name, value)
        connection.endheaders()
        for start in range(0, len(lines), 50):
            part = "".join(lines[start : start + 50]).encode()
            connection.send(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        answer = connection.getresponse()
        try:
            while line := answer.readline():
                told = json.loads(line)
                acknowledged[told["line"]] = told["id"]
                if len(acknowledged) == 300:
                    service.process.send_signal(signal.SIGKILL)
        except (OSError, http.client.HTTPException):
            pass
        connection.close()
    assert 300 <= len(acknowledged) < len(lines)
    with open_with_model(str(place)) as gallery:
        assert list(gallery.verify()) == []
        kept = {entry.id: entry.name for entry in gallery.entries()}
        assert {number: kept[number] for number in acknowledged.values()} == {
            number: f"row {line - 1}" for line, number in acknowledged.items()
        }
    with started(place, tmp_path, "--new-address") as service, service.connect(service.first_key()) as remote:
        body = "".join(lines[:600]).encode()
        sent_again = remote._to.call("POST", "/entries/lines", bytes, media=LINES, body=body)
        told = [json.loads(line) for line in sent_again.splitlines()]
        assert [line["id"] for line in told[: len(acknowledged)]] == [acknowledged[n] for n in sorted(acknowledged)][
            :600
        ]
        names = [entry.name for entry in remote.entries()]
        assert len(names) == len(set(names))


def test_no_byte_of_the_forgotten_is_left_in_any_file(people: Dataset, ready_made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(ready_made, folder / "site.db")
    crop = picture((96, 192), seed=11)
    large = picture((700, 900), seed=12)
    name, track = "Zebulon Quartermaine", "walk-82-4711"
    assert len(large) > 1_100_000  # more than a form's file may have before it goes to the disk by default
    with started(folder / "site.db", folder) as service:
        key = service.first_key()
        with service.connect(key, purpose="a test") as remote:
            body, headers = multipart(
                {"facts": json.dumps({"camera": "gate", "person": name, "track": track})},
                [("crop", f"{name}.png", crop), ("crop", "large.png", large)],
            )
            made = service.asking().ask("POST", f"{API}/entries/pictures", None, body, headers, key)
            ids = made.json["ids"]
            line = {"camera": "gate", "person": name, "crop": b64encode(picture(seed=13)).decode()}
            service.asking().ask("POST", f"{API}/entries/lines", None, json.dumps(line).encode(), key=key)
            pid = service.asking().get(f"/entries/{ids[0]}", key=key).json["pid"]
            body, headers = multipart({"purpose": "a test"}, [("crop", "large.png", large)])
            answer = service.asking().ask("POST", f"{API}/search/pictures", None, body, headers, key)
            assert answer.json["matches"][0]["person"] == name
            small = remote.picture(ids[0])
            assert small is not None
            service.asking().get(f"/entries?person={name.replace(' ', '%20')}", key=key)
            service.asking().get(f"/people/{pid}/timeline", key=key)
            other = service.asking().get("/people?limit=1", key=key).json["people"][0]["pid"]
            remote.cannot_link(pid, other)
            with open_with_model(str(folder / "site.db"), reading=True) as here:
                vectors = [entry.embedding.tobytes() for entry in here.entries(pid=pid)]
            assert len(vectors) == 3
            signs = {"crop": crop[len(crop) // 2 :][:64], "large": large[600_000:600_064], "thumbnail": small[-80:-10]}
            signs |= {f"embedding {n}": vector[:64] for n, vector in enumerate(vectors)}
            words = {"name": name.encode(), "track": track.encode(), "pid": str(pid).encode(), "key": key.encode()}
            assert _found(folder, signs | words) >= {"crop", "large", "name", "track"}  # the search itself finds
            gone = remote.forget(pid=pid)
            assert (gone.entries, gone.traces) == (3, ())
            time.sleep(0.1)
        service.process.terminate()
        service.process.wait(30)
    assert _found(folder, signs | words | {"secret": service.secret.encode()}) == {"secret"}  # which is over
    assert "the secret" not in service.log.read_text()
    with open_with_model(str(folder / "site.db"), reading=True) as here:
        told = [line.action for line in here.audit()]
    assert {"add", "view", "search", "forget", "key", "cannot-link"} <= set(told)


def _found(folder: Path, signs: dict[str, bytes]) -> set[str]:
    data = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name for name, sign in signs.items() if any(sign in content for content in data.values())}


def test_what_is_remembered_for_a_while_is_gone_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("resight.service.desk.time.monotonic", lambda: now)
    remembered = Remembered()
    remembered.put("a", 1)
    remembered.put("b", 2)
    now += 300
    remembered.put("a", 3)  # anew
    now += 400
    assert (remembered.get("a"), remembered.get("b")) == (3, None)
    remembered.sweep()
    assert set(remembered._values) == {"a"}
    now += 300
    remembered.sweep()
    assert not remembered._values


def test_a_service_whose_first_search_fails_is_ready_later(
    ready_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resight.service.desk.WITHIN_S", 0.01)
    gallery = open_with_model(str(shutil.copy(ready_made, tmp_path / "site.db")), who="service")
    search = gallery.store.search

    def failing(*args: Any) -> StoreHits:
        gallery.store.search = search  # type: ignore[method-assign]
        raise GalleryBusy("another process writes")

    gallery.store.search = failing  # type: ignore[assignment,method-assign]
    desk = Desk(gallery, tmp_path / "keys.json")
    monkeypatch.setattr(desk.previews, "sweep", swept := Mock())
    desk.open()
    until = time.monotonic() + 30
    while not (not desk.unready and swept.called):
        assert time.monotonic() < until
        time.sleep(0.01)
    desk.close()
