"""The site transform of a gallery: fitted to its entries, kept in it, and applied whenever it is searched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from warnings import warn

from resight.core.errors import ConfigError, DataError, EmbeddingError, GalleryError
from resight.embedding.card import short_of
from resight.gallery.records import Detail
from resight.gallery.store import Store
from resight.site.crops import SiteCrops
from resight.site.drift import Drift, drift_of
from resight.site.transform import SiteTransform

if TYPE_CHECKING:
    from resight.gallery.gallery import Gallery

Caller = Callable[[str | None, str | None], tuple[str, str]]


class GallerySite:
    """What `Gallery.site` is. who, purpose: as of the gallery's methods; changes are audited.

    Example:
        >>> import numpy as np, resight
        >>> rng = np.random.default_rng(0)
        >>> with resight.open_gallery("sited.db", resight.load("city"), new=True) as gallery:
        ...     rows = rng.normal(size=(400, gallery.settings.dim))
        ...     rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        ...     cameras = ["north", "south"] * 200
        ...     ids = gallery.add_embeddings(rows, model=gallery.settings.model, camera=cameras)
        ...     site = gallery.site.fit()
        ...     gallery.site.transform.identity == site.identity
        True
    """

    def __init__(self, store: Store, caller: Caller) -> None:
        self._store = store
        self._caller = caller

    @property
    def transform(self) -> SiteTransform | None:
        """The one in force, or None."""
        return self._store.site()

    def crops(self) -> SiteCrops:
        """What a transform can be fitted to: all entries, without who they are."""
        return self._store.site_crops()

    def fit(
        self,
        *,
        tracked: bool = True,
        exponent: float | None = None,
        without: Sequence[str] = (),
        after: float | None = None,
        before: float | None = None,
        who: str | None = None,
        purpose: str | None = None,
    ) -> SiteTransform:
        """Fits a transform to the entries and puts it in force. The embeddings that are stored stay as they are.

        tracked: whether to use the entries' tracks. exponent, without: as `fit_site`. after, before: the period of the
        entries, in seconds since 1970. Raises what `fit_site` raises; the transform in force then stays.
        """
        found = self.crops().fit(tracked=tracked, exponent=exponent, without=without, after=after, before=before)
        self.use(found, who=who, purpose=purpose)
        return found

    def use(self, site: SiteTransform | None, *, who: str | None = None, purpose: str | None = None) -> None:
        """Puts a transform in force, or none. Of the one that is in force already the calibration stays, unless it
        brings its own. Raises ConfigError where it is of another model, or the engine keeps none.
        """
        settings = self._store.settings
        if site is not None and (site.model not in ("", settings.model) or site.dim != settings.dim):
            raise ConfigError(
                f"this site is of the model {short_of(site.model)}, dimension {site.dim}; the gallery is of "
                f"{settings.model_label}, dimension {settings.dim}"
            )
        if site is not None and site.calibration is None:
            there = self._readable()
            site = site.with_calibration(there.calibration) if there and there.identity == site.identity else site
        self._store.set_site(site, *self._caller(who, purpose))

    def _readable(self) -> SiteTransform | None:
        """The one in force; None where it is damaged too, and so can be replaced."""
        try:
            return self.transform
        except GalleryError:
            return None

    def check(self, *, after: float | None = None, before: float | None = None) -> tuple[Drift, ...]:
        """Whether the entries of a period still look as the transform's means do. Raises ConfigError without one."""
        site = self.transform
        if site is None:
            raise ConfigError("the gallery has no site transform; fit one first")
        recent = self.crops().within(after, before)
        return drift_of(site, recent.embeddings, recent.cameras, recent.tracks)


def audited(site: SiteTransform | None) -> Detail:
    """What the audit records of a change of the transform."""
    return {"transform": site.identity if site else "none", "fitted": site.facts.date if site else ""}


@dataclass(frozen=True)
class Refitted:
    """before, after: the transform before a deletion and after it; None: none, or before: damaged. told: what became of
    it, in words; empty: it is the same."""

    before: SiteTransform | None
    after: SiteTransform | None
    told: str


def fit_to_what_is_left(
    read: Callable[[], SiteTransform | None],
    crops: Callable[[], SiteCrops],
    put: Callable[[SiteTransform | None], None],
) -> Refitted:
    """Fits the transform in force to what a deletion leaves, by its own options, and puts that in force, or none where
    none can be fitted or the old one is damaged.

    Nothing of the old one is taken over: it was made of the deleted entries too. The calibration stays only where the
    transform did not change. read: the one in force. crops: the entries that stay. put: puts one in force, or none.
    """
    try:
        before = read()
    except GalleryError as error:
        put(None)
        return Refitted(None, None, f"the site transform is deleted too: {error}")
    if before is None:
        return Refitted(None, None, "")
    after, told = _fitted_anew(before, crops())
    put(after)
    return Refitted(before, after, told)


def _fitted_anew(old: SiteTransform, crops: SiteCrops) -> tuple[SiteTransform | None, str]:
    facts = old.facts
    chosen = {"without": facts.without, "after": facts.after, "before": facts.before}
    try:
        new = crops.fit(tracked=facts.method == "tracklets", **chosen)  # type: ignore[arg-type]
    except (DataError, EmbeddingError) as error:
        return None, f"the site transform is deleted too, and none can be fitted to what is left: {error}"
    if new.identity == old.identity:
        return new.with_calibration(old.calibration), ""
    lost = "; its calibration is gone: `resight calibrate MODEL DATA --site PLACE` makes one" if old.calibration else ""
    return new, f"the site transform was fitted anew{lost}"


def copy_site(site: SiteTransform, new: Gallery) -> None:
    """Puts another gallery's transform in force; warns where the engine keeps none."""
    there = new.site.transform
    if there is not None and there.identity == site.identity:
        return
    try:
        new.site.use(site)
    except ConfigError as error:
        warn(f"the site transform was not copied: {error}", stacklevel=2)
