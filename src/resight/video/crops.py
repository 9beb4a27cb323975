"""Video to pictures: the best crops of each tracklet as files, with a table that every verb reads."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from math import inf
from pathlib import Path

from resight.core.errors import ConfigError, DataError
from resight.core.files import locked, write_whole
from resight.core.records import NO_PERSON_PID
from resight.core.times import format_time
from resight.video.adding import VideoReport, jpeg_of
from resight.video.origin import MS, SLACK_S, Origin
from resight.video.records import Refused, Tracklet

TABLE = "manifest.csv"
COLUMNS = ("path", "pid", "camid", "split", "time", "track", "rights", "source", "film", "run")  # the last 3: whence
POOR = 0.5  # of the quality of its tracklet's best: hidden or cut, it teaches little
WAIT_S = 10.0  # for another process that appends to the table
Row = dict[str, str]


class CropFolder:
    """A folder of crops, a sub-folder for each camera and day, and their table, `manifest.csv`: a data set of people
    whom nobody has named, with camera, time and track. Several processes may write to it, a camera each."""

    def __init__(self, path: Path, rights: str = "") -> None:
        """path: made where it is not there, readable by its owner alone. rights: of the pictures, in a line.

        Raises ConfigError where it cannot be made, or holds a table or files that are not of such a folder.
        """
        self.path, self.table, self._rights = path, path / TABLE, " ".join(rights.split())
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            strange = not self.table.exists() and any(path.iterdir())
        except OSError as error:
            raise ConfigError(f"{path} cannot be written to ({error.strerror})") from None
        if strange:
            raise ConfigError(f"{path} holds other files; name a new folder, or one that `resight video crops` made")
        self._times: dict[tuple[str, str, str, str], list[float]] = {}  # of each camera, source, film and run
        self._tracks: dict[str, set[str]] = {}  # of each camera
        with self._alone():
            for row in self._read():
                whence = (row["camid"], row["source"], row["film"], row["run"])
                self._times.setdefault(whence, []).append(_seconds(row["time"]))
                self._tracks.setdefault(row["camid"], set()).add(row["track"])

    def check(self, origin: Origin) -> None:
        """Raises ConfigError where crops of the same film are there by another run, or others of that camera and
        time: everybody would be there twice, or two people by one track."""
        if not origin.run:
            return
        end = origin.end if origin.end < inf else origin.start + 2 * SLACK_S
        slack = min(SLACK_S, (end - origin.start) / 4)
        for (camera, source, film, run), times in self._times.items():
            if run == origin.run:
                continue
            if film == origin.film:
                raise ConfigError(
                    f"{self.path} has crops of {origin.name} already, as camera {camera} from "
                    f"{format_time(min(times))} on, by another --start, --camera, detector, tracks or rate: everybody "
                    "would be there twice. Name another folder, or remove this one"
                )
            if camera == origin.camera and any(origin.start + slack <= t < end - slack for t in times):
                raise ConfigError(
                    f"{self.path} has crops of camera {camera} of that time already, of {source}: one camera cannot "
                    f"film twice at one time. Name another --camera, or another --start, for {origin.name}"
                )

    def add(
        self,
        found: Iterable[Tracklet | Refused],
        report: VideoReport,
        origin: Origin,
        *,
        on_refused: Callable[[Refused], object] | None = None,
    ) -> Iterator[list[Path]]:
        """Writes the crops of each tracklet; yields their paths once they and their rows are durable. A tracklet that
        is there already is left as it is, so that after a kill the same work goes on.

        on_refused: told of each track that became no tracklet. Raises DataError where the disk takes no more.
        """
        there = self._tracks.get(origin.camera, set())
        for each in found:
            if isinstance(each, Refused):
                report.refused[each.kind] += 1
                if on_refused is not None:
                    on_refused(each)
            elif each.track in there:
                report.there += 1
            else:
                try:
                    written = self._write(each, origin)
                except OSError as error:
                    raise DataError(f"{self.path} cannot be written to ({error.strerror})") from None
                report.added += 1
                yield written

    def _write(self, tracklet: Tracklet, origin: Origin) -> list[Path]:
        day = f"{datetime.fromtimestamp(tracklet.start, UTC):%Y-%m-%d}"
        place = self.path / _file_name(tracklet.camera) / day
        place.mkdir(parents=True, exist_ok=True)
        paths, rows = [], []
        for number, shot in enumerate(tracklet.shots, 1):
            if shot.pixels is None or shot.quality <= POOR * tracklet.quality:
                continue
            path = place / f"{tracklet.track.replace('/', '-')}-{number}.jpg"
            write_whole(path, jpeg_of(shot.pixels))
            paths.append(path)
            row = {
                "path": path.relative_to(self.path).as_posix(),
                "pid": str(NO_PERSON_PID),
                "camid": tracklet.camera,
                "split": "gallery",
                "time": format_time(shot.time, MS),
                "track": tracklet.track,
                "rights": self._rights,
                "source": origin.name,
                "film": origin.film,
                "run": origin.run,
            }
            rows.append(row)
        self._append(rows)
        return paths

    def _append(self, rows: Sequence[Row]) -> None:
        """In one write, so that a kill leaves all rows of a tracklet or none."""
        text = io.StringIO()
        csv.DictWriter(text, COLUMNS, lineterminator="\n").writerows(rows)
        with self._alone(), self.table.open("ab", buffering=0) as file:
            file.write(text.getvalue().encode())
            os.fsync(file.fileno())

    def _read(self) -> list[Row]:
        """The rows so far; begins a table where there is none, and drops a row that a full disk cut off."""
        header = (",".join(COLUMNS) + "\n").encode()
        try:
            data = self.table.read_bytes() if self.table.exists() else b""
            if not data.startswith(header):
                if not header.startswith(data):
                    raise ConfigError(f"{self.table} is a table of something else; name another folder")
                data = header
                write_whole(self.table, data)
            whole = data[: data.rfind(b"\n") + 1]
            if len(whole) < len(data):
                os.truncate(self.table, len(whole))
        except OSError as error:
            raise ConfigError(f"{self.table} cannot be written to ({error.strerror})") from None
        rows = list(csv.DictReader(io.StringIO(whole.decode("utf-8", "replace"), newline="")))
        return [row for row in rows if None not in row.values()]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While another process appends, this one waits."""
        until = time.monotonic() + WAIT_S
        with ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(locked(self.path))
                    break
                except BlockingIOError:
                    if time.monotonic() > until:
                        raise ConfigError(f"{self.path} is locked by another process") from None
                    time.sleep(0.02)
            yield


def _file_name(camera: str) -> str:
    """A camera's name as that of a folder; two names are never one."""
    plain = re.sub(r"[^\w.-]", "_", camera).strip(".")
    digest = hashlib.blake2b(camera.encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()
    return plain if plain == camera else f"{plain}-{digest}"


def _seconds(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return float("-inf")
