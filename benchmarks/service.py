"""A service under many clients: how long answers take, whether each is the gallery's own, and what memory does.

Each client has a key of its own and asks again as soon as it is answered: a picture of the drawn city, or an embedding.
Every answer is compared with what the same gallery says in this process. Clients, server and everything else share this
machine's cores.

    python benchmarks/service.py                                  # a minute for each
    python benchmarks/service.py --rows 100000 --seconds 3600     # an hour for each
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

import resight
from resight.data.city.synthetic import CityConfig, draw_city


def main() -> None:
    """Both kinds of search, and their table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--model", default="city")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "site.db"
        pictures = make(place, asked.rows, asked.model)
        told = {"picture": [], "embedding": []}  # type: dict[str, list[tuple[bytes, Any]]]
        with resight.open_gallery(place, resight.load(asked.model)) as gallery:
            for data in pictures:
                vector = gallery.needed_model().embed(data)[0]
                expected = [(match.id, match.similarity) for match in gallery.search_embeddings(vector, 10)[0]]
                purpose = {"purpose": "a benchmark", "top_k": 10}
                shown = {"crops": [base64.b64encode(data).decode()], **purpose}
                given = {"embedding": vector.tolist(), "model": gallery.settings.model, **purpose}
                told["picture"].append((json.dumps(shown).encode(), expected))
                told["embedding"].append((json.dumps(given).encode(), expected))
        process, port, secret = start(place)
        try:
            keys = make_keys(port, secret, asked.clients)
            print(f"{asked.rows:,} rows, model {asked.model}, {asked.clients} clients, {asked.seconds:g} s each")
            print("searches by     answers   /s     wrong  refused  CPU ms  p50 ms  p99 ms  max ms  MB: first  last")
            for kind, requests in told.items():
                print(measured(kind, requests, port, keys, asked.seconds, process.pid), flush=True)
            for kind, requests in told.items():
                print(measured(f"{kind}, alone", requests, port, keys[:1], min(asked.seconds, 20), process.pid))
        finally:
            process.terminate()
            process.wait(60)


def make(place: Path, rows: int, model_name: str) -> list[bytes]:
    """A gallery of drawn people among random others, and pictures to search for."""
    city = draw_city(CityConfig(train_people=1, test_people=20, cameras=4))
    model = resight.load(model_name)
    with resight.open_gallery(place, model, new=True) as gallery:
        gallery.add_dataset(city, splits=["gallery"])
        numbers = np.random.default_rng(0)
        while (left := rows - len(gallery)) > 0:
            vectors = numbers.standard_normal((min(left, 5000), model.dim)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            count = len(vectors)
            gallery.add_embeddings(
                vectors,
                model=model.identity,
                camera=[str(n % 40) for n in range(count)],
                time=numbers.uniform(0, 1e6, count).tolist(),
                pid=numbers.integers(1, 1 + rows // 10, count).tolist(),
            )
    return [crop.read() for crop in city.query[:40]]


def start(place: Path) -> tuple[subprocess.Popen[bytes], int, str]:
    """The service's process, its port and the secret of its one-time address."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    log = place.with_name("log.txt")
    command = [sys.executable, "-m", "resight.cli", "serve", str(place), "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen([*command, "--searches-a-minute", "1000000"], stdout=out, stderr=out)
    while True:
        try:
            if ask(http.client.HTTPConnection("127.0.0.1", port), "GET", "/api/v1/readyz")[0] == 200:
                break
        except OSError:
            time.sleep(0.2)
    secret = re.search(r"#start=(\S+)", log.read_text())
    if secret is None:
        raise SystemExit(log.read_text())
    return process, port, secret[1]


def make_keys(port: int, secret: str, number: int) -> list[str]:
    """A key for each client."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/login", f"key={secret}", form)
    answer = connection.getresponse()
    answer.read()
    session = {"Cookie": (answer.getheader("set-cookie") or "").split(";")[0]}
    connection.request("GET", "/keys", headers=session)
    token = re.search(r'name="csrf" value="([^"]+)"', connection.getresponse().read().decode())
    session |= {"X-CSRF-Token": token[1] if token else "", "Content-Type": "application/json"}
    made = []
    for client in range(number):
        body = json.dumps({"name": f"client {client}", "role": "searcher"}).encode()
        made.append(json.loads(ask(connection, "POST", "/api/v1/keys", body, session)[1])["key"])
    return made


def measured(kind: str, requests: list[tuple[bytes, Any]], port: int, keys: list[str], seconds: float, pid: int) -> str:
    """A row of the table."""
    took: list[float] = []
    counts = {"wrong": 0, "refused": 0}
    until = time.monotonic() + seconds

    def client(number: int, key: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        place = number
        while time.monotonic() < until:
            body, expected = requests[place % len(requests)]
            place += 1
            began = time.monotonic()
            status, answer = ask(connection, "POST", "/api/v1/search", body, headers)
            ended = time.monotonic() - began
            if status != 200:
                counts["refused"] += 1
                continue
            took.append(ended)
            counts["wrong"] += not equal(json.loads(answer)["matches"], expected)

    first, before = memory_mb(pid), cpu_s(pid)
    threads = [Thread(target=client, args=each) for each in enumerate(keys)]
    for thread in threads:
        thread.start()
    time.sleep(min(10, seconds / 4))
    first = memory_mb(pid)  # once it has answered everything once
    for thread in threads:
        thread.join()
    p50, p99 = np.percentile(took, (50, 99)) * 1000
    figures = f"{len(took):7,}  {len(took) / seconds:6.1f}  {counts['wrong']:6d}  {counts['refused']:7d}"
    cpu = 1000 * (cpu_s(pid) - before) / max(1, len(took))
    times = f"{cpu:6.1f}  {p50:6.1f}  {p99:6.1f}  {1000 * max(took):6.0f}"
    return f"{kind:18s}{figures}  {times}  {first:9.0f}  {memory_mb(pid):4.0f}"


def equal(matches: list[dict[str, Any]], expected: list[tuple[int, float]]) -> bool:
    """Whether it is what the gallery says: the same ids, in order, and similarities but for the last digits."""
    ids = [match["id"] for match in matches] == [number for number, _ in expected]
    return ids and all(abs(m["similarity"] - value) < 1e-4 for m, (_, value) in zip(matches, expected, strict=True))


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes = b"", headers: Any = None
) -> tuple[int, bytes]:
    """One request."""
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    return answer.status, answer.read()


def cpu_s(pid: int) -> float:
    """The processor time that the process took, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """What the process has in memory."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
