"""The people with names whom `resight calibrate` takes: of data that are embedded first, of files of embeddings, or of
galleries."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resight.cli import output
from resight.cli.data import open_data
from resight.cli.sites import at_site, tell_unknown, was_trained_on
from resight.core.errors import ConfigError, DataError
from resight.core.records import DISTRACTOR_PID, EmbeddedCrops
from resight.core.words import counted
from resight.data.crops import RIGHTS_UNKNOWN, Crop, Dataset, camids_of, pids_of
from resight.data.embeddings import check_vectors, holds_embeddings, read_rows
from resight.embedding.card import short_of
from resight.embedding.model import Model
from resight.gallery.engines import is_gallery
from resight.gallery.gallery import Gallery
from resight.gallery.opening import open_gallery
from resight.gallery.people import NAMED, TRACKLETS, root_of
from resight.gallery.store import without_password
from resight.site.transform import SiteTransform
from resight.video.linking.linker import own_links


@dataclass(frozen=True, eq=False)
class NamedPlaces:
    """People with names. places: embedded, one each. data, rights: what they are, and who may do what with them."""

    places: list[EmbeddedCrops]
    data: str
    rights: str


def named_places(
    data: Sequence[str],
    model: Model,
    site: SiteTransform | None,
    format: str | None,
    *,
    everybody: bool = False,
    strict: bool = False,
) -> NamedPlaces:
    """The people of data sets, embedded, of files of embeddings and of galleries; at the site, if one is given.
    everybody: training pictures too. Nothing is embedded where the people are too few.

    Raises DataError for that, ConfigError where the model was trained on them or a gallery is of another.
    """
    from resight.evaluation.decisions.calibrate import check_people, seen_by_two

    galleries = [place for place in data if is_gallery(place)]
    files = [place for place in data if place not in galleries and holds_embeddings(Path(place))]
    datasets = [open_data(place, format, strict) for place in data if place not in galleries and place not in files]
    chosen = [_crops_of(dataset, model, everybody) for dataset in datasets]
    places = [named_in_gallery(place, model) for place in galleries]
    told = [*map(_of_gallery, galleries, places)]
    for place in files:
        places.append(_named_in_file(place, model, everybody))
        told.append(f"{place} (embeddings): {_counts(places[-1])}")
    told += map(str, datasets)
    check_people(
        sum(seen_by_two(pids_of(crops), camids_of(crops)) for crops in chosen)
        + sum(seen_by_two(place.pids, place.camids) for place in places)
    )
    for crops in chosen:
        embedded, problems = model.embed_crops(crops, leave_blank=True, strict=strict, progress=output.progress)
        output.name_problems(problems)
        places.append(embedded)
    if site is not None:
        tell_unknown(site, *(place.camera_names for place in places))
        places = [at_site(site, place) for place in places]
    rights = "; ".join(dict.fromkeys(dataset.rights for dataset in datasets)) or RIGHTS_UNKNOWN
    return NamedPlaces(places, "; ".join(told), rights)


def _crops_of(dataset: Dataset, model: Model, everybody: bool) -> list[Crop]:
    if everybody and was_trained_on(model, dataset):
        raise ConfigError(
            f"--everybody: {model.source} was trained on these people, whom it knows better than any others"
        )
    crops = [*dataset.query, *dataset.gallery, *(dataset.train if everybody else ())]
    if not crops:
        raise DataError(f"{dataset.name} has no query and gallery pictures; --everybody takes training ones too")
    return crops


def _of_gallery(uri: str, place: EmbeddedCrops) -> str:
    return f"{without_password(uri)} (gallery): {_counts(place)}"


def _counts(place: EmbeddedCrops) -> str:
    people, cameras = len(np.unique(place.pids)), len(np.unique(place.camids))
    return f"{len(place):,} entries of {people:,} people with names; {cameras} cameras"


def check_model(place: str, identity: str, dim: int, model: Model) -> None:
    """Raises ConfigError for embeddings of another model; warns where they do not say which. identity: of their model,
    or empty."""
    if identity not in ("", model.identity):
        raise ConfigError(f"{place} holds embeddings of another model than {model.name}")
    if dim != model.dim:
        raise ConfigError(
            f"{place} holds embeddings of dimension {dim}, those of {model.name} have {model.dim}: they are of another "
            "model"
        )
    if not identity:
        output.say(
            f"warning: {place} does not say which model its embeddings are of, and is taken as of {model.name}; of "
            f"another model the thresholds would be wrong. A text `model` in it, {model.identity}, says so"
        )


def _named_in_file(place: str, model: Model, everybody: bool) -> EmbeddedCrops:
    """The rows of a file of embeddings that show a known person by a known camera; those of train, if everybody."""
    rows = read_rows(Path(place), ("vector", "pid", "camid"))
    check_model(place, rows.model, rows.vectors.shape[1], model)
    asked = ~rows.blank & (everybody | (rows.splits != "train")) & (rows.pids > DISTRACTOR_PID)
    by_none = asked & (rows.camids < 0)
    if by_none.any():
        output.say(f"left out: {counted(int(by_none.sum()), 'row')} of {place} by no known camera (camid -1)")
    used = asked & ~by_none
    if not used.any():
        raise DataError(f"{place} has no row of a person (pid) by a camera; without names calibrate by --unlabelled")
    check_vectors(rows.vectors, used, place)
    kept = np.flatnonzero(used)
    names = tuple(rows.names[kept].tolist())
    called = rows.camera_names
    cameras = tuple(called[row] for row in kept.tolist())
    contents = rows.contents[kept]
    return EmbeddedCrops(rows.vectors[kept], rows.pids[kept], rows.camids[kept], contents, names, cameras)


def named_in_gallery(uri: str, model: Model) -> EmbeddedCrops:
    """The entries of a gallery that have a pid, by the links that people made. Those that `video link` made do not
    count: they are the model's own opinion.

    Raises ConfigError where the gallery is of another model, DataError where nobody has a name.
    """
    with open_gallery(uri, read_only=True) as gallery:
        settings = gallery.settings
        if settings.model != model.identity:
            raise ConfigError(
                f"{without_password(uri)} holds embeddings of {settings.model_label}, and not of {model.name} "
                f"({short_of(model.identity)})"
            )
        found = _named(gallery)
    people = len(np.unique(found.pids))
    output.say(f"{without_password(uri)}: {counted(len(found), 'entry', 'entries')} of {people:,} people with names")
    output.say(
        "warning: whoever was named, or linked, because this model had found them alike is found more easily than "
        "others are: the rates of `different` and `nobody we know`, and P(same), are flattered then. Names that are "
        "known otherwise are better"
    )
    return found


def _named(gallery: Gallery) -> EmbeddedCrops:
    own = own_links(gallery)
    links = {link.pid: link.into for link in gallery.links() if link.number not in own}
    vectors, pids, cameras, names = [], list[int](), list[str](), list[str]()
    for entry in gallery.entries():
        pid = None if entry.pid is None else root_of(entry.pid, links)
        if pid is None or pid <= 0 or TRACKLETS <= pid < NAMED:  # a tracklet that nobody has named
            continue
        vectors.append(entry.embedding)
        pids.append(pid)
        cameras.append(entry.camera)
        names.append(f"entry {entry.id}")
    if not vectors:
        raise DataError(
            "nobody in this gallery has a name (pid): name people (`resight gallery add` with pids, `resight gallery "
            "link`), or calibrate without names by --unlabelled"
        )
    rows = np.stack(vectors).astype(np.float32)
    codes = np.unique(np.array(cameras, np.str_), return_inverse=True)[1].astype(np.int64)
    hashes = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows]
    content = np.frombuffer(b"".join(hashes), np.uint64)
    return EmbeddedCrops(rows, np.array(pids, np.int64), codes, content, tuple(names), tuple(cameras))
