"""Writes embeddings to one file, part by part: what was done before a kill is not done again.

Until the file is whole, its parts lie beside it in `FILE.parts`, each written whole or not at all.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resight.core.errors import DAMAGED_NPZ, ConfigError, DataError, MissingExtra
from resight.core.files import locked, write_whole

PLAN = "plan.json"
OURS = re.compile(r"part-\d{6,}\.npz((\.[0-9a-f]{8})?\.part)?|plan\.json(\.[0-9a-f]{8})?\.part")  # all but the plan
Columns = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class EmbeddingFile:
    """A file of embeddings that is being written. path: .npz or .parquet. plan: what the work is (its model, pictures
    and part size); a work that was stopped goes on only where the plan is equal.

    Raises ConfigError where the suffix is another, MissingExtra where Parquet needs pyarrow."""

    path: Path
    plan: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.path.suffix.lower() not in (".npz", ".parquet"):
            raise ConfigError(f"{self.path}: embeddings are written as .npz or .parquet")
        if self.path.suffix.lower() == ".parquet":
            _pyarrow()

    @property
    def parts(self) -> Path:
        """The folder of the parts."""
        return self.path.with_name(self.path.name + ".parts")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Call the other methods within it. Raises ConfigError where another process is, too."""
        with ExitStack() as stack:
            if self.parts.is_dir() or not self.parts.exists():
                self.parts.mkdir(parents=True, exist_ok=True)
                try:
                    stack.enter_context(locked(self.parts))
                except BlockingIOError:
                    raise ConfigError(f"another process writes {self.path} just now; name another file") from None
            yield

    def begin(self) -> int:
        """Begins or goes on: how many parts from the first on are done already; `has_part` tells of later ones.

        Raises ConfigError where the parts there are of another plan."""
        plan = json.dumps(self.plan, sort_keys=True)
        if self.parts.exists() and not _is_abandoned(self.parts):
            try:
                before = (self.parts / PLAN).read_text(encoding="utf-8")
            except OSError:
                before = ""
            if before != plan:
                raise ConfigError(f"{self.parts} holds parts of other work; remove it, or name another file")
        else:
            self.parts.mkdir(parents=True, exist_ok=True)
            for left in self.parts.iterdir():
                left.unlink()
            write_whole(self.parts / PLAN, plan.encode())
        done = 0
        while self._part(done).exists():
            done += 1
        return done

    def has_part(self, number: int) -> bool:
        """Whether part `number` is done."""
        return self._part(number).exists()

    def write_part(self, number: int, columns: Columns) -> None:
        """Writes part `number`, counted from 0. columns: of equal lengths; `vector` is (n, dim) float32, others
        (n,)."""
        buffer = io.BytesIO()
        np.savez(buffer, **dict[str, Any](columns))  # NumPy before 2.2 takes allow_pickle for a column
        write_whole(self._part(number), buffer.getvalue())

    def finish(self, num_parts: int, model: str) -> int:
        """Joins the parts into the file, one at a time in memory, and removes them. Returns the number of rows. model:
        the identity of the model, for the file. Raises DataError where a part is damaged."""
        unfinished = self.path.with_name(self.path.name + ".part")
        join = _join_parquet if self.path.suffix.lower() == ".parquet" else _join_npz
        rows = join(unfinished, [self._part(number) for number in range(num_parts)], model)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(self.path)
        shutil.rmtree(self.parts)
        return rows

    def _part(self, number: int) -> Path:
        return self.parts / f"part-{number:06d}.npz"


def _is_abandoned(folder: Path) -> bool:
    """Whether a kill, or a full disk, left the folder before its plan was whole, or after it was removed: there is no
    plan to go on by, and nothing that is not of such a folder."""
    return folder.is_dir() and all(OURS.fullmatch(path.name) for path in folder.iterdir())


def _read(path: Path, names: Iterable[str] | None = None) -> dict[str, npt.NDArray[Any]]:
    """The columns of these names, or all."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in names or file.files}
    except DAMAGED_NPZ as error:
        raise DataError(f"{path} is damaged ({error}); remove it and run the same command again") from None


def _join_npz(target: Path, parts: list[Path], model: str) -> int:
    """Column by column, so that no more than one part is in memory."""
    shapes: dict[str, list[tuple[tuple[int, ...], np.dtype[Any]]]] = {}
    for part in parts:
        for name, values in _read(part).items():
            shapes.setdefault(name, []).append((values.shape, values.dtype))
    rows = sum(shape[0] for shape, _ in shapes["vector"])
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, found in shapes.items():
            dtype = np.result_type(*(kind for _, kind in found))
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
                np.lib.format.write_array_header_2_0(file, header | {"shape": (rows, *found[0][0][1:])})
                for values in _column(parts, name):
                    file.write(np.ascontiguousarray(values, dtype).tobytes())
        with archive.open("model.npy", "w") as file:
            np.lib.format.write_array(file, np.array(model), allow_pickle=False)
    return rows


def _column(parts: list[Path], name: str) -> Iterator[npt.NDArray[Any]]:
    for part in parts:
        yield _read(part, [name])[name]


def _join_parquet(target: Path, parts: list[Path], model: str) -> int:
    pyarrow, parquet = _pyarrow()
    writer, rows = None, 0
    try:
        for part in parts:
            columns = _read(part)
            vectors = columns.pop("vector")
            flat = pyarrow.array(vectors.reshape(-1), pyarrow.float32())
            arrays = {"vector": pyarrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1])}
            for name, values in columns.items():
                kind = pyarrow.string() if values.dtype.kind == "U" else pyarrow.from_numpy_dtype(values.dtype)
                arrays[name] = pyarrow.array(values.tolist(), kind)
            table = pyarrow.table(arrays).replace_schema_metadata({"model": model})
            writer = writer or parquet.ParquetWriter(target, table.schema)
            writer.write_table(table)
            rows += len(vectors)
    finally:
        if writer is not None:
            writer.close()
    return rows


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra("pyarrow, which writes Parquet,", "parquet") from None
    return pyarrow, parquet
