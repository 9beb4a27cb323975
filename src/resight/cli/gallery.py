"""`resight gallery`: who was seen where, kept and searched."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from resight.cli import output
from resight.cli.gallery_add import Model_, Place, Wait, opened
from resight.cli.gallery_input import line_of, moment, period_s, told_moment
from resight.core.errors import ConfigError, GalleryError
from resight.embedding.card import short_of
from resight.embedding.loading import load
from resight.gallery.gallery import open_gallery
from resight.gallery.place import told_place
from resight.gallery.records import Answer

Who = Annotated[str | None, typer.Option(help="Who asks, for the audit. This system's user unless given.")]
Purpose = Annotated[str, typer.Option(help="What for, for the audit.")]
Cameras = Annotated[list[str] | None, typer.Option("--camera", help="Of this camera. May be repeated.")]
Tracks = Annotated[list[str] | None, typer.Option("--track", help="Of this track. May be repeated.")]
Pids = Annotated[list[int] | None, typer.Option("--pid", help="Of this person. May be repeated.")]
After = Annotated[str | None, typer.Option(help="Seen at or after this time (ISO 8601, or seconds since 1970).")]
Before = Annotated[str | None, typer.Option(help="Seen before this time.")]
Json = Annotated[bool, typer.Option("--json", help="Lines of JSON.")]


def create(
    place: Place,
    *,
    model: Annotated[str, typer.Option("--model", "-m", help="A bundle, or a packaged model's name.")] = "default",
    keep_crops: Annotated[bool, typer.Option("--keep-crops", help="Keep the pictures too.")] = False,
    audit_searches: Annotated[bool, typer.Option("--audit-searches", help="Write down each search.")] = False,
) -> None:
    """Makes an empty gallery for one model's embeddings.

    Example: resight gallery create site.db --audit-searches
    """
    loaded = load(model)
    with open_gallery(place, loaded, keep_crops=keep_crops, audit_searches=audit_searches, new=True):
        pass
    calibrated = "calibrated" if loaded.calibration else "not calibrated: similarities, but no decisions"
    print(f"{told_place(place)}: for the model {loaded.name} ({loaded.dim} values; {calibrated})")
    print(f"rights of the model: {loaded.card.rights}")


def search(
    place: Place,
    pictures: Annotated[list[Path], typer.Argument(help="The pictures to look for.")],
    *,
    model: Model_ = None,
    top: Annotated[int, typer.Option(min=1, help="Answers to each.")] = 10,
    at_least: Annotated[float | None, typer.Option(help="Only answers of this similarity, at the least.")] = None,
    camera: Cameras = None,
    exclude_camera: Annotated[list[str] | None, typer.Option(help="Not of this camera. May be repeated.")] = None,
    track: Tracks = None,
    exclude_track: Annotated[list[str] | None, typer.Option(help="Not of this track. May be repeated.")] = None,
    pid: Pids = None,
    after: After = None,
    before: Before = None,
    hidden: Annotated[
        str | None, typer.Option(help="What of the height is hidden, from the top, as 0.6:1. Compared on the rest.")
    ] = None,
    false_positive_rate: Annotated[float, typer.Option(help="Of strangers, told as known at the most.")] = 0.01,
    false_negative_rate: Annotated[float, typer.Option(help="Of people known, told as strangers at the most.")] = 0.05,
    who: Who = None,
    purpose: Purpose = "",
    json_: Json = False,
) -> None:
    """Where else was this person seen, and how sure are we?

    Example: resight gallery search site.db person.jpg --exclude-camera north --after 2026-03-01T08:00:00Z
    """
    with opened(place, model, who=who, purpose=purpose) as gallery:
        for picture in pictures:
            answer = gallery.search(
                picture,
                top,
                at_least=at_least,
                cameras=camera,
                exclude_cameras=exclude_camera,
                tracks=track,
                exclude_tracks=exclude_track,
                pids=pid,
                after=moment(after),
                before=moment(before),
                hidden=None if hidden is None else hidden.split(":"),
                false_positive_rate=false_positive_rate,
                false_negative_rate=false_negative_rate,
            )
            if json_:
                print(json.dumps(_record(str(picture), answer)))
                continue
            about = f"among {answer.num_people:,} people" if answer.num_people else "nothing there may answer"
            decision = answer.decision
            rate = (
                f"; {'so of' if decision.reason else 'wrong in'} {decision.rate}" if decision and decision.rate else ""
            )
            why = f": {decision.reason}" if decision and decision.reason else ""
            undecided = "no decision, of what is hidden" if hidden else "no decision, the model is not calibrated"
            print(f"{picture}: {answer.verdict or undecided} ({about}{rate}){why}")
            table = Table("similarity", "decision", "person", "camera", "time", "track", "id", "name", box=None)
            for match in answer:
                table.add_row(
                    f"{match.similarity:.3f}",
                    match.decision.verdict if match.decision else "-",
                    *(output.escape(text) for text in (match.person, match.camera, told_moment(match.time))),
                    output.escape(match.track or "-"),
                    str(match.id),
                    output.escape(match.name),
                )
            output.print_wide(table)


def forget(
    place: Place,
    *,
    pid: Pids = None,
    track: Tracks = None,
    camera: Cameras = None,
    id: Annotated[list[int] | None, typer.Option("--id", help="This entry. May be repeated.")] = None,
    after: After = None,
    before: Before = None,
    keep: Annotated[str | None, typer.Option(help="Forget all that is older, as 30d or 12h.")] = None,
    who: Who = None,
    purpose: Purpose = "",
    wait: Wait = 5.0,
) -> None:
    """Removes a person, a track, a camera, a period: embeddings, pictures and paths, from every file.

    What is given holds together: --camera north --before 2026-01-01 forgets what that camera saw before.

    Example: resight gallery forget site.db --pid 7 --who "data protection officer" --purpose "request 12"
    """
    asked: dict[str, Any] = {"pids": pid, "tracks": track, "cameras": camera, "ids": id}
    asked |= {"after": moment(after), "before": moment(before), "keep": None if keep is None else period_s(keep)}
    with open_gallery(place, wait_s=wait, who=who, purpose=purpose) as gallery:
        gone = gallery.forget(**asked)
    print(f"{gone.entries:,} entries forgotten")
    if gone.looked_for:
        print(f"the bytes of {gone.looked_for:,} embeddings and pictures were looked for in the files afterwards")
    for place_beyond in gone.beyond:
        output.say(f"out of reach: {place_beyond}")
    for trace in gone.traces:
        output.say(f"left: {trace}")
    if gone.traces:
        raise GalleryError("traces are left; see above")


def stats(place: Place, *, json_: Json = False) -> None:
    """How much is in it, and of what model."""
    with open_gallery(place) as gallery:
        found, settings = gallery.stats(), gallery.settings
    if json_:
        print(json.dumps({"schema": "resight.gallery-stats/1", "settings": asdict(settings), **asdict(found)}))
        return
    print(f"model     {settings.model_name} ({short_of(settings.model)}, {settings.dim} values)")
    print(f"rights    {settings.rights}")
    print(f"entries   {found.entries:,} of {found.people:,} people (by pid, else by track, else one each)")
    print(f"pictures  {found.crops:,} kept")
    print(f"cameras   {', '.join(f'{name} {count:,}' for name, count in found.cameras.items()) or 'none'}")
    print(f"time      {told_moment(found.first)} to {told_moment(found.last)}")
    print(f"links     {found.links:,}")
    print(f"audit     {found.audit_lines:,} lines{', searches too' if settings.audit_searches else ''}")
    size = "not known of this engine" if found.size_bytes is None else f"{found.size_bytes / 1e6:,.1f} MB"
    print(f"on disk   {size}")


def verify(place: Place) -> None:
    """Looks at every row and at the audit's chain, and says what to do about what is damaged."""
    with open_gallery(place) as gallery:
        damages = 0
        for damage in gallery.verify():
            damages += 1
            print(f"{damage.where}: {damage.what}\n  {damage.remedy}")
        if damages:
            raise GalleryError(f"{told_place(place)}: {damages:,} places are damaged")
        print(f"{told_place(place)}: every row and every line of the audit is what it was ({len(gallery):,} entries)")


def compact(place: Place, *, wait: Wait = 5.0) -> None:
    """Gives freed space back, and empties the log."""
    with open_gallery(place, wait_s=wait) as gallery:
        gallery.compact()
        print(f"{told_place(place)}: freed space was given back")


def link(place: Place, pid: int, into: int, *, who: Who = None, purpose: Purpose = "") -> None:
    """Two pids are one person from now on; `unlink` undoes it."""
    with open_gallery(place, who=who, purpose=purpose) as gallery:
        number = gallery.link(pid, into)
    print(f"link {number}: {pid} is told as {into}. `resight gallery unlink PLACE {number}` undoes it")


def unlink(place: Place, number: int, *, who: Who = None, purpose: Purpose = "") -> None:
    """Undoes a link."""
    with open_gallery(place, who=who, purpose=purpose) as gallery:
        gallery.unlink(number)
    print(f"link {number} undone")


def audit(place: Place) -> None:
    """Who searched and who removed what, as lines of JSON. Keep the last hash elsewhere: it seals all before."""
    with open_gallery(place) as gallery:
        for line in gallery.audit():
            print(json.dumps(asdict(line)))


def export(
    place: Place, out: Annotated[Path, typer.Option("--out", "-o", help="The file: lines of JSON (.jsonl).")]
) -> None:
    """Everything in it but the audit, as lines of JSON that `import` reads."""
    if out.exists() or not out.parent.is_dir():
        raise ConfigError(
            f"--out: {out} is there already" if out.exists() else f"--out: there is no folder {out.parent}"
        )
    with open_gallery(place) as gallery, out.open("x", encoding="utf-8") as file:
        links = [{"pid": link.pid, "into": link.into} for link in gallery.links()]
        file.write(json.dumps({"gallery": asdict(gallery.settings), "links": links}) + "\n")
        count = 0
        for entry in gallery.entries():
            file.write(line_of(entry, gallery.settings.model) + "\n")
            count += 1
    print(f"{count:,} entries: {out}")


def _record(picture: str, answer: Answer) -> dict[str, Any]:
    return {
        "schema": "resight.answer/1",
        "picture": picture,
        "verdict": answer.verdict,
        "decision": asdict(answer.decision) if answer.decision else None,
        "num_people": answer.num_people,
        "matches": [
            {
                "similarity": match.similarity,
                "verdict": match.verdict,
                "person": match.person,
                **{name: getattr(match, name) for name in ("id", "camera", "time", "track", "pid", "name")},
                "attributes": dict(match.entry.attributes),
            }
            for match in answer
        ],
    }
