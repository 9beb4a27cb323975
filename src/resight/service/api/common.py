"""What all functions of REST need: the desk, the caller, and pictures that are small enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Header, Request

from resight.core.errors import ConfigError
from resight.core.pictures.images import check_pixels
from resight.embedding.card import is_model, short_of
from resight.gallery.gallery import Gallery
from resight.service.access.roles import Caller
from resight.service.desk import Desk
from resight.service.guard import CALLER, CHALLENGE, who_asks
from resight.service.problems import Refusal

T = TypeVar("T")
Why = Annotated[str, Header(alias="X-Purpose", max_length=2000, description="What for, in UTF-8; the audit keeps it.")]


def desk_of(request: Request) -> Desk:
    """The desk of the service that the request came to."""
    desk: Desk = request.app.state.desk
    return desk


def caller_of(request: Request) -> Caller:
    """Who asks; the guard has found out."""
    caller: Caller = request.scope[CALLER]
    return caller


def check_active(request: Request) -> None:
    """Raises Refusal (401) where the key or session has ended since the guard looked: a body may come for hours."""
    if who_asks(desk_of(request), request.headers) is None:
        raise Refusal(401, "this key or session has ended meanwhile; nothing more is done for it", "no-key", CHALLENGE)


def purpose_of(header: str) -> str:
    """What a header says in UTF-8; headers are read as Latin-1. Raises ConfigError if it is longer than in a body."""
    purpose = header.encode("latin-1", "replace").decode("utf-8", "replace")
    if len(purpose) > 500:
        raise ConfigError("X-Purpose: a purpose has 500 letters at most")
    return purpose


def view_of(request: Request, purpose: str = "") -> Gallery:
    """The gallery as the caller may see it."""
    return caller_of(request).view(desk_of(request).gallery, purpose)


async def read(request: Request, act: Callable[..., T], *args: Any, **options: Any) -> T:
    """Runs it in the lane of those that read."""
    return await desk_of(request).reading.run(act, *args, **options)


async def write(request: Request, act: Callable[..., T], *args: Any, **options: Any) -> T:
    """Runs it in the lane of the one that writes."""
    return await desk_of(request).writing.run(act, *args, **options)


def whole_gallery(request: Request) -> Gallery:
    """The gallery, for a caller who is not bounded to cameras. Raises Refusal for one who is."""
    if caller_of(request).cameras is not None:
        raise Refusal(403, "this is about the whole gallery, and this key is bounded to some cameras", "denied")
    return view_of(request)


def checked_pictures(pictures: Sequence[bytes], desk: Desk) -> list[bytes]:
    """The pictures, as many and as large as the service takes. Raises ConfigError, UnreadableImage."""
    if not pictures:
        raise ConfigError("there is no picture in this request")
    if len(pictures) > desk.settings.max_items:
        raise ConfigError(f"{len(pictures)} pictures; a request has {desk.settings.max_items} at most")
    for number, picture in enumerate(pictures, 1):
        check_pixels(picture, f"picture {number}", desk.settings.max_pixels)
    return list(pictures)


def check_model(model: str | None, gallery: Gallery) -> None:
    """Raises Refusal (409) for an embedding of another model than the gallery's, with both identities."""
    own = gallery.settings
    if model is None or not is_model(model, own.model):
        told = "of a model that is not named" if not model else f"of model {short_of(model)}"
        text = (
            f"this embedding is {told}; the gallery is of {own.model_label}: as `model` give its identity, {own.model}"
        )
        raise Refusal(409, text, "other-model")
