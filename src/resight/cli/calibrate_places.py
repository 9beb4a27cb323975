"""The people with names whom `resight calibrate` takes: of data that are embedded first, or of a gallery."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from resight.cli import output
from resight.cli.data import open_data
from resight.cli.sites import at_site, tell_unknown, was_trained_on
from resight.core.errors import ConfigError, DataError
from resight.core.records import EmbeddedCrops
from resight.core.words import counted
from resight.data.crops import RIGHTS_UNKNOWN, Crop, Dataset, camids_of, pids_of
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
    """The people of data sets, embedded, and of galleries; at the site, if one is given. everybody: training pictures
    too. Nothing is embedded where the people are too few.

    Raises DataError for that, ConfigError where the model was trained on them or a gallery is of another.
    """
    from resight.evaluation.decisions.calibrate import check_people, seen_by_two

    galleries = [place for place in data if is_gallery(place)]
    datasets = [open_data(place, format, strict) for place in data if place not in galleries]
    chosen = [_crops_of(dataset, model, everybody) for dataset in datasets]
    places = [named_in_gallery(place, model) for place in galleries]
    told = [*map(_of_gallery, galleries, places), *map(str, datasets)]
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
    people, cameras = len(np.unique(place.pids)), len(np.unique(place.camids))
    named = f"{len(place):,} entries of {people:,} people with names; {cameras} cameras"
    return f"{without_password(uri)} (gallery): {named}"


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
