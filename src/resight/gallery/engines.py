"""The engines that can keep a gallery, by how its address begins."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import cast

from resight.core.errors import ConfigError, MissingExtra
from resight.gallery.records import Settings
from resight.gallery.sqlite import raw
from resight.gallery.store import Store

# How an address begins, and the engine's Store. A new engine is its own folder and a line here.
ENGINES = {
    "postgresql://": "resight.gallery.postgres.store.PostgresStore",
    "milvus://": "resight.gallery.milvus.store.MilvusStore",
    "milvus-lite:": "resight.gallery.milvus.store.MilvusStore",
}
FILE = "resight.gallery.sqlite.store.SqliteStore"  # of an address that is a path


def open_store(
    uri: str | Path, settings: Settings | None, *, new: bool = False, read_only: bool = False, wait_s: float = 5.0
) -> Store:
    """Opens a gallery's store, or creates it.

    uri: a file, or an address that begins as one of ENGINES. settings: creates the gallery with these if it does not
    exist; None: it must exist. new: fails if it exists. read_only: fails on every change. wait_s: how long to wait,
    in seconds, while another process writes.

    Raises ConfigError for an unknown engine or a wrong address, MissingExtra if the engine's driver is not installed,
    and GalleryError if the gallery cannot be opened.
    """
    text = str(uri)
    begins = next((begin for begin in ENGINES if text.startswith(begin)), None)
    if begins is None and "://" in text:
        raise ConfigError(f"unknown engine {text.split('://')[0]}://; known: a file, {', '.join(ENGINES)}")
    module, _, name = (FILE if begins is None else ENGINES[begins]).rpartition(".")
    store = cast(type[Store], getattr(import_module(module), name))
    try:
        return store(text, settings, new=new, read_only=read_only, wait_s=wait_s)
    except ModuleNotFoundError as error:
        if store.extra is None:
            raise
        raise MissingExtra(f"{error.name}, which {begins} needs,", store.extra) from None


def is_gallery(spec: str | Path) -> bool:
    """Whether this is a gallery's address: an engine's, or a file that holds one."""
    text = str(spec)
    if any(text.startswith(begin) for begin in ENGINES):
        return True
    try:
        with raw.opened(Path(text)) as file:
            return os.pread(file, 16, 0) == b"SQLite format 3\0"
    except OSError:
        return False
