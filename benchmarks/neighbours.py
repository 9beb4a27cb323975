"""How many neighbours (k1, k2 of the Jaccard distance) make the best clusters, by how many cameras a place has.

    python -m benchmarks.neighbours default synthetic:seed=21,train_people=60,test_people=2,cameras=2 ...

The first round of `resight adapt`, for each setting: embeddings at the site, tracklets clustered at the reach that the
criterion chooses. By the labels that were hidden: how many of the clusters' pairs across cameras are one person, and
how many of one person's pairs across cameras are in one cluster.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from benchmarks.adapting import with_tracks

import resight
from resight.site.clustering import OF_TRACKLETS, Judges, cluster, of_tracklets
from resight.site.criterion import tracklet_codes
from resight.site.crops import SiteCrops
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
        wanted = with_tracks(list(resight.open_dataset(spec).train))
        embedded, _ = model.embed_crops(wanted)
        by_name = {crop.name: crop for crop in wanted}
        crops = [by_name[name] for name in embedded.names]
        names, rows = [str(crop.camid) for crop in crops], embedded.embeddings
        cameras, tracklets = tracklet_codes(names, [crop.track for crop in crops])
        judging = _judging(tracklets, Adaptation().held_out, 0)
        unknown = np.full(len(crops), np.nan)
        tracks = tuple(crop.track for crop in crops)
        site = SiteCrops(rows, tuple(names), tracks, unknown, "", "").part(~judging).fit()
        apart, learning = np.flatnonzero(judging), np.flatnonzero(~judging)
        judges = Judges(rows[apart], [names[row] for row in apart], cameras[apart], tracklets[apart])
        own = [names[row] for row in learning]
        pids = embedded.pids[learning]
        other = cameras[learning][:, None] != cameras[learning][None]
        same = (pids[:, None] == pids[None]) & other
        ours = of_tracklets(len(np.unique(cameras)))
        print(f"{spec}: {len(np.unique(tracklets[learning])) / len(np.unique(pids)):.1f} tracklets a person")
        for k1, k2 in TRIED:
            how = replace(OF_TRACKLETS, k1=k1, k2=k2)
            found = cluster(site, rows[learning], own, tracklets[learning], unknown[learning], judges, how)
            together = (found.labels[:, None] == found.labels[None]) & (found.labels[:, None] >= 0) & other
            right = (together & same).sum()
            print(
                f"  k1 {k1:2} k2 {k2}{' (taken)' if (k1, k2) == (ours.k1, ours.k2) else '':8} eps {found.eps:g}: "
                f"{found.num} clusters of {(found.labels >= 0).mean():.2f} of the pictures, the largest "
                f"{found.largest:.3f}; precision {right / max(1, together.sum()):.2f}, recall {right / same.sum():.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
