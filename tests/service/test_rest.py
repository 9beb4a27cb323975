"""REST: what goes in and comes out, and that it is what the gallery itself says."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from PIL import Image

import resight
from resight.core.errors import DataError, GalleryBusy
from resight.data.crops import Dataset
from resight.gallery.filters import Filter
from resight.gallery.opening import open_with_model
from resight.gallery.records import Entry, Forgotten
from resight.gallery.transfer.exporting import restore
from resight.service.lanes import Lane, ServiceBusy
from resight.service.problems import without_place
from resight.service.settings import ServiceSettings
from tests.service.conftest import Serve, Service, multipart

WHY = {"purpose": "a test"}


def picture(size: tuple[int, int] = (32, 64), orientation: int = 1, seed: int = 0) -> bytes:
    """A JPEG of many colours, turned as EXIF says."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1] // 4, size[0] // 4, 3), np.uint8)
    made = Image.fromarray(noise).resize(size)
    turns = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "a maker"
    out = io.BytesIO()
    made = made.transpose(turns[orientation]) if orientation in turns else made
    made.save(out, "PNG", exif=exif)
    return out.getvalue()


def text_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_a_search_answers_what_the_gallery_answers(service: Service, people: Dataset) -> None:
    crop = people.query[0].read()
    expected = service.desk.gallery.search(crop, 7, exclude_camera="2", false_positive_rate=0.2)
    options = {"top_k": 7, "exclude_cameras": ["2"], "false_positive_rate": 0.2}
    body, headers = multipart({**WHY, "query": json.dumps(options)}, [("crop", "a.jpg", crop)])
    vector = service.desk.gallery.needed_model().embed(crop)[0].tolist()
    model = service.desk.gallery.settings.model
    answers = [
        service.post("/search", {"crops": [text_of(crop)], **options, **WHY}, "searcher").json,
        service.post("/search/pictures", body, "searcher", headers=headers).json,
        service.post("/search", {"embedding": vector, "model": model, **options, **WHY}, "searcher").json,
    ]
    for answer in answers:
        assert [match["id"] for match in answer["matches"]] == [match.id for match in expected]
        assert answer["matches"][0]["similarity"] == pytest.approx(expected[0].similarity, abs=1e-5)
        assert (answer["verdict"], answer["num_people"]) == (expected.verdict, expected.num_people)
        assert expected[0].probability is not None
        assert answer["matches"][0]["p_same"]["value"] == pytest.approx(expected[0].probability.value, abs=1e-4)
        assert "embedding" not in json.dumps(answer)
    assert answers[0]["sentence"].startswith(("This is", "Unsure", "Nobody"))
    hidden = service.post("/search", {"crops": [text_of(crop)], "hidden": [0.5, 1.0], **WHY}).json
    assert (hidden["verdict"], hidden["matches"][0]["p_same"]) == ("", None)
    assert hidden["sentence"].startswith("No verdict")
    entry = service.post("/search", {"entry": 3, "top_k": 1, **WHY}).json
    assert entry["matches"][0]["id"] == 3


def test_a_site_transform_is_applied_and_told(serve: Serve, tmp_path: Path) -> None:
    place = tmp_path / "sited.db"
    rows = np.random.default_rng(0).normal(size=(400, 256)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    with resight.open_gallery(place, resight.load("city"), new=True) as gallery:
        gallery.add_embeddings(rows, model=gallery.settings.model, camera=["north", "south"] * 200)
        identity = gallery.site.fit().identity
        expected = gallery.search_embeddings(rows[7], 5, seen_by="south")[0]
    service = serve(place=str(place))
    assert service.get("/site").json["identity"] == identity
    refused = service.get("/calibration")  # the model's is not of what is compared
    assert (refused.status, "site transform is not calibrated" in refused.json["detail"]) == (404, True)
    answer = service.post("/search", {"entry": 8, "top_k": 5, **WHY}).json
    assert (answer["site"], answer["verdict"]) == (identity, "")
    assert [match["id"] for match in answer["matches"]] == [match.id for match in expected]
    assert answer["matches"][1]["similarity"] == pytest.approx(expected[1].similarity, abs=1e-5)
    assert service.post("/search", {"crops": [text_of(picture())], **WHY}).status == 422  # without a model


def test_a_search_says_what_for_and_the_audit_keeps_it(service: Service) -> None:
    assert service.post("/search", {"entry": 1}, "searcher").status == 422
    assert service.post("/search", {"entry": 1, "purpose": "x"}, "searcher").status == 422
    service.post("/search", {"entry": 1, "purpose": "lost child"}, "searcher")
    service.get("/entries/1/picture", "searcher")
    service.get("/audit/head")
    told = [(line["action"], line["who"], line["purpose"]) for line in service.get("/audit").json["lines"]]
    assert ("search", "the searcher (searcher)", "lost child") in told
    assert ("view", "the searcher (searcher)", "") in told
    assert service.get("/audit/head").json["broken"] == ""


def test_strings_of_a_client_are_never_paths_or_addresses(service: Service, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture())
    for text in (str(secret), f"file://{secret}", "http://169.254.169.254/", "../../etc/hostname"):
        assert service.post("/search", {"crops": [text], **WHY}).status == 422
        assert service.post("/search", {"path": text, **WHY}).status == 422
        assert service.post("/entries", {"path": text, "camera": "0"}).status == 422
        assert service.post("/entries", {"crop": text_of(text.encode()), "camera": "0"}).status == 422
        line = json.dumps({"path": text, "camera": "0"}).encode()
        assert "path is not read" in service.post("/entries/lines", line).json["error"]
        assert service.post("/jobs/reembed", {"model": text}).status == 422
        assert service.ask("GET", f"/static/{text.replace('/', '%2f')}").status == 404


def test_entries_are_added_in_three_ways_and_none_twice(service: Service) -> None:
    count = service.get("/stats").json["entries"]
    one = {"crop": text_of(picture(seed=1)), "camera": "gate", "time": "2026-03-01T08:00:00Z", "person": "bob"}
    first = service.post("/entries", one, "operator")
    assert first.status == 201
    again = service.post("/entries", one, "operator").json
    assert again == {"ids": first.json["ids"], "there": first.json["ids"], "left_out": []}
    body, headers = multipart(
        {"facts": '{"camera": "gate", "track": "17"}'},
        [("crop", f"{n}.png", picture(seed=n)) for n in (2, 3)] + [("crop", "bad.png", b"no picture")],
    )
    form = service.post("/entries/pictures", body, "operator", headers=headers).json
    assert [number is None for number in form["ids"]] == [False, False, True]
    assert "bad.png" in form["left_out"][0]
    vector = [0.6, 0.8] + [0.0] * 254
    model = service.desk.gallery.settings.model
    lines = [
        {"camera": "gate", "crop": text_of(picture(seed=4)), "name": "four"},
        {"camera": "gate", "embedding": vector, "model": model, "pid": 7},
        {"camera": "gate"},
        {"camera": "gate", "embedding": vector[:3], "model": model},
    ]
    stream = b"\n".join(json.dumps(line).encode() for line in lines) + b"\nnot json\n"
    told = [json.loads(line) for line in service.post("/entries/lines", stream, "operator").body.splitlines()]
    assert ["id" in line for line in told] == [True, True, False, False, False]
    assert [line["line"] for line in told] == [1, 2, 3, 4, 5]
    again = [json.loads(line) for line in service.post("/entries/lines", stream, "operator").body.splitlines()]
    assert [line.get("there") for line in again] == [True, True, None, None, None]
    assert service.get("/stats").json["entries"] == count + 5
    entry = service.get(f"/entries/{first.json['ids'][0]}").json
    assert (entry["person"], entry["time"], "embedding" in entry) == ("bob", 1772352000.0, False)
    strict = service.post("/entries/lines?strict=true", stream, "operator")
    assert strict.status == 422
    assert service.get("/stats").json["entries"] == count + 5


def test_an_idempotency_key_is_of_one_body(service: Service) -> None:
    told = {"Idempotency-Key": "a1"}
    one = {"camera": "gate", "embedding": [1.0] + [0.0] * 255, "model": service.desk.gallery.settings.model}
    first = service.post("/entries", one, headers=told)
    assert service.post("/entries", one, headers=told).json == first.json
    assert service.post("/entries", {**one, "track": "2"}, headers=told).status == 409
    assert service.post("/entries", {**one, "track": "2"}, "operator", headers=told).status == 201


def test_another_models_embeddings_are_a_conflict_and_nothing_is_kept(service: Service) -> None:
    count = service.get("/stats").json["entries"]
    vector = [1.0] + [0.0] * 255
    own, other = service.desk.gallery.settings.model, "sha256:0123456789abcdef"
    good = {"camera": "0", "embedding": vector, "model": own}
    wrong = {**good, "model": other}
    for answer in (
        service.post("/entries", wrong),
        service.post("/search", {"embedding": vector, "model": other, **WHY}),
        service.post("/entries/lines", json.dumps(good).encode() + b"\n" + json.dumps(wrong).encode()),
    ):
        assert answer.status == 409
        assert "0123456789ab" in answer.json["detail"]
        assert own.removeprefix("sha256:")[:12] in answer.json["detail"]
    assert service.get("/stats").json["entries"] == count


def test_pictures_are_upright_however_they_were_taken(service: Service) -> None:
    ids = []
    for orientation in (1, 3, 6, 8):
        one = {"crop": text_of(picture((32, 64), orientation)), "camera": f"o{orientation}"}
        ids += service.post("/entries", one).json["ids"]
    vectors = [entry.embedding.tolist() for entry in service.desk.gallery.entries(ids=ids)]
    assert all(vector == vectors[0] for vector in vectors)
    shown = [service.get(f"/entries/{number}/picture") for number in ids]
    assert len({answer.body for answer in shown}) == 1
    seen = Image.open(io.BytesIO(shown[2].body))
    assert (seen.size, seen.format, dict(seen.getexif())) == ((32, 64), "JPEG", {})
    assert shown[0].headers["content-type"] == "image/jpeg"
    assert shown[0].headers["cache-control"] == "no-store"


def test_pages_people_and_corrections(service: Service) -> None:
    everything = service.get("/entries?limit=500").json["entries"]
    seen, cursor = [], 0
    while cursor is not None:
        part = service.get(f"/entries?limit=7&cursor={cursor}").json
        seen += part["entries"]
        cursor = part["next"]
    assert seen == everything
    people = service.get("/people?limit=3").json
    assert people["next"] == people["people"][-1]["pid"]
    more = service.get(f"/people?limit=500&cursor={people['next']}").json["people"]
    pids = [each["pid"] for each in (*people["people"], *more)]
    assert pids == sorted(set(pids))
    first, second = pids[:2]
    shown = service.post("/links/preview", {"pid": first, "into": second}).json
    assert (shown["first"]["pid"], shown["second"]["pid"], shown["refused"]) == (first, second, "")
    number = service.post("/links", {"pid": first, "into": second, "purpose": "seen"}, "operator").json["number"]
    assert service.get(f"/people/{first}").json["pids"] == [first, second]
    assert service.post("/links", {"pid": second, "into": first}).status == 409
    times = [entry["time"] for entry in service.get(f"/people/{first}/timeline").json["entries"]]
    assert times == sorted(times)
    assert len(times) == shown["first"]["entries"] + shown["second"]["entries"]
    assert service.delete(f"/links/{number}").status == 204
    assert service.delete(f"/links/{number}").status == 404
    assert service.get("/entries?limit=500").json["entries"] == everything
    assert service.post("/links", {"pid": first, "into": 123}).status == 404
    pair = service.get("/review?limit=1").json[0]
    two = pair["first"]["pid"], pair["second"]["pid"]
    kept = service.post("/cannot-links", {"pid": two[0], "other": two[1]}).json["number"]
    after = service.get("/review?limit=100").json
    assert two not in [(each["first"]["pid"], each["second"]["pid"]) for each in after]
    refused = service.post("/links", {"pid": two[1], "into": two[0]})
    assert (refused.status, "cannot-link" in refused.json["detail"]) == (409, True)
    assert "cannot-link" in service.post("/links/preview", {"pid": two[0], "into": two[1]}).json["refused"]
    assert service.delete(f"/cannot-links/{kept}").status == 204
    assert service.get("/review?limit=1").json[0] == pair


def test_forgetting_is_previewed_confirmed_once_and_certified(service: Service) -> None:
    pid = service.get("/people?limit=1").json["people"][0]["pid"]
    count = service.get(f"/people/{pid}").json["entries"]
    assert service.post("/forget/preview", {}).status == 422
    shown = service.post("/forget/preview", {"pids": [pid]}, "controller").json
    assert (shown["entries"], shown["people"]) == (count, 1)
    added = {
        "camera": "9",
        "pid": pid,
        "embedding": [1.0] + [0.0] * 255,
        "model": service.get("/model").json["identity"],
    }
    service.post("/entries", added)
    body = {"token": shown["token"], "purpose": "request 12"}
    changed = service.post("/forget", body, "controller")
    assert (changed.status, "preview again" in changed.json["detail"]) == (409, True)
    assert service.get(f"/people/{pid}").json["entries"] == count + 1
    body["token"] = service.post("/forget/preview", {"pids": [pid]}, "controller").json["token"]
    assert service.post("/forget", body, "admin").status == 409  # of another key
    body["token"] = service.post("/forget/preview", {"pids": [pid]}, "controller").json["token"]
    gone = service.post("/forget", body, "controller").json
    assert (gone["entries"], gone["traces"], gone["who"]) == (count + 1, [], "the controller (controller)")
    assert gone["looked_for"] >= 2 * count
    assert service.post("/forget", body, "controller").json == gone  # whoever did not get the answer asks again
    assert service.post("/forget", body, "admin").status == 409
    assert service.get(f"/people/{pid}").status == 404
    line = next(line for line in service.get("/audit").json["lines"] if line["number"] == gone["audit_number"])
    assert (line["hash"], line["action"], line["purpose"]) == (gone["audit_hash"], "forget", "request 12")
    assert str(pid) not in json.dumps(gone)


def test_a_deletion_whose_connection_broke_gives_its_certificate_when_asked_again(service: Service) -> None:
    store = service.desk.gallery.store
    remove, begun, go = store.remove, Event(), Event()

    def slow(*args: Any) -> Forgotten:
        begun.set()
        assert go.wait(60)
        return remove(*args)

    store.remove = slow  # type: ignore[assignment,method-assign]
    pid = service.get("/people?limit=1").json["people"][0]["pid"]
    others = service.post("/forget/preview", {"cameras": ["1"]}).json["token"]
    shown = service.post("/forget/preview", {"pids": [pid]}).json
    body = json.dumps({"token": shown["token"], "purpose": "request 12"}).encode()
    with socket.create_connection(("127.0.0.1", service.port), 20) as wire:
        head = f"POST /api/v1/forget HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {service.keys['admin']}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        wire.sendall(head.encode() + body)
        assert begun.wait(60)
    with ThreadPoolExecutor(2) as pool:
        kind = {"Content-Type": "application/json"}
        asked = [pool.submit(service.post, "/forget", body, headers=kind) for _ in range(2)]
        go.set()
        answers = [each.result() for each in asked]
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].json["entries"] == shown["entries"]
    again = service.post("/forget", body, headers=kind)
    assert again.json == answers[0].json == answers[1].json
    assert sum(line.action == "forget" for line in service.desk.gallery.audit()) == 1
    assert service.post("/forget", {"token": others, "purpose": "request 13"}).status == 409  # gone with the deletion


def test_a_deletion_that_could_not_begin_is_confirmed_by_the_same_token(service: Service) -> None:
    store = service.desk.gallery.store
    remove = store.remove

    def busy(*args: Any) -> Forgotten:
        store.remove = remove  # type: ignore[method-assign]
        raise GalleryBusy("another process writes")

    store.remove = busy  # type: ignore[assignment,method-assign]
    shown = service.post("/forget/preview", {"cameras": ["1"]}).json
    body = {"token": shown["token"], "purpose": "request 12"}
    assert service.post("/forget", body).status == 503
    assert service.post("/forget", body).json["entries"] == shown["entries"]


def test_what_was_written_is_told_though_it_cannot_be_read_again(service: Service) -> None:
    store: Any = service.desk.gallery.store

    def busy(*args: Any) -> Any:
        raise GalleryBusy(f"{store.path}: it was changed while it was read")

    store.links = store.last_line = busy
    first, second = (person["pid"] for person in service.get("/people?limit=2").json["people"])
    made = service.post("/links", {"pid": first, "into": second})
    assert (made.status, made.json) == (201, {"number": 1, "pid": first, "into": second})
    shown = service.post("/forget/preview", {"pids": [first]}).json
    gone = service.post("/forget", {"token": shown["token"], "purpose": "request 12"})
    assert (gone.status, gone.json["entries"], gone.json["audit_number"]) == (200, shown["entries"], 0)
    assert service.get("/links").json["detail"] == "the gallery: it was changed while it was read"


def test_work_that_writes_is_waited_for_once_it_has_begun() -> None:
    lane = Lane("writing", 1, 5, 0.05, leaves=False)
    go, done = Event(), list[str]()

    def slow() -> str:
        assert go.wait(60)
        return "done"

    async def asked() -> str:
        first = asyncio.ensure_future(lane.run(slow))
        await asyncio.sleep(0)  # so that it comes first
        with pytest.raises(ServiceBusy, match="nothing of this was done"):
            await lane.run(done.append, "second")
        go.set()
        return await first

    assert asyncio.run(asked()) == "done"
    lane.close()
    assert (done, lane.busy) == ([], 0)


def test_jobs_tell_how_they_went(service: Service) -> None:
    def done(kind: str, body: object = None) -> dict[str, object]:
        job = service.post(f"/jobs/{kind}", body)
        assert job.status == 202, job.body
        until = time.monotonic() + 60
        told = job.json
        while told["state"] == "running" and time.monotonic() < until:
            told = service.get(f"/jobs/{told['id']}").json
        assert told["state"] == "done", told
        return dict(told)

    assert done("verify")["result"] == {"damages": 0, "first": []}
    done("compact")
    unknown = service.post("/jobs/reembed", {"model": "/etc/hostname"})
    assert "Known: market" in unknown.json["detail"]
    count = service.get("/stats").json["entries"]
    result = done("reembed", {"model": "market"})["result"]
    assert isinstance(result, dict)
    assert result["entries"] == count
    path = service.desk.gallery.store.path  # type: ignore[attr-defined]
    with open_with_model(path.with_name(f"{path.stem}-market.db")) as made:
        assert (len(made), made.settings.model_name) == (count, "market")
    assert result["switch"] == "resight serve site0-market.db --model market --state state0"
    assert result["stays"] == ["the audit's lines so far: they are in the old gallery, so keep site0.db"]
    pid = service.get("/people?limit=1").json["people"][0]["pid"]
    token = service.post("/forget/preview", {"pids": [pid]}).json["token"]
    gone = service.post("/forget", {"token": token, "purpose": "request 12"}).json
    assert gone["copies"] == [f"{path.stem}-market.db"]
    assert "run the migration again" in gone["words"]
    assert str(path.parent) not in json.dumps(gone)
    result = done("reembed", {"model": "market"})["result"]
    assert isinstance(result, dict)
    assert (result["entries"], result["forgotten"], result["others"]) == (count - gone["entries"], gone["entries"], 0)
    with open_with_model(path.with_name(f"{path.stem}-market.db")) as made:
        assert len(made) == count - gone["entries"]
        assert made.person(pid) is None
        (line,) = [line for line in made.audit() if line.action == "forget"]
        assert (line.who, line.purpose) == ("the admin (admin)", f"migration: no longer in {path.name}")
    assert service.get("/jobs/12345678").status == 404


def test_an_export_is_the_gallery_whole_and_is_audited(service: Service, tmp_path: Path) -> None:
    lines = service.get("/export", "controller").body.splitlines()
    list(restore(str(tmp_path / "again.db"), iter(lines), "export"))
    with open_with_model(str(tmp_path / "again.db")) as again:
        assert len(again) == service.get("/stats").json["entries"] == len(lines) - 2
    assert service.get("/audit").json["lines"][-1]["action"] == "export"


def test_an_export_is_whole_though_entries_are_forgotten_while_it_is_sent(service: Service, tmp_path: Path) -> None:
    gallery = service.desk.gallery
    scan = gallery.store.scan

    def scanned(wanted: Filter) -> Iterator[Entry]:
        gallery.forget(id=1)
        return scan(wanted)

    gallery.store.scan = scanned  # type: ignore[assignment,method-assign]
    count = len(gallery)
    lines = service.get("/export").body.splitlines(keepends=True)
    assert (json.loads(lines[0])["entries"], json.loads(lines[-1])) == (count, {"entries": count - 1})
    added = list(restore(str(tmp_path / "again.db"), iter(lines), "export"))
    assert sum(len(each.ids) for each in added) == count - 1
    assert not any(each.left_out for each in added)
    for cut in (lines[:-1], lines[:-2], lines[:1]):
        with pytest.raises(DataError, match=r"cut short|not one row"):
            list(restore(str(tmp_path / f"{len(cut)}.db"), iter(cut), "export"))


def test_metrics_are_figures_and_about_nobody(service: Service) -> None:
    pid = service.get("/people?limit=1").json["people"][0]["pid"]
    service.get(f"/people/{pid}")
    service.get("/entries?person=bob")
    text = service.get("/metrics").body.decode()
    assert 'resight_requests_total{method="GET",route="/api/v1/people/{pid}",status="200"} 1' in text
    assert "resight_ready 1" in text
    assert not re.search(rf"(?<![\d.]){pid}\b", text)  # it may stand in the digits of a duration
    for private in ("bob", "the admin", service.keys["admin"][:12]):
        assert private not in text


def test_too_much_is_refused_and_the_limit_is_told(serve: Serve) -> None:
    service = serve(ServiceSettings(max_body=10_000, max_items=2, max_line=2000))
    large = service.post("/search", b"x" * 20_000)
    assert (large.status, "10,000" in large.json["detail"]) == (413, True)
    body, headers = multipart({"facts": '{"camera": "0"}'}, [("crop", "a.png", b"x")] * 3)
    many = service.post("/entries/pictures", body, headers=headers)
    assert (many.status, "2 at most" in many.json["detail"]) == (422, True)
    assert service.post("/entries/lines", b"x" * 3000).status == 413
    body, headers = multipart({"query": '{"top_k": 201}', **WHY}, [("crop", "a.png", picture())])
    for asked in (
        service.post("/search", {"entry": 1, "top_k": 201, **WHY}),
        service.post("/search/pictures", body, headers=headers),
    ):
        assert (asked.status, "less than or equal to 200" in asked.json["detail"]) == (422, True)


def test_a_full_lane_says_when_to_come_again(serve: Serve) -> None:
    service = serve(ServiceSettings(readers=1, waiting=0))
    go = Event()
    service.desk.reading.submit(go.wait, 20)
    service.desk.reading.busy += 1
    try:
        answer = service.get("/stats")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert service.get("/livez", None).status == 200
    finally:
        go.set()
        service.desk.reading.busy -= 1


def test_a_message_loses_the_path_of_the_gallery_alone() -> None:
    assert without_place("s: searches are slow: s", "s") == "the gallery: searches are slow: the gallery"
    assert without_place("/a/site.db-wal and /a/site.db: full", "/a/site.db") == "the gallery-wal and the gallery: full"
    assert without_place("as it is", "") == "as it is"
