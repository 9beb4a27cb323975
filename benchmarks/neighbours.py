"""How many neighbours (k1, k2 of the Jaccard distance) make the best clusters, by how many cameras a place has.

    python -m benchmarks.neighbours default synthetic:seed=21,train_people=60,test_people=2,cameras=2 ...

The first round of `resight adapt`, for each setting: embeddings at the site, tracklets clustered at the reach that the
criterion chooses. By the labels that were hidden: how many of the clusters' pairs across cameras are one person, and
how many of one person's pairs across cameras are in one cluster.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np
from benchmarks.adapting import with_tracks

import resight
from resight.core.records import FloatArray, IntArray
from resight.data.crops import Crop
from resight.embedding.model import Model
from resight.site.clustering import OF_TRACKLETS, Clustering, Judges, Neighbourhood, cluster, of_tracklets
from resight.site.criterion import tracklet_codes
from resight.site.crops import SiteCrops
from resight.site.transform import SiteTransform
from resight.training.adaptation.pictures import _judging
from resight.training.adaptation.settings import Adaptation

TRIED = ((4, 2), (4, 3), (6, 2), (6, 3), (10, 3))  # k1, k2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("places", nargs="+")
    given = parser.parse_args()
    model = resight.load(given.model)
    for spec in given.places:
        begun = begun_at(model, list(resight.open_dataset(spec).train))
        print(f"{spec}: {len(np.unique(begun.tracklets)) / len(np.unique(begun.pids)):.1f} tracklets a person")
        for k1, k2 in TRIED:
            found = begun.clusters(replace(OF_TRACKLETS, k1=k1, k2=k2))
            precision, recall = begun.right(found)
            taken = " (taken)" if (k1, k2) == (begun.how.k1, begun.how.k2) else ""
            print(
                f"  k1 {k1:2} k2 {k2}{taken:8} eps {found.eps:g}: {found.num} clusters of "
                f"{(found.labels >= 0).mean():.2f} of the pictures, the largest {found.largest:.3f}; precision "
                f"{precision:.2f}, recall {recall:.2f}",
                flush=True,
            )


@dataclass(frozen=True, eq=False)
class Begun:
    """A site as a round of `resight adapt` begins: the n pictures that learn, and those that judge."""

    site: SiteTransform
    rows: FloatArray
    names: list[str]
    cameras: IntArray
    tracklets: IntArray
    pids: IntArray
    judges: Judges

    @property
    def how(self) -> Neighbourhood:
        """As `resight adapt` clusters here."""
        return of_tracklets(len(np.unique(self.cameras)))

    def clusters(self, how: Neighbourhood) -> Clustering:
        """The clusters of the pictures that learn."""
        unknown = np.full(len(self.rows), np.nan)
        return cluster(self.site, self.rows, self.names, self.tracklets, unknown, self.judges, how)

    def right(self, found: Clustering) -> tuple[float, float]:
        """Precision and recall of pairs across cameras, by the labels that were hidden."""
        other = self.cameras[:, None] != self.cameras[None]
        same = (self.pids[:, None] == self.pids[None]) & other
        together = (found.labels[:, None] == found.labels[None]) & (found.labels[:, None] >= 0) & other
        right = int((together & same).sum())
        return right / max(1, int(together.sum())), right / max(1, int(same.sum()))


def begun_at(model: Model, site: list[Crop]) -> Begun:
    """The site of these pictures, tracks made of their labels."""
    wanted = with_tracks(site)
    embedded, _ = model.embed_crops(wanted)
    by_name = {crop.name: crop for crop in wanted}
    crops = [by_name[name] for name in embedded.names]
    names, rows = [str(crop.camid) for crop in crops], embedded.embeddings
    cameras, tracklets = tracklet_codes(names, [crop.track for crop in crops])
    judging = _judging(tracklets, Adaptation().held_out, 0)
    tracks = tuple(crop.track for crop in crops)
    fitted = SiteCrops(rows, tuple(names), tracks, np.full(len(crops), np.nan), "", "").part(~judging).fit()
    apart, learning = np.flatnonzero(judging), np.flatnonzero(~judging)
    judges = Judges(rows[apart], [names[row] for row in apart], cameras[apart], tracklets[apart])
    own = [names[row] for row in learning]
    return Begun(fitted, rows[learning], own, cameras[learning], tracklets[learning], embedded.pids[learning], judges)


if __name__ == "__main__":
    main()
