from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resight.core.errors import DataError, EmbeddingError
from resight.site.files import from_bytes, load_site, save_site, to_bytes
from resight.site.fitting import fit_site
from resight.site.transform import SiteTransform
from tests.site.places import place


def _site() -> SiteTransform:
    ours = place(people=30)
    return fit_site(ours.embeddings, ours.cameras, ours.tracks, model="sha256:abc", source="a test", before=7.0)


def test_a_file_keeps_all(tmp_path: Path) -> None:
    site = _site()
    save_site(site, tmp_path / "a.site")
    again = load_site(tmp_path / "a.site")
    assert again.identity == site.identity
    assert again.facts == site.facts
    assert (again.model, again.cameras, again.calibration) == (site.model, site.cameras, None)
    given = place(seed=5).embeddings
    assert again.apply(given, "c1").tobytes() == site.apply(given, "c1").tobytes()
    assert [path.name for path in tmp_path.iterdir()] == ["a.site"]


def test_the_same_transform_is_the_same_bytes_and_another_has_another_identity() -> None:
    site = _site()
    assert to_bytes(site) == to_bytes(from_bytes(to_bytes(site), "it"))
    moved = replace(site, means=site.means + np.float32(1e-3))
    others = (moved, replace(site, model="sha256:other"), replace(site, cameras=("a", "b", "c")))
    assert len({site.identity, *(other.identity for other in others)}) == 4
    assert replace(site, facts=replace(site.facts, source="elsewhere")).identity == site.identity


def test_what_is_no_site_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.site"
    with pytest.raises(DataError, match="cannot be read"):
        load_site(path)
    for content in (b"", b"{}", to_bytes(_site())[:-200]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"no site that `resight site fit` wrote, or it is damaged$"):
            load_site(path)
    np.savez(path.with_suffix(".npz"), facts=np.array("{}"))
    with pytest.raises(DataError, match="no site"):
        load_site(path.with_suffix(".npz"))


def test_a_damaged_method_of_compression_is_told() -> None:
    data = bytearray(to_bytes(_site()))
    data[8] = 99  # of the first array, in its own header
    place = bytes(data).index(b"PK\x01\x02")
    data[place + 10] = 99  # and in the directory
    with pytest.raises(DataError, match="damaged"):
        from_bytes(bytes(data), "it")


def test_changed_bytes_are_noticed() -> None:
    data = to_bytes(_site())
    site = _site()
    row = site.matrix[0].tobytes()
    changed = data.replace(row, np.roll(site.matrix[0], 1).tobytes())
    assert changed != data
    with pytest.raises(DataError, match="damaged"):
        from_bytes(changed, "it")


def test_arrays_that_do_not_fit_together_are_refused() -> None:
    site = _site()
    with pytest.raises(DataError, match="does not fit together"):
        replace(site, cameras=("a",))
    with pytest.raises(DataError, match="not finite"):
        replace(site, matrix=site.matrix * np.float32(np.nan))
    with pytest.raises(EmbeddingError, match="have shape"):
        site.apply(np.ones((2, 3)), "c0")
    with pytest.raises(EmbeddingError, match="2 embeddings, but 1 cameras"):
        site.apply(np.ones((2, site.dim)), ["c0"])
    with pytest.raises(EmbeddingError, match="not finite"):
        site.apply(np.full((1, site.dim), np.nan), "c0")
