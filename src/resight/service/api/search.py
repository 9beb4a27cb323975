"""Searching: for a person in pictures, of an embedding, or of an entry."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import File, Form, Request, UploadFile

from resight.core.errors import ConfigError
from resight.core.records import FloatArray
from resight.embedding.pictures import shape_notes
from resight.gallery.gallery import Gallery
from resight.gallery.records import Entry
from resight.service.api.answers import SearchOut, search_out
from resight.service.api.common import caller_of, check_model, checked_pictures, desk_of, read, view_of
from resight.service.api.forms import from_json
from resight.service.api.shapes import SearchBody, SearchOptions
from resight.service.problems import missing


async def search(body: SearchBody, request: Request) -> SearchOut:
    """Where else was this person seen, and how sure is that? Give `crops`, `embedding`, `embeddings` or
    `entry`."""
    names = ("crops", "embedding", "embeddings", "entry")
    given = [name for name in names if getattr(body, name) is not None]
    if len(given) != 1:
        raise ConfigError(f"give one of {', '.join(names[:-1])} and {names[-1]}, not {' and '.join(given) or 'none'}")
    if body.crops is not None:
        return await found(request, body, pictures=list(body.crops))
    if body.entry is not None:
        return await found(request, body, entry=body.entry)
    check_model(body.model, view_of(request))
    return await found(request, body, rows=body.embeddings or [body.embedding or []])


async def search_pictures(
    request: Request,
    crop: Annotated[list[UploadFile], File(description="One picture or several of one person.")],
    purpose: Annotated[str, Form(description="What for; the audit keeps it.")],
    query: Annotated[str, Form(description="The other fields of /search, as JSON.")] = "{}",
) -> SearchOut:
    """As /search, with pictures as files of a form."""
    options = from_json(SearchOptions, query, purpose=purpose)
    return await found(request, options, pictures=[await file.read() for file in crop])


async def found(
    request: Request,
    asked: SearchOptions,
    *,
    pictures: list[bytes] | None = None,
    rows: list[list[float]] | None = None,
    entry: int | None = None,
) -> SearchOut:
    """The answer to a search for one of the three, by whoever asks. rows: embeddings of one person."""
    desk = desk_of(request)
    view = view_of(request, asked.purpose)
    options: dict[str, Any] = {"top_k": asked.top_k, **asked.options()}

    vectors: Any = rows if pictures is None else await _embedded(request, pictures)

    def act() -> SearchOut:
        if entry is not None:
            shown = _shown(view, entry)
            options["seen_by"] = options.get("seen_by", shown.camera)
            return search_out(view.search_embeddings(shown.embedding, **options)[0])
        result = view.search_embeddings(vectors, pool=asked.pool, **options)[0]
        return search_out(replace(result, notes=(*shape_notes(pictures or ()), *result.notes)))

    answer = await read(request, act)
    if not view.settings.audit_searches:  # which the gallery has written down itself
        desk.ledger.count("search", caller_of(request).who, "search", asked.purpose)
    return answer


async def _embedded(request: Request, pictures: list[bytes]) -> FloatArray:
    desk = desk_of(request)
    if desk.batcher is None:
        raise ConfigError("this service has no model, so it searches by embedding only")
    return await desk.batcher.embed(await read(request, checked_pictures, pictures, desk))


def _shown(view: Gallery, entry: int) -> Entry:
    there = view.entry(entry)
    if there is None:
        raise missing(f"entry {entry}")
    return there
