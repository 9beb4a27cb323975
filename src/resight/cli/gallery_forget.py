"""`resight gallery forget`: counts what would be deleted, or deletes it and proves it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from resight.cli import output
from resight.cli.gallery import After, Before, Cameras, People, Pids, Purpose, Tracks, Who, tell_unknown_cameras
from resight.cli.gallery_add import Uri, Wait
from resight.cli.place import opened
from resight.cli.proof import tell_proof
from resight.core.errors import GalleryError
from resight.core.times import format_time, parse_period_s
from resight.core.words import counted
from resight.gallery.curation.forgetting import ToForget
from resight.gallery.store import without_password


def forget(
    uri: Uri,
    *,
    pid: Pids = None,
    person: People = None,
    track: Tracks = None,
    camera: Cameras = None,
    id: Annotated[list[int] | None, typer.Option("--id", help="The entry of this id. May be repeated.")] = None,
    after: After = None,
    before: Before = None,
    older_than: Annotated[str | None, typer.Option(help="Entries older than a period: 30d or 12h.")] = None,
    untimed: Annotated[
        bool, typer.Option("--untimed", help="Counts entries of no time, or of one days ahead, as older and before.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would be forgotten, and delete nothing.")
    ] = False,
    who: Who = None,
    purpose: Purpose = "",
    wait: Wait = 5.0,
) -> None:
    """Deletes the entries that match all conditions: embeddings, pictures and paths, from every file of the gallery.

    For example --camera north --before 2026-01-01 deletes what that camera saw before. Entries that have no time are
    counted, and stay unless --untimed is given. --dry-run counts, and deletes nothing.

    Example: resight gallery forget site.db --pid 7 --who "data protection officer" --purpose "request 12"
    """
    conditions: dict[str, Any] = {"pids": pid, "people": person, "tracks": track, "cameras": camera, "ids": id}
    conditions["after"] = output.moment("--after", after)
    conditions["before"] = output.moment("--before", before)
    period = None if older_than is None else parse_period_s(older_than)
    if dry_run:
        with opened(uri, read_only=True, wait_s=wait) as gallery:
            shown = gallery.to_forget(older_than=period, untimed=untimed, **conditions)
            if camera and not shown.entries:
                tell_unknown_cameras(gallery, uri, camera)
        _tell_counts(shown)
        return
    with opened(uri, wait_s=wait, who=who, purpose=purpose) as gallery:
        gone = gallery.forget(older_than=period, untimed=untimed, **conditions)
        if camera and not gone.entries:
            tell_unknown_cameras(gallery, uri, camera)
    output.tell(f"{counted(gone.entries, 'entry', 'entries')} forgotten")
    if not gone.entries and not camera:
        place = without_password(uri)
        output.say(f"note: no entry in {place} matches; was the name, the number or the time meant otherwise?")
    _tell_untimed(gone.untimed)
    tell_proof(gone)
    if gone.traces:
        raise GalleryError(
            f"{counted(gone.entries, 'entry is', 'entries are')} forgotten, but traces of them may be left: see above"
        )


def _tell_counts(shown: ToForget) -> None:
    """What would be forgotten."""
    if not shown.entries:
        output.tell("nobody matches; nothing would be deleted")
    else:
        people = counted(shown.people, "person", "people")
        output.tell(f"{counted(shown.entries, 'entry', 'entries')} of {people} with pids would be forgotten")
        output.tell(f"by camera: {', '.join(f'{name}: {number:,}' for name, number in shown.cameras.items())}")
        if shown.first is not None:
            output.tell(f"time: {format_time(shown.first)} to {format_time(shown.last)}")
    _tell_untimed(shown.untimed)
    output.tell("nothing was deleted: without --dry-run the same command forgets")


def _tell_untimed(untimed: int) -> None:
    """How many entries a condition on time cannot judge."""
    if untimed:
        output.say(
            f"not judged: {counted(untimed, 'entry has', 'entries have')} no time, or one that is days ahead of now "
            "(kept; --untimed counts such as old)"
        )
