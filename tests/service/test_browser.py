"""The page in a real Chromium, alone and behind real proxies. Slow, and skipped where the tools are not installed.

Needs `chromium`, `node`, and a folder with the npm packages playwright-core and axe-core (`npm install --prefix FOLDER
playwright-core axe-core`), named by RESIGHT_NODE_MODULES. The pictures that it takes are kept with RESIGHT_SHOTS.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from resight.data.crops import Dataset
from tests.service.conftest import Service
from tests.service.running import started

DOCS = Path(__file__).resolve().parents[2] / "docs" / "service"
MODULES = os.environ.get("RESIGHT_NODE_MODULES", "")
NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
pytestmark = pytest.mark.slow


def browsed(url: str, secret: str, people: Dataset, folder: Path) -> Any:
    """What somebody saw who went through the page."""
    chromium = shutil.which("chromium")
    if not MODULES or chromium is None or shutil.which("node") is None:
        pytest.skip("needs chromium, node, and RESIGHT_NODE_MODULES with playwright-core and axe-core")
    picture = folder / "who.jpg"
    picture.write_bytes(people.query[0].read())
    turned, exif = Image.open(picture).convert("RGB").resize((2000, 4000)).rotate(90, expand=True), Image.Exif()
    exif[0x0112] = 6  # to be turned back by a quarter
    turned.save(folder / "large.jpg", exif=exif)
    shots = os.environ.get("RESIGHT_SHOTS", str(folder / "shots"))
    asked = {"modules": MODULES, "chromium": chromium, "url": url, "secret": secret}
    asked |= {"picture": str(picture), "large": str(folder / "large.jpg"), "shots": shots}
    script = Path(__file__).with_name("browser.mjs")
    done = subprocess.run(["node", script, json.dumps(asked)], capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check(told: Any) -> None:
    """That nothing was wrong, and each step did what it should."""
    assert told["errors"] == []
    assert told["abroad"] == []
    assert {name: wrong for name, wrong in told["axe"].items() if wrong} == {}
    assert len(told["axe"]) == 24
    assert told["overflow"] == []
    facts = told["facts"]
    assert "#" not in facts["address"]
    assert facts["verdict"].startswith(("This is", "Unsure", "Nobody"))
    assert (facts["preview"], facts["broken"]) == (1, 0)
    assert facts["large"] == [1414, 2828]
    assert facts["cut"] == pytest.approx([707, 1414], abs=12)
    assert facts["largeVerdict"].startswith(("This is", "Unsure", "Nobody"))
    assert "of the linked pids" in facts["joined"]
    assert "of the linked pids" not in facts["undone"]
    assert facts["pair"] not in facts["next"]
    assert "none were found" in facts["certificate"]
    assert facts["chain"].startswith("The chain is whole")
    assert {"search", "view", "link", "unlink", "cannot-link", "forget", "key"} <= set(facts["actions"])
    assert "there is no person" in facts["gone"]
    assert facts["bare"].startswith(("This is", "Unsure", "Nobody"))


def test_a_person_goes_through_the_page(people: Dataset, ready_made: Path, tmp_path: Path) -> None:
    shutil.copy(ready_made, tmp_path / "site.db")
    with started(tmp_path / "site.db", tmp_path) as service:
        check(browsed(f"http://127.0.0.1:{service.port}/", service.secret, people, tmp_path))


@pytest.mark.parametrize("strips", [True, False], ids=["strips", "keeps"])
@pytest.mark.parametrize("proxy", ["nginx", "caddy"])
def test_it_is_the_same_behind_a_proxy_with_tls_under_a_path(
    proxy: str, strips: bool, people: Dataset, ready_made: Path, tmp_path: Path
) -> None:
    shutil.copy(ready_made, tmp_path / "site.db")
    options = ("--behind-tls", "--root", "/resight", "--proxy", "127.0.0.1")
    with (
        started(tmp_path / "site.db", tmp_path, *options) as service,
        proxied(proxy, service.port, strips, tmp_path) as port,
    ):
        url = f"https://127.0.0.1:{port}/resight/"
        told = browsed(url, service.secret, people, tmp_path)
        check(told)
        assert told["facts"]["address"] == f"{url}keys"
        assert f":{port}" not in service.log.read_text()
        outside = Service(None, service.port)  # type: ignore[arg-type]
        assert outside.ask("GET", "/api/v1/livez", None, headers={"Host": "evil.example"}).status == 421


@contextmanager
def proxied(proxy: str, behind: int, strips: bool, folder: Path) -> Iterator[int]:
    """A proxy with the configuration of the documents, but for its ports, names and files."""
    program = NGINX if proxy == "nginx" else shutil.which("caddy")
    if program is None:
        pytest.skip(f"{proxy} is not installed")
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    pem, key = folder / "cert.pem", folder / "key.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", pem, *names],
        check=True,
        capture_output=True,
    )
    text = (DOCS / ("nginx.conf" if proxy == "nginx" else "Caddyfile")).read_text()
    for told, ours in (
        ("127.0.0.1:8000", f"127.0.0.1:{behind}"),
        ("/etc/ssl/resight.pem", str(pem)),
        ("/etc/ssl/private/resight.key", str(key)),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("server_name resight.example.org", "server_name 127.0.0.1"),
        ("https://resight.example.org", f"https://127.0.0.1:{port}"),
    ):
        text = text.replace(told, ours)
    if not strips:
        text = text.replace(f"{behind}/;", f"{behind};").replace("handle_path", "handle")
    if proxy == "nginx":
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        scratch = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
        head = f"pid {folder}/pid; error_log {folder}/nginx.log; events {{}}\nhttp {{ access_log off; {scratch}"
        text = f"{head}\n{text}\n}}"
        (folder / "proxy.conf").write_text(text)
        command = [program, "-c", str(folder / "proxy.conf"), "-g", "daemon off;"]
    else:
        (folder / "proxy.conf").write_text(f"{{\n admin off\n auto_https off\n}}\n{text}")
        command = [program, "run", "--config", str(folder / "proxy.conf"), "--adapter", "caddyfile"]
    with (folder / "proxy.txt").open("wb") as out:
        home = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
        process = subprocess.Popen(command, stdout=out, stderr=out, env=home)
    try:
        until = time.monotonic() + 20
        while True:
            assert process.poll() is None, (folder / "proxy.txt").read_text()
            assert time.monotonic() < until
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(20)
