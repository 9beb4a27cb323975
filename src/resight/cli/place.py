"""Opens the gallery at a PLACE: a file, an engine, or a service that shows one."""

from __future__ import annotations

from typing import cast

from resight.core.errors import ConfigError
from resight.gallery.gallery import Gallery
from resight.gallery.opening import open_gallery, open_with_model
from resight.service.client.remote import connect

SERVICES = ("https://", "http://")


def is_service(uri: str) -> bool:
    """Whether a service shows it."""
    return uri.startswith(SERVICES)


def opened(
    uri: str, *, read_only: bool = False, wait_s: float = 5.0, who: str | None = None, purpose: str = ""
) -> Gallery:
    """The gallery, without a model where it is here. A service's has the methods of Gallery.

    Raises what `open_gallery` and `connect` raise.
    """
    if is_service(uri):
        return _connected(uri, None, who, purpose, wait_s)
    return open_gallery(uri, read_only=read_only, wait_s=wait_s, who=who, purpose=purpose)


def opened_with_model(
    uri: str,
    model: str | None,
    *,
    reading: bool = False,
    wait_s: float = 5.0,
    who: str | None = None,
    purpose: str = "",
) -> Gallery:
    """As `opened`, to search or add pictures. Raises what `open_with_model` and `connect` raise."""
    if is_service(uri):
        return _connected(uri, model, who, purpose, wait_s)
    return open_with_model(uri, model, reading=reading, wait_s=wait_s, who=who, purpose=purpose)


def _connected(uri: str, model: str | None, who: str | None, purpose: str, wait_s: float) -> Gallery:
    if model is not None or who is not None:
        raise ConfigError("a service has its own model, and its key says who asks: leave out --model and --who")
    return cast(Gallery, connect(uri, purpose=purpose, wait_s=wait_s))
