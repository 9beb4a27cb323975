"""Embeddings made by any tool, from a file: npz or Parquet, a row a crop.

Columns (npz: arrays): `vector` (n, dim), `pid`, `camid`, and `split` (`query` or `gallery`); `name` where known;
`person` and `camera` where pid and camid stand for names; `track` and `time` (seconds) where known; `blank`, true where
the picture shows nothing. Two rows of one name count as one picture, which the no-camera protocol needs. `model` (npz:
one text; Parquet: of the file's metadata): the identity of the model that made them, where known. What pid 0 means,
`labels` says.
"""

from __future__ import annotations

import hashlib
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resight.core.errors import DatasetError, MissingExtra
from resight.core.records import DISTRACTOR_PID, EmbeddedCrops, FloatArray, IntArray
from resight.data.labels import camera_label, settled_pids, zero_is_a_person

REQUIRED = ("vector", "pid", "camid", "split")
SPLITS = ("query", "gallery")


def read_embeddings(*paths: Path) -> tuple[EmbeddedCrops, EmbeddedCrops]:
    """Query and gallery of embeddings made by any tool, from one file or several shards.

    Raises DatasetError where a file or a column is not what it must be or two shards are of different models,
    MissingExtra where a Parquet file needs pyarrow.
    """
    named = ", ".join(map(str, paths))
    shards = _settled([_rows_of(path, REQUIRED) for path in paths], named)
    dims = {shard.vectors.shape[1] for shard in shards}
    models = {shard.model for shard in shards if shard.model}
    if len(dims) > 1 or len(models) > 1:
        raise DatasetError(f"{named}: embeddings of different models cannot be compared (dimensions {sorted(dims)})")
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
                np.array([_content(name) for name in names], np.uint64),
                names,
                _cameras(chosen),
            )
        )
    return parts[0], parts[1]


@dataclass(frozen=True, eq=False)
class EmbeddingRows:
    """The rows of a file of embeddings, one a crop. vectors: (n, dim) float32; the others (n,). pids, camids: -1 where
    not known. persons, cameras: what the data call them where pid and camid are not the data's own numbers, empty else.
    blank: the picture shows nothing. tracks: equal for the pictures of one walk past one camera, empty where not known.
    times: in seconds, NaN where not known. model: the identity of the model that made them, empty where not known."""

    vectors: FloatArray
    pids: IntArray
    camids: IntArray
    splits: npt.NDArray[np.str_]
    names: npt.NDArray[np.str_]
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
    return _settled([_rows_of(path, required)], str(path))[0]


def _settled(shards: Sequence[EmbeddingRows], named: str) -> list[EmbeddingRows]:
    """With pid 0 as all shards together mean it; warns where it is a person."""
    for split in ("query", "train"):
        if any(((shard.pids == DISTRACTOR_PID) & (shard.splits == split)).any() for shard in shards):
            warnings.warn(f"{named}: {zero_is_a_person(split)}", stacklevel=3)
            return [replace(shard, pids=settled_pids(shard.pids, True)) for shard in shards]
    return list(shards)


def _rows_of(path: Path, required: Sequence[str]) -> EmbeddingRows:
    columns = dict(_read_parquet(path) if path.suffix.lower() == ".parquet" else _read_npz(path))
    missing = [name for name in required if name not in columns]
    if missing:
        found = ", ".join(columns) or "nothing"
        raise DatasetError(f"{path} has no {', '.join(missing)}. Looked for {', '.join(required)}; found {found}.")
    unknown = np.full(len(columns["vector"]), -1)
    columns = {"pid": unknown, "camid": unknown, "split": np.full(len(unknown), SPLITS[1])} | columns
    try:
        vectors = np.asarray(columns["vector"], dtype=np.float32)
        pids, camids = (np.asarray(columns[name]).astype(np.int64, casting="same_kind") for name in ("pid", "camid"))
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{path}: vector, pid and camid must be numbers ({error})") from None
    splits = np.asarray(columns["split"]).astype(str)
    names = np.asarray(columns.get("name", [f"{path.name} row {row}" for row in range(len(vectors))])).astype(str)
    none = np.full(len(unknown), "")
    persons, cameras, tracks = (_labels_of(columns.get(name, none)) for name in ("person", "camera", "track"))
    strange = sorted(set(splits.tolist()) - {*SPLITS, "train"})
    if strange:
        raise DatasetError(f"{path}: split {strange[0]!r} is none of {', '.join(SPLITS)}")
    blank = np.asarray(columns.get("blank", np.zeros(len(unknown)))).astype(np.bool_)
    try:
        times = np.asarray(columns.get("time", np.full(len(unknown), np.nan)), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{path}: time must be seconds ({error})") from None
    given = (vectors, pids, camids, splits, names, persons, cameras, blank, tracks, times)
    lengths = {len(column) for column in given}
    if vectors.ndim != 2 or len(lengths) > 1:
        raise DatasetError(f"{path}: vector is {vectors.shape}, beside {len(pids)} pid, {len(camids)} camid")
    model = str(columns.get("model", ""))
    return EmbeddingRows(vectors, pids, camids, splits, names, model, persons, cameras, blank, tracks, times)


def _labels_of(column: Any) -> npt.NDArray[np.str_]:
    """Texts, empty where there is none, or NaN in a column of numbers; 7.0 is 7, whose column had NaN elsewhere."""
    labels = np.asarray(column)
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
                raise DatasetError(f"{path} is a single array, not an npz of {', '.join(REQUIRED)}")
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, MemoryError) as error:
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


def _content(name: str) -> int:
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "little")
