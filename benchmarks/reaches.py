"""Whether the criterion of `resight adapt` tells the clusters' reaches (eps) apart: it, and what the labels say.

    python -m benchmarks.reaches default market501=/work/shared/data/market501 ... [--pictures 2000]

For each reach by itself, as a round begins: the criterion, precision and recall of the clusters' pairs across cameras,
and the mAP on the place's test people of the space that is whitened by the scatter within those clusters. Spearman's
rank correlation of the criterion with 1 - mAP and 1 - F1 of the pairs: 1 where it ranks as the labels do. MODEL may be
a round of `adapting.py --each-round` (FOLDER/round-4).
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from benchmarks.adapting import site_of
from benchmarks.neighbours import begun_at
from scipy.stats import spearmanr

import resight
from resight.core.records import EmbeddedCrops
from resight.site.fitting import USUAL_EXPONENT, whitening, within_scatter
from resight.site.transform import SiteTransform

REACHES = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("places", nargs="+")
    parser.add_argument("--pictures", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    model = resight.load(given.model)
    for spec in given.places:
        data = resight.open_dataset(spec)
        begun, tested = begun_at(model, site_of(data, given.pictures, given.seed)), model.embed_dataset(data)
        flat = replace(begun.site, matrix=np.eye(begun.site.dim, dtype=np.float32))
        centred = flat.apply(begun.rows, begun.names)
        print(f"{given.model} at {data.name}: the plain transform {begun.judges.eer(begun.site):.4f}")
        told: list[tuple[float, float, float]] = []
        for eps in REACHES:
            found = begun.clusters(replace(begun.how, eps=(eps,)))
            rows = found.labels >= 0
            matrix = whitening(within_scatter(centred[rows], found.labels[rows]), USUAL_EXPONENT).astype(np.float32)
            moved = replace(begun.site, matrix=matrix)
            precision, recall = begun.right(found)
            scored = resight.evaluate(at(moved, tested.query), at(moved, tested.gallery))
            f1 = 2 * precision * recall / max(1e-9, precision + recall)
            told.append((begun.judges.eer(moved), scored.mean_ap, f1))
            print(
                f"  eps {eps:<4g} criterion {told[-1][0]:.4f}; mAP {scored.mean_ap:.3f}; precision {precision:.2f}, "
                f"recall {recall:.2f}; the largest {found.largest:.3f}{'' if found.sound else ', not sound'}",
                flush=True,
            )
        eer, mean_ap, f1s = np.array(told).T
        print(f"  Spearman: with 1 - mAP {_rank(eer, -mean_ap)}, with 1 - F1 {_rank(eer, -f1s)}", flush=True)


def at(site: SiteTransform, side: EmbeddedCrops) -> EmbeddedCrops:
    """The crops at the site."""
    return replace(side, embeddings=site.apply(side.embeddings, side.camera_names))


def _rank(one: np.ndarray, other: np.ndarray) -> str:
    return f"{spearmanr(one, other).statistic:.2f}"


if __name__ == "__main__":
    main()
