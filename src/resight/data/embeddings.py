"""Embeddings made by any tool, from a file: npz or Parquet, a row a crop.

Columns (npz: arrays): `vector` (n, dim), `pid`, `camid`, and `split` (`query` or `gallery`); `name` where known;
`person` and `camera` where pid and camid stand for names; `track` and `time` (seconds) where known; `blank`, true where
the picture shows nothing; `content`, a whole number below 2**64 that two rows share where they are one picture: where
that column is absent, rows of one name, pid and camid are one. `model` (npz: one text; Parquet: of the file's
metadata): the identity of the model that made them, where known.

pid and camid are whole numbers, of any type, or names, which `labels` numbers; in place of one that is missing `person`
or `camera` is taken. NaN, -1 and an empty name are not known, in `track` too. What pid 0 means, `labels` says.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resight.core.errors import DAMAGED_NPZ, DatasetError, EmbeddingError, MissingExtra
from resight.core.records import DISTRACTOR_PID, EmbeddedCrops, FloatArray, IntArray, whole_numbers
from resight.core.words import counted
from resight.data.embed import QueryGallery
from resight.data.labels import (
    NOTHING,
    Numbering,
    camera_label,
    number_cameras,
    number_people,
    settled_pids,
    zero_is_a_person,
)

REQUIRED = ("vector", "pid", "camid", "split")
SPLITS = ("query", "gallery")
COLUMNS = ("pid", "camid", "split", "name", "person", "camera", "track", "time", "blank", "content")
NAMED_BY = {"pid": "person", "camid": "camera"}
UNKNOWN = -1
SHOWN = 5  # rows that a message names


def read_embeddings(*paths: Path, zeros: bool = False) -> QueryGallery:
    """Query and gallery of embeddings made by any tool, from one file or several shards. zeros: whether one may be all
    zeros, which has no cosine.

    Raises DatasetError where a file or a column is not what it must be or two shards are of different models,
    EmbeddingError where an embedding cannot be compared, MissingExtra where a Parquet file needs pyarrow.
    """
    named = ", ".join(map(str, paths))
    shards = _read(paths, REQUIRED)
    dims = {shard.vectors.shape[1] for shard in shards}
    models = {shard.model for shard in shards if shard.model}
    if len(dims) > 1 or len(models) > 1:
        raise DatasetError(f"{named}: embeddings of different models cannot be compared (dimensions {sorted(dims)})")
    for path, shard in zip(paths, shards, strict=True):
        check_vectors(shard.vectors, np.isin(shard.splits, SPLITS), path, zeros=zeros)
    parts = []
    for split in SPLITS:
        rows = [np.flatnonzero(shard.splits == split) for shard in shards]
        chosen = list(zip(shards, rows, strict=True))
        names = tuple(name for shard, place in chosen for name in shard.names[place].tolist())
        if not names:
            raise DatasetError(f"{named}: no rows of the split {split}")
        parts.append(
            EmbeddedCrops(
                np.concatenate([shard.vectors[place] for shard, place in chosen]),
                np.concatenate([shard.pids[place] for shard, place in chosen]),
                np.concatenate([shard.camids[place] for shard, place in chosen]),
                np.concatenate([shard.contents[place] for shard, place in chosen]),
                names,
                _cameras(chosen),
            )
        )
    return QueryGallery(parts[0], parts[1], model="".join(models))


@dataclass(frozen=True, eq=False)
class EmbeddingRows:
    """The rows of a file of embeddings, one a crop. vectors: (n, dim) float32; the others (n,). pids, camids: -1 where
    not known. contents: uint64, equal where two rows are one picture. persons, cameras: what the data call them where
    pid and camid are not the data's own numbers, empty else. blank: the picture shows nothing. tracks: equal for the
    pictures of one walk past one camera, empty where not known. times: in seconds, NaN where not known. model: the
    identity of the model that made them, empty where not known."""

    vectors: FloatArray
    pids: IntArray
    camids: IntArray
    splits: npt.NDArray[np.str_]
    names: npt.NDArray[np.str_]
    contents: npt.NDArray[np.uint64]
    model: str
    persons: npt.NDArray[np.str_]
    cameras: npt.NDArray[np.str_]
    blank: npt.NDArray[np.bool_]
    tracks: npt.NDArray[np.str_]
    times: npt.NDArray[np.float64]

    @property
    def camera_names(self) -> list[str]:
        """What galleries and sites call the camera of each row."""
        labels = set(self.cameras.tolist()) - {""}
        return [
            camera_label(label, labels) if label else str(camid)
            for label, camid in zip(self.cameras.tolist(), self.camids.tolist(), strict=True)
        ]


def holds_embeddings(path: Path) -> bool:
    """Whether the file holds embeddings, and is no other table."""
    if path.suffix.lower() != ".parquet":
        return path.suffix.lower() == ".npz"
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return False  # whoever reads it as a table says what is missing
    try:
        return "vector" in parquet.read_schema(path).names
    except (OSError, pyarrow.ArrowException):
        return False  # or what is wrong


def read_rows(path: Path, required: Sequence[str] = ("vector",)) -> EmbeddingRows:
    """Reads one file of embeddings. required: the columns that it must have.

    Raises DatasetError where the file or a column is not what it must be, MissingExtra where a Parquet file needs
    pyarrow.
    """
    return _read([path], required)[0]


def check_vectors(vectors: FloatArray, used: npt.NDArray[np.bool_], named: Path | str, *, zeros: bool = False) -> None:
    """Raises EmbeddingError where one of those used, of the rows of a file, holds NaN or infinity, or is all zeros
    (unless these may be)."""
    for bad, what in (
        (~np.isfinite(vectors).all(axis=1), "NaN or infinity"),
        (~vectors.any(axis=1) & (not zeros), "zeros alone, which have no direction"),
    ):
        rows = np.flatnonzero(bad & used)
        if rows.size:
            first = ", ".join(map(str, rows[:SHOWN].tolist())) + (", ..." if rows.size > SHOWN else "")
            raise EmbeddingError(
                f"{named}: {counted(rows.size, 'embedding holds', 'embeddings hold')} {what}, of {used.sum():,}: "
                f"{'row' if rows.size == 1 else 'rows'} {first}, counted from 0. Leave these rows out of the file, or "
                "embed their pictures again"
            )


def _read(paths: Sequence[Path], required: Sequence[str]) -> list[EmbeddingRows]:
    """The rows of all shards, whose names are numbered together."""
    tables = [_columns_of(path, required) for path in paths]
    named = ", ".join(map(str, paths))
    for column, number in (("pid", number_people), ("camid", number_cameras)):
        for doubt in _numbered(tables, paths, column, number):
            warnings.warn(f"{named}: {doubt}", stacklevel=4)
    return _settled([_rows_of(path, table) for path, table in zip(paths, tables, strict=True)], named)


def _settled(shards: Sequence[EmbeddingRows], named: str) -> list[EmbeddingRows]:
    """With pid 0 as all shards together mean it; warns where it is a person."""
    for split in ("query", "train"):
        if any(((shard.pids == DISTRACTOR_PID) & (shard.splits == split)).any() for shard in shards):
            warnings.warn(f"{named}: {zero_is_a_person(split)}", stacklevel=4)
            return [replace(shard, pids=settled_pids(shard.pids, True)) for shard in shards]
    return list(shards)


def _columns_of(path: Path, required: Sequence[str]) -> dict[str, Any]:
    columns = dict(_read_parquet(path) if path.suffix.lower() == ".parquet" else _read_npz(path))
    missing = [name for name in required if name not in columns and NAMED_BY.get(name) not in columns]
    if missing:
        found = ", ".join(columns) or "nothing"
        raise DatasetError(f"{path} has no {', '.join(missing)}. Looked for {', '.join(required)}; found {found}.")
    if np.ndim(columns["vector"]) != 2:
        raise DatasetError(f"{path}: vector must be (n, dim), not {np.shape(columns['vector'])}")
    for name in COLUMNS:
        if name in columns and np.ndim(columns[name]) != 1:
            raise DatasetError(f"{path}: {name} must have one value a row, not the shape {np.shape(columns[name])}")
    return columns


def _numbered(
    tables: Sequence[dict[str, Any]],
    paths: Sequence[Path],
    column: str,
    number: Callable[[Iterable[str]], Numbering],
) -> tuple[str, ...]:
    """Makes the column numbers, (n,) int64, in each table, and keeps the names for which they stand; the doubts about
    them. Where any is a name, those of all shards are numbered together."""
    called = NAMED_BY[column]
    given = []
    for path, table in zip(paths, tables, strict=True):
        if column in table:
            given.append(_numbers_or_names(table[column], f"{path}: {column}"))
        elif called in table:
            given.append(_labels_of(table[called]))
        else:
            given.append(np.full(len(table["vector"]), UNKNOWN))
    if all(found.dtype.kind == "i" for found in given):
        for table, found in zip(tables, given, strict=True):
            table[column] = found
        return ()
    labels = []
    for table, found in zip(tables, given, strict=True):
        names = found.astype(np.str_)
        if found.dtype.kind == "i" and called in table and len(table[called]) == len(found):
            known = _labels_of(table[called])
            names = np.where(known == "", names, known)
        labels.append(names)
    none = NOTHING | {str(UNKNOWN)}
    distinct = {str(name) for names in labels for name in np.unique(names).tolist()}
    numbering = number(name for name in distinct if name.lower() not in none)
    for table, names in zip(tables, labels, strict=True):
        each, place = np.unique(names, return_inverse=True)
        table[column] = np.array([numbering.numbers.get(name, UNKNOWN) for name in each.tolist()], np.int64)[place]
        if called not in table:
            own = [numbering.name_of(name) if name in numbering.numbers else None for name in each.tolist()]
            table[called] = np.array([name or "" for name in own], np.str_)[place]
    return numbering.doubts


def _numbers_or_names(column: Any, named: str) -> IntArray | npt.NDArray[np.str_]:
    """(n,) int64, or texts. Raises DatasetError where they are neither."""
    values = _decoded(column)
    if values.dtype.kind == "O":  # of Parquet: texts, or numbers among which some are missing
        listed = values.tolist()
        if all(value is None or isinstance(value, int) for value in listed):
            values = np.array([UNKNOWN if value is None else value for value in listed])
        elif all(value is None or isinstance(value, int | float) for value in listed):
            values = np.array([np.nan if value is None else value for value in listed], np.float64)
        else:
            return _labels_of(values)
    if values.dtype.kind == "U":
        return values
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), UNKNOWN, values)
    try:
        return whole_numbers(values, named)
    except EmbeddingError as error:
        raise DatasetError(str(error)) from None


def _rows_of(path: Path, columns: dict[str, Any]) -> EmbeddingRows:
    num = len(columns["vector"])
    columns = {"split": np.full(num, SPLITS[1])} | columns
    if np.iscomplexobj(columns["vector"]):
        raise DatasetError(f"{path}: vector holds complex numbers; give real ones")
    try:
        vectors = np.asarray(columns["vector"], dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{path}: vector must be numbers ({error})") from None
    pids, camids = columns["pid"], columns["camid"]
    splits = _decoded(columns["split"]).astype(str)
    names = _decoded(columns.get("name", [f"{path.name} row {row}" for row in range(len(vectors))])).astype(str)
    none = np.full(num, "")
    persons, cameras, tracks = (_labels_of(columns.get(name, none)) for name in ("person", "camera", "track"))
    tracks = np.where(tracks == str(UNKNOWN), "", tracks)  # of trackers: not tracked
    strange = sorted(set(splits.tolist()) - {*SPLITS, "train"})
    if strange:
        raise DatasetError(f"{path}: split {strange[0]!r} is none of {', '.join(SPLITS)}")
    try:
        blank = _truths_of(columns.get("blank", np.zeros(num)))
    except ValueError as error:
        raise DatasetError(f"{path}: blank must be true or false, {error}") from None
    try:
        times = _seconds_of(np.asarray(columns.get("time", np.full(num, np.nan))))
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{path}: time must be seconds ({error})") from None
    given = (vectors, pids, camids, splits, names, persons, cameras, blank, tracks, times)
    lengths = {len(column) for column in given}
    if len(lengths) > 1:
        raise DatasetError(f"{path}: vector is {vectors.shape}, beside {len(pids)} pid, {len(camids)} camid")
    model = str(columns.get("model", ""))
    contents = _contents(path, columns.get("content"), names, pids, camids, "name" in columns)
    return EmbeddingRows(vectors, pids, camids, splits, names, contents, model, persons, cameras, blank, tracks, times)


def _seconds_of(times: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Seconds since 1970, NaN where not known. Raises TypeError or ValueError where they are no times."""
    if times.dtype.kind == "m":
        raise TypeError("not lengths of time")
    if times.dtype.kind == "M":  # timestamps, of pandas and Parquet
        since = times.astype("M8[us]")
        return np.where(np.isnat(since), np.nan, since.astype(np.int64) / 1e6)
    return np.asarray(times, dtype=np.float64)


def _decoded(column: Any) -> npt.NDArray[Any]:
    """Texts where the column holds bytes, as h5py and Fortran leave them."""
    values = np.asarray(column)
    return np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values


def _truths_of(column: Any) -> npt.NDArray[np.bool_]:
    """Raises ValueError for what is neither true nor false, as the text False, which is no number and not empty."""
    values = np.asarray(column)
    if values.dtype.kind not in "biuf" and not all(value in (None, True, False) for value in values.tolist()):
        raise ValueError(f"not {values.dtype}")
    return values.astype(np.bool_)


def _labels_of(column: Any) -> npt.NDArray[np.str_]:
    """Texts, empty where there is none, or NaN in a column of numbers; 7.0 is 7, whose column had NaN elsewhere."""
    labels = _decoded(column)
    if labels.dtype.kind == "f":
        return np.array(["" if np.isnan(label) else f"{label:.17g}" for label in labels], np.str_)
    return np.array(["" if label is None else str(label) for label in labels.tolist()], np.str_)


def _read_npz(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as opened:
            start = opened.read(6)
            if start.startswith(b"PAR1"):
                return _read_parquet(path)
            if not start.startswith((b"PK\x03\x04", b"\x93NUMPY")):
                raise DatasetError(
                    f"{path} is neither npz nor Parquet. `resight embed` writes such a file; of arrays of your own, "
                    "numpy.savez(FILE, vector=..., pid=..., camid=..., split=...) does"
                )
            opened.seek(0)
            file = np.load(opened, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise DatasetError(
                    f"{path} is a single array, not an npz of {', '.join(REQUIRED)}. One is made by "
                    f"numpy.savez({path.stem + '.npz'!r}, vector=numpy.load({str(path)!r}), pid=..., camid=..., "
                    "split=...): of each row the person and the camera, by number or name, and 'query' or 'gallery'"
                )
            return {name: file[name] for name in file.files}
    except DAMAGED_NPZ as error:
        if "allow_pickle" in str(error):
            raise DatasetError(
                f"{path} holds Python objects, which are not read: save arrays of numbers and of texts, by "
                "numpy.asarray(column, str) for one"
            ) from None
        raise DatasetError(f"{path} cannot be read as npz ({error})") from None


def _read_parquet(path: Path) -> Mapping[str, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra("pyarrow, which reads Parquet,", "parquet") from None
    try:
        table = parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DatasetError(f"{path} is not a Parquet file that can be read ({error})") from None
    columns: dict[str, Any] = {name: table[name].to_numpy() for name in table.column_names if name != "vector"}
    columns["model"] = (table.schema.metadata or {}).get(b"model", b"").decode("utf-8", "replace")
    if "vector" in table.column_names:
        try:
            columns["vector"] = np.stack([np.asarray(row, np.float32) for row in table["vector"].to_numpy()])
        except (TypeError, ValueError):
            raise DatasetError(f"{path}: vector must hold lists of numbers, all of one length") from None
    return columns


def _cameras(chosen: Sequence[tuple[EmbeddingRows, IntArray]]) -> tuple[str, ...]:
    """The cameras' names, where any shard has some."""
    if not any((shard.cameras != "").any() for shard, _ in chosen):
        return ()
    return tuple(name for shard, place in chosen for name in np.asarray(shard.camera_names)[place].tolist())


def _contents(
    path: Path, column: Any, names: npt.NDArray[np.str_], pids: IntArray, camids: IntArray, named: bool
) -> npt.NDArray[np.uint64]:
    """The column, or of each row 64 bits of its name, pid and camid. named: whether the file has the names. Raises
    DatasetError where it is no column of whole numbers."""
    if column is not None:
        given = np.asarray(column)
        if given.dtype.kind not in "iu" or given.shape != names.shape:
            raise DatasetError(f"{path}: content must have one whole number a row, not {given.dtype} of {given.shape}")
        return given.astype(np.uint64)
    rows = zip(names.tolist(), pids.tolist(), camids.tolist(), strict=True)
    where = "" if named else path  # shards of one file name hold other rows
    told = (f"{where}\0{name}\0{pid}\0{camid}".encode("utf-8", "surrogateescape") for name, pid, camid in rows)
    return np.fromiter((int.from_bytes(hashlib.sha256(t).digest()[:8], "little") for t in told), np.uint64, len(names))
