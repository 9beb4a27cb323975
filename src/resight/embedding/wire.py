"""Protocol buffers on the wire: the fields of a message, read without any schema, and written again."""

from __future__ import annotations

from collections.abc import Iterator

Value = int | memoryview
VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5  # kinds of fields


class MalformedError(Exception):
    """Bytes that are no message."""


def fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """The fields of one message: numbers of varint and fixed fields, views of the others. Raises MalformedError."""
    for number, value, _ in raw_fields(data):
        yield number, value


def raw_fields(data: memoryview) -> Iterator[tuple[int, Value, memoryview]]:
    """As `fields`, each with its own bytes, key included."""
    at, end = 0, len(data)
    while at < end:
        start = at
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = varint(data, at)
            yield number, value, data[start:at]
            continue
        if kind == LENGTH:
            length, at = varint(data, at)
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            length = 8 if kind == EIGHT_BYTES else 4
        else:
            raise MalformedError(f"a field of kind {kind}")
        if number == 0 or length > end - at:
            raise MalformedError("a field that is longer than its message")
        yield number, data[at : at + length], data[start : at + length]
        at += length


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number at that place, and the place behind it."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise MalformedError("a number that does not end")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def message(value: Value) -> memoryview:
    """The bytes of a field that holds a message, a text or bytes."""
    if isinstance(value, int):
        raise MalformedError("a number where a message belongs")
    return value


def text(value: Value) -> str:
    """Of a field of UTF-8. Raises UnicodeDecodeError."""
    return bytes(message(value)).decode("utf-8")


def numbers(value: Value) -> list[int]:
    """Of a repeated field, packed or not."""
    if isinstance(value, int):
        return [value]
    found, at = [], 0
    while at < len(value):
        number, at = varint(value, at)
        found.append(number)
    return found


def encode(number: int, value: int | str | bytes | memoryview) -> bytes:
    """One field: a number as varint, all else by its length."""
    if isinstance(value, int):
        return _varint_bytes(number << 3 | VARINT) + _varint_bytes(value)
    data = value.encode() if isinstance(value, str) else bytes(value)
    return _varint_bytes(number << 3 | LENGTH) + _varint_bytes(len(data)) + data


def _varint_bytes(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
