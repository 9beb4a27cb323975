"""Entries: added one by one, as a form of pictures or as a stream of lines; listed page by page; their pictures."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC
from typing import Annotated, Any

from fastapi import File, Form, Header, Query, Request, Response, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from resight.core.errors import ConfigError, DataError, EmbeddingError, ResightError, UnreadableImage
from resight.data.crops import Crop
from resight.gallery.arguments import filter_of
from resight.gallery.gallery import Gallery
from resight.gallery.records import Added
from resight.gallery.results import names_of
from resight.gallery.transfer.lines import rows_of_lines
from resight.gallery.transfer.rows import Row
from resight.service.api.answers import AddedOut, EntriesOut, EntryOut, entry_out
from resight.service.api.common import (
    caller_of,
    check_active,
    check_model,
    checked_pictures,
    desk_of,
    read,
    view_of,
    write,
)
from resight.service.api.forms import from_json
from resight.service.api.shapes import EntryBody, EntryFacts, Where, Whole
from resight.service.desk import Desk
from resight.service.problems import Refusal, missing, problem_of
from resight.service.settings import ServiceSettings

LINES_AT_ONCE = 64
PAUSE_S = 0.1  # how long a whole line waits for others to be added with

IdempotencyKey = Annotated[
    str | None, Header(max_length=200, description="The same key with the same body is done once.")
]
Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[int | None, Query(ge=-(2**63), lt=2**63, description="What `next` of the page before says.")]
Moment = Annotated[
    str | None, Query(max_length=40, description="Seconds since 1970, or ISO 8601: UTC unless it names a zone.")
]
CamerasOf = Annotated[list[str], Query(alias="camera", max_length=200, default_factory=list)]

WhereOf = Annotated[
    str, Query(max_length=20_000, description="Further conditions as JSON: those that a search takes, such as `ids`.")
]


class Answering(Response):
    """Lines that are answered while the body of the request still comes. Starlette's own streamed response reads from
    the connection too, to notice its end, and would take parts of the body away."""

    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        super().__init__(media_type="application/x-ndjson")
        del self.headers["content-length"]
        self.lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        with suppress(ClientDisconnect):  # what was answered is kept
            async for line in self.lines:
                await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def add(body: EntryBody, request: Request, idempotency_key: IdempotencyKey = None) -> AddedOut:
    """Adds one entry: a picture, which is embedded here, or an embedding of the gallery's model."""
    if (body.crop is None) == (body.embedding is None):
        raise ConfigError("give either crop or embedding")
    if body.embedding is not None:
        check_model(body.model, view_of(request))
    picture = None if body.crop is None else Crop(body.name or "crop", -1, -1, data=body.crop)
    row = Row(body.name or "", body.camera, picture, body.embedding, body.model or "", body.facts(), "this entry")
    return await _once(request, idempotency_key, body.model_dump_json().encode(), [row])


async def add_pictures(
    request: Request,
    crop: Annotated[list[UploadFile], File(description="Pictures, an entry each.")],
    facts: Annotated[str, Form(description="As JSON: camera, and what else is known of all of them.")],
    idempotency_key: IdempotencyKey = None,
) -> AddedOut:
    """Adds an entry for each picture of a form. Those that cannot be read are named, and the rest is added."""
    known = from_json(EntryFacts, facts)
    pictures = [(file.filename or "", await file.read()) for file in crop]
    digest = hashlib.sha256(facts.encode())
    for _, data in pictures:
        digest.update(hashlib.sha256(data).digest())
    rows = [
        Row(name, known.camera, Crop(name or "crop", -1, -1, data=data), facts=known.facts(), place=f"picture {number}")
        for number, (name, data) in enumerate(pictures, 1)
    ]
    return await _once(request, idempotency_key, digest.digest(), rows)


async def add_lines(
    request: Request,
    strict: Annotated[bool, Query(description="All lines, 64 at most, or none.")] = False,
    idempotency_key: Annotated[
        str | None,
        Header(max_length=200, description="Not needed: a line that is there is not added again."),
    ] = None,
) -> Response:
    """Adds lines of JSON as they come, and answers each with a line: {"line": 7, "id": 12}, with `there` where it was
    there already, or {"line": 7, "error": ...}. A line is answered when it is on the disk.

    A line is as /entries takes it: `camera`, and `crop` in base64 or `embedding` with `model`; a time without a zone is
    UTC. Sent again after an interruption, lines that are there are not added again.
    """
    desk, view = desk_of(request), view_of(request)
    lines = _batches(request, desk.settings)
    first = await anext(lines, None)
    if first is not None:
        for row in await read(request, _rows, first, 1, desk):
            if isinstance(row, Row) and row.embedding is not None:
                check_model(row.model, view)
    if strict:
        return await _all_or_none(request, view, first or [], lines)

    async def answers() -> AsyncIterator[bytes]:
        number, part = 1, first
        try:
            while part is not None:
                outcomes = await _kept(request, view, await read(request, _rows, part, number, desk), "lines")
                for place, outcome in enumerate(outcomes, number):
                    yield json.dumps({"line": place, **outcome}).encode() + b"\n"
                number += len(part)
                part = await anext(lines, None)
        except (ResightError, HTTPException) as error:  # the latter is the guard's, of a body that no longer comes
            told = json.loads(bytes(problem_of(error, desk.place).body))
            yield json.dumps({"line": number, "problem": told}).encode() + b"\n"

    return Answering(answers())


async def _all_or_none(
    request: Request, view: Gallery, first: list[bytes], lines: AsyncIterator[list[bytes]]
) -> Response:
    desk = desk_of(request)
    async for more in lines:
        first += more
        if len(first) > LINES_AT_ONCE:
            raise ConfigError(f"more than {LINES_AT_ONCE} lines; all or none is for {LINES_AT_ONCE} at most")
        if sum(map(len, first)) > desk.settings.max_body:
            raise Refusal(413, f"all or none is for {desk.settings.max_body:,} bytes at most", "too-large")
    outcomes = await _kept(request, view, await read(request, _rows, first, 1, desk), "lines", strict=True)
    told = [json.dumps({"line": place, **outcome}) for place, outcome in enumerate(outcomes, 1)]
    return Response("\n".join(told) + "\n", media_type="application/x-ndjson")


async def list_entries(
    request: Request,
    camera: CamerasOf,
    track: Annotated[list[str], Query(max_length=200, default_factory=list)],
    pid: Annotated[list[Whole], Query(max_length=1000, default_factory=list)],
    person: Annotated[list[str], Query(max_length=200, default_factory=list)],
    cursor: Cursor = None,
    limit: Limit = 50,
    after: Moment = None,
    before: Moment = None,
    where: WhereOf = "",
) -> EntriesOut:
    """A page of entries, by id. What is added or forgotten meanwhile shifts nothing."""
    given = {"cameras": camera, "tracks": track, "pids": pid, "people": person, "after": after, "before": before}
    wanted = from_json(Where, where, **{name: value for name, value in given.items() if value not in (None, [])})
    return await read(request, page_of, view_of(request), cursor or 0, limit, wanted.conditions())


def page_of(view: Gallery, cursor: int, limit: int, conditions: dict[str, Any]) -> EntriesOut:
    """The next entries after that id."""
    entries = view.page(cursor, limit, filter_of(None, **conditions))
    links = view.store.linked().roots
    names = names_of(view.store, entries, links)
    told = [entry_out(entry, links, names) for entry in entries]
    return EntriesOut(entries=told, next=entries[-1].id if len(entries) == limit else None)


async def get_entry(request: Request, number: Whole) -> EntryOut:
    """One entry."""
    found = await read(request, page_of, view_of(request), 0, 1, {"ids": (number,)})
    if not found.entries:
        raise missing(f"entry {number}")
    return found.entries[0]


async def get_picture(request: Request, number: Whole) -> Response:
    """The entry's picture: a small JPEG, upright and without metadata. Looking at it is audited, by number."""
    picture = await read(request, view_of(request).picture, number)
    if picture is None:
        raise missing(f"picture of an entry {number}")
    desk_of(request).ledger.count("view", caller_of(request).who, "pictures")
    headers = {"Content-Disposition": f'inline; filename="{number}.jpg"'}
    return Response(picture, media_type="image/jpeg", headers=headers)


async def _once(request: Request, key: str | None, body: bytes, rows: Sequence[Row]) -> AddedOut:
    """Adds the rows, or answers as before to the same key with the same body."""
    desk, caller = desk_of(request), caller_of(request)
    digest = hashlib.sha256(body).hexdigest()
    known = None if key is None else desk.answers.get(f"{caller.key}/{key}")
    if known is not None:
        if known[0] != digest:
            raise Refusal(409, "this Idempotency-Key was used for another body", "idempotency")
        answer: AddedOut = known[1]
        return answer
    pictures = [row.picture.read() for row in rows if row.picture is not None]
    if pictures and len(rows) == 1:
        await read(request, checked_pictures, pictures, desk)
    elif len(pictures) > desk.settings.max_items:
        raise ConfigError(f"{len(pictures)} pictures; a request has {desk.settings.max_items} at most")
    view = view_of(request)
    looked = [_look(row, desk) for row in rows]
    outcomes = await _kept(request, view, looked, "entries")
    left_out = [each["error"] for each in outcomes if "error" in each]
    if left_out and len(rows) == 1:
        raise DataError(left_out[0])
    added = AddedOut(
        ids=[each.get("id") for each in outcomes],
        there=[each["id"] for each in outcomes if each.get("there")],
        left_out=left_out,
    )
    if key is not None:
        desk.answers.put(f"{caller.key}/{key}", (digest, added))
    return added


async def _kept(
    request: Request, view: Gallery, rows: Sequence[Row | DataError], what: str, strict: bool = False
) -> list[dict[str, Any]]:
    """What became of each row, once it is on the disk: pictures are embedded in one lane, and written in the other.
    what: for the audit, which has what was kept, whatever becomes of the request. Raises Refusal where the caller's
    key or session has ended."""
    ledger, who = desk_of(request).ledger, caller_of(request).who
    ready = await read(request, _embedded, view, rows)

    def written() -> Added:
        check_active(request)  # here, after all that it waited for
        (added,) = view.add_batches([ready], strict=strict)
        if number := sum(isinstance(each, int) for each in added.rows):
            ledger.count("add", who, what, number=number)
        return added

    added = await write(request, written)
    there = set(added.there)
    return [
        {"error": each} if isinstance(each, str) else {"id": each, **({"there": True} if each in there else {})}
        for each in added.rows
    ]


def _embedded(view: Gallery, rows: Sequence[Row | DataError]) -> list[Row | DataError]:
    """The rows with the embeddings of their pictures, so that the lane that writes embeds nothing."""
    model = view.needed_model() if any(isinstance(row, Row) and row.picture for row in rows) else None
    made: list[Row | DataError] = []
    wanted = [row for row in rows if isinstance(row, Row) and row.picture is not None]
    vectors = iter(() if model is None else model.embed([row.picture.read() for row in wanted], strict=False))  # type: ignore[union-attr]
    for row in rows:
        if isinstance(row, DataError) or row.picture is None:
            made.append(row)
            continue
        vector = next(vectors)
        if vector[0] == vector[0]:
            made.append(Row(row.name, row.camera, row.picture, vector, view.settings.model, row.facts, row.place))
        else:
            made.append(_why(view, row))
    return made


def _why(view: Gallery, row: Row) -> DataError:
    """Why a picture cannot be embedded."""
    try:
        view.needed_model().embed([row.picture.read() if row.picture else b""])
    except UnreadableImage as error:
        return UnreadableImage(row.name or row.place, error.reason)
    except ResightError as error:
        return DataError(f"{row.name or row.place}: {error}")
    return DataError(f"{row.name or row.place}: it cannot be embedded")


def _rows(lines: Sequence[bytes], first: int, desk: Desk) -> list[Row | DataError]:
    return [_look(row, desk) for row in rows_of_lines(lines, "lines", first, UTC)]


def _look(row: Row | DataError, desk: Desk) -> Row | DataError:
    """The row, or why it is not taken: a path is none of a client's, nor is a picture too large."""
    if isinstance(row, DataError):
        return row
    if row.picture is not None:
        if row.picture.path is not None:
            return DataError(f"{row.place}: send the picture itself, as `crop`; a path is not read here")
        try:
            checked_pictures([row.picture.read()], desk)
        except UnreadableImage as error:
            return UnreadableImage(row.name or row.place, error.reason)
    elif row.embedding is not None and not isinstance(row.embedding, list):
        return DataError(f"{row.place}: {EmbeddingError('an embedding is a list of numbers')}")
    return row


async def _batches(request: Request, settings: ServiceSettings) -> AsyncIterator[list[bytes]]:
    """The lines of the body that are not empty: LINES_AT_ONCE, or as many as have max_body bytes, or those that have
    come PAUSE_S after the first of them. Raises Refusal for one that is too long, ClientDisconnect."""
    rest, waiting, size, since, going_on = bytearray(), list[bytes](), 0, 0.0, True
    while going_on:
        left = max(0.0, since + PAUSE_S - time.monotonic()) if waiting else None
        try:
            message = await asyncio.wait_for(request.receive(), left)
        except TimeoutError:  # who sends them may wait for the answers, whatever has come of the next line
            yield waiting
            waiting, size = [], 0
            continue
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        going_on = message.get("more_body", False)
        *ends, following = (message.get("body", b"") + (b"" if going_on else b"\n")).split(b"\n")
        for end in ends:
            rest += end
            _check_length(rest, settings.max_line)
            if rest.strip():
                since = since if waiting else time.monotonic()
                waiting.append(bytes(rest))
                size += len(rest)
            rest.clear()
            if len(waiting) == LINES_AT_ONCE or size >= settings.max_body:
                yield waiting
                waiting, size = [], 0
        rest += following
        _check_length(rest, settings.max_line)
    if waiting:
        yield waiting


def _check_length(line: bytearray, longest: int) -> None:
    if len(line) > longest:
        raise Refusal(413, f"a line has {longest:,} bytes at most", "too-large")
