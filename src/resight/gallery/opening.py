"""Opens galleries, or creates them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resight.core.errors import ConfigError
from resight.gallery.arguments import renamed_arguments
from resight.gallery.engines import open_store
from resight.gallery.gallery import Gallery
from resight.gallery.records import Settings
from resight.gallery.store import without_password

if TYPE_CHECKING:
    from resight.embedding.model import Model


@renamed_arguments(place="uri")
def open_gallery(
    uri: str | Path,
    model: Model | str | Path | None = None,
    *,
    keep_crops: bool = False,
    audit_searches: bool = False,
    new: bool = False,
    read_only: bool = False,
    wait_s: float = 5.0,
    who: str | None = None,
    purpose: str = "",
) -> Gallery:
    """Opens a gallery, or creates it if it does not exist and a model is given.

    uri: a file, or the address of a gallery in an engine, such as postgresql://user@host/database?gallery=name. model:
    what `resight.load` returns, or takes; without one there is no embedding of pictures and no decision. keep_crops,
    audit_searches: of a new gallery: see Settings. new: fails if it exists. read_only: fails on every change. wait_s:
    how long to wait while another process writes, in seconds. who, purpose: for the audit.

    Raises GalleryError if it cannot be opened or holds another model's embeddings, GalleryBusy if another process kept
    writing, ConfigError for a wrong address, what `resight.load` raises, and MissingExtra if the engine's driver is not
    installed.

    Example:
        >>> import resight
        >>> with resight.open_gallery("opened.db", resight.load("city"), new=True) as gallery:
        ...     len(gallery), gallery.settings.model_name
        (0, 'city')
    """
    settings = None
    opened = _model_of(model)
    if opened is not None and not read_only:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        card = opened.card
        settings = Settings(opened.identity, card.name, opened.dim, keep_crops, audit_searches, now, card.rights)
    store = open_store(uri, settings, new=new, read_only=read_only, wait_s=wait_s)
    try:
        return Gallery(store, opened, who=who, purpose=purpose)
    except BaseException:
        store.close()
        raise


def _model_of(given: Any) -> Model | None:
    """The model itself, or the one of a path or a packaged name."""
    if given is None or hasattr(given, "card"):
        model: Model | None = given
        return model
    from resight.embedding.loading import load  # slow to import, and with a model at hand not needed

    return load(given)


def open_with_model(
    uri: str | Path,
    model: str | None = None,
    *,
    reading: bool = False,
    wait_s: float = 5.0,
    who: str | None = None,
    purpose: str = "",
) -> Gallery:
    """Opens an existing gallery with its model: the one named, or the packaged one whose embeddings it holds.

    model: as `resight.load` takes it. reading: to search only; it is opened for reading, unless it audits searches.
    wait_s, who, purpose: as `open_gallery`.

    Raises ConfigError if no model is named and the gallery's is not packaged, and what `open_gallery` and
    `resight.load` raise.
    """
    from resight.embedding.loading import load  # slow to import, and without a picture not needed
    from resight.embedding.packaged import packaged_bundle, packaged_models

    with open_gallery(uri, read_only=True, wait_s=wait_s) as gallery:
        settings = gallery.settings
    if model is None:
        fitting = (name for name in packaged_models() if packaged_bundle(name).manifest.identity == settings.model)
        model = next(fitting, None)
    if model is None:
        raise ConfigError(
            f"{without_password(uri)} is of the model {settings.model_label}, which is not packaged; name its bundle: "
            "--model (model=)"
        )
    read_only = reading and not settings.audit_searches
    return open_gallery(uri, load(model), read_only=read_only, wait_s=wait_s, who=who, purpose=purpose)
