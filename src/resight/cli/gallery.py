"""`resight gallery`: all its verbs but `add`, `forget`, `import` and `migrate`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any

import typer
from rich.table import Table

from resight.cli import output
from resight.cli.calibrate_answers import tell_support
from resight.cli.gallery_add import Model_, Uri, Wait
from resight.cli.place import is_service, opened, opened_with_model
from resight.core.calibration import KNOWN, Rate
from resight.core.errors import ConfigError, GalleryError, ResightError, UnreadableImage
from resight.core.files import check_folder_of, written_whole
from resight.core.times import format_time
from resight.core.words import counted
from resight.embedding.card import short_of
from resight.embedding.loading import load
from resight.gallery.audit import Action
from resight.gallery.gallery import Gallery
from resight.gallery.opening import open_gallery
from resight.gallery.people import pid_of_name
from resight.gallery.results import SearchResult
from resight.gallery.store import without_password
from resight.gallery.transfer.exporting import export as export_lines
from resight.gallery.transfer.lines import Body, header_of
from resight.site.transform import short_of_site

Who = Annotated[str | None, typer.Option(help="Who does it, for the audit. By default this system's user.")]
Purpose = Annotated[str, typer.Option(help="What for, for the audit.")]
Cameras = Annotated[list[str] | None, typer.Option("--camera", help="Entries of this camera. May be repeated.")]
Tracks = Annotated[list[str] | None, typer.Option("--track", help="Entries of this track. May be repeated.")]
Pids = Annotated[
    list[int] | None, typer.Option("--pid", help="Entries of this person id, links applied. May be repeated.")
]
People = Annotated[
    list[str] | None, typer.Option("--person", help="Entries of the person of this name, as --pid. May be repeated.")
]
After = Annotated[str | None, typer.Option(help="Seen from this time on: ISO 8601 (local if of no zone), or seconds.")]
Before = Annotated[str | None, typer.Option(help="Seen before this time, as --after.")]
INCOMPLETE = (
    "incomplete: an import or a migration into it has not ended; the same `resight gallery import` or `migrate` again "
    "goes on"
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def create(
    uri: Uri,
    *,
    model: Annotated[str, typer.Option("--model", "-m", help="A run, a bundle, or a packaged name.")] = "default",
    keep_crops: Annotated[
        bool, typer.Option("--keep-crops", help="Store the pictures too, so that another model can embed them later.")
    ] = False,
    audit_searches: Annotated[
        bool, typer.Option("--audit-searches", help="Audit searches too. Deletions always are.")
    ] = False,
) -> None:
    """Creates an empty gallery for one model's embeddings. Fails if it exists.

    Example: resight gallery create site.db --audit-searches
    """
    loaded = load(model)
    with open_gallery(uri, loaded, keep_crops=keep_crops, audit_searches=audit_searches, new=True):
        pass
    calibrated = "calibrated" if loaded.calibration else "not calibrated: similarities, but no decisions"
    output.tell(f"{without_password(uri)}: for the model {loaded.name} (dimension {loaded.dim}; {calibrated})")
    output.tell(f"rights of the model: {loaded.card.rights}")
    if loaded.calibration:
        output.say(
            f"calibrated on {shorten(loaded.calibration.data, 90, placeholder=' ...')}: where people and cameras are "
            f"others, its rates need not hold. At yours: `resight calibrate {model} DATA -o calibrated.resight`, "
            "then --model calibrated.resight with this gallery; without names by --unlabelled"
        )


def search(
    uri: Uri,
    pictures: Annotated[list[Path], typer.Argument(help="The pictures to search for; a search each unless --pool.")],
    *,
    model: Model_ = None,
    pool: Annotated[
        str | None,
        typer.Option(
            help="One search for all pictures, which show one person: by their `mean`, or the `best` of them."
        ),
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, help="How many matches.")] = 10,
    min_similarity: Annotated[
        float | None, typer.Option(help="Only matches of this cosine similarity or more.")
    ] = None,
    camera: Cameras = None,
    exclude_camera: Annotated[
        list[str] | None, typer.Option(help="No entries of this camera. May be repeated.")
    ] = None,
    track: Tracks = None,
    exclude_track: Annotated[list[str] | None, typer.Option(help="No entries of this track. May be repeated.")] = None,
    pid: Pids = None,
    person: People = None,
    after: After = None,
    before: Before = None,
    seen_by: Annotated[
        str | None,
        typer.Option(help="The camera that saw what is searched for, which a gallery with a site transform asks for."),
    ] = None,
    hidden: Annotated[
        str | None,
        typer.Option(help="The occluded part of the height, from the top: 0.6:1. The rest is compared."),
    ] = None,
    false_positive_rate: Annotated[
        float, typer.Option(help="Largest rate of strangers reported as known people.")
    ] = 0.01,
    false_negative_rate: Annotated[
        float, typer.Option(help="Largest rate of known people reported as strangers.")
    ] = 0.05,
    who: Who = None,
    purpose: Purpose = "",
    json_: Json = False,
) -> None:
    """Searches for the person in a picture: where else they were seen, and how sure that is.

    A picture that cannot be read is named and left out (with --json its line has `error`); the exit code is 3 if all
    are. By embeddings: `search_embeddings` in Python.

    Example: resight gallery search site.db person.jpg --exclude-camera north --after 2026-03-01T08:00:00Z
    """
    options: dict[str, Any] = {
        "min_similarity": min_similarity,
        "cameras": camera,
        "exclude_cameras": exclude_camera,
        "tracks": track,
        "exclude_tracks": exclude_track,
        "pids": pid,
        "people": person,
        "after": output.moment("--after", after),
        "before": output.moment("--before", before),
        "seen_by": seen_by,
        "hidden": None if hidden is None else hidden.split(":"),
        "false_positive_rate": false_positive_rate,
        "false_negative_rate": false_negative_rate,
    }
    searches = [[picture] for picture in pictures] if pool is None else [pictures]
    bad: list[UnreadableImage] = []
    with opened_with_model(uri, model, reading=True, who=who, purpose=purpose) as gallery:
        for searched in searches:
            try:
                result = gallery.search(searched, top_k, pool=pool or "mean", **options)
            except UnreadableImage as error:
                bad.append(_told_of_vectors(error))
                if len(bad) == len(searches):
                    raise bad[-1] from None
                output.say(f"left out: {bad[-1]}")
                if json_:
                    output.tell(json.dumps({"picture": str(searched[0]), "error": bad[-1].reason}))
                continue
            (_print_json if json_ else _print_table)(searched, result, hidden is not None)
            for note in result.notes:
                output.say(f"note: {note}")
        _tell_incomplete(gallery)
        _tell_of_camera(gallery, seen_by)
        tell_support(gallery, result)
        if person:
            tell_unknown_people(gallery, uri, person)
        if exclude_camera or (camera and not result.num_people):
            tell_unknown_cameras(gallery, uri, [*(camera or ()), *(exclude_camera or ())])


def _tell_incomplete(gallery: Gallery) -> None:
    """Says that entries are missing, so that who is not found may be among them."""
    with suppress(ResightError):  # the answer is there: no limit of a service takes it back
        if gallery.unfinished():
            output.say(f"note: this gallery is {INCOMPLETE}; who is not found may be among what is missing")


def _told_of_vectors(error: UnreadableImage) -> UnreadableImage:
    """With what to do, where it is a file of embeddings by its suffix."""
    if Path(error.name).suffix.lower() not in (".npz", ".npy", ".parquet"):
        return error
    advice = "embeddings are searched for from Python: resight.open_gallery(GALLERY).search_embeddings(vectors)"
    return UnreadableImage(error.name, f"{error.reason}; {advice}")


def _tell_of_camera(gallery: Gallery, seen_by: str | None) -> None:
    """Where the camera that saw what was searched for changes nothing, or was needed."""
    site = gallery.site.transform
    if site is None:
        if seen_by is not None:
            output.say(f"note: --seen-by {seen_by} changes nothing: the gallery has no site transform")
    elif seen_by is None:
        output.say("note: the gallery has a site transform: say by --seen-by which camera saw the picture")
    elif not site.knows(seen_by):
        known = ", ".join(list(site.facts.cameras)[:10])
        output.say(f"note: the site transform has no mean of the camera {seen_by}; it has one of {known}")


def tell_unknown_cameras(gallery: Gallery, uri: str, asked: Sequence[str]) -> None:
    """Names the cameras asked for of which there is no entry. A service may keep from a key which there are."""
    if is_service(uri):
        return
    there = gallery.stats().cameras
    if unknown := [name for name in dict.fromkeys(asked) if name not in there]:
        output.say(f"note: no entry is by the camera {', '.join(unknown)}; there are {', '.join(there) or 'none'}")


def tell_unknown_people(gallery: Gallery, uri: str, asked: Sequence[str]) -> None:
    """Names the people asked for of whom there is no entry. A service may keep from a key who is there."""
    unknown = [] if is_service(uri) else [name for name in asked if gallery.person(pid_of_name(name)) is None]
    if unknown:
        output.say(f"note: no entry is of the person {', '.join(dict.fromkeys(unknown))}; names are as they were added")


def _print_json(pictures: Sequence[Path], result: SearchResult, hidden: bool) -> None:
    record = result.to_dict()
    named = (
        {"picture": str(pictures[0])} if len(pictures) == 1 else {"pictures": [str(picture) for picture in pictures]}
    )
    output.tell(json.dumps({"schema": record["schema"], **named, **record}))


def _print_table(pictures: Sequence[Path], result: SearchResult, hidden: bool) -> None:
    if not result.num_people:
        output.tell(f"{', '.join(map(str, pictures))}: nobody is there who could be the answer: no entry matches")
        return
    undecided = "no decision, the site is not calibrated" if result.site else "no decision, the model is not calibrated"
    undecided = "no decision, part of it is hidden" if hidden else undecided
    among = counted(result.num_people, "person", "people")
    why = f": {told}" if (told := _rate_told(result)) else ""
    output.tell(f"{', '.join(map(str, pictures))}: {result.verdict or undecided} (among {among}){why}")
    if result.strangers is not None:
        output.tell(f"  a search for a stranger would find somebody as alike in {_share(result.strangers)} of 100")
    table = Table("similarity", "decision", "P(same)", "person", "camera", "time", "track", "id", "name", box=None)
    for match in result:
        table.add_row(
            f"{match.similarity:.3f}",
            match.decision.verdict if match.decision else "-",
            str(match.probability or "-"),
            *(text for text in (match.person, match.camera, format_time(match.time))),
            match.track or "-",
            str(match.id),
            match.name,
        )
    output.print_wide(table)


def _rate_told(result: SearchResult) -> str:
    """How often such a verdict is wrong, or why there is none."""
    decision = result.decision
    if decision is None or decision.rate is None:
        return decision.reason if decision else ""
    share = f"{_share(decision.rate)} of 100"
    if decision.reason:
        return f"{decision.reason}, as {share} searches for people who are here"
    if result.named:
        return f"somebody else for {share} people who are here"
    return f"wrong for {share} {'strangers' if decision.verdict == KNOWN else 'people who are here'}"


def _share(rate: Rate) -> str:
    """`42 [31, 55]`, so many of a hundred."""
    value, low, high = (f"{100 * part:.2g}" if part < 0.1 else f"{100 * part:.0f}" for part in asdict(rate).values())
    return f"{value} [{low}, {high}]"


def stats(uri: Uri, *, json_: Json = False) -> None:
    """Shows how much is in a gallery, and of which model."""
    with opened(uri, read_only=True) as gallery:
        found, settings, unfinished = gallery.stats(), gallery.settings, gallery.unfinished()
        site = gallery.site.transform
    if json_:
        record = found.to_dict()
        told = {"schema": record["schema"], "settings": asdict(settings), "unfinished": unfinished, **record}
        told["site"] = site.identity if site else None
        output.tell(json.dumps(told))
        return
    output.tell(f"model     {settings.model_name} ({short_of(settings.model)}, dimension {settings.dim})")
    output.tell(f"rights    {settings.rights}")
    output.tell(
        f"entries   {found.entries:,} of {counted(found.people, 'person', 'people')} (by pid, else by track, else one "
        "each)"
    )
    if unfinished:
        output.tell(INCOMPLETE)
    output.tell(f"pictures  {found.crops:,} kept")
    output.tell(f"cameras   {', '.join(f'{name} {count:,}' for name, count in found.cameras.items()) or 'none'}")
    if site is not None:
        calibrated = "calibrated" if site.calibration else "not calibrated"
        output.tell(f"site      {short_of_site(site.identity)}, fitted {site.facts.date}; {calibrated}")
    output.tell(f"time      {format_time(found.first)} to {format_time(found.last)}")
    output.tell(f"links     {found.links:,}")
    output.tell(f"audit     {found.audit_lines:,} lines{', searches too' if settings.audit_searches else ''}")
    size = "not known of this engine" if found.size_bytes is None else f"{found.size_bytes / 1e6:,.1f} MB"
    output.tell(f"on disk   {size}")


def verify(uri: Uri) -> None:
    """Checks every entry against its checksum, and the audit's chain; says how to repair what is damaged, and whether
    an import has not ended."""
    with opened(uri, read_only=True) as gallery:
        damages = 0
        for damage in gallery.verify():
            damages += 1
            output.tell(f"{damage.where}: {damage.what}\n  {damage.remedy}")
        if damages:
            raise GalleryError(f"{without_password(uri)}: {counted(damages, 'place is', 'places are')} damaged")
        count = f"({counted(len(gallery), 'entry', 'entries')})"
        output.tell(f"{without_password(uri)}: every row and every line of the audit is what it was {count}")


def compact(uri: Uri, *, wait: Wait = 5.0) -> None:
    """Returns freed space to the file system, and empties the log."""
    with opened(uri, wait_s=wait) as gallery:
        gallery.compact()
        output.tell(f"{without_password(uri)}: freed space was given back")


def link(
    uri: Uri,
    pid: Annotated[str, typer.Argument(help="A person id, or a person's name.")],
    into: Annotated[str, typer.Argument(help="Another.")],
    *,
    who: Who = None,
    purpose: Purpose = "",
) -> None:
    """Links two people as one person, who is reported as INTO from now on; `unlink` undoes it."""
    with opened(uri, who=who, purpose=purpose) as gallery:
        absent = [name for name in (pid, into) if gallery.person(_pid_of(name)) is None]
        number = gallery.link(_pid_of(pid), _pid_of(into))
    for name in absent:
        output.say(f"warning: nothing here is of {name} yet; the link counts from when something is")
    undo = f"resight gallery unlink {without_password(uri)} {number}"
    output.tell(f"link {number}: {pid} is reported as {into}. `{undo}` undoes it")


def _pid_of(text: str) -> int:
    return int(text) if re.fullmatch(r"-?\d+", text, re.ASCII) else pid_of_name(text)


def unlink(uri: Uri, number: int, *, who: Who = None, purpose: Purpose = "") -> None:
    """Removes a link."""
    with opened(uri, who=who, purpose=purpose) as gallery:
        gallery.unlink(number)
    output.tell(f"link {number} undone")


def audit(
    uri: Uri,
    action: Annotated[Action | None, typer.Option(help="Lines of this action alone.")] = None,
    who: Annotated[str, typer.Option(help="Lines of those alone whose name has this text.")] = "",
) -> None:
    """Prints the audit as lines of JSON: who searched, and who deleted, linked and migrated.

    Keep a copy of the last hash elsewhere: it proves that no line before it was changed.
    """
    with opened(uri, read_only=True) as gallery:
        for line in gallery.audit(actions=[action] if action else ()):
            if line.is_by(who):
                output.tell(json.dumps(line.to_dict()))


def export(uri: Uri, out: Annotated[Path, typer.Option("--out", "-o", help="The file to write (.jsonl).")]) -> None:
    """Writes the settings, links and entries, but not the audit, as lines of JSON that `import` reads.

    The file is written whole or not at all, says how many entries it has, and can be read by its owner alone.
    """
    if out.exists():
        raise ConfigError(f"--out: {out} exists already")
    check_folder_of(out, "--out")
    with opened(uri, read_only=True) as gallery:
        count = export_lines(gallery, out) if not is_service(uri) else _downloaded(gallery, out)
        if gallery.unfinished():
            output.say(f"note: this gallery is {INCOMPLETE}")
    output.tell(f"{counted(count, 'entry', 'entries')}: {out}")


def _downloaded(gallery: Any, out: Path) -> int:
    """A service's export into a file, and how many entries it has."""
    with written_whole(out, private=True) as file:
        lines = gallery.export_lines()
        first = next(lines, b"")
        header = header_of(first, "the export")
        body = Body(lines, header)
        file.write(first)
        count = sum(1 for line in body if file.write(line))
        if body.is_short(count):
            raise GalleryError("the export is not whole, as it ended early; export again")
        if header.counted_last:  # the count goes into the first line, as that of a gallery in a file
            told = json.loads(first) | {"entries": count}
            del told["counted_last"]
            file.seek(0)
            file.write(json.dumps(told).ljust(len(first) - 1).encode())
    return count
