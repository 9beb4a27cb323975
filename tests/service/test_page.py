"""The page without a browser: what it shows, by forms alone. What a real browser makes of it is in test_browser."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from html import unescape
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from typer.testing import CliRunner

import resight
from resight.cli.app import app
from resight.core.calibration import FALSE_ACCEPT_RATE
from resight.data.crops import Dataset
from resight.gallery.store import Store
from resight.service.application import ROUTES
from resight.service.page.entrance import STATIC
from resight.service.page.table import PAGES
from tests.service.conftest import Answer, Serve, Service, multipart
from tests.service.test_access import filled
from tests.service.test_hostile import saved

DOCS = Path(__file__).resolve().parents[2] / "docs" / "service"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Addresses(HTMLParser):
    """All addresses of a page, its inline scripts and its inline styles."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src", "action", "hx-post", "hx-get"):
                self.found.append(value or "")
            if name == "style" or name.startswith("on") or (tag == "script" and "src" not in dict(attrs)):
                self.inline.append(f"{tag} {name}")


class Visitor:
    """Somebody who is logged in."""

    def __init__(self, service: Service, role: str) -> None:
        self.service = service
        self.session = service.log_in(service.keys[role])
        self.token = self.session.pop("X-CSRF-Token")

    def get(self, path: str) -> Answer:
        return self.service.ask("GET", path, None, headers=self.session)

    def post(self, path: str, fields: dict[str, str], files: Any = None) -> Answer:
        told = {"csrf": self.token, **fields}
        if files is not None:
            body, headers = multipart(told, files)
            return self.service.ask("POST", path, None, body, {**self.session, **headers})
        body = "&".join(f"{name}={value}" for name, value in told.items()).encode()
        return self.service.ask("POST", path, None, body, {**self.session, **FORM})


def test_every_address_is_relative_and_nothing_is_inline(service: Service, people: Dataset) -> None:
    visitor = Visitor(service, "admin")
    pid = service.get("/people?limit=1").json["people"][0]["pid"]
    pages = [visitor.get(path) for path in ("/login", "/", "/?entry=3", "/people", "/review", "/forget", "/audit")]
    pages += [visitor.get(path) for path in ("/health", "/keys", f"/people/{pid}", "/people/12345")]
    pages.append(visitor.post("/", {"purpose": "a test"}, [("crop", "a.jpg", people.query[0].read())]))
    for page in pages:
        assert page.status in (200, 404)
        seen = Addresses()
        seen.feed(page.body.decode())
        assert seen.inline == []
        assert [each for each in seen.found if each.startswith("/") or "//" in each] == []
        assert "embedding" not in page.body.decode().replace("embeddings and pictures", "")
    for name in STATIC:
        assert service.ask("GET", f"/static/{name}", None).status == 200
    told = "".join(page.body.decode() for page in pages)
    assert set(re.findall(r"static/([\w.]+)", told)) <= set(STATIC)


def test_the_verdict_comes_first_in_a_sentence(service: Service, people: Dataset) -> None:
    visitor = Visitor(service, "searcher")
    crop = people.query[0].read()
    page = visitor.post("/", {"purpose": "a+test", "rate": "0.05"}, [("crop", "a.jpg", crop)]).body.decode()
    expected = service.desk.gallery.search(crop, 24, false_positive_rate=0.05)
    sentence = re.search(r'id="verdict"><strong>([^<]+)<', page)
    assert sentence is not None
    assert sentence[1].startswith({"nobody we know": "Nobody", "unsure": "Unsure"}.get(expected.verdict, "This is"))
    assert "8 people" in sentence[1]
    shown = [int(number) for number in re.findall(r"entries/(\d+)/picture", page)]
    assert shown == [match.id for match in expected]
    assert f"{expected[0].similarity:.3f}" in page
    assert page.index('id="verdict"') < page.index('class="crops"')
    assert f'<option value="{FALSE_ACCEPT_RATE}" selected>' in visitor.get("/").body.decode()
    missing = visitor.post("/", {"purpose": "a test"}, [("crop", "", b"")])
    assert (missing.status, "choose, drop or paste" in missing.body.decode()) == (422, True)
    large, dark = saved("PNG", (7000, 5000)), saved("PNG", (64, 128))
    too_many = "picture 1: 7000 x 5000 pixels; more than 4,000,000 are not taken here: make it smaller"
    for data, told in (
        (b"", "a.jpg: the file is empty"),
        (b"no picture", "picture 1: not a picture"),
        (large, too_many),
    ):
        bad = visitor.post("/", {"purpose": "a test"}, [("crop", "a.jpg", data)])
        assert (bad.status, told in bad.body.decode()) == (422, True), bad.body.decode()
    bad = visitor.post("/", {"purpose": "a test"}, [("crop", "a.jpg", crop), ("crop", "b.png", dark)])
    assert (bad.status, "picture 2: " in bad.body.decode()) == (422, True)


def test_who_is_not_there_is_told_as_typed(service: Service) -> None:
    visitor = Visitor(service, "operator")
    pid = service.get("/people?limit=1").json["people"][0]["pid"]
    assert visitor.get(f"/find?who={pid}").headers["location"] == f"./people/{pid}"
    for page in (visitor.get("/find?who=Ada+L"), visitor.post(f"/people/{pid}", {"who": "Ada+L"})):
        assert (page.status, "there is no person &#39;Ada L&#39; here" in page.body.decode()) == (404, True)


def test_with_a_site_transform_the_camera_is_asked_for(serve: Serve, service: Service, tmp_path: Path) -> None:
    place = tmp_path / "sited.db"
    rows = np.random.default_rng(0).normal(size=(400, 256)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    with resight.open_gallery(place, resight.load("city"), new=True) as gallery:
        gallery.add_embeddings(rows, model=gallery.settings.model, camera=["north", "south"] * 200, track=["7"] * 400)
        gallery.site.fit(tracked=False)
    visitor = Visitor(serve(place=str(place)), "admin")
    page, plain = visitor.get("/").body.decode(), Visitor(service, "searcher").get("/").body.decode()
    assert page.index('id="seen_by"') < page.index("<summary>")
    assert plain.index('id="seen_by"') > plain.index("<summary>")
    answer = visitor.post("/", {"purpose": "a+test", "entry": "8", "seen_by": "south"}).body.decode()
    assert "Search for entry 8" in answer
    assert "<option selected>south</option>" in answer
    assert "400 entries" in visitor.post("/forget", {"track": "7"}).body.decode()


def test_two_people_are_joined_after_a_look_and_parted_again(service: Service) -> None:
    visitor = Visitor(service, "operator")
    one, two = (person["pid"] for person in service.get("/people?limit=2").json["people"])
    look = visitor.post(f"/people/{one}", {"who": str(two)}).body.decode()
    assert "Join them as one person?" in look
    act = {"act": "link", "pid": str(two), "other": str(one), "back": str(one)}
    joined = visitor.post("/correct", act)
    assert joined.headers["location"] == f"./people/{one}?done=1"
    assert "one person now" in visitor.get(f"/people/{one}?done=1").body.decode()
    assert service.desk.gallery.person(two).pid == one  # type: ignore[union-attr]
    visitor.post("/correct", {"act": "unlink", "pid": "1", "back": str(one)})
    visitor.post("/correct", {"act": "apart", "pid": str(one), "other": str(two), "back": str(one)})
    assert "cannot-link" in visitor.post(f"/people/{one}", {"who": str(two)}).body.decode()
    assert "are two people" in visitor.get(f"/people/{two}").body.decode()
    assert visitor.post("/correct", {"act": "anything"}).status == 422


def test_what_is_shown_is_text_whatever_it_holds(service: Service) -> None:
    nasty = '<img src=x onerror="alert(1)">{{ 7*7 }}'
    model = service.get("/model").json["identity"]
    vector = [1.0] + [0.0] * 255
    service.post("/entries", {"camera": nasty, "person": nasty, "embedding": vector, "model": model})
    visitor = Visitor(service, "admin")
    pid = next(person["pid"] for person in service.get("/people?limit=500").json["people"] if person["name"] == nasty)
    for path in ("/people", f"/people/{pid}", "/health", "/"):
        page = visitor.get(path).body.decode()
        assert "<img src=x" not in page
        assert "{{ 7*7 }}" in page or path == "/people"


def test_a_role_sees_only_what_it_may_press(service: Service) -> None:
    shown = {role: Visitor(service, role).get("/people").body.decode() for role in ("viewer", "controller", "admin")}
    for role, page in shown.items():
        for address, needed in (("review", "operator"), ("forget", "controller"), ("keys", "admin")):
            there = f'href="./{address}"' in page
            assert there == (role == "admin" or (role == "controller" and needed != "admin"))
    assert [route.path for route in PAGES if route.method == "POST" and route.role == "viewer"] == ["/logout"]


def test_a_refusal_is_a_page_for_a_browser_and_a_problem_for_a_program(service: Service) -> None:
    visitor = Visitor(service, "searcher")
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    cases = (("GET", "/gone/33", 404, "nothing at this address"), ("GET", "/keys", 403, "needs the role admin"))
    for method, path, status, text in (*cases, ("POST", "/audit", 405, "here is GET only")):
        page = service.ask(method, path, None, headers={**visitor.session, **browser})
        assert (page.status, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert text in unescape(page.body.decode())
        assert "Back to the start" in page.body.decode()
        told = service.ask(method, path, None, headers={**visitor.session, "Accept": "*/*"})
        assert (told.status, told.headers["content-type"]) == (status, "application/problem+json")
        assert text in told.json["detail"]
        assert page.headers.get("allow") == told.headers.get("allow")
    for path, status in (("/people/abc", 422), ("/static/none.js", 404)):  # which the application itself refuses
        page = service.ask("GET", path, None, headers={**visitor.session, **browser})
        assert (page.status, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
        told = service.ask("GET", path, None, headers={**visitor.session, "Accept": "*/*"})
        assert (told.status, told.headers["content-type"]) == (status, "application/problem+json")
        assert told.json["detail"] in unescape(page.body.decode())
    api = service.ask("GET", "/api/v1/gone", None, headers={**visitor.session, **browser})
    assert (api.status, api.headers["content-type"]) == (404, "application/problem+json")


def test_two_ways_to_say_whom_to_forget_are_refused_at_once(service: Service) -> None:
    visitor = Visitor(service, "controller")
    person, other = service.get("/people?limit=2").json["people"]
    entry = service.get(f"/entries?pid={other['pid']}&limit=1").json["entries"][0]
    for fields in ({"pid": "1", "track": "2"}, {"person": "Ada", "id": "1"}, {"track": "2", "id": "1"}):
        told = visitor.post("/forget", fields)
        assert (told.status, "not two of them" in unescape(told.body.decode())) == (422, True)
    both = visitor.post("/forget", {"pid": str(person["pid"]), "person": str(other["pid"])}).body.decode()
    assert f"{person['entries'] + other['entries']} entries of 2 people" in both
    for camera, number in ((entry["camera"], 1), ("none", 0)):  # which narrows it, as it says
        one = visitor.post("/forget", {"id": str(entry["id"]), "camera": camera}).body.decode()
        assert f"{number} entries of" in one


def test_the_systemd_unit_of_the_documents_is_one(tmp_path: Path) -> None:
    program, unit = shutil.which("systemd-analyze"), DOCS / "resight.service"
    if program is None or not unit.exists():
        pytest.skip("systemd-analyze or docs/ is not here")
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/resight/bin/resight", sys.executable))
    done = subprocess.run([program, "verify", copy], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if unit.name in line] == []
    command = re.search(r"ExecStart=\S+ (.*)", unit.read_text())
    assert command is not None
    for text in (command[1], (DOCS / "nginx.conf").read_text(), (DOCS / "Caddyfile").read_text()):
        told = set(re.findall(r"--[a-z-]+", text))
        known = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
        assert {option for option in told if option not in known} == set()


def test_what_is_foreign_is_here_with_its_licence() -> None:
    static = files("resight.service.page") / "static"
    assert "Zero-Clause BSD" in (static / "htmx.LICENSE.txt").read_text()
    script = (static / "htmx.min.js").read_text()
    assert 'version:"2.0.11"' in script
    own = (static / "page.js").read_text() + (static / "style.css").read_text()
    assert "http" not in own


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine's zone is nine hours ahead of UTC."""
    if not hasattr(time, "tzset"):
        pytest.skip("this system has no tzset")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_time_without_a_zone_is_utc_as_what_is_shown(service: Service, far_east: None) -> None:
    own = {"camera": "yard", "embedding": [1.0] + [0.0] * 255, "model": service.get("/model").json["identity"]}
    assert service.post("/entries", {**own, "time": "2026-03-01T08:00"}).status == 201
    line = json.dumps({**own, "time": "2026-03-01T08:30"}).encode()
    assert b'"id"' in service.post("/entries/lines", line).body
    times = [entry["time"] for entry in service.get("/entries?camera=yard&after=2026-03-01T08:00").json["entries"]]
    assert times == [1772352000.0, 1772353800.0]
    visitor = Visitor(service, "admin")
    period = {"after": "2026-03-01T08:00", "before": "2026-03-01T08:01"}
    shown = visitor.post("/", {"purpose": "a+test", "entry": "1", "camera": "yard", **period}).body.decode()
    assert ("2026-03-01 08:00:00" in shown, "2026-03-01 08:30:00" in shown) == (True, False)
    assert "1 entr" in visitor.post("/forget", {"camera": "yard", **period}).body.decode()
    assert "write a date as 2026-03-01" in visitor.post("/forget", {"camera": "yard", "after": "2026"}).body.decode()
    key = {"name": "gate", "role": "viewer", "expires": "2036-01-01T00:00"}
    assert service.post("/keys", key).json["expires"] == 2082758400.0


class Watched:
    """A store that tells which of its methods were called in an event loop, where all other requests wait."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.wrong: list[str] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.store, name)
        if not callable(found):
            return found

        def called(*args: Any, **options: Any) -> Any:
            with suppress(RuntimeError):
                asyncio.get_running_loop()
                self.wrong.append(name)
            return found(*args, **options)

        return called


def test_no_request_asks_the_database_in_the_event_loop(service: Service) -> None:
    watched = Watched(service.desk.gallery.store)
    service.desk.gallery.store = watched  # type: ignore[assignment]
    session = service.log_in(service.keys["admin"])
    for route in ROUTES:
        if route.method == "GET":
            path = filled(route)
            service.ask("GET", path, "admin") if route.is_api else service.ask("GET", path, None, headers=session)
    model = service.desk.gallery.settings.model
    one = {"camera": "0", "embedding": [1.0] + [0.0] * 255, "model": model, "pid": 10**6}
    for path, body in (
        ("/search", {"entry": 1, "purpose": "a test"}),
        ("/entries", one),
        ("/entries/lines", json.dumps({**one, "pid": 10**6 + 1}).encode()),
        ("/links/preview", {"pid": 10**6, "into": 10**6 + 1}),
        ("/links", {"pid": 10**6, "into": 10**6 + 1}),
        ("/cannot-links", {"pid": 10**6, "other": 1}),
        ("/forget", {"token": service.post("/forget/preview", {"pids": [1]}).json["token"], "purpose": "a test"}),
        ("/keys", {"name": "x", "role": "viewer", "cameras": ["0"]}),
    ):
        service.post(path, body)
    told = {
        "entry": 1,
        "purpose": "a test",
        "who": 2,
        "act": "apart",
        "pid": 1,
        "other": 2,
        "name": "y",
        "role": "viewer",
    }
    form = urlencode({"csrf": session["X-CSRF-Token"], "token": "x", "id": "x", **told}).encode()
    for route in PAGES:
        if route.method == "POST" and route.path not in ("/login", "/logout"):
            service.ask("POST", filled(route), None, form, {**session, **FORM})
    assert watched.wrong == []


def test_numbers_of_any_length_are_no_defect(service: Service) -> None:
    session = service.log_in(service.keys["controller"])
    digits = "9" * 5000
    for path in (f"/?entry={digits}", f"/people?after={digits}", f"/review?skip={digits}", f"/forget?pid={digits}"):
        assert service.ask("GET", path, None, headers=session).status == 200
    for path, name in (("/", "entry"), ("/forget", "pid"), ("/forget", "id"), ("/correct", "pid")):
        form = urlencode({"csrf": session["X-CSRF-Token"], "purpose": "a test", "act": "apart", name: digits})
        assert service.ask("POST", path, None, form.encode(), {**session, **FORM}).status in (404, 409, 422)


def test_the_audit_is_shown_by_action_and_by_who(service: Service, people: Dataset) -> None:
    visitor, store = Visitor(service, "admin"), service.desk.gallery.store
    purposes = [f"purpose {number} of <one>" for number in range(150)]
    for purpose in purposes:
        store.append_audit("export", "Anna & Bo", purpose, {})
    store.append_audit("export", "Carl", "purpose of another", {})

    def shown(path: str) -> list[str]:
        page = unescape(visitor.get(path).body.decode())
        assert "The chain is whole" in page
        return re.findall(r"<td>(purpose[^/]*)</td>", page)

    assert shown("/audit?action=export&who=anna+%26+b") == purposes[:49:-1]
    page = visitor.get("/audit?action=export&who=anna+%26+b").body.decode()
    (earlier,) = re.findall(r'href="[^"]*(audit\?[^"]*)"', page)
    assert shown(f"/{unescape(earlier)}") == purposes[49::-1]
    assert shown("/audit")[0] == "purpose of another"
    numbers: list[str] = []
    following = ["audit"]
    while following:
        page = visitor.get(f"/{unescape(following[0])}").body.decode()
        numbers += re.findall(r"<tr><td>(\d+)</td>", page)
        following = re.findall(r'href="[^"]*(audit\?[^"]*)"', page)
    last = int(numbers[0])
    assert numbers == [str(number) for number in range(last, 0, -1)]
    assert visitor.get("/audit?until=999999999").body.decode().count("<tr><td>") == min(last, 100)
    assert (shown("/audit?who=carl"), shown("/audit?who=dora")) == (["purpose of another"], [])
    assert shown("/audit?action=link") == []
    refused = visitor.get("/audit?action=other")
    assert (refused.status, "unknown action" in refused.body.decode()) == (422, True)
