"""What every store does with a site transform: the same tests, whatever the engine."""

from __future__ import annotations

from dataclasses import replace
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest

from resight.core.errors import GalleryError
from resight.gallery.filters import Filter
from resight.gallery.gallery import Gallery
from resight.gallery.opening import open_gallery
from resight.gallery.store import SiteChanged
from resight.site.transform import SiteTransform
from tests.gallery.helpers import CALIBRATED, DIM, MODEL, EightValues, calibration, unit
from tests.gallery.test_contract import Open, open_store
from tests.site.places import Place, place

__all__ = ["open_store"]


def a_place(seed: int = 0, people: int = 40) -> Place:
    """A drawn place of two cameras in eight values."""
    drawn = place(people=people, cameras=2, pictures=3, seed=seed)
    rows = drawn.embeddings[:, 4 : 4 + DIM]
    return replace(drawn, embeddings=(rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))


def _filled(open_store: Open, drawn: Place, model: EightValues = MODEL) -> Gallery:
    gallery = open_store(model)
    gallery.add_embeddings(
        drawn.embeddings, model=model.identity, camera=drawn.cameras, track=drawn.tracks, pid=drawn.pids.tolist()
    )
    return gallery


def expected(site: SiteTransform | None, drawn: Place, query: Any, camera: str | None) -> list[int]:
    """Ids in the order in which they must be found."""
    rows, asked = drawn.embeddings, query[None]
    if site is not None:
        rows, asked = site.apply(rows, drawn.cameras), site.apply(asked, camera)
    similarity = rows.astype(np.float64) @ asked[0].astype(np.float64)
    return [int(row) + 1 for row in np.argsort(-similarity, kind="stable")]


def found_by(gallery: Gallery, query: Any, seen_by: str | None, top_k: int | None = 30, **conditions: Any) -> list[int]:
    return [match.id for match in gallery.search_embeddings(query, top_k, seen_by=seen_by, **conditions)[0]]


def test_a_site_is_in_force_in_every_opening_until_it_is_removed(open_store: Open) -> None:
    drawn = a_place()
    gallery, query = _filled(open_store, drawn), unit(1, seed=9)[0]
    assert found_by(gallery, query, None) == expected(None, drawn, query, None)[:30]
    other = open_store()
    site = gallery.site.fit()
    for opening in (gallery, other):
        assert opening.site.transform is not None
        assert opening.site.transform.identity == site.identity
        assert found_by(opening, query, "c0") == expected(site, drawn, query, "c0")[:30]
        assert found_by(opening, query, "c0", None) == expected(site, drawn, query, "c0")  # all of them
    near = gallery.search_embeddings(query, 5, seen_by="c0", min_similarity=0.3)[0]
    assert all(match.similarity >= 0.3 for match in near)
    only = found_by(gallery, query, "c0", camera="c1", exclude_track=drawn.tracks[0])
    wanted = [n for n in expected(site, drawn, query, "c0") if drawn.cameras[n - 1] == "c1"]
    assert only == [n for n in wanted if drawn.tracks[n - 1] != drawn.tracks[0]][:30]
    again = gallery.site.fit(exponent=0.0)
    assert again.identity != site.identity
    assert found_by(other, query, "c1") == expected(again, drawn, query, "c1")[:30]
    gallery.site.use(None)
    assert other.site.transform is None
    assert found_by(other, query, None) == expected(None, drawn, query, None)[:30]
    assert [line.action for line in gallery.audit()] == ["site"] * 3
    raw = next(iter(gallery.entries(id=7)))
    np.testing.assert_array_equal(raw.embedding, drawn.embeddings[6])


def test_what_is_added_later_is_at_the_site_too(open_store: Open) -> None:
    drawn = a_place()
    gallery = _filled(open_store, drawn)
    site = gallery.site.fit()
    new = unit(2, seed=3)
    ids = gallery.add_embeddings(new, model=MODEL.identity, camera=["c0", "of no mean"], pid=[77, 78])
    for row, camera, number in zip(new, ("c0", None), ids, strict=True):
        match = gallery.search_embeddings(row, 1, seen_by=camera)[0][0]
        assert match.id == number
        assert match.similarity == pytest.approx(1, abs=1e-5)
    assert not list(gallery.verify())
    assert gallery.site.transform is not None
    assert gallery.site.transform.identity == site.identity


def test_forgetting_fits_anew_and_leaves_no_row_of_either(open_store: Open) -> None:
    drawn = a_place()
    gallery, query = _filled(open_store, drawn, CALIBRATED), unit(1, seed=9)[0]
    gallery.site.fit()
    first = gallery.site.transform
    assert first is not None
    gallery.site.use(first.with_calibration(calibration()))
    kept = gallery.site.transform
    assert kept is not None
    assert kept.calibration == calibration()
    gone = gallery.forget(pids=[0, 1], purpose="a request")
    assert "fitted anew" in gone.site
    left = drawn.pids > 1
    second = gallery.site.transform
    assert second is not None
    assert second.calibration is None
    crops = gallery.site.crops()
    assert len(crops) == left.sum()
    fitted = crops.fit()
    assert second.identity == fitted.identity != first.identity
    wanted = [number for number in expected(second, drawn, query, "c0") if left[number - 1]]
    assert found_by(gallery, query, "c0", None) == wanted
    assert not list(gallery.verify())
    few = gallery.forget(camera="c1")
    assert "deleted too" in few.site
    assert gallery.site.transform is None
    wanted = [n for n in expected(None, drawn, query, None) if left[n - 1] and drawn.cameras[n - 1] == "c0"]
    assert found_by(gallery, query, None, None) == wanted


def test_a_search_at_another_site_than_the_one_in_force_is_told(open_store: Open) -> None:
    drawn = a_place()
    gallery, query = _filled(open_store, drawn), unit(1, seed=9)
    site = gallery.site.fit()
    for asked in ("", "site:another"):
        with pytest.raises(SiteChanged):
            gallery.store.search(query, 3, Filter(), None, asked)
    assert gallery.store.search(query, 3, Filter(), None, site.identity).hits[0]


def test_a_rewriting_that_was_cut_short_shows_nothing_and_goes_on(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = a_place()
    gallery, query = _filled(open_store, drawn), unit(1, seed=9)[0]
    before = gallery.site.fit()
    sited = getattr(gallery.store, "_sited", None)
    if sited is None:
        pytest.skip("this engine rewrites nothing")

    def killed(site: SiteTransform | None) -> None:
        raise GalleryError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(sited, "put", killed)
        with pytest.raises(GalleryError, match="killed"):
            gallery.site.fit(exponent=0.0)
    assert found_by(gallery, query, "c0") == expected(before, drawn, query, "c0")[:30]
    assert not list(gallery.verify())
    new = unit(1, seed=4)
    ids = gallery.add_embeddings(new, model=MODEL.identity, camera="c0", pid=77)
    after = gallery.site.fit(exponent=0.0)
    assert gallery.search_embeddings(new[0], 1, seen_by="c0")[0][0].id == ids[0]
    assert not list(gallery.verify())
    assert gallery.site.transform is not None
    assert gallery.site.transform.identity == after.identity


def test_searches_during_a_rewriting_are_of_one_transform_or_the_other(postgres: str) -> None:
    drawn, query = a_place(), unit(1, seed=9)[0]
    opened = [open_gallery(postgres + "rewriting", MODEL) for _ in range(2)]
    with opened[0] as gallery, opened[1] as other:
        gallery.add_embeddings(
            drawn.embeddings, model=MODEL.identity, camera=drawn.cameras, track=drawn.tracks, pid=drawn.pids.tolist()
        )
        sites = [gallery.site.crops().fit(exponent=power) for power in (0.0, 0.75)]
        wanted = {site.identity: expected(site, drawn, query, "c0") for site in sites}
        gallery.site.use(sites[0])
        found: list[tuple[str, list[int]]] = []
        done = Event()

        def searching() -> None:
            while not done.is_set():
                answer = other.search_embeddings(query, None, seen_by="c0")[0]
                found.append((answer.site, [match.id for match in answer]))

        thread = Thread(target=searching)
        thread.start()
        try:
            for number in range(6):
                gallery.site.use(sites[number % 2])
        finally:
            done.set()
            thread.join()
        assert all(ids == wanted[site] for site, ids in found)
        assert {site for site, _ in found} <= set(wanted)
        assert found
