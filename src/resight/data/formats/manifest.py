"""A table of crops: CSV, Parquet or lines of JSON with path, pid, camid and split, and optionally others.

Paths are relative to the table's folder, or absolute; Windows' backslashes are slashes where no file has them in its
name. Optional: time (seconds since 1970, or ISO 8601), track, sequence, frame, and rights (one line, the same in every
row). Labels become numbers as `labels` says. How the file itself is read: `tables`.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Any

from resight.core.errors import ConfigError, DatasetError, MissingExtra, UnreadableImage
from resight.core.files import write_whole
from resight.core.progress import Progress, silent
from resight.core.times import parse_time
from resight.data.crops import RIGHTS_UNKNOWN, SPLITS, Crop, Dataset, Problem
from resight.data.formats.tables import OPTIONAL, REQUIRED, SUFFIXES, Row, Wanted, read_rows
from resight.data.labels import NOTHING, number_cameras, number_people
from resight.data.listing import list_entries

WRITTEN = (".csv", ".parquet")
IN_A_FOLDER = ("manifest.csv", "manifest.parquet")
BELOW = re.compile(r"-\d+")
WHOLE = re.compile(r"-?\d+\.0+")
IN_TEST = re.compile(r"(test|val|valid|validation|eval|evaluation|dev|probe)\w*", re.IGNORECASE)
NAMED = 8  # splits in a message


def looks_like_manifest(root: Path) -> bool:
    """Whether it is a table, or a folder with one."""
    return _table(root) is not None


def read_manifest(root: Path, needed: Sequence[str] = REQUIRED, columns: Mapping[str, str] | None = None) -> Dataset:
    """Reads a table of crops. Rows with a wrong value are named and left out.

    needed: the columns that must be there. OF_NOBODY for those who do not ask who is in the pictures: pid and split may
    be absent or empty. UNSPLIT for those who make the splits: everything is in the gallery. In both `camera` is another
    name of camid. columns: what the table calls the columns, by our names.

    Raises DatasetError where a column is missing or no row is left, MissingExtra where a Parquet table needs pyarrow.
    """
    table = _table(root)
    if table is None:
        found = list_entries(root) if root.is_dir() else root.name
        raise DatasetError(
            f"{root} is no manifest: looked for a .csv, .parquet or .jsonl file, or a folder with one of "
            f"{', '.join(IN_A_FOLDER)}; found {found}"
        )
    read = read_rows(table, Wanted(needed, columns or {}))
    rows = [_completed(row, needed) for row in read.rows]
    problems: list[Problem] = []
    good = [(number, row) for number, row in enumerate(rows, 1) if _is_whole(table, number, row, problems)]
    people = number_people(_text(row["pid"]) for _, row in good)
    cameras = number_cameras(_text(row["camid"]) for _, row in good)
    crops: dict[str, list[Crop]] = {split: [] for split in SPLITS}
    listed: set[tuple[str, str]] = set()
    labels: dict[str, tuple[int, int, int]] = {}  # row, pid and camid of each path
    contradictions: list[Problem] = []
    for number, row in good:
        split, path = _text(row["split"]).lower(), _local(table.parent, _text(row["path"]))
        person, camera = _text(row["pid"]), _text(row["camid"])
        label = (number, people.numbers[person], cameras.numbers[camera])
        before = labels.setdefault(path, label)
        differ = _difference(before, rows[before[0] - 1], label, row)
        if differ:
            contradictions.append(Problem(path, differ))
        if (split, path) in listed:
            reason = f"{path} is listed twice in {split}" + (f", as {differ}: the first is taken" if differ else "")
            problems.append(Problem(f"{table.name}, row {number}", reason))
            continue
        name = path if all((other, path) not in listed for other in SPLITS) else f"{path} ({split})"
        listed.add((split, path))
        try:
            optional = _optional(row)
        except ValueError as error:
            problems.append(Problem(f"{table.name}, row {number}", str(error)))
            continue
        crops[split].append(
            Crop(
                name,
                people.numbers[person],
                cameras.numbers[camera],
                path=table.parent / path,
                person=people.name_of(person),
                camera=cameras.name_of(camera),
                **optional,
            )
        )
    if not any(crops.values()):
        first = f" First: {problems[0].name}, {problems[0].reason}." if problems else ""
        raise DatasetError(
            f"{table} lists no picture that can be used, in {len(rows)} rows.{_splits_there(rows)}{first}"
        )
    train, query, gallery = (tuple(crops[split]) for split in SPLITS)
    rights = next((_text(row.get("rights")) for _, row in good if _text(row.get("rights"))), RIGHTS_UNKNOWN)
    doubts = people.doubts + cameras.doubts
    name = table.parent.resolve().name if table.name in IN_A_FOLDER else table.stem
    return Dataset(
        name or table.stem,
        "manifest",
        train,
        query,
        gallery,
        rights,
        tuple(problems),
        read.notes,
        doubts=doubts,
        contradictions=tuple(contradictions),
    )


def write_manifest(
    dataset: Dataset, table: Path, pictures: Path | None = None, progress: Progress = silent
) -> tuple[Problem, ...]:
    """Writes a data set as a table of crops. pictures: a folder that every picture is copied into, by its own path
    below its split, with the table again as manifest.csv, so that the folder can be read alone; without it the table
    has the paths of the pictures where they are. Returns the pictures that could not be copied; they stay in the table.

    Raises ConfigError for another suffix than .csv or .parquet, for crops without files and no `pictures`, for
    `pictures` that hold files already, and for a person or a camera whose name is one of NOTHING.
    """
    if table.suffix.lower() not in WRITTEN:
        raise ConfigError(f"{table}: a manifest ends in .csv or .parquet")
    if pictures is not None and pictures.is_dir() and any(pictures.iterdir()):
        raise ConfigError(f"{pictures} holds files already; name an empty folder for the pictures, or a new one")
    crops = [(split, crop) for split in SPLITS for crop in getattr(dataset, split)]
    if pictures is None and any(crop.path is None for _, crop in crops):
        raise ConfigError(f"the pictures of {dataset.name} are not files; name a folder to write them to (--pictures)")
    for what in ("person", "camera"):
        lost = {getattr(crop, what) for _, crop in crops if (getattr(crop, what) or "-").strip().lower() in NOTHING}
        if lost:
            raise ConfigError(
                f"a {what} called {lost.pop()!r} cannot be in a table, where that says that there is none: rename it"
            )
    problems: list[Problem] = []
    places: list[Path | None] = []
    with progress("writing", len(crops)) as advance:
        for split, crop in crops:
            places.append(crop.path if pictures is None else _copy(split, crop, pictures, problems))
            advance(1)
    tables = {table, *([] if pictures is None else [pictures / IN_A_FOLDER[0]])}
    for each in tables:
        rows = [_row(*of, _relative(at, each.parent), dataset.rights) for of, at in zip(crops, places, strict=True)]
        columns = [*REQUIRED, *(name for name in OPTIONAL if any(row[name] is not None for row in rows))]
        write_whole(each, (_as_parquet if each.suffix.lower() == ".parquet" else _as_csv)(columns, rows))
    return tuple(problems)


def _table(root: Path) -> Path | None:
    if root.suffix.lower() in SUFFIXES and os.path.isfile(root):
        return root
    return next((root / name for name in IN_A_FOLDER if os.path.isfile(root / name)), None)


def _completed(row: Row, needed: Sequence[str]) -> Row:
    """The row with what it need not have: nobody's pid, and the gallery as its split."""
    if "split" in needed:
        return row
    row = {**row, "camid": _text(row.get("camid")) or row.get("camera")}
    if "pid" in needed:
        return {**row, "split": "gallery"}
    pid = _text(row.get("pid"))
    return {
        **row,
        "pid": "-1" if not pid or BELOW.fullmatch(pid) else pid,
        "split": _text(row.get("split")) or "gallery",
    }


def _is_whole(table: Path, number: int, row: Row, problems: list[Problem]) -> bool:
    empty = [name for name in REQUIRED if not _text(row.get(name))]
    if empty:
        problems.append(Problem(f"{table.name}, row {number}", f"no {', '.join(empty)}"))
    elif _text(row["split"]).lower() not in SPLITS:
        problems.append(
            Problem(
                f"{table.name}, row {number}", f"split {row['split']!r} is none of {', '.join(SPLITS)}{_meant(row)}"
            )
        )
    elif BELOW.fullmatch(_text(row["pid"])) and _text(row["pid"]) != "-1":
        problems.append(
            Problem(f"{table.name}, row {number}", f"pid {_text(row['pid'])}: of those below 0 only -1 has a meaning")
        )
    elif PureWindowsPath(_text(row["path"])).drive and not os.path.lexists(table.parent / _text(row["path"])):
        problems.append(
            Problem(
                f"{table.name}, row {number}",
                f"{_text(row['path'])} is a path of Windows with a drive; write it relative to the table's folder",
            )
        )
    elif "\0" in _text(row["path"]):
        problems.append(Problem(f"{table.name}, row {number}", "the path holds a NUL"))
    else:
        return True
    return False


def _meant(row: Row) -> str:
    """What to write for a split that is not ours."""
    split = _text(row["split"])
    if IN_TEST.fullmatch(split):
        return ": write query for those that are searched for, gallery for those that are searched"
    return ": write train" if split.lower().startswith("train") else ""


def _splits_there(rows: Sequence[Row]) -> str:
    """The splits of a table that has none of ours, with what to do."""
    found = Counter(_text(row.get("split")) for row in rows)
    found.pop("", None)
    if not found or any(split.lower() in SPLITS for split in found):
        return ""
    shown = ", ".join(f"{split} ({count:,})" for split, count in found.most_common(NAMED))
    return f" Its splits are {shown}; those that are read: {', '.join(SPLITS)}; `resight data split` makes new ones."


def _difference(first: tuple[int, int, int], first_row: Row, other: tuple[int, int, int], row: Row) -> str:
    """How the labels of one path in two rows contradict each other; empty where they do not."""
    parts = [
        f"{name} {_text(first_row[name])} in row {first[0]} and {name} {_text(row[name])} in row {other[0]}"
        for place, name in ((1, "pid"), (2, "camid"))
        if first[place] != other[place]
    ]
    return ", ".join(parts)


def _optional(row: Row) -> dict[str, Any]:
    """Raises ValueError naming the field that is no number, or no time."""
    found: dict[str, Any] = {}
    for name, kind in (("time", partial(parse_time, counted=True)), ("track", str), ("sequence", int), ("frame", int)):
        text = _text(row.get(name))
        if not text or (name == "track" and text == "-1"):  # of trackers: not tracked
            continue
        try:
            found[name] = kind(text)
        except ConfigError as error:
            raise ValueError(f"time {error}") from None
        except ValueError:
            raise ValueError(f"{name} {text!r} is not a number") from None
    return found


def _text(value: Any) -> str:
    """A whole number that a table keeps as 7.0 is 7, and nan is nothing: so pandas writes columns with gaps."""
    text = "" if value is None else str(value).strip()
    if WHOLE.fullmatch(text):
        return text.partition(".")[0]
    return "" if text.lower() in NOTHING else text


def _local(folder: Path, path: str) -> str:
    """With slashes for Windows' backslashes, unless a file has them in its name."""
    if "\\" not in path or os.path.lexists(folder / path):
        return path
    return path.replace("\\", "/")


def _relative(place: Path | None, folder: Path) -> str:
    return Path(os.path.relpath(place, folder)).as_posix() if place is not None else ""


def _copy(split: str, crop: Crop, pictures: Path, problems: list[Problem]) -> Path:
    """Below its split, by its own path in the data; what would lead out of the folder does not."""
    own = Path(crop.name.removesuffix(f" ({split})"))
    parts = [part for part in own.parts if part not in ("..", "/", "\\") and ":" not in part]
    place = pictures.joinpath(split, *(parts or ["picture"]))
    place.parent.mkdir(parents=True, exist_ok=True)
    stem, number = place.stem, 1
    while place.exists():  # of a name that led out of the folder
        number += 1
        place = place.with_name(f"{stem}_{number}{place.suffix}")
    try:
        write_whole(place, crop.read())
    except UnreadableImage as error:
        problems.append(Problem(crop.name, error.reason))
    return place


def _row(split: str, crop: Crop, path: str, rights: str) -> dict[str, Any]:
    return {
        "path": path,
        "pid": crop.pid if crop.person is None else crop.person,
        "camid": crop.camid if crop.camera is None else crop.camera,
        "split": split,
        "time": crop.time,
        "track": crop.track,
        "sequence": crop.sequence,
        "frame": crop.frame,
        "rights": None if rights == RIGHTS_UNKNOWN else rights,
    }


def _as_csv(columns: list[str], rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")  # file names need not be UTF-8


def _of_one_kind(values: list[Any]) -> list[Any]:
    """Names beside numbers as texts, since a column of Parquet holds one kind."""
    if any(isinstance(value, str) for value in values):
        return [None if value is None else str(value) for value in values]
    return values


def _as_parquet(columns: list[str], rows: list[dict[str, Any]]) -> bytes:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra("pyarrow, which writes Parquet,", "parquet") from None
    sink = io.BytesIO()
    try:
        parquet.write_table(pyarrow.table({name: _of_one_kind([row[name] for row in rows]) for name in columns}), sink)
    except UnicodeEncodeError:
        raise ConfigError("Parquet holds no file names that are not UTF-8; write a .csv") from None
    return sink.getvalue()
