"""The rows of a table of crops, as its file has them: CSV, Parquet, or lines of JSON.

A CSV is UTF-8 or UTF-16, with or without a byte order mark; a value that is no UTF-8 is Windows-1252, as Excel writes
it in Europe, unless it is the path of a file that has those very bytes in its name. Separators: commas, semicolons,
tabs or |.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resight.core.errors import DatasetError, MissingExtra
from resight.core.files import read_regular
from resight.core.words import counted

REQUIRED = ("path", "pid", "camid", "split")
UNSPLIT = ("path", "pid", "camid")  # what is needed to make the splits
OF_NOBODY = ("path", "camid")  # and where nobody asks who is in the pictures. In both `camera` is another name of camid
OPTIONAL = ("time", "track", "sequence", "frame", "rights")
CAMERA = "camera"
SUFFIXES = (".csv", ".parquet", ".jsonl")
DELIMITERS = (",", ";", "\t", "|")  # Excel writes semicolons where the comma is for decimals
UTF16 = (b"\xff\xfe", b"\xfe\xff")
# What others call the columns.
MEANT = {
    "path": "image img file filename file_name filepath file_path image_path img_path imagepath "
    "imagename image_name picture crop name",
    "pid": "id person person_id personid identity pids label class target vehicle_id vehicleid",
    "camid": "camera cam camera_id cam_id cameraid camids cid",
    "split": "set subset partition part phase fold usage mode",
}
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Rows:
    """The rows of a table, and what to know of how they were read."""

    rows: list[Row]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """needed: the columns that a table must have, REQUIRED, UNSPLIT or OF_NOBODY. columns: what the table calls some of
    them, by our names."""

    needed: Sequence[str] = REQUIRED
    columns: Mapping[str, str] = field(default_factory=dict)

    def names(self, table: Path, found: Sequence[str]) -> list[str]:
        """Our names of the table's columns, in their order. Raises DatasetError where one is missing or there twice."""
        ours = {theirs.strip().lower(): name for name, theirs in self.columns.items()}
        names = [str(name).strip().lower() for name in found]
        absent = [theirs for theirs in ours if theirs not in names]
        if absent:
            raise DatasetError(f"{table} has no column {', '.join(absent)}; found {', '.join(names) or 'none'}")
        names = [ours.get(name) or (f"{name} (of the table)" if name in self.columns else name) for name in names]
        _check_columns(table, names, self.needed)
        return names


def read_rows(table: Path, wanted: Wanted | None = None) -> Rows:
    """The rows of a table by its suffix, one of SUFFIXES, under our names of the columns.

    Raises DatasetError where it cannot be read or a column is missing or there twice, MissingExtra where Parquet needs
    pyarrow.
    """
    wanted = wanted or Wanted()
    try:
        if table.suffix.lower() == ".parquet":
            return Rows(list(_parquet_rows(table, wanted)))
        data = read_regular(table)
    except OSError as error:
        raise DatasetError(f"{table} cannot be read ({error.strerror})") from None
    if table.suffix.lower() == ".jsonl":
        return Rows(_json_rows(table, data, wanted))
    return _csv_rows(table, data, wanted)


def _csv_rows(table: Path, data: bytes, wanted: Wanted) -> Rows:
    try:
        text = data.decode("utf-16" if data.startswith(UTF16) else "utf-8-sig")
        utf8 = True
    except UnicodeDecodeError:
        if data.startswith(UTF16):
            raise DatasetError(f"{table} begins as UTF-16 and is damaged; save it as UTF-8") from None
        text, utf8 = data.decode("utf-8-sig", "surrogateescape"), False
    header = re.split(r"[\r\n]", text, maxsplit=1)[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=header.count))
    try:
        reader.fieldnames = wanted.names(table, reader.fieldnames or ())
        rows: list[Row] = list(reader)
    except csv.Error as error:
        raise DatasetError(f"{table} is not CSV ({error})") from None
    return Rows(rows) if utf8 else _of_windows(table, rows)


def _of_windows(table: Path, rows: list[Row]) -> Rows:
    """With what is no UTF-8 read as Windows-1252, but for paths that exist under those very bytes only."""
    first, count = "", 0
    for number, row in enumerate(rows, 1):
        for name in (*REQUIRED, CAMERA, *OPTIONAL):
            value = row.get(name)
            if not isinstance(value, str) or value.isascii() or _is_text(value):
                continue
            try:
                told = value.encode("utf-8", "surrogateescape").decode("cp1252")
            except UnicodeDecodeError as error:
                told, wrong = "", f"the byte {error.object[error.start]:#x}"
            else:
                wrong = ""
            if name == "path" and _is_there(table, value) and not (told and _is_there(table, told)):
                continue
            if wrong:
                raise DatasetError(
                    f"{table}, row {number}: {name} is neither UTF-8 nor Windows-1252 ({wrong}); save the table as "
                    "UTF-8 (in Excel: CSV UTF-8)"
                )
            count += 1
            first = first or f"{told.strip()} ({name} in row {number})"
            rows[number - 1] = row = {**row, name: told}
    if not count:
        return Rows(rows)
    return Rows(
        rows,
        (
            f"{table.name} is no UTF-8: {counted(count, 'value was', 'values were')} read as Windows-1252, the first "
            f"{first}. If that is wrong, save the table as UTF-8",
        ),
    )


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_there(table: Path, path: str) -> bool:
    path = path.strip()
    return any(os.path.lexists(table.parent / each) for each in (path, path.replace("\\", "/")))


def _json_rows(table: Path, data: bytes, wanted: Wanted) -> list[Row]:
    rows: list[Row] = []
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line.decode("utf-8-sig"))
            if b"\\ud" in line.lower():
                json.dumps(value, ensure_ascii=False).encode()  # half a character is no text
        except (ValueError, RecursionError):
            raise DatasetError(f"{table}, line {number}: not JSON in UTF-8; one object a line is wanted") from None
        if not isinstance(value, dict):
            raise DatasetError(f"{table}, line {number}: a {type(value).__name__} of JSON, where an object is wanted")
        rows.append({name.strip().lower(): each for name, each in value.items()})
    found = list(dict.fromkeys(name for row in rows for name in row))
    names = dict(zip(found, wanted.names(table, found), strict=True))
    return [{names[name]: each for name, each in row.items()} for row in rows]


def _parquet_rows(table: Path, wanted: Wanted) -> Iterator[Row]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra("pyarrow, which reads Parquet,", "parquet") from None
    try:
        with parquet.ParquetFile(table) as file:
            found = file.schema_arrow.names
            ours = dict(zip(found, wanted.names(table, found), strict=True))
            read = [name for name in found if ours[name] in (*REQUIRED, CAMERA, *OPTIONAL)]
            for batch in file.iter_batches(columns=read):
                yield from ({ours[name]: each for name, each in row.items()} for row in batch.to_pylist())
    except (pyarrow.ArrowException, OSError) as error:
        raise DatasetError(f"{table} is not a Parquet file that can be read ({error})") from None


def _check_columns(table: Path, found: Sequence[str], needed: Sequence[str]) -> None:
    twice = [name for name in (*REQUIRED, *OPTIONAL) if list(found).count(name) > 1]
    if twice:
        raise DatasetError(f"{table} has the column {', '.join(twice)} more than once; keep the one that is meant")
    known = found if "split" in needed or CAMERA not in found else [*found, "camid"]
    missing = [name for name in needed if name not in known]
    if missing:
        also = [name for name in (*REQUIRED, *OPTIONAL) if name not in needed]
        told = needed if "split" in needed else [name if name != "camid" else "camid (or camera)" for name in needed]
        raise DatasetError(
            f"{table} has no column {', '.join(missing)}. Looked for {', '.join(told)} (and {', '.join(also)}, "
            f"if there); found {', '.join(map(str, found)) or 'none'}.{_advice(table, needed, missing, found)}"
        )


def _advice(table: Path, needed: Sequence[str], missing: Sequence[str], found: Sequence[str]) -> str:
    """Which columns may be meant, what makes the splits, or that the separator is none."""
    if len(found) == 1 and sum(name in found[0].lower() for name in REQUIRED) > 1:
        return " That is one column: separate them by commas, semicolons, tabs or |."
    plain = {re.sub(r"[\s-]+", "_", name.strip().lower()): name for name in reversed(found)}
    meant = {wanted: next((plain[n] for n in MEANT[wanted].split() if n in plain), None) for wanted in missing}
    named = {wanted: name for wanted, name in meant.items() if name is not None}
    if "pid" not in needed:
        renames = ", ".join(f"{name} to {wanted}" for wanted, name in named.items())
        return f" If so they are meant, rename the columns: {renames}." if named else ""
    columns = "".join(f" --column {wanted}={shlex.quote(name)}" for wanted, name in named.items())
    if "split" in missing and "split" not in named:
        return f" `resight data split {shlex.quote(str(table))}{columns} -o NEW.csv` makes the splits."
    if not named:
        return ""
    return f" If so they are meant, say{columns} to `resight data export`, or to `data split`, which makes new splits."
