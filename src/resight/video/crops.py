"""Video to pictures: the best crops of each tracklet as files, with a table that what needs no names reads."""

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
from resight.core.files import is_left_over, locked, read_regular, remove_left_over, write_whole
from resight.core.records import NO_PERSON_PID
from resight.core.times import format_time
from resight.gallery.arguments import camera_of
from resight.video.adding import VideoReport, jpeg_of
from resight.video.origin import MS, SLACK_S, Origin
from resight.video.records import Refused, Tracklet
from resight.video.tracklets import epoch_name

TABLE = "manifest.csv"
COLUMNS = ("path", "pid", "camid", "split", "time", "track", "rights", "source", "film", "run")  # the last 3: whence
HEADER = (",".join(COLUMNS) + "\n").encode()
POOR = 0.5  # of the quality of its tracklet's best: hidden or cut, it teaches little
WAIT_S = 60.0  # for another process that appends to the table
NAME_BYTES = 60  # of a camera's folder
Row = dict[str, str]
Span = tuple[float, float]


class CropFolder:
    """The crops of one camera's film or stream in a folder: a sub-folder for each camera and day, and one table for
    all, `manifest.csv`: pictures of people whom nobody has named, with camera, time and track.

    A context manager. One process at a time writes a camera; several write their own.
    """

    def __init__(self, path: Path, origin: Origin, rights: str = "") -> None:
        """path: made on entering where it is not there, readable by its owner alone. rights: of the pictures, in a
        line.

        Raises ConfigError where a name or the rights cannot be in a table.
        """
        self.path, self.table, self._origin, self._rights = path, path / TABLE, origin, " ".join(rights.split())
        for what, text in (("a camera's name", origin.camera), ("the rights", self._rights), ("a name", origin.name)):
            if not text.isprintable():
                raise ConfigError(f"{what} of a table is one line of text in UTF-8, not {text!r}")
        camera_of(origin.camera)
        self._place = path
        self._there: dict[tuple[str, str, str, str], dict[str, Span]] = {}  # tracks of each camera, source, film, run
        self._held = ExitStack()

    def __enter__(self) -> CropFolder:
        """Raises ConfigError where the folder cannot be made or is another one's, where another process writes this
        camera, or where these crops would stand beside others of the same film, or camera and time."""
        with self._held:
            try:
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
                with self._alone():
                    self._begin()
                    for row in self._read():
                        self._remember(row)
                    self._place = self._place_of(self._origin.camera)
                    self._place.mkdir(exist_ok=True)
                    self._held.enter_context(locked(self._place))
                    remove_left_over(self._place)
            except BlockingIOError:
                raise ConfigError(f"another process writes camera {self._origin.camera} into {self.path}") from None
            except OSError as error:
                raise ConfigError(f"{self.path} cannot be written to ({error.strerror})") from None
            self._check_film()
            if self._origin.end < inf:
                self.check_times(self._origin.start, self._origin.end)
            self._held = self._held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def check_times(self, start: float, end: float) -> None:
        """Raises ConfigError where there are crops of this camera from start to end, seconds since 1970, by another
        run."""
        slack = min(SLACK_S, (end - start) / 4)
        for (camera, source, _, run), tracks in self._there.items():
            if camera != self._origin.camera or run == self._origin.run:
                continue
            if any(start + slack <= last and first < end - slack for first, last in tracks.values()):
                raise ConfigError(
                    f"{self.path} has crops of camera {camera} of that time already, of {source}: one camera cannot "
                    f"film twice at one time. Name another --camera, or another --start, for {self._origin.name}"
                )

    def add(
        self,
        found: Iterable[Tracklet | Refused],
        report: VideoReport,
        *,
        on_refused: Callable[[Refused], object] | None = None,
    ) -> Iterator[list[Path]]:
        """Writes the crops of each tracklet; yields their paths once they and their rows are durable. A tracklet that
        is there already is left as it is, so that after a kill the same work goes on.

        on_refused: told of each track that became no tracklet. Raises DataError where the disk takes no more.
        """
        ours = (self._origin.camera, self._origin.run)
        there = {
            track for (camera, *_, run), tracks in self._there.items() if (camera, run) == ours for track in tracks
        }
        for each in found:
            if isinstance(each, Refused):
                report.refuse(each, on_refused)
            elif each.track in there:
                report.there += 1
            else:
                try:
                    written = self._write(each)
                except OSError as error:
                    raise DataError(f"{self.path} cannot be written to ({error.strerror})") from None
                report.added += 1
                yield written

    def _write(self, tracklet: Tracklet) -> list[Path]:
        place = self._place / f"{datetime.fromtimestamp(tracklet.start, UTC):%Y-%m-%d}"
        place.mkdir(exist_ok=True)
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
                "source": self._origin.name,
                "film": self._origin.film,
                "run": self._origin.run,
            }
            rows.append(row)
        self._append(rows)
        return paths

    def _append(self, rows: Sequence[Row]) -> None:
        """All rows of a tracklet or none."""
        text = io.StringIO()
        csv.DictWriter(text, COLUMNS, lineterminator="\n").writerows(rows)
        data = text.getvalue().encode()
        with self._alone(), self.table.open("r+b", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            try:
                if file.write(data) != len(data):  # the disk took a part
                    raise OSError(0, "no space is left")
                os.fsync(file.fileno())
            except BaseException:
                file.truncate(before)
                raise

    def _begin(self) -> None:
        """The table, with its header alone, where there is nothing yet. Raises ConfigError for another folder."""
        for path in [path for path in self.path.iterdir() if is_left_over(path)]:
            path.unlink()  # of a kill: it is written under this lock alone
        if not os.path.lexists(self.table):
            if any(self.path.iterdir()):
                raise ConfigError(f"{self.path} holds other files; name a new folder, or one of `resight video crops`")
            write_whole(self.table, HEADER)

    def _read(self) -> list[Row]:
        """The rows so far. Of a tracklet at whose end the power failed none stays."""
        data = read_regular(self.table)
        if not data.startswith(HEADER):
            raise ConfigError(
                f"{self.table} does not begin as `resight video crops` writes it ({','.join(COLUMNS)}, in UTF-8): it "
                "is another table, or was saved by another program. Name another folder"
            )
        rows = self._parsed(data[: data.rfind(b"\n") + 1])
        if not data.endswith(b"\n"):
            last = (rows[-1]["camid"], rows[-1]["track"]) if rows else None
            while rows and (rows[-1]["camid"], rows[-1]["track"]) == last:
                rows.pop()
            lines = data.split(b"\n")[: len(rows) + 1]
            os.truncate(self.table, sum(map(len, lines)) + len(lines))
        return rows

    def _parsed(self, data: bytes) -> list[Row]:
        rows: list[Row] = []
        try:
            for number, row in enumerate(csv.DictReader(io.StringIO(data.decode(), newline="")), 1):
                values = list(row.values())
                if None in row or not all(isinstance(value, str) and "\n" not in value for value in values):
                    raise ValueError(f"row {number} has other columns")
                datetime.fromisoformat(row["time"])
                rows.append(row)
        except (ValueError, csv.Error) as error:
            raise ConfigError(
                f"{self.table} was changed by something else: {error}. Mend that row or take it out, or name another "
                "folder"
            ) from None
        return rows

    def _remember(self, row: Row) -> None:
        tracks = self._there.setdefault((row["camid"], row["source"], row["film"], row["run"]), {})
        seen = datetime.fromisoformat(row["time"]).timestamp()
        first, last = tracks.get(row["track"], (seen, seen))
        tracks[row["track"]] = min(first, seen), max(last, seen)

    def _place_of(self, camera: str) -> Path:
        """The camera's folder; those of two cameras are two, also where capital letters make no difference."""
        plain = re.sub(r"[^\w.-]", "_", camera).strip(".").encode()[:NAME_BYTES].decode("utf-8", "ignore")
        others = {name.casefold() for name, *_ in self._there if name != camera}
        if plain != camera or plain.casefold() in {TABLE, *others}:
            plain = f"{plain}-{hashlib.blake2b(camera.encode(), digest_size=4).hexdigest()}"
        return self.path / plain

    def _check_film(self) -> None:
        """Raises ConfigError where crops of the same film are there by another run, or of another film of this camera
        whose tracks have the same names."""
        origin = self._origin
        if not origin.run:
            return
        epoch = epoch_name(origin.start)
        for (camera, source, film, run), tracks in self._there.items():
            alike = camera == origin.camera and any(track.startswith(epoch) for track in tracks)
            if run != origin.run and (film == origin.film or alike):
                since = format_time(min(first for first, _ in tracks.values()))
                why = "by another --start, --camera, detector, tracks or rate: everybody would be there twice"
                if film != origin.film:
                    why = "and one camera cannot film twice at one time"
                raise ConfigError(
                    f"{self.path} has crops of {source} already, as camera {camera} from {since} on, {why}. Name "
                    f"another folder, or take the rows of {source} out of {TABLE}, and its pictures away"
                )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While another process changes the table, this one waits."""
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
