"""`resight gallery migrate`: into another model's embeddings, or onto another engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from resight.cli import output
from resight.cli.gallery_add import Model_, Place, Wait
from resight.core.errors import ConfigError
from resight.embedding.loading import load
from resight.gallery.gallery import Gallery, open_gallery
from resight.gallery.migrate import migrate as migrate_gallery
from resight.gallery.place import told_place
from resight.gallery.stores import open_store


def migrate(
    place: Place,
    to: Annotated[str, typer.Argument(help="The new gallery; made if it is not there.")],
    *,
    model: Model_ = None,
    who: Annotated[str | None, typer.Option(help="Who asks, for the audit.")] = None,
    purpose: Annotated[str, typer.Option(help="What for, for the audit.")] = "",
    wait: Wait = 5.0,
) -> None:
    """Copies a gallery, ids and links included, onto another engine, or into another model's embeddings.

    With --model the kept pictures are embedded anew; without, the embeddings are copied. Run it again after it was
    interrupted, or for what was added meanwhile. The old gallery stays as it is.

    Examples:

      resight gallery migrate site.db new.db --model mine.resight

      resight gallery migrate site.db "postgresql://localhost/sites?gallery=site"
    """
    if place == to or (Path(to).exists() and Path(place).exists() and Path(to).samefile(place)):
        raise ConfigError("a gallery is migrated to another place")
    with open_gallery(place, wait_s=wait) as old:
        if model is None:
            new = Gallery(open_store(to, old.settings, wait_s=wait), who=who, purpose=purpose)
            if new.settings.model != old.settings.model:
                new.close()
                raise ConfigError(f"{told_place(to)} is there already, for another model: name it with --model")
        else:
            embedder = load(model)
            kept = {"keep_crops": True, "audit_searches": old.settings.audit_searches}
            new = open_gallery(to, embedder, wait_s=wait, who=who, purpose=purpose, **kept)
        with new:
            if old.settings.keep_crops and not new.settings.keep_crops:
                output.say(f"{told_place(to)} keeps no pictures: those of {told_place(place)} stay there")
            done = migrate_gallery(old, new, output.progress)
    print(f"{told_place(to)}: {done.entries:,} entries, {done.before:,} of them before")
    _tell("whose pictures the old gallery did not keep", done.without_crop)
    _tell("whose pictures cannot be read", done.unreadable)
    print(f"{told_place(place)} is as it was: whoever is to be forgotten is forgotten in both")


def _tell(which: str, ids: Sequence[int]) -> None:
    if ids:
        some = ", ".join(map(str, ids[:10])) + (", ..." if len(ids) > 10 else "")
        print(f"{len(ids):,} entries stay in the old gallery only, {which}: {some}")
