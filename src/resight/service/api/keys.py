"""Keys: made, listed without their texts, and revoked. All of it is audited."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Request, Response

from resight.gallery.arguments import camera_of
from resight.gallery.filters import Filter
from resight.gallery.records import Detail
from resight.service.access.keys import Key
from resight.service.api.answers import KeyOut, NewKeyOut
from resight.service.api.common import caller_of, desk_of, write
from resight.service.api.shapes import KeyBody, seconds
from resight.service.problems import missing


async def list_keys(request: Request) -> list[KeyOut]:
    """All keys, the revoked ones too."""
    return [_out(key) for key in desk_of(request).keys.all()]


async def make_key(body: KeyBody, request: Request) -> NewKeyOut:
    """Makes a key. Its text is in this answer, and nowhere else."""
    return await made(request, body)


async def made(request: Request, body: KeyBody) -> NewKeyOut:
    """As `make_key`."""
    desk, who = desk_of(request), caller_of(request).who
    expires = None if body.expires is None else seconds(body.expires)

    def audit(key: Key) -> None:
        detail: Detail = {"made": key.id, "role": key.role, "bounded": key.cameras is not None}
        desk.gallery.store.append_audit("key", who, "", detail)

    def act() -> tuple[Key, str, list[str]]:
        cameras = [camera_of(camera) for camera in body.cameras or ()]
        entries = {camera: desk.gallery.store.count(Filter(cameras=(camera,))) for camera in cameras}
        made = desk.keys.make(body.name, body.role, body.cameras, expires, audit)
        return *made, [camera for camera, num in entries.items() if not num]

    key, text, without = await write(request, act)
    return NewKeyOut(**_out(key).model_dump(), key=text, without_entries=without)


async def revoke_key(request: Request, number: Annotated[str, Path(max_length=100)]) -> Response:
    """Ends a key, and the sessions that it opened. Its name stays, as the audit has it."""
    await revoked(request, number)
    return Response(status_code=204)


async def revoked(request: Request, number: str) -> None:
    """As `revoke_key`."""
    desk, who = desk_of(request), caller_of(request).who
    if desk.keys.get(number) is None:
        raise missing(f"key {number}")

    def audit(key: Key) -> None:
        desk.gallery.store.append_audit("key", who, "", {"revoked": key.id})

    await write(request, desk.keys.revoke, number, audit)


def _out(key: Key) -> KeyOut:
    return KeyOut.model_validate(key, from_attributes=True)
