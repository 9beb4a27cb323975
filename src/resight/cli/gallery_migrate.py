"""`resight gallery migrate`: into another model's embeddings, or onto another engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from resight.cli import output
from resight.cli.gallery_add import Uri, Wait
from resight.core.errors import ConfigError
from resight.core.words import counted
from resight.embedding.loading import load
from resight.gallery.engines import open_store
from resight.gallery.gallery import Gallery
from resight.gallery.migrate import migrate as migrate_gallery
from resight.gallery.opening import open_gallery
from resight.gallery.store import without_password


def migrate(
    uri: Uri,
    to: Annotated[str, typer.Argument(help="The new gallery, which is created if it does not exist.")],
    *,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="The new gallery's model: a run, a bundle, or a packaged name.")
    ] = None,
    who: Annotated[str | None, typer.Option(help="Who does it, for the audit. By default this system's user.")] = None,
    purpose: Annotated[str, typer.Option(help="What for, for the audit.")] = "",
    wait: Wait = 5.0,
) -> None:
    """Copies a gallery, with its ids and links, to another engine or to another model's embeddings.

    With --model the stored pictures are embedded again; without, the embeddings are copied. Run it again after an
    interruption, or for what was added meanwhile. The old gallery is not changed.

    Examples:

      resight gallery migrate site.db new.db --model mine.resight

      resight gallery migrate site.db "postgresql://localhost/sites?gallery=site"
    """
    if uri == to or (Path(to).exists() and Path(uri).exists() and Path(to).samefile(uri)):
        raise ConfigError("the new gallery needs another place than the old one")
    with open_gallery(uri, read_only=True, wait_s=wait) as old:
        if model is None:
            new = Gallery(open_store(to, old.settings, wait_s=wait), who=who, purpose=purpose)
            if new.settings.model != old.settings.model:
                new.close()
                raise ConfigError(f"{without_password(to)} exists already, for another model: name it with --model")
        else:
            kept = {"keep_crops": True, "audit_searches": old.settings.audit_searches}
            new = open_gallery(to, load(model), wait_s=wait, who=who, purpose=purpose, **kept)
        with new:
            if old.settings.keep_crops and not new.settings.keep_crops:
                output.say(f"{without_password(to)} stores no pictures: those of {without_password(uri)} stay there")
            done = migrate_gallery(old, new, output.progress)
    output.tell(
        f"{without_password(to)}: {counted(done.entries, 'entry', 'entries')}, {done.before:,} of them there before"
    )
    _tell("whose pictures the old gallery did not store", done.without_crop)
    _tell("whose pictures cannot be read", done.unreadable)
    output.tell(f"{without_password(uri)} is unchanged: whoever is to be forgotten must be forgotten in both")


def _tell(which: str, ids: Sequence[int]) -> None:
    if ids:
        some = ", ".join(map(str, ids[:10])) + (", ..." if len(ids) > 10 else "")
        output.tell(f"{counted(len(ids), 'entry stays', 'entries stay')} in the old gallery only, {which}: {some}")
