"""`resight gallery migrate`: into another model's embeddings, or onto another engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from resight.cli import output
from resight.cli.gallery_add import Uri, Wait
from resight.cli.proof import tell_proof
from resight.core.errors import ConfigError, DataError, GalleryError
from resight.core.files import is_same
from resight.core.words import counted
from resight.embedding.loading import load
from resight.gallery.engines import open_store
from resight.gallery.gallery import Gallery
from resight.gallery.migrate import Migrated
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
    interruption, or for what was added and forgotten meanwhile: what came of the old gallery and is no longer there is
    forgotten in the new one too. The old gallery's entries are not changed; it notes where its copy is.

    Examples:

      resight gallery migrate site.db new.db --model mine.resight

      resight gallery migrate site.db "postgresql://localhost/sites?gallery=site"
    """
    if uri == to or is_same(Path(to), Path(uri)):
        raise ConfigError("the new gallery needs another place than the old one")
    with _old(uri, wait) as old:
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
            place = without_password(to)
            place = place if "://" in place or "?gallery=" in place else str(Path(place).absolute())
            done = migrate_gallery(old, new, output.progress, source=without_password(uri), to=place)
    output.tell(
        f"{without_password(to)}: {counted(done.entries, 'entry', 'entries')}, {done.before:,} of them there before"
    )
    _tell("whose pictures the old gallery did not store", done.without_crop)
    _tell("whose pictures cannot be read", done.unreadable)
    _tell_gone(done, without_password(uri), without_password(to))
    if not done.entries and (done.without_crop or done.unreadable):
        raise DataError(
            "nothing could be moved: embeddings of one model are none of another's, and "
            f"{without_password(uri)} keeps no pictures that can be embedded anew. Add the pictures again: "
            f"resight gallery add {without_password(to)} DATA --model {model}. A gallery that was made with "
            "`gallery create --keep-crops` keeps them for the next change of model"
        )


def _old(uri: str, wait: float) -> Gallery:
    """The old gallery, to note in it where its copy is; to read it, where it cannot be written."""
    try:
        return open_gallery(uri, wait_s=wait)
    except GalleryError:
        return open_gallery(uri, read_only=True, wait_s=wait)


def _tell_gone(done: Migrated, old: str, new: str) -> None:
    """What was forgotten because it is no longer in the old gallery, and what was not."""
    if done.forgotten:
        number = counted(done.forgotten.entries, "entry", "entries")
        output.tell(f"{number} forgotten in {new}, as no longer in {old}")
        tell_proof(done.forgotten)
    if done.undone:
        output.tell(f"{counted(done.undone, 'link')} undone in {new}, as no longer in {old}")
    if done.others:
        some = ", ".join(map(str, done.other_ids)) + (", ..." if done.others > len(done.other_ids) else "")
        number = counted(done.others, "entry of {} is", "entries of {} are").format(new)
        unknown = (
            ", and whether they came of it is not recorded: if they are to be forgotten, forget them in "
            f"{new} by --id, or migrate into a new gallery"
        )
        output.say(f"note: {number} not in {old} and stay{'' if done.recorded else unknown}: {some}")
    again = ", or there and by this command again" if done.recorded else ""
    output.tell(f"{old} keeps its entries: whoever is to be forgotten must be forgotten in both{again}")
    if done.forgotten and done.forgotten.traces:
        raise GalleryError(f"traces of what was forgotten may be left in {new}: see above")


def _tell(which: str, ids: Sequence[int]) -> None:
    if ids:
        some = ", ".join(map(str, ids[:10])) + (", ..." if len(ids) > 10 else "")
        output.tell(f"{counted(len(ids), 'entry stays', 'entries stay')} in the old gallery only, {which}: {some}")
