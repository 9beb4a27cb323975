"""Train, query and gallery of people who are labelled and not divided yet, as Market-1501 has them: the people who are
trained on are none of those who are searched for, and of each person and camera one picture is the query."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from resight.core.errors import ConfigError, DatasetError
from resight.core.records import DISTRACTOR_PID
from resight.core.words import counted
from resight.data.crops import SPLITS, Crop, Dataset
from resight.data.formats.catalogue import FORMATS, check_columns, open_dataset
from resight.data.formats.folder import read_people
from resight.data.formats.manifest import looks_like_manifest, read_manifest
from resight.data.formats.tables import UNSPLIT

PEOPLE = "people"  # a format of theirs: a folder whose sub-folders are a person each

ByCamera = dict[int, list[Crop]]


def split_people(
    data: str | Path | Dataset,
    *,
    test: float = 0.5,
    seed: int = 0,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Dataset:
    """Divides labelled pictures into train, query and gallery, whatever splits they have.

    data: a data set; what `open_dataset` takes; a table with `path`, `pid` and `camid` (or `camera`) alone; or a folder
    of people, `<person>/<camera>_<anything>.jpg`, `<person>/cam1/<anything>.jpg` or `cam1/<person>/<anything>.jpg`.
    test: the share of the people who are searched for, above 0 and at most 1; the others are trained on. Of a person
    in the test one picture of each camera with several is a query, and all others are in the gallery, so that each
    query has a match by another camera. Who is seen by one camera is divided in the same share, and no query. Pictures
    of nobody in particular (pid 0 or -1) are in the gallery. The same data and seed give the same split, in whatever
    order files are listed. columns: what a table calls its columns, by our names ({"pid": "person_id"}).

    Where nobody is seen by two cameras, a query is searched for at its own camera, and a note says so.

    Raises ConfigError for a wrong share, DatasetError where there is nobody to search for, or the data cannot be read.

    Example:
        >>> import resight
        >>> town = resight.split_people("synthetic:train_people=4,test_people=4,cameras=2", test=0.25)
        >>> [len({crop.pid for crop in part}) for part in (town.train, town.query, town.gallery)]
        [6, 2, 2]
    """
    if not 0 < test <= 1:
        raise ConfigError(f"test is the share of people to search for, above 0 and at most 1, not {test}")
    dataset = data if isinstance(data, Dataset) else open_unsplit(data, format, columns)
    rng = np.random.default_rng(seed)
    crops = sorted(_all(dataset), key=lambda crop: crop.name)
    people: dict[int, ByCamera] = defaultdict(lambda: defaultdict(list))
    for crop in crops:
        people[crop.pid][crop.camid].append(crop)
    nobody = [crop for crop in crops if crop.pid <= DISTRACTOR_PID]
    seen = {pid: people[pid] for pid in sorted(people) if pid > DISTRACTOR_PID}
    several = [pid for pid, cameras in seen.items() if len(cameras) > 1]
    searched = set(_drawn(several, test, rng)) | set(_drawn(set(seen) - set(several), test, rng))
    query = [crop for pid in sorted(searched) for crop in _queries(seen[pid], bool(several), rng)]
    if not query:
        raise DatasetError(_nobody_to_search_for(dataset, seen, several))
    is_query = {crop.name for crop in query}
    kept = [crop for crop in crops if crop.pid in searched and crop.name not in is_query]
    return replace(
        dataset,
        train=tuple(crop for crop in crops if crop.pid in seen and crop.pid not in searched),
        query=tuple(query),
        gallery=(*kept, *nobody),
        notes=(*dataset.notes, *_notes(seen, several, nobody)),
    )


def open_unsplit(spec: str | Path, format: str | None = None, columns: Mapping[str, str] | None = None) -> Dataset:
    """What `split_people` takes, before it is divided. format: a name of `open_dataset`, or PEOPLE.

    Raises as `open_dataset` does, and ConfigError for columns of what is no table.
    """
    root = Path(spec)
    is_table = format == "manifest" or (format is None and looks_like_manifest(root))
    check_columns(root, is_table, columns or {})
    if is_table:
        return read_manifest(root, UNSPLIT, columns)
    if format == PEOPLE and not root.is_dir():
        raise DatasetError(f"{root} is not a folder, so it has no sub-folder for each person")
    known = format != PEOPLE and (format or not root.is_dir() or any(f.looks_like(root) for f in FORMATS.values()))
    return open_dataset(spec, format) if known else read_people(root)


def _all(dataset: Dataset) -> Iterable[Crop]:
    """Each picture once, under its own name where it stands in two splits."""
    there: set[object] = set()
    for split in SPLITS:
        for crop in getattr(dataset, split):
            of = crop.name if crop.path is None else crop.path
            if of not in there:
                there.add(of)
                yield replace(crop, name=crop.name.removesuffix(f" ({split})"))


def _drawn(people: Iterable[int], share: float, rng: np.random.Generator) -> Sequence[int]:
    """That share of the people, rounded, at random."""
    order: list[int] = rng.permutation(sorted(people)).tolist()
    return order[: round(share * len(order))]


def _queries(cameras: ByCamera, across: bool, rng: np.random.Generator) -> list[Crop]:
    """The queries of one person. Each leaves a picture in the gallery: by another camera, or where nobody is seen
    `across` two, by the same."""
    if across and len(cameras) < 2:
        return []
    several = [camera for camera in sorted(cameras) if len(cameras[camera]) > 1]
    if not several and len(cameras) > 1:  # one picture by each
        several = [int(rng.choice(sorted(cameras)))]
    return [cameras[camera][rng.integers(len(cameras[camera]))] for camera in several]


def _nobody_to_search_for(dataset: Dataset, seen: Mapping[int, ByCamera], several: Sequence[int]) -> str:
    if not seen:
        return f"{dataset.name} has no picture of a person with a pid above 0, so nobody can be searched for"
    if several:
        return (
            f"{dataset.name} has {counted(len(several), 'person', 'people')} whom two cameras saw, and that share of "
            "them is nobody; ask for more: --test 1 takes all"
        )
    return (
        f"{dataset.name} has {counted(len(seen), 'person', 'people')}, none of them seen by two cameras, and "
        "nobody twice by one among those who were drawn: there is nobody to find again"
    )


def _notes(seen: Mapping[int, ByCamera], several: Sequence[int], nobody: Sequence[Crop]) -> Iterable[str]:
    if not several:
        yield (
            "nobody is seen by two cameras, so each query is searched for at its own: such figures are of another, "
            "easier question; evaluate with --protocol no-camera"
        )
    elif len(several) < len(seen):
        alone = counted(len(seen) - len(several), "person is", "people are")
        yield f"{alone} seen by one camera only: nobody searches for them"
    zeros = sum(crop.pid == DISTRACTOR_PID for crop in nobody)
    if zeros:
        lie = counted(zeros, "picture of it is", "pictures of it are")
        yield f"pid 0 is nobody in particular: {lie} in the gallery. If it is a person, give it another number"
