"""The engines behind a gallery, by how its place is written."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import cast

from resight.core.errors import ConfigError
from resight.gallery.records import Settings
from resight.gallery.store import Store

# What a place starts with, and the class that opens it: imported when it is asked for, with its driver.
STORES = {
    "postgresql://": ("resight.gallery.postgres.store", "PostgresStore"),
    "milvus://": ("resight.gallery.milvus.store", "MilvusStore"),
    "milvus-lite:": ("resight.gallery.milvus.store", "MilvusStore"),
}
EXTRA = {"resight.gallery.postgres.store": "postgres", "resight.gallery.milvus.store": "milvus"}


def open_store(
    place: str | Path, settings: Settings | None, *, new: bool = False, read_only: bool = False, wait_s: float = 5.0
) -> Store:
    """A gallery's store. place: a file, or an address as STORES has them.

    settings: with which it is made where there is none; None: it must be there. new: it must not be there.
    wait_s: how long to wait while another process writes.

    Raises GalleryError, and ConfigError for an engine that is not known, or whose driver is not installed.
    """
    text = str(place)
    for start, (module, name) in STORES.items():
        if text.startswith(start):
            try:
                store = getattr(import_module(module), name)
            except ModuleNotFoundError as error:
                raise ConfigError(f'{start} needs `pip install "resight[{EXTRA[module]}]"` ({error})') from None
            return cast(Store, store(text, settings, new=new, read_only=read_only, wait_s=wait_s))
    if "://" in text:
        raise ConfigError(f"{text.split('://')[0]}:// is no engine; known: a file, {', '.join(STORES)}")
    from resight.gallery.sqlite.store import SqliteStore

    return SqliteStore(text, settings, new=new, read_only=read_only, wait_s=wait_s)
