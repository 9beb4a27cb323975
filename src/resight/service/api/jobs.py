"""Jobs: verify, compact, and embedding the kept pictures again with another model, into a gallery beside this one."""

from __future__ import annotations

import shlex
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import Path, Request

from resight.core.errors import ConfigError, unknown_name
from resight.core.progress import Progress
from resight.embedding.loading import load
from resight.gallery.migrate import migrate
from resight.gallery.opening import open_gallery
from resight.gallery.sqlite.store import SqliteStore
from resight.service.api.answers import JobOut
from resight.service.api.common import caller_of, desk_of
from resight.service.api.shapes import ReembedBody
from resight.service.desk import Desk
from resight.service.jobs import Job, Work
from resight.service.problems import missing, without_place

MOST_DAMAGES = 1000  # that are named
NOT_RECORDED = (
    "others are entries of the new gallery that are not in this one, and whether they came of it is not recorded: they "
    "stay. If they are of people who are forgotten, remove the new gallery and embed again"
)
Number = Annotated[str, Path(max_length=100)]


async def list_jobs(request: Request) -> list[JobOut]:
    """The jobs since this service was started, the latest first."""
    desk = desk_of(request)
    return [_out(job, desk) for job in desk.jobs.all()]


async def get_job(request: Request, number: Number) -> JobOut:
    """One job: how far it is, and what came of it."""
    desk = desk_of(request)
    job = desk.jobs.get(number)
    if job is None:
        raise missing(f"job {number}")
    return _out(job, desk)


async def verify(request: Request) -> JobOut:
    """Checks every entry against its checksum, and the audit's chain."""
    desk = desk_of(request)

    def work(progress: Progress) -> dict[str, Any]:
        found = desk.gallery.verify(progress)
        damages = [f"{damage.where}: {damage.what}; {damage.remedy}" for damage in found]
        return {"damages": len(damages), "first": damages[:MOST_DAMAGES]}

    return _begin(request, "verify", work)


async def compact(request: Request) -> JobOut:
    """Gives freed space back to the file system."""
    desk = desk_of(request)

    def work(progress: Progress) -> dict[str, Any]:
        desk.writing.submit(desk.gallery.compact).result()
        return {}

    return _begin(request, "compact", work)


async def reembed(body: ReembedBody, request: Request) -> JobOut:
    """Embeds the kept pictures with another model, into a new gallery beside this one: ids, links and all.

    This gallery's entries stay as they are. Asked again, it adds what is new, and forgets in the new gallery what came
    of this one and is no longer here. `result` has the counts, the command that starts the service on the new one with
    the same keys, once this one has ended (`switch`), and what does not go with it (`stays`).
    """
    desk, who = desk_of(request), caller_of(request).who
    path = beside(desk, body.model)
    source = _in_a_file(desk).path.name

    def work(progress: Progress) -> dict[str, Any]:
        old = desk.gallery.settings
        with open_gallery(
            path,
            load(desk.offered[body.model]),
            keep_crops=old.keep_crops,
            audit_searches=old.audit_searches,
            who=who,
            purpose="re-embed",
        ) as new:
            done = migrate(desk.gallery, new, progress, source=source, to=str(path.absolute()))
        return {
            "entries": done.entries,
            "without_picture": len(done.without_crop),
            "unreadable": len(done.unreadable),
            "forgotten": done.forgotten.entries if done.forgotten else 0,
            "traces": list(done.forgotten.traces) if done.forgotten else [],
            "links_undone": done.undone,
            "others": done.others,
            "note": "" if done.recorded or not done.others else NOT_RECORDED,
            "switch": shlex.join(["resight", "serve", path.name, "--model", body.model, "--state", _state(desk, path)]),
            "stays": _staying(desk, path),
        }

    return _begin(request, "reembed", work)


def beside(desk: Desk, model: str) -> FilePath:
    """Where the new gallery goes. Raises ConfigError for a model that is not offered, the gallery's own, an engine that
    keeps no file, or a gallery without pictures."""
    if model not in desk.offered:
        raise unknown_name("model", model, desk.offered)
    store = _in_a_file(desk)
    if not desk.gallery.settings.keep_crops:
        raise ConfigError("this gallery keeps no pictures, so there is nothing to embed again")
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in model)
    return store.path.with_name(f"{store.path.stem}-{safe}{store.path.suffix}")


def _in_a_file(desk: Desk) -> SqliteStore:
    store = desk.gallery.store
    if not isinstance(store, SqliteStore):
        raise ConfigError(
            "only a gallery in a file is embedded again by the service; use `resight gallery migrate` for this engine"
        )
    return store


def _state(desk: Desk, path: FilePath) -> str:
    """The folder of the keys, as a command names it in the new gallery's folder."""
    state = desk.keys.path.parent.absolute()
    return state.name if state.parent == path.absolute().parent else str(state)


def _staying(desk: Desk, path: FilePath) -> list[str]:
    """What the new gallery does not have of the old one, in words."""
    told = [f"the audit's lines so far: they are in the old gallery, so keep {_in_a_file(desk).path.name}"]
    if desk.gallery.site.transform is not None:
        told.append(
            "the site transform and its calibration, which are of the old model: `resight site fit` and `resight "
            f"calibrate` make them anew for {path.name}"
        )
    return told


def _begin(request: Request, kind: str, work: Work) -> JobOut:
    desk, who = desk_of(request), caller_of(request).who
    job = desk.jobs.start(kind, who, work)
    desk.ledger.count("job", who, kind)
    return _out(job, desk)


def _out(job: Job, desk: Desk) -> JobOut:
    told = JobOut.model_validate(job, from_attributes=True)
    return told.model_copy(update={"error": without_place(job.error, desk.place)})
