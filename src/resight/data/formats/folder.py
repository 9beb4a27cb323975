"""A folder of your own: `<split>/<pid>/<camera>_<anything>.<ext>`, as the reference paper's data lie.

Splits: `train`, and `query` and `gallery`, which stand at the top or below `val` or `test`. A person's folder may hold
a folder for each camera instead, named as one: `<pid>/cam1/<anything>.<ext>`. Pictures that keep the names of a known
data set inside their person's folder (`0002/0002_c1s1_000451_03.jpg`, as the prepare.py of Person_reID_baseline_pytorch
leaves them), or directly in the split's, are read by that data set's pattern. Labels become numbers as `labels` says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from resight.core.errors import DatasetError
from resight.core.words import first_of
from resight.data.crops import Crop, Dataset, Problem
from resight.data.formats.cuhk03 import NP_NAMES as CUHK03
from resight.data.formats.dukemtmc import NAMES as DUKEMTMC
from resight.data.formats.market1501 import NAMES as MARKET1501
from resight.data.formats.mars import NAME as MARS
from resight.data.formats.msmt17 import NAME as MSMT17
from resight.data.formats.veri776 import NAMES as VERI776
from resight.data.labels import LIKE_A_CAMERA, number_cameras, number_people
from resight.data.listing import list_entries, picture_files, subfolders

PLACES: Mapping[str, tuple[str, ...]] = {
    "train": ("train",),
    "query": ("query", "val/query", "test/query"),
    "gallery": ("gallery", "val/gallery", "test/gallery"),
}
OF_BOXES = (
    f" Such folders are those of market1501, dukemtmc and cuhk03, with files named as {MARKET1501.example}, "
    f"{DUKEMTMC.example} or {CUHK03.example}, which are not there."
)
# Names that begin with the person. Each has the groups pid and camera.
KNOWN_NAMES: tuple[re.Pattern[str], ...] = (
    MARKET1501.pattern,
    DUKEMTMC.pattern,
    VERI776.pattern,
    CUHK03.pattern,
    MSMT17,
    MARS,
)


@dataclass(frozen=True, slots=True)
class _File:
    """camera: its label; None where the name does not tell it in the way of the data set. known: the camera's label by
    a known data set's pattern."""

    path: Path
    name: str
    person: str
    camera: str | None
    known: str | None


def looks_like_folder(root: Path) -> bool:
    """Whether any split is there."""
    return any((root / place).is_dir() for places in PLACES.values() for place in places)


def read_folder(root: Path) -> Dataset:
    """Reads a folder of this layout. Raises DatasetError where no picture is found in any split, saying what was looked
    for and found."""
    problems: list[Problem] = []
    found = {split: list(_files(root, places, problems)) for split, places in PLACES.items()}
    people = {file.person for files in found.values() for file in files}
    if len(people) > 1 and all(map(LIKE_A_CAMERA.fullmatch, people)):
        raise DatasetError(
            f"the folders in {root}'s splits are named as cameras ({first_of(sorted(people), 4)}), where each is to be "
            "a person: <split>/<person>/<camera>_<anything>.<ext>. Or list the pictures in a table that says who is in "
            "them, with the columns path, pid, camid, split"
        )
    return _as_dataset(
        root,
        found,
        problems,
        "<split>/<person>/<camera>_<anything>.<ext> with the splits train, query and gallery (or val/query, "
        "val/gallery)",
    )


def read_people(root: Path) -> Dataset:
    """Reads the pictures of people whom nobody has divided yet, all into the gallery: the layout of one split, or
    `<camera>/<person>/<anything>.<ext>` where all folders are named as cameras.

    Raises DatasetError where no picture is found, saying what was looked for and found.
    """
    problems: list[Problem] = []
    tops = list(subfolders(root))
    if tops and all(map(LIKE_A_CAMERA.fullmatch, tops)):
        files = [
            replace(file, camera=top, known=None)
            for top in tops
            for file in _files(root, (top,), problems)
            if file.path.parent != root / top
        ]
    else:
        files = list(_files(root, ("",), problems))
    return _as_dataset(
        root,
        {"gallery": files},
        problems,
        "<person>/<camera>_<anything>.<ext>, <person>/cam1/<anything>.<ext> or cam1/<person>/<anything>.<ext>",
    )


def _as_dataset(root: Path, found: Mapping[str, Sequence[_File]], problems: list[Problem], layout: str) -> Dataset:
    """found: the files of each split."""
    everything = [file for files in found.values() for file in files]
    known = 2 * sum(file.known is not None for file in everything) > len(everything)
    shape = "<person>_c<camera>..., as the others" if known else "<camera>_<anything>.<ext>"
    told: dict[str, list[tuple[_File, str]]] = {split: [] for split in PLACES}
    for split, files in found.items():
        for file in files:
            camera = file.known if known else file.camera
            if camera is None:
                problems.append(Problem(file.name, f"the name is not {shape}"))
            else:
                told[split].append((file, camera))
    if not any(told.values()):
        raise DatasetError(
            f"{root} holds no pictures in the layout {layout}. Found: {list_entries(root)}."
            + (OF_BOXES if any((root / name).is_dir() for name in ("bounding_box_train", "bounding_box_test")) else "")
            + (f" First file that does not fit: {problems[0].name}, {problems[0].reason}." if problems else "")
        )
    rows = [row for split in told.values() for row in split]
    people = number_people(file.person for file, _ in rows)
    cameras = number_cameras(camera for _, camera in rows)

    def crops(rows: Sequence[tuple[_File, str]]) -> tuple[Crop, ...]:
        return tuple(
            Crop(
                file.name,
                people.numbers[file.person],
                cameras.numbers[camera],
                path=file.path,
                person=people.name_of(file.person),
                camera=cameras.name_of(camera),
            )
            for file, camera in rows
        )

    return Dataset(
        root.resolve().name,
        "folder",
        crops(told["train"]),
        crops(told["query"]),
        crops(told["gallery"]),
        problems=tuple(problems),
        doubts=people.doubts + cameras.doubts,
    )


def _files(root: Path, places: Iterable[str], problems: list[Problem]) -> Iterator[_File]:
    for place in places:
        split = root / place
        if not split.is_dir():
            continue
        for person in subfolders(split):
            for path in picture_files(split / person):
                camera, separator, _ = path.name.partition("_")
                name = path.relative_to(root).as_posix()
                yield _File(path, name, person, camera if separator and camera else None, _known(path.name, person))
            for below in subfolders(split / person):
                folder = split / person / below
                if not LIKE_A_CAMERA.fullmatch(below):
                    reason = "a folder in a person's folder is looked into where it is named as a camera is, as cam1"
                    problems.append(Problem(f"{folder.relative_to(root).as_posix()}/", reason))
                    continue
                for path in picture_files(folder):
                    yield _File(path, path.relative_to(root).as_posix(), person, below, _known(path.name, person))
        for path in picture_files(split):
            name = path.relative_to(root).as_posix()
            match = _match(path.name)
            if match is not None:
                yield _File(path, name, match["pid"], None, match["camera"])
            else:
                problems.append(Problem(name, f"lies directly in {place or root.name}/, not in a person's folder"))


def _known(file: str, person: str) -> str | None:
    """The camera of a name that begins with its person's own label and goes on as a known data set's does."""
    match = _match(file)
    if match and (match["pid"] == person or match["pid"].lstrip("0") == person.lstrip("0")):
        return match["camera"]
    return None


def _match(file: str) -> re.Match[str] | None:
    return next((match for pattern in KNOWN_NAMES if (match := pattern.fullmatch(file))), None)
