"""`resight gallery add` and `import`: rows into a gallery, a batch at a time."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from resight.cli import output
from resight.cli.data import open_data
from resight.cli.place import is_service, opened_with_model
from resight.cli.sites import site_in_force
from resight.cli.stopping import exit_code, stopping
from resight.core.errors import ConfigError, DataError, DatasetError, ResightError
from resight.core.words import counted, first_of
from resight.data.crops import SPLITS, Crop
from resight.data.embeddings import holds_embeddings
from resight.data.listing import files_below
from resight.data.pictures import is_picture, open_pictures
from resight.gallery.gallery import Gallery
from resight.gallery.opening import open_gallery
from resight.gallery.records import Added
from resight.gallery.transfer.exporting import restore
from resight.gallery.transfer.lines import header_of, rows_of_lines
from resight.gallery.transfer.live import LiveLines, added_live
from resight.gallery.transfer.rows import Row, crops_of, rows_of_crops, rows_of_embeddings
from resight.site.transform import SiteTransform

Uri = Annotated[
    str,
    typer.Argument(
        help="The gallery: a file, an address such as postgresql://host/database?gallery=name, or a service, https://host"
        " (its key in RESIGHT_KEY)."
    ),
]
Model_ = Annotated[
    str | None,
    typer.Option("--model", "-m", help="The gallery's model, unless it is a packaged one: a run or a bundle."),
]
WITHOUT_MEAN = "they get the site's, and are found worse. Is it a new name of another camera? `resight site fit` anew"
NAMED = 20  # rows left out for one reason that are named; the others are counted
NUMBER = re.compile(r"(?<![\w:.])(-?\d+(\.\d+)?(e[+-]?\d+)?|-?inf|nan)(?![\w:.])")  # what differs among equal reasons
NAMED_FILES = 5
Wait = Annotated[float, typer.Option(min=0, help="Seconds to wait while another process writes.")]


def add(
    uri: Uri,
    source: Annotated[
        str,
        typer.Argument(
            help="A data set, embeddings, a .jsonl file, - for lines of JSON; with --camera, pictures or a folder."
        ),
    ],
    *,
    model: Model_ = None,
    camera: Annotated[str | None, typer.Option(help="The name of the camera, for all rows.")] = None,
    only_camera: Annotated[
        list[str] | None, typer.Option(help="Add rows of this camera only. May be repeated.")
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option(help="Of a data set: train, query or gallery. May be repeated.")
    ] = None,
    format: Annotated[str | None, typer.Option(help="The format of the data set, if it is not recognised.")] = None,
    unnamed: Annotated[bool, typer.Option("--unnamed", help="Do not store who the pictures show (pids).")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first row that cannot be added.")] = False,
    wait: Wait = 5.0,
) -> None:
    """Adds pictures or embeddings. Rows that cannot be added are named and left out, and so are those that are there
    already: after an interruption the same command goes on.

    A line: {"path": "a.jpg", "camera": "north", "time": "2026-03-01T08:00:00Z", "track": "17"}.

    In place of `path`: `crop` (the encoded picture, base64), or `embedding` with `model` (its identity).

    Further fields: `pid` or `person` (a name), `attributes` and `name`. Lines that come from `-` are in the gallery a
    second later, and before SIGTERM, SIGINT or SIGHUP ends it. While another process writes they are tried again for
    a minute.

    Examples:

      resight gallery add site.db my_data

      camera-process | resight gallery add site.db -
    """
    lines = source == "-" or source.endswith(".jsonl")
    if lines and (camera is not None or only_camera or split or format):
        raise ConfigError("lines of JSON name their cameras themselves: no --camera, --split or --format")
    look = _Look(unnamed)
    rows: Iterator[Row | DataError] = iter(())
    if camera is not None and only_camera:
        raise ConfigError("--camera names all rows anew, so that --only-camera has none to choose: give one of them")
    if not lines:
        found = _rows_of(source, camera, split, format, unnamed)
        rows = _only(found, only_camera) if only_camera else found
    elif source != "-":
        rows = map(look, rows_of_lines(_lines_of(source), source))
    live = LiveLines(sys.stdin.buffer) if source == "-" else None  # from now on lines wait for the model, and are kept
    with stopping(live.stop if live else None) as came, opened_with_model(uri, model, wait_s=wait) as gallery:
        strangers = _Strangers(None if is_service(uri) else site_in_force(gallery), at_once=live is not None)
        if live:
            seen = added_live(gallery, live, lambda row: strangers(look(row)), output.say, strict=strict)
            _add_all(gallery, seen, live=True)
        else:
            _add_all(gallery, _until(gallery.add_rows(map(strangers, rows), strict=strict), came))
        look.tell()
        strangers.tell()
    if came:
        kept = "what was read is kept" if source == "-" else "the same command again goes on: what is there is left out"
        output.say(f"stopped by {came[0].name}: {kept}")
        raise typer.Exit(exit_code(came[0]))


def import_lines(
    uri: Uri,
    source: Annotated[str, typer.Argument(help="What `resight gallery export` wrote, or - for standard input.")],
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first line that cannot be added.")] = False,
) -> None:
    """Creates a gallery from an export, with its ids and links. It holds the embeddings, so no model is needed.

    Until all of it is there the gallery is marked as incomplete, which `verify` tells; after an interruption the same
    command goes on.
    """
    lines = _lines_of(source)
    first = next(lines, b"")
    counted = header_of(first, source).entries is not None
    counts, reasons = Counter[str](), Counter[str]()
    with stopping() as came:
        for added in _until(restore(uri, chain([first], lines), source, strict=strict), came):
            _count(added, counts, reasons)
    _tell_rest(reasons)
    with open_gallery(uri, read_only=True) as gallery:
        _tell(counts, len(gallery))
    if came:
        output.say(f"stopped by {came[0].name}: the gallery is incomplete; the same command again goes on")
        raise typer.Exit(exit_code(came[0]))
    if not counted:
        output.say("note: version 0.1.0 wrote this export, without a count: whether it is whole cannot be told")


class _Look:
    """Looks at the rows of lines: takes out who they show, if asked to, and counts pids that may mean nobody."""

    def __init__(self, unnamed: bool) -> None:
        self._unnamed = unnamed
        self._zeros = 0

    def __call__(self, row: Row | DataError) -> Row | DataError:
        if isinstance(row, DataError):
            return row
        if self._unnamed:
            return replace(row, facts={**row.facts, "pid": None, "person": None})
        self._zeros += row.facts.get("pid") == 0
        return row

    def tell(self) -> None:
        """Says what was doubtful."""
        if self._zeros:
            output.say(
                f"note: {counted(self._zeros, 'line has', 'lines have')} the pid 0, which is taken as "
                "one person; leave pid out where a line shows nobody in particular"
            )


class _Strangers:
    """Looks at the cameras of rows, and tells of those of which the gallery's site transform has no mean."""

    def __init__(self, site: SiteTransform | None, at_once: bool) -> None:
        self._site, self._at_once, self._counts = site, at_once, Counter[str]()

    def __call__(self, row: Row | DataError) -> Row | DataError:
        if self._site is not None and not isinstance(row, DataError) and not self._site.knows(row.camera):
            self._counts[row.camera] += 1
            if self._at_once and self._counts[row.camera] == 1:
                output.say(f"note: the site transform has no mean of the camera {row.camera}: {WITHOUT_MEAN}")
        return row

    def tell(self) -> None:
        """Says it at the end, where it was not said at once."""
        if self._counts and not self._at_once:
            named = first_of([f"{name} ({num:,})" for name, num in self._counts.most_common()], 5)
            output.say(f"note: rows are by cameras of which the site transform has no mean: {named}: {WITHOUT_MEAN}")


def _rows_of(
    source: str, camera: str | None, split: list[str] | None, format: str | None, unnamed: bool
) -> Iterator[Row | DataError]:
    if holds_embeddings(Path(source)):
        return rows_of_embeddings(Path(source), camera, split or [], not unnamed)
    try:
        dataset = open_data(source, format, strict=False)
    except DatasetError as error:
        if format or split or not (pictures := _pictures_at(Path(source))):
            raise
        if camera is None:
            which = "If all its pictures are by one camera, name it" if Path(source).is_dir() else "Or name its camera"
            raise DatasetError(f"{error}. {which}: --camera NAME") from None
        output.say(
            f"{source}: {counted(len(pictures), 'picture')} by the camera {camera}, of people whom nobody has named"
        )
        if Path(source).is_dir():
            _name_others(Path(source))
        return rows_of_crops(pictures, camera)
    return rows_of_crops(crops_of(dataset, split or SPLITS), camera, not unnamed)


def _pictures_at(place: Path) -> list[Crop]:
    """The picture, or those in a folder of no data set's form, and below; none if it is neither, or holds none."""
    try:
        return open_pictures(place) if place.is_dir() or is_picture(place) else []
    except DatasetError:
        return []


def _name_others(folder: Path) -> None:
    """Names the files of a folder that are taken for no pictures, but for hidden ones."""
    if names := sorted(str(path.relative_to(folder)) for path in files_below(folder) if not is_picture(path)):
        number = counted(len(names), "file that is no picture", "files that are no pictures")
        output.say(f"left out: {number} by the suffix: {first_of(names, NAMED_FILES)}")


def _only(rows: Iterator[Row | DataError], cameras: list[str]) -> Iterator[Row | DataError]:
    """The rows by these cameras; names those by which there is none."""
    seen = set[str]()
    for row in rows:
        if isinstance(row, DataError):
            yield row
            continue
        seen.add(row.camera)
        if row.camera in cameras:
            yield row
    if unknown := [name for name in cameras if name not in seen]:
        output.say(f"note: no row is by the camera {', '.join(unknown)}; there are {', '.join(sorted(seen)) or 'none'}")


def _until(batches: Iterator[Added], came: Sequence[object]) -> Iterator[Added]:
    """The batches, no more of them once a signal came."""
    for added in batches:
        yield added
        if came:
            return


def _add_all(gallery: Gallery, batches: Iterable[Added], *, live: bool = False) -> None:
    """live: a stream without an end, of which each row that is left out is named when it comes."""
    counts, reasons = Counter[str](), None if live else Counter[str]()
    try:
        for added in batches:
            _count(added, counts, reasons)
    except ResightError:
        if counts.total():
            _tell(counts, len(gallery))
        raise
    _tell_rest(reasons)
    _tell(counts, len(gallery))
    if counts["left out"] and counts.total() == counts["left out"]:
        raise DataError("not one row could be added")


def _count(added: Added, counts: Counter[str], reasons: Counter[str] | None) -> None:
    """Names the rows that were left out, and counts all. reasons: of each kind the first NAMED rows only are named."""
    for error in added.left_out:
        kind = NUMBER.sub("...", error.partition(": ")[2])
        if reasons is None or reasons[kind] < NAMED:
            output.say(f"left out: {error}")
        if reasons is not None:
            reasons[kind] += 1
    counts.update({"added": len(added.ids), "left out": len(added.left_out), "there already": len(added.there)})


def _tell_rest(reasons: Counter[str] | None) -> None:
    """How many rows were left out and not named."""
    for kind, number in (reasons or {}).items():
        if number > NAMED:
            output.say(f"left out: {number - NAMED:,} more: {kind}")


def _tell(counts: Counter[str], entries: int) -> None:
    there = f", {counts['there already']:,} there already" if counts["there already"] else ""
    output.tell(
        f"{counts['added']:,} added, {counts['left out']:,} left out{there}; {counted(entries, 'entry', 'entries')}"
    )


def _lines_of(source: str) -> Iterator[bytes]:
    """The lines of a file, or of standard input for `-`. Raises DataError if the file cannot be opened."""
    if source == "-":
        yield from sys.stdin.buffer
        return
    try:
        with Path(source).open("rb") as file:
            yield from file
    except OSError as error:
        raise DataError(f"{source}: {error.strerror}") from None
