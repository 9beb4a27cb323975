"""What `--site` names, and the pictures of a place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from resight.cli import output
from resight.cli.data import open_data
from resight.core.calibration import Calibration
from resight.core.errors import ConfigError, GalleryError
from resight.core.records import EmbeddedCrops
from resight.data.crops import SPLITS, Dataset
from resight.data.embeddings import check_vectors, holds_embeddings, read_rows
from resight.data.labels import settled
from resight.embedding.card import short_of
from resight.embedding.loading import load
from resight.embedding.model import Model
from resight.gallery.engines import is_gallery
from resight.gallery.gallery import Gallery
from resight.gallery.opening import open_gallery
from resight.gallery.store import without_password
from resight.gallery.transfer.rows import crops_of
from resight.site.crops import SiteCrops
from resight.site.files import load_site, save_site
from resight.site.transform import SiteTransform, short_of_site

RATES = (0.1, 0.01, 0.001)  # of false accepts, where nothing else is asked for
SiteOption = Annotated[
    str | None,
    typer.Option(
        "--site", help="A site that `resight site fit` made, or a gallery that has one: applied to embeddings."
    ),
]


def open_site(spec: str | None, model: Model | None) -> SiteTransform | None:
    """The site that an option names, if it does. Raises as `needed_site`."""
    return None if spec is None else needed_site(spec, model)


def needed_site(spec: str, model: Model | None) -> SiteTransform:
    """The site of a file or a gallery. Raises ConfigError where it is of another model, or the gallery has none."""
    if is_gallery(spec):
        with open_gallery(spec, read_only=True) as gallery:
            site = gallery.site.transform
        if site is None:
            raise ConfigError(f"{without_password(spec)} has no site transform; `resight site fit` makes one")
    else:
        site = load_site(Path(spec))
    if model is not None:
        check_fits(site, spec, model.identity, model.dim, model.name)
    return site


def check_fits(site: SiteTransform, spec: str, identity: str, dim: int, named: str) -> None:
    """Raises ConfigError where the site is of another model than embeddings are. identity: of their model, empty where
    not known. dim: theirs. named: that model, in words."""
    if "" not in (site.model, identity) and site.model != identity:
        raise ConfigError(
            f"{without_password(spec)} was fitted to embeddings of another model ({short_of(site.model)}) than "
            f"{named} ({short_of(identity)})"
        )
    if site.dim != dim:
        raise ConfigError(f"{without_password(spec)} is of dimension {site.dim}, embeddings of {named} have {dim}")


def site_in_force(gallery: Gallery) -> SiteTransform | None:
    """A gallery's site; None where it has none, or a damaged one, so that it can be replaced or taken away."""
    try:
        return gallery.site.transform
    except GalleryError:
        return None


def keep_calibration(spec: str, site: SiteTransform, calibration: Calibration) -> str:
    """Writes the calibration into the site's file, or the gallery's site; where, in words. Raises ConfigError where
    another site is in force there by now."""
    if is_gallery(spec):
        with open_gallery(spec) as gallery:
            there = gallery.site.transform
            if there is None or there.identity != site.identity:
                raise ConfigError(f"{without_password(spec)} has another site transform by now; calibrate again")
            gallery.site.use(site.with_calibration(calibration), purpose="calibration")
    else:
        save_site(site.with_calibration(calibration), Path(spec))
    return without_password(spec)


def at_site(site: SiteTransform, crops: EmbeddedCrops) -> EmbeddedCrops:
    """The crops with transformed embeddings."""
    return replace(crops, embeddings=site.apply(crops.embeddings, crops.camera_names))


def tell_unknown(site: SiteTransform, *sides: Sequence[str]) -> None:
    """Says which site it is, and how many pictures are by cameras that it has no mean of. sides: each one's camera."""
    names = [name for side in sides for name in side]
    unknown = sorted({name for name in names if not site.knows(name)})
    output.say(f"site {short_of_site(site.identity)}, fitted {site.facts.date} to {site.facts.source or 'embeddings'}")
    if unknown:
        num = sum(not site.knows(name) for name in names)
        shown = ", ".join(unknown[:5]) + (" and more" if len(unknown) > 5 else "")
        output.say(f"{num:,} of {len(names):,} pictures are by cameras without a mean, and get the site's: {shown}")


def was_trained_on(model: Model, dataset: Dataset) -> bool:
    """Whether the model's card tells of this training part: as many pictures of as many people, since the same data
    can have another name."""
    named = settled(dataset)
    return bool(named.train) and named.part_in_words("train") in model.card.trained_on


def crops_of_place(
    place: str,
    model: str | Model | None,
    splits: list[str] | None,
    format: str | None,
    strict: bool = False,
    leave_known: bool = False,
) -> SiteCrops:
    """What a gallery, a file of embeddings or pictures hold, embedded. leave_known: without the training pictures, if
    the model was trained on them."""
    if is_gallery(place):
        with open_gallery(place, read_only=True) as gallery:
            return gallery.site.crops()
    if holds_embeddings(Path(place)):
        rows = read_rows(Path(place))
        check_vectors(rows.vectors, ~rows.blank, place)
        return SiteCrops.of_rows(rows, place)
    if model is None:
        if ":" not in place and not Path(place).exists():
            raise ConfigError(f"{place} is not there; give a gallery, a folder, a manifest or a file of embeddings")
        raise ConfigError(f"{place} holds pictures: say what embeds them, with --model")
    loaded = model if isinstance(model, Model) else load(model)
    dataset = open_data(place, format, strict, labelled=False)
    if leave_known and was_trained_on(loaded, dataset):
        splits = [split for split in splits or SPLITS if split != "train"]
        output.say(f"{loaded.name} was trained on the {len(dataset.train):,} training pictures: they are left out")
        if not splits:
            raise ConfigError("--split train: that is what the model was trained on, which says nothing of others")
    crops = crops_of(dataset, *([splits] if splits else []))
    embedded, problems = loaded.embed_crops(crops, leave_blank=True, strict=strict, progress=output.progress)
    output.name_problems(problems)
    by_name = {crop.name: crop for crop in crops}
    kept = [by_name[name] for name in embedded.names]
    return SiteCrops.of(kept, embedded.embeddings, loaded.identity, f"{dataset.name}, {', '.join(splits or ['all'])}")
