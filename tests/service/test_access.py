"""Who may do what: roles and routes, bounds on cameras, hosts, origins, keys and sessions."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import resight
from resight.core.errors import ConfigError, DataError, GalleryBusy
from resight.gallery.opening import open_with_model
from resight.service.access.holding import HOLDER, held
from resight.service.access.keys import Keys
from resight.service.access.roles import ROLES, reaches
from resight.service.application import ROUTES, bare_application
from resight.service.routes import PUBLIC, Route
from resight.service.serving import Listening, address_of, check_root, state_folder
from resight.service.serving import serve as serve_gallery
from resight.service.settings import ServiceSettings
from tests.service.conftest import API, Serve, Service


def filled(route: Route) -> str:
    return route.path.replace("{number}", "1").replace("{pid}", "1").replace("{name}", "style.css")


def test_the_application_has_the_routes_of_the_table_and_no_other() -> None:
    app = bare_application(None)
    there = Counter((next(iter(route.methods)), route.path) for route in app.routes)  # type: ignore[attr-defined]
    assert there == Counter((route.method, route.path) for route in ROUTES)
    assert max(there.values()) == 1
    assert {route.role for route in ROUTES} <= {*ROLES, PUBLIC}
    public = {route.path for route in ROUTES if route.role == PUBLIC}
    assert public == {f"{API}/livez", f"{API}/readyz", "/login", "/static/{name}"}


def test_each_role_may_do_what_the_table_says_and_no_more(serve: Serve) -> None:
    service = serve(ServiceSettings(searches_a_minute=10_000, failures_a_minute=10_000))
    sessions = {role: service.log_in(service.keys[role]) for role in ROLES}
    wrong: list[tuple[Route, str | None, int]] = []
    for route in ROUTES:
        if route.path in ("/logout", f"{API}/jobs/compact", f"{API}/jobs/verify", f"{API}/export"):
            continue  # which end a session or begin work; their roles are looked at below
        path = filled(route)
        answer = service.ask(route.method, path, None)
        if route.role == PUBLIC:
            if answer.status in (401, 403) and not (route.method == "POST" and path == "/login"):
                wrong.append((route, None, answer.status))
            continue
        expected = 401 if route.is_api or route.method != "GET" else 303
        if answer.status != expected:
            wrong.append((route, None, answer.status))
        for role in ROLES:
            asked = (
                service.ask(route.method, path, role)
                if route.is_api
                else service.ask(route.method, path, None, headers=sessions[role])
            )
            denied = asked.status == 403
            if denied == reaches(role, route.role) or asked.status in (401, 500):
                wrong.append((route, role, asked.status))
    assert wrong == []
    assert service.get("/export", "operator").status == 403
    assert service.post("/jobs/verify", role="controller").status == 403


def test_nothing_that_is_not_in_the_table_is_answered(service: Service) -> None:
    for path in ("/docs", "/openapi.json", "/redoc", f"{API}/nothing", "/static/../keys.json", f"{API}/entries/1/"):
        assert service.ask("GET", path, None).status == 401
        assert service.ask("GET", path).status == 404
    answer = service.ask("PUT", f"{API}/entries/1")
    assert (answer.status, answer.headers["allow"]) == (405, "GET")
    assert service.ask("OPTIONS", f"{API}/entries", None).status == 401
    assert answer.headers["content-type"] == "application/problem+json"


FOREIGN = [
    ({"Host": "evil.example"}, 421),
    ({"Host": "127.0.0.1.evil.example"}, 421),
    ({"Host": "evil.example:80"}, 421),
    ({"Host": ""}, 421),
    ({"Host": "[::1].evil.example"}, 421),
    ({"Host": "localhost@evil.example"}, 421),
    ({"Host": "evil.example", "X-Forwarded-Host": "127.0.0.1"}, 421),
    ({"Origin": "https://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": "http://127.0.0.1:1"}, 403),
    ({"Origin": "http://127.0.0.1.evil.example"}, 403),
    ({"Origin": ""}, 403),
    ({"Origin": "http://["}, 403),
    ({"Origin": "http://[::1"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
    ({"X-CSRF-Token": ""}, 403),
    ({"X-CSRF-Token": "a" * 32}, 403),
    ({"X-CSRF-Token": "\u00e9"}, 403),
]


def test_other_hosts_and_other_sites_pages_are_refused(service: Service) -> None:
    session = service.log_in(service.keys["admin"])
    body = {"pid": 10000, "other": 10001}
    wrong = []
    for headers, status in FOREIGN:
        for path in (f"{API}/cannot-links", "/correct", "/forget"):
            given = body if path.startswith(API) else b"act=apart&pid=10000&other=10001"
            kind = {} if path.startswith(API) else {"Content-Type": "application/x-www-form-urlencoded"}
            answer = service.ask("POST", path, None, given, {**session, **kind, **headers})
            if answer.status != status:
                wrong.append((headers, path, answer.status))
        if "Host" in headers and service.ask("GET", f"{API}/livez", None, headers=headers).status != 421:
            wrong.append((headers, "livez", 200))
    assert wrong == []
    assert service.get("/cannot-links").json == []
    for host in ("127.0.0.1", "localhost:81", "[::1]", "[::1]:8000", "LOCALHOST"):
        assert service.ask("GET", f"{API}/livez", None, headers={"Host": host}).status == 200


def test_a_session_alone_changes_nothing_without_its_token(service: Service) -> None:
    session = service.log_in(service.keys["operator"])
    pids = [person["pid"] for person in service.get("/people").json["people"]]
    body = {"pid": pids[0], "other": pids[1]}
    bare = {"Cookie": session["Cookie"]}
    assert service.ask("POST", f"{API}/cannot-links", None, body, bare).status == 403
    assert service.ask("GET", f"{API}/me", None, headers=bare).json["name"] == "the operator"
    assert service.ask("POST", f"{API}/cannot-links", None, body, session).status == 201
    form = {"Content-Type": "application/x-www-form-urlencoded", **bare}
    assert service.ask("POST", "/logout", None, b"csrf=wrong", form).status == 403
    token = f"csrf={session['X-CSRF-Token']}".encode()
    assert service.ask("POST", "/logout", None, token, form).status == 303
    assert service.ask("GET", f"{API}/me", None, headers=bare).status == 401


def test_keys_are_hashed_shown_once_and_end_when_they_are_revoked(service: Service) -> None:
    made = service.post("/keys", {"name": "Bo", "role": "searcher"}).json
    path = service.desk.keys.path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert made["key"].split("_", 2)[2] not in path.read_text()
    assert all("key" not in key for key in service.get("/keys").json)
    session = service.log_in(made["key"])
    assert service.get("/me", key=made["key"]).json["role"] == "searcher"
    again = service.post("/keys", {"name": "Bo", "role": "viewer"})
    assert (again.status, "already" in again.json["detail"]) == (422, True)
    assert service.delete(f"/keys/{made['id']}").status == 204
    gone, unknown = service.get("/me", key=made["key"]), service.get("/me", key="rsk_00000000_x")
    assert gone.status == unknown.status == 401
    assert gone.body == unknown.body
    assert service.ask("GET", f"{API}/me", None, headers=session).status == 401
    assert service.delete(f"/keys/{made['id']}").status == 404
    assert [key["name"] for key in service.get("/keys").json][-1] == "Bo"
    over = service.post("/keys", {"name": "Cy", "role": "viewer", "expires": 1.0})
    assert over.status == 422
    told = [line for line in service.get("/audit").json["lines"] if line["action"] == "key"]
    assert [("made" in line["detail"], line["who"]) for line in told] == [
        (True, "the admin (admin)"),
        (False, "the admin (admin)"),
    ]


def test_a_key_that_cannot_be_audited_is_neither_made_nor_revoked(service: Service) -> None:
    store = service.desk.gallery.store
    append, there = store.append_audit, service.get("/keys").json

    def busy(*args: object) -> None:
        raise GalleryBusy("another process writes")

    store.append_audit = busy  # type: ignore[assignment,method-assign]
    assert service.post("/keys", {"name": "Bo", "role": "admin"}).status == 503
    assert service.delete(f"/keys/{there[0]['id']}").status == 503
    store.append_audit = append  # type: ignore[method-assign]
    assert service.get("/keys").json == there == [key for key in there if key["revoked"] is None]
    assert Keys(service.desk.keys.path).all() == service.desk.keys.all()
    assert service.post("/keys", {"name": "Bo", "role": "admin"}).status == 201
    assert service.delete(f"/keys/{there[0]['id']}").status == 204


def test_a_file_of_keys_that_others_may_read_is_refused(service: Service) -> None:
    path = service.desk.keys.path
    path.chmod(0o644)
    with pytest.raises(DataError, match="chmod 600"):
        Keys(path)
    path.chmod(0o600)
    path.write_text("{}")
    with pytest.raises(DataError, match="no file of keys"):
        Keys(path)
    assert os.listdir(path.parent) == ["keys.json"]


@pytest.mark.skipif(os.name != "posix", reason="nothing is locked on Windows")
def test_a_second_service_over_the_same_keys_is_refused(ready_made: Path, tmp_path: Path) -> None:
    said: list[str] = []
    state = tmp_path / "site.db.service"
    with socket.create_server(("127.0.0.1", 0)) as taken, open_with_model(str(ready_made), who="service") as gallery:
        second = Listening(port=taken.getsockname()[1])  # so that it ends there, once it has the keys
        with held(state, "http://127.0.0.1:8182/"):
            holder = rf"held by process {os.getpid()}, which serves http://127\.0\.0\.1:8182/.*--state"
            with pytest.raises(ConfigError, match=holder):
                serve_gallery(gallery, state, second, ServiceSettings(), said.append)
        with pytest.raises(ConfigError, match="--port"):
            serve_gallery(gallery, state, second, ServiceSettings(), said.append)
    assert said == []
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / HOLDER).stat().st_mode) == 0o600


def test_guessing_keys_is_slowed_down_and_told(serve: Serve) -> None:
    service = serve(ServiceSettings(failures_a_minute=3))
    statuses = [service.get("/me", key=f"rsk_0000000{n}_x").status for n in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    assert service.get("/me").status == 200  # a right key is not locked out by somebody's guesses
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert service.ask("POST", "/login", None, b"key=wrong", form).status == 429
    service.desk.ledger.write(service.desk.gallery.store)
    denied = [line for line in service.desk.gallery.audit() if line.action == "denied"]
    assert [(line.who, dict(line.detail)) for line in denied] == [("unknown", {"what": "key", "times": 3})]


def test_searches_have_a_rate_by_key(serve: Serve) -> None:
    service = serve(ServiceSettings(searches_a_minute=2))
    body = {"entry": 1, "purpose": "a test"}
    statuses = [service.post("/search", body, "searcher").status for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert service.post("/search", body, "operator").status == 200
    assert int(service.post("/search", body, "searcher").headers["retry-after"]) >= 1


def test_a_bounded_key_sees_its_cameras_and_no_sign_of_others(service: Service) -> None:
    made = service.post("/keys", {"name": "gate", "role": "controller", "cameras": ["0"]}).json
    key, mistyped = made["key"], service.post("/keys", {"name": "x", "role": "viewer", "cameras": ["0", "gaet"]}).json
    assert (made["without_entries"], mistyped["without_entries"]) == ([], ["gaet"])
    everything = service.get("/entries?limit=500").json["entries"]
    own = [entry["id"] for entry in everything if entry["camera"] == "0"]
    other = next(entry["id"] for entry in everything if entry["camera"] != "0")
    seen = service.get("/entries?limit=500", key=key).json["entries"]
    assert [entry["id"] for entry in seen] == own
    assert service.get("/entries?camera=1", key=key).json["entries"] == []
    for path in (f"/entries/{other}", f"/entries/{other}/picture"):
        hidden, missing = service.get(path, key=key), service.get(path.replace(str(other), "999999"), key=key)
        assert hidden.status == missing.status == 404
        assert hidden.body.replace(str(other).encode(), b"N") == missing.body.replace(b"999999", b"N")
    for body in ({"entry": other}, {"entry": own[0], "cameras": ["1"]}):
        answer = service.post("/search", {**body, "purpose": "a test"}, key=key)
        assert answer.status == 404 or answer.json["matches"] == []
    answer = service.post("/search", {"entry": own[0], "purpose": "a test", "top_k": 100}, key=key).json
    assert {match["camera"] for match in answer["matches"]} == {"0"}
    assert all(list(person["cameras"]) == ["0"] for person in service.get("/people", key=key).json["people"])
    assert service.get("/stats", key=key).json["cameras"] == {"0": len(own)}
    pids = [person["pid"] for person in service.get("/people").json["people"]]
    for path in ("/links", "/cannot-links"):
        body = {"pid": pids[0], "into": pids[1]} if path == "/links" else {"pid": pids[0], "other": pids[1]}
        assert service.post(path, body, key=key).status == 422
        number = service.post(path, body).json["number"]
        assert service.get(path, key=key).json == []
        assert service.delete(f"{path}/{number}", key=key).status == 404
        assert service.delete(f"{path}/{number}").status == 204
    for path in ("/audit", "/audit/head", "/export", "/metrics"):
        assert service.get(path, key=key).status == 403
    add = {"camera": "1", "embedding": [1.0] + [0.0] * 255, "model": service.desk.gallery.settings.model}
    assert service.post("/entries", add, key=key).status == 422
    preview = service.post("/forget/preview", {"pids": pids[:1]}, key=key).json
    assert list(preview["cameras"]) == ["0"]
    assert service.post("/forget", {"token": preview["token"], "purpose": "not mine"}).status == 409
    preview = service.post("/forget/preview", {"pids": pids[:1]}, key=key).json
    gone = service.post("/forget", {"token": preview["token"], "purpose": "request 3"}, key=key).json
    assert gone["entries"] == preview["entries"]
    left = service.get(f"/people/{pids[0]}").json
    assert set(left["cameras"]) == {"1", "2"}
    assert service.post("/keys", {"name": "x", "role": "admin", "cameras": ["0"]}).status == 422


def test_a_bounded_key_is_told_of_the_site_at_its_cameras_alone(serve: Serve, tmp_path: Path) -> None:
    place = tmp_path / "sited.db"
    rows = np.random.default_rng(0).normal(size=(400, 256)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    with resight.open_gallery(place, resight.load("city"), new=True) as gallery:
        cameras = [*["north", "staff entrance"] * 133, *["yard"] * 132, "south", "back door"]
        gallery.add_embeddings(rows, model=gallery.settings.model, camera=cameras)
        gallery.site.fit(without=["yard", "south"])
    service = serve(place=str(place))
    whole = service.get("/site").json
    assert set(whole["cameras"]) == {"north", "staff entrance"}
    assert "back door" in whole["left_out"]
    assert whole["source"]
    assert any("back door" in warning for warning in whole["warnings"])
    for own in ("north", "south"):
        key = service.post("/keys", {"name": own, "role": "viewer", "cameras": [own]}).json["key"]
        told = service.get("/site", key=key).json
        assert told.keys() == whole.keys()
        assert (told["identity"], told["source"], told["warnings"]) == (whole["identity"], "", [])
        for name in ("cameras", "left_out", "without"):
            assert list(told[name]) == [camera for camera in whole[name] if camera == own]
        page = service.ask("GET", "/health", None, headers=service.log_in(key)).body.decode()
        assert [camera in page for camera in ("staff entrance", "yard", "back door")] == [False] * 3


def test_the_first_start_opens_one_session_and_no_second(service: Service) -> None:
    secret = service.desk.sessions.one_time_secret()
    session = service.log_in(secret)
    assert service.ask("GET", f"{API}/me", None, headers=session).json["role"] == "admin"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert service.ask("POST", "/login", None, f"key={secret}".encode(), form).status == 401
    cookie = service.ask("POST", "/login", None, f"key={service.keys['viewer']}".encode(), form).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


def test_every_answer_has_the_headers_that_browsers_need(service: Service) -> None:
    for path in ("/login", "/static/page.js", f"{API}/livez", f"{API}/nothing", f"{API}/me", "/people"):
        headers = service.ask("GET", path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers
        assert headers["cache-control"] == ("max-age=3600" if "static" in path else "no-store")


def test_other_machines_need_tls_or_a_word(tmp_path: object) -> None:
    for host in ("0.0.0.0", "192.168.1.4", "::", "example.org"):
        with pytest.raises(ConfigError, match="tls-cert"):
            Listening(host)
        assert Listening(host, plain_http=True).host == host
    for host in ("127.0.0.1", "localhost", "::1"):
        assert not replace(Listening(host)).plain_http
    with pytest.raises(ConfigError, match="go together"):
        Listening(tls_cert=__file__)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="--state"):
        state_folder("postgresql://u:secret@host/x", None)
    assert check_root("/resight/") == "/resight"
    with pytest.raises(ConfigError, match="path"):
        check_root("resight")


def test_an_address_of_ipv6_is_printed_and_answered_to_in_brackets(serve: Serve) -> None:
    for host, names, address, answered in (
        ("::1", (), "http://[::1]:8000/r/", "[::1]"),
        ("fd00:0::2", (), "http://[fd00::2]:8000/r/", "[fd00::2]"),
        ("::", ("fd00::2",), "http://[fd00::2]:8000/r/", "[fd00::2]"),
        ("0.0.0.0", ("gate.example",), "http://gate.example:8000/r/", "gate.example"),
        ("127.0.0.2", (), "http://127.0.0.2:8000/r/", "127.0.0.2"),
    ):
        listening = Listening(host, plain_http=True)
        told, settings = address_of(listening, ServiceSettings(hosts=names, root="/r"))
        assert (told, settings.hosts) == (address, (answered,))
    service = serve(ServiceSettings(hosts=("[fd00::2]",)))
    assert service.get("/livez", None, headers={"Host": "[fd00::2]:8765"}).status == 200
    assert service.get("/livez", None, headers={"Host": "[fd00::3]:8765"}).status == 421


def test_a_certificate_that_is_none_is_refused_before_anything_is_said(tmp_path: Path) -> None:
    cert, key, other = (tmp_path / name for name in ("cert.pem", "key.pem", "a.jsonl"))
    other.write_text('{"camera": "n"}\n')
    with pytest.raises(ConfigError, match=r"--tls-cert .*a\.jsonl and --tls-key .*a\.jsonl are not a certificate"):
        Listening(tls_cert=other, tls_key=other)
    if (program := shutil.which("openssl")) is None:
        return
    made = [program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout"]
    subprocess.run([*made, key, "-out", cert], check=True, capture_output=True)
    assert Listening(tls_cert=cert, tls_key=key).tls_key == key
    with pytest.raises(ConfigError, match=r"cert\.pem.*a\.jsonl"):
        Listening(tls_cert=cert, tls_key=other)
