"""Which film tracklets are of, and by which run, so that no walk is added twice."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, inf
from pathlib import Path
from shlex import quote

from resight.core.errors import ConfigError, DataError
from resight.core.times import format_time
from resight.core.words import counted
from resight.data.listing import picture_files
from resight.gallery.filters import Filter
from resight.gallery.gallery import Gallery
from resight.gallery.records import Entry, Forgotten
from resight.gallery.store import without_password
from resight.video.tracklets import LONGEST_S

END_BYTES = 1 << 20  # of a file that are read at its beginning and at its end
SLACK_S = 2.0  # by so much the files of a recorder may overlap, and clocks be rounded
FILM, RUN = "film", "run"  # attributes of entries
MS = "milliseconds"


@dataclass(frozen=True)
class Origin:
    """Where tracklets are from. name: the attribute `source`. camera: its name. film: digest of the content. run: of
    all that decides which tracklets come of it. Both are empty where the content is not known, as of a stream. start,
    end: of the film, seconds since 1970; inf: not known."""

    name: str
    camera: str
    film: str = ""
    run: str = ""
    start: float = -inf
    end: float = inf


def origin_of(
    name: str, camera: str, film: Path, start: float, end: float, settings: Mapping[str, object] | None = None
) -> Origin:
    """Of a file or a folder of pictures. settings: what else decides which tracklets come of it; values of Path count
    by their content.

    Raises DataError where a file cannot be read.
    """
    content = digest_of(film)
    told = {"camera": camera, "start": start, **(settings or {})}
    parts = [f"{key}={digest_of(value) if isinstance(value, Path) else value}" for key, value in sorted(told.items())]
    run = hashlib.blake2b("\n".join([content, *parts]).encode(), digest_size=8).hexdigest()
    return Origin(name, camera, content, run, start, end)


def digest_of(path: Path) -> str:
    """Of a file: of its size, first and last megabyte. Of a folder of pictures: of their names and sizes, and of the
    first and the last one. Raises DataError where it cannot be read."""
    found = hashlib.blake2b(digest_size=8)
    try:
        files = list(picture_files(path)) if path.is_dir() else [path]
        for file in files:
            found.update(f"{file.name if path.is_dir() else ''}:{file.stat().st_size}\n".encode())
        for file in dict.fromkeys([*files[:1], *files[-1:]]):
            with file.open("rb") as opened:
                found.update(opened.read(END_BYTES))
                opened.seek(max(opened.tell(), file.stat().st_size - END_BYTES), os.SEEK_SET)
                found.update(opened.read(END_BYTES))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None
    return found.hexdigest()


def check_film(gallery: Gallery, origin: Origin, uri: str) -> None:
    """Raises ConfigError where the gallery has tracklets of the same film by another run, or the camera has other ones
    of that time. uri: the gallery's, for the message."""
    twice = _of_the_film(gallery, origin)
    if twice:
        raise ConfigError(
            f"{origin.name} is in the gallery already: {_told(twice)}. Added again with another --start, --camera, "
            "detector, tracks or rate, everybody would be there twice. With --replace these are forgotten first; "
            f"to forget them alone: {_forgetting(twice, uri)}"
        )
    if origin.end < inf:
        check_times(gallery, origin, origin.start, origin.end, uri)


def check_times(gallery: Gallery, origin: Origin, start: float, end: float, uri: str) -> None:
    """Raises ConfigError where the camera has tracklets of anything else from start to end, seconds since 1970."""
    _refuse(list(_at_the_time(gallery, origin, start, end)), origin, uri)


def forget_earlier(gallery: Gallery, origin: Origin, uri: str) -> Forgotten | None:
    """Forgets all tracklets of the same film by other runs, and what the camera has under that name at that time; None
    where there are none. Raises as `check_times`, and nothing is forgotten then; GalleryError if the store fails."""
    at_the_time = list(_at_the_time(gallery, origin, origin.start, origin.end)) if origin.end < inf else []
    _refuse([entry for entry in at_the_time if not _named(entry, origin) and not _same(entry, origin)], origin, uri)
    ids = {entry.id for entry in (*_of_the_film(gallery, origin), *at_the_time)}
    return gallery.forget(filter=Filter(ids=tuple(sorted(ids))), purpose="video add --replace") if ids else None


def _refuse(other: Sequence[Entry], origin: Origin, uri: str) -> None:
    if not other:
        return
    names = ", ".join(sorted({str(entry.attributes.get("source")) for entry in other})[:3])
    told = f"camera {origin.camera} has tracklets of {names} at {format_time(other[0].time)} already, "
    forgetting = f"to forget those alone: {_forgetting(other, uri)}"
    if all(_named(entry, origin) for entry in other):
        raise ConfigError(
            f"{told}and this {origin.name} is another film, or looked at otherwise: everybody would be there twice. "
            f"With --replace those are forgotten first; {forgetting}"
        )
    raise ConfigError(
        f"{told}and {origin.name} is of the same time: two cameras cannot have one name, and one cannot be at two "
        f"places. Another --camera, or another --start; {forgetting}"
    )


def _of_the_film(gallery: Gallery, origin: Origin) -> list[Entry]:
    """By other runs."""
    if not origin.film:
        return []
    return [
        entry for entry in gallery.entries(attributes={FILM: origin.film}) if entry.attributes.get(RUN) != origin.run
    ]


def _at_the_time(gallery: Gallery, origin: Origin, start: float, end: float) -> Iterator[Entry]:
    """Tracklets of the camera that are of another film or run, from start to end, but for SLACK_S at both."""
    slack = min(SLACK_S, (end - start) / 4)
    for entry in gallery.entries(camera=origin.camera, after=start - 2 * LONGEST_S, before=end - slack):
        until = entry.attributes.get("end")
        if entry.time is None or not isinstance(until, int | float) or max(until, entry.time) < start + slack:
            continue
        run = entry.attributes.get(RUN)  # versions before kept none
        if not _named(entry, origin) or (run and run != origin.run):
            yield entry


def _same(entry: Entry, origin: Origin) -> bool:
    return bool(origin.film) and entry.attributes.get(FILM) == origin.film


def _named(entry: Entry, origin: Origin) -> bool:
    return entry.camera == origin.camera and entry.attributes.get("source") == origin.name


def _by_camera(entries: Sequence[Entry]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {}
    for entry in entries:
        times.setdefault(entry.camera, []).append(entry.time or 0.0)
    return times


def _told(entries: Sequence[Entry]) -> str:
    return "; ".join(
        f"{counted(len(times), 'tracklet')} of camera {camera} from {format_time(min(times))} on"
        for camera, times in _by_camera(entries).items()
    )


def _forgetting(entries: Sequence[Entry], uri: str) -> str:
    """The commands that forget these: of one camera and time, at which there is nothing else."""
    return " ; ".join(
        f"resight gallery forget {quote(without_password(uri))} --camera {quote(camera)} "
        f"--after {format_time(floor(min(times) * 1000) / 1000, MS)} "
        f"--before {format_time((ceil(max(times) * 1000) + 1) / 1000, MS)}"
        for camera, times in _by_camera(entries).items()
    )
