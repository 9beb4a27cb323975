"""`resight.connect`: the methods of an open gallery, with its answers; and PLACE as an address on the command line."""

from __future__ import annotations

import inspect
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import resight
from resight import Gallery
from resight.cli.app import app
from resight.core.errors import ConfigError, DataError, EmbeddingError, GalleryError
from resight.data.crops import Dataset
from resight.gallery.transfer.lines import header_of
from resight.service.client.answers import error_of
from resight.service.client.remote import RemoteGallery
from resight.service.client.transport import Transport, _ended
from tests.gallery.helpers import unit
from tests.service.conftest import Serve, Service
from tests.service.test_rest import picture

# What a gallery that is open here has beyond one behind a service, and why.
HERE_ALONE = {
    "approximate",  # an index in this process's memory
    "sees_whole",  # of a bounded opening
    "needed_model",  # the service embeds
    "within",  # a key is bounded, not an opening
}


def test_it_has_the_methods_of_a_gallery() -> None:
    def public(kind: type) -> dict[str, object]:
        return {name: value for name, value in inspect.getmembers(kind, callable) if not name.startswith("_")}

    here, there = public(Gallery), public(RemoteGallery)
    assert set(here) - set(there) == HERE_ALONE
    assert set(there) - set(here) == {"export_lines"}
    for name, method in there.items():
        if name in here:
            assert arguments(method) == arguments(here[name]), name


def arguments(method: object) -> list[tuple[str, object, object]]:
    """Name, kind and default of each."""
    found = inspect.signature(method).parameters.values()  # type: ignore[arg-type]
    return [(each.name, each.kind, each.default) for each in found]


def test_it_answers_what_the_gallery_answers(service: Service, people: Dataset, tmp_path: Path) -> None:
    here = service.desk.gallery
    path = tmp_path / "who.png"
    path.write_bytes(picture(seed=5))
    with resight.connect(service.url, service.keys["admin"], purpose="a test") as there:
        crop = people.query[1].read()
        one, other = there.search(crop, 9, exclude_camera="1"), here.search(crop, 9, exclude_camera="1")
        assert [match.id for match in one] == [match.id for match in other]
        assert (one.verdict, one.num_people, one.person) == (other.verdict, other.num_people, other.person)
        assert [match.verdict for match in one] == [match.verdict for match in other]
        assert one.decision == other.decision
        vectors = unit(2, dim=256)
        for mine, its in zip(there.search_embeddings(vectors, 3), here.search_embeddings(vectors, 3), strict=True):
            assert [match.id for match in mine] == [match.id for match in its]
        ids = there.add([path, people.query[0].read()], camera="gate", time=[5.0, None], person="bob")
        assert there.add([path, people.query[0].read()], camera="gate", time=[5.0, None], person="bob") == ids
        assert [(entry.name, entry.person, entry.time) for entry in here.entries(ids=ids)] == [
            (str(path), "bob", 5.0),
            ("", "bob", None),
        ]
        assert there.add_embeddings(vectors, model=here.settings.model, camera="gate", pid=[1, 2]) == [
            ids[-1] + 1,
            ids[-1] + 2,
        ]
        added = there.add_dataset(people, splits=["query", "gallery"])
        assert len(added.ids) == len(people.query)
        assert len(added.there) == len(people.gallery)
        assert len(there) == len(here)
        assert [entry.id for entry in there.entries()] == [entry.id for entry in here.entries()]
        assert there.people(limit=500) == here.people(limit=500)
        assert there.person(1) == here.person(1)
        assert there.person(99) is None
        assert there.entry(10**6) is None
        assert there.picture(ids[0]) == here.picture(ids[0])
        number = there.link(1, 2)
        assert there.links() == here.links() != ()
        there.unlink(number)
        there.allow_link(there.cannot_link(1, 2))
        assert there.links() == here.links() == ()
        assert there.cannot_links() == ()
        assert there.stats() == here.stats()
        assert list(there.verify()) == []
        there.compact()
        assert there.forget(pid=1).entries == 1
        assert there.forget(older_than=60, untimed=True, camera="gate").entries == 3
        told = [line.hash for line in there.audit()]
        assert [line.hash for line in there.audit(1, 2)] == told[1:3]
        assert [line.action for line in there.audit(limit=1, actions=["link"])] in ([], ["link"])
        assert told == [line.hash for line in here.audit()][: len(told)]  # counts are written down now and then
        assert there.settings.model == here.settings.model


def test_it_takes_what_a_gallery_takes(service: Service) -> None:
    here = service.desk.gallery
    rows = unit(4, dim=256)
    with resight.connect(service.url, service.keys["admin"], purpose="a test") as there:
        ids = there.add_embeddings(
            rows[:3],
            model=here.settings.model,
            camera="gate",
            person=["bob", "bob", "carol"],
            attributes=[{"a": 1}, {"a": 1}, {"a": 2}],
        )
        one = there.add_embeddings(rows[:2], model=here.settings.model, camera="n", time=[7.0, 5.0], pool="best")
        assert [entry.time for entry in here.entries(ids=one)] == [5.0]
        conditions: list[dict[str, Any]] = [{"ids": ids}, {"id": ids[1]}, {"attributes": {"a": 1}}, {"people": "bob"}]
        for asked in (*conditions, {"exclude_camera": "gate"}):
            listed = [list(each.entries(**asked)) for each in (there, here)]
            told = [[(entry.id, entry.person, entry.attributes) for entry in each] for each in listed]
            assert told[0] == told[1] != []
            assert there.people(**asked) == here.people(**asked)
        everything = [entry.id for entry in here.page(limit=1000)]
        assert [entry.id for entry in there.page(limit=1000)] == everything
        assert [entry.id for entry in there.page(everything[2], 4)] == everything[3:7]
        assert there.people(limit=1000) == here.people(limit=1000)
        first = here.people(limit=1)[0].pid
        assert there.people(first, 2) == here.people(first, 2)
        assert there.search_embeddings(rows[2], 1)[0][0].entry.person == "carol"
        there.unlink(there.link(*(person.pid for person in here.people(limit=2))), purpose="une m\u00e9prise \u2713")
        assert [line.purpose for line in here.audit() if line.action == "unlink"] == ["une m\u00e9prise \u2713"]
        assert len(there.to_forget(id=ids[0], times=True).cameras) == 1
        for refused in (
            lambda: there.add(picture(), camera="0", pool="mean"),
            lambda: there.add_embeddings(rows, model="x", camera="0", ids=[1, 2, 3, 4]),
            lambda: there.add_embeddings(rows, model="x", camera="0", crops=[b""] * 4),
            lambda: there.add_rows([], keep_ids=True),
            lambda: there.picture(ids[0], (100, 50)),
            lambda: there.search_embeddings(rows, who="me"),
            lambda: there.forget(pid=1, who="me"),
            lambda: there.unlink(1, who="me"),
        ):
            with pytest.raises(ConfigError, match="a service"):
                refused()


def test_a_preview_that_another_deletion_took_away_is_made_again(service: Service) -> None:
    previews = service.desk.previews
    put, lost = previews.put, list[str]()

    def losing(token: str, shown: object) -> None:
        if len(lost) == 2:
            put(token, shown)
        else:
            lost.append(token)

    previews.put = losing  # type: ignore[assignment,method-assign]
    with resight.connect(service.url, service.keys["controller"], purpose="a test") as there:
        assert there.forget(id=1).entries == 1
        previews.put = lambda token, shown: None  # type: ignore[assignment,method-assign]
        with pytest.raises(GalleryError, match="preview again"):
            there.forget(id=2)


def test_rows_of_one_person_are_pooled_where_the_site_transform_is(serve: Serve, tmp_path: Path) -> None:
    place = tmp_path / "sited.db"
    rows = np.random.default_rng(0).normal(size=(400, 256)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    with resight.open_gallery(place, resight.load("city"), new=True) as gallery:
        gallery.add_embeddings(rows, model=gallery.settings.model, camera=["north", "south"] * 200)
        gallery.site.fit()
    service = serve(place=str(place))
    asked: dict[str, Any] = {"top_k": 5, "pool": "mean", "seen_by": ["north", "south"]}
    with resight.connect(service.url, service.keys["searcher"], purpose="a test") as there:
        (mine,), (its,) = (each.search_embeddings(rows[:2], **asked) for each in (there, service.desk.gallery))
        assert [match.id for match in mine] == [match.id for match in its]
        assert [match.similarity for match in mine] == pytest.approx([match.similarity for match in its], abs=1e-6)
        with pytest.raises(ConfigError, match="2 pictures, but 3 of seen_by"):
            there.search_embeddings(rows[:2], seen_by=["a", "b", "c"])


def test_rows_that_are_unlike_are_told(service: Service) -> None:
    rows = unit(3, dim=256)
    with resight.connect(service.url, service.keys["searcher"], purpose="a test") as there:
        (mine,), (its,) = (each.search_embeddings(rows, pool="best") for each in (there, service.desk.gallery))
    assert mine.notes == its.notes != ()


def test_errors_are_those_of_a_gallery(service: Service) -> None:
    with resight.connect(service.url, service.keys["operator"]) as there:
        with pytest.raises(ConfigError, match="what for"):
            there.search_embeddings(unit(1, dim=256))
        there.purpose = "a test"
        with pytest.raises(EmbeddingError, match="shape"):
            there.search_embeddings(unit(1))
        with pytest.raises(EmbeddingError, match="of model"):
            there.add_embeddings(unit(1, dim=256), model="other", camera="0")
        with pytest.raises(DataError, match="not a picture"):
            there.add(b"no picture", camera="0")
        with pytest.raises(ConfigError, match="the bytes of files"):
            there.search(np.zeros((4, 4, 3), np.uint8))
        with pytest.raises(GalleryError, match="no person 5"):
            there.link(5, 6)
        with pytest.raises(GalleryError, match="role controller"):
            there.forget(pid=1)
        with pytest.raises(ConfigError, match="not all"):
            there.search(picture(), None)
    with pytest.raises(GalleryError, match="no longer valid"):
        resight.connect(service.url, "rsk_00000000_wrong")
    for url in ("site.db", "http://me:secret@host/", "ftp://host/"):
        with pytest.raises(ConfigError, match="no address of a service"):
            resight.connect(url, "rsk_00000000_x")
    with pytest.raises(GalleryError, match="cannot be reached"):
        resight.connect("http://127.0.0.1:9", "rsk_00000000_x")
    assert "none of a resight service" in str(error_of(502, b"<html>"))


def test_what_may_have_been_done_is_not_asked_for_again() -> None:
    asked: list[str] = []

    class Losing(BaseHTTPRequestHandler):
        """Answers what is read, and loses the connection at the first of each request that may change something."""

        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer()
            self.close_connection = self.path.endswith("/model")  # without a word

        def do_POST(self) -> None:
            asked.append(self.path.removeprefix("/api/v1"))
            self.rfile.read(int(self.headers["Content-Length"]))
            self.close_connection = asked.count(asked[-1]) == 1
            if not self.close_connection:
                self.answer()

        def answer(self) -> None:
            self.send_response(200)
            for name, value in (("Content-Type", "application/json"), ("Content-Length", "2")):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Losing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        transport = Transport(f"http://127.0.0.1:{server.server_port}", "rsk_00000000_x")
        for path in ("/links", "/jobs/verify"):
            transport.call("GET", "/stats", dict)
            with pytest.raises(GalleryError, match="may have been done"):
                transport.call("POST", path, dict, body={})
        for path in ("/search", "/forget"):
            transport.call("GET", "/stats", dict)
            assert transport.call("POST", path, dict, body={}) == {}
        assert asked == ["/links", "/jobs/verify", "/search", "/search", "/forget", "/forget"]
        transport.call("GET", "/model", dict)
        while transport._line.connection is not None and not _ended(transport._line.connection):
            time.sleep(0.01)  # until its end has come
        assert transport.call("POST", "/links", dict, body={}) == {}
        transport.close()
        server.shutdown()


def test_a_key_comes_from_the_environment(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="RESIGHT_KEY"):
        resight.connect(service.url)
    monkeypatch.setenv("RESIGHT_KEY", service.keys["viewer"])
    with resight.connect(service.url) as there:
        assert len(there) == len(service.desk.gallery)


def test_the_command_line_takes_an_address_as_a_place(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESIGHT_KEY", service.keys["admin"])
    shown = tmp_path / "a.png"
    shown.write_bytes(picture(seed=6))

    def resight_gallery(verb: str, *arguments: str) -> str:
        done = CliRunner().invoke(app, ["gallery", verb, service.url, *arguments])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    lines = tmp_path / "new.jsonl"
    lines.write_text(json.dumps({"path": str(shown), "camera": "gate", "pid": 7, "track": "3"}) + "\n")
    resight_gallery("add", str(lines))
    assert [(entry.track, entry.camera) for entry in service.desk.gallery.entries(pid=7)] == [("3", "gate")]
    found = json.loads(resight_gallery("search", str(shown), "--json", "--purpose", "a test"))
    assert found["matches"][0]["pid"] == 7
    assert "gate 1" in resight_gallery("stats")
    other = service.get("/people?limit=2").json["people"][1]["pid"]
    resight_gallery("link", "7", str(other), "--purpose", "the same coat")
    resight_gallery("unlink", "1")
    resight_gallery("verify")
    resight_gallery("export", "-o", str(tmp_path / "all.jsonl"))
    exported = (tmp_path / "all.jsonl").read_bytes().splitlines()
    header = header_of(exported[0], "the export")
    assert (header.entries, header.counted_last) == (len(service.desk.gallery), False)
    assert len(exported) == len(service.desk.gallery) + 1
    assert "1 entry forgotten" in resight_gallery("forget", "--pid", "7", "--purpose", "request 1")
    assert '"forget"' in resight_gallery("audit")
    with pytest.raises(ConfigError, match="leave out"):
        resight_gallery("forget", "--pid", "7", "--who", "me")
