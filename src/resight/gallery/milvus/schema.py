"""The two collections of a gallery, and how a value that is not known is kept in one.

Milvus has fields that may be null since 2.5, and Milvus Lite has them. A collection made on an older server has a field
`has_NAME` beside each that may be unknown: where it is false, the field itself holds a filler that nobody reads. Such
servers also compare attributes by their type (1 is not true there) and do not find names with control characters, so
that digests of both are compared instead. A collection keeps its form when its server is updated.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymilvus import DataType, MilvusClient

from resight.gallery.milvus.syntax import LONGEST_TEXT, MOST_PARTS, quoted

FILLERS: dict[str, Any] = {"time": 0.0, "track": "", "pid": 0, "crop": []}  # the fields that may be unknown
OLDEST = (2, 3, 2)  # the first Milvus with arrays, in which pictures are kept
NULLS_SINCE = (2, 5)


@dataclass(frozen=True)
class Form:
    """How a collection of entries keeps what is not known: as null, or by a flag beside the field."""

    nullable: bool

    def missing(self, field: str) -> str:
        """The expression that a field is not known."""
        return f"{field} is null" if self.nullable else f"has_{field} == false"

    def known(self, field: str) -> str:
        """The expression that a field is known."""
        return f"{field} is not null" if self.nullable else f"has_{field} == true"

    def holds(self, field: str, expression: str) -> str:
        """The expression about a field's value, which a filler does not fulfil."""
        flagged = not self.nullable and field in FILLERS
        return f"(has_{field} == true and {expression})" if flagged else expression

    def value(self, field: str, value: str | int) -> str:
        """The expression that a field is known and has this value."""
        return self.holds(field, f"{field} == {quoted(value)}")

    def equals(self, name: str, value: str | int | float | bool) -> str:
        """The expression that an attribute is there and equal."""
        if self.nullable:
            return f"attributes[{quoted(name)}] == {quoted(value)}"
        return f"equal[{quoted(_digest(name))}] == {quoted(_digest(value))}"

    def written(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row as the collection takes it."""
        if self.nullable:
            return row
        flags = {f"has_{field}": row[field] is not None for field in FILLERS}
        fillers = {field: filler for field, filler in FILLERS.items() if row[field] is None}
        equal = {_digest(name): _digest(value) for name, value in row["attributes"].items()}
        return {**row, **fillers, **flags, "equal": equal}

    def asked(self, fields: Sequence[str]) -> list[str]:
        """The fields to read, with what tells whether they are known."""
        flags = () if self.nullable else (f"has_{field}" for field in fields if field in FILLERS)
        return [*fields, *flags]

    def read(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row as it was before `written`, of the fields that were read."""
        unknown = {field: None for field in FILLERS if row.get(f"has_{field}") is False}
        return {**row, **unknown}


def _digest(value: str | int | float | bool) -> str:
    """Equal for values that Python has as equal: 1, 1.0 and true."""
    if not isinstance(value, str) and value == (whole := int(value)):
        value = whole
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=16).hexdigest()


def version_of(told: str) -> tuple[int, ...]:
    """The numbers of a server's version, as v2.3.5-lite; empty if there are none."""
    match = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", told)
    return tuple(int(part or 0) for part in match.groups()) if match else ()


def form_of(described: Mapping[str, Any]) -> Form:
    """Of a collection of entries that exists, from what `describe_collection` says of it."""
    return Form(all(field["name"] != "has_pid" for field in described["fields"]))


def entries_schema(dim: int, form: Form) -> Any:
    """Of the collection of entries, whose embeddings have `dim` values."""
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    text: Mapping[str, Any] = {"datatype": DataType.VARCHAR, "max_length": LONGEST_TEXT}
    maybe = {"nullable": True} if form.nullable else {}
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("camera", **text)
    schema.add_field("time", DataType.DOUBLE, **maybe)
    schema.add_field("track", **maybe, **text)
    schema.add_field("pid", DataType.INT64, **maybe)
    schema.add_field("name", **text)
    schema.add_field("attributes", DataType.JSON)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=dim)
    schema.add_field("checksum", **text)
    parts = {"element_type": DataType.VARCHAR, "max_capacity": MOST_PARTS, "max_length": LONGEST_TEXT}
    schema.add_field("crop", DataType.ARRAY, **maybe, **parts)
    for field in () if form.nullable else FILLERS:
        schema.add_field(f"has_{field}", DataType.BOOL)
    if not form.nullable:
        schema.add_field("equal", DataType.JSON)  # digests of the attributes' names, with those of their values
    return schema


def records_schema() -> Any:
    """Of the collection of everything else."""
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("key", DataType.VARCHAR, max_length=512, is_primary=True)
    schema.add_field("kind", DataType.VARCHAR, max_length=32)
    schema.add_field("number", DataType.INT64)
    schema.add_field("text", DataType.VARCHAR, max_length=LONGEST_TEXT)
    schema.add_field("none", DataType.FLOAT_VECTOR, dim=2)  # a collection must have a vector
    return schema
