"""What the field does where labels lack, by our own code, to lay beside `resight site fit` and `resight adapt`.

    python -m benchmarks.field_ways city /work/shared/data/market501 -o FOLDER --pictures 2000 --rounds 6 \\
        --source synthetic:seed=0,train_people=60,cameras=12,crops_per_camera=2

Statistics (Li et al., *Adaptive Batch Normalization*, 2018; a camera: Zhuang et al., ECCV 2020): each normalisation
takes the mean and variance of the site's pictures, or of one camera's, in place of the source's. Nothing is learnt. A
bundle's normalisations are folded: they get those of pictures like the source's first (`--source`).

Cluster-Contrast (Dai et al., 2021) as published, but for the network, the batch and the number of steps, which are
those of `resight adapt`: pictures, not tracklets, are clustered, raw, by DBSCAN on k-reciprocal Jaccard distances
(k1 30, k2 6, eps 0.6, 4 of a core), no camera is known, one memory of clusters, temperature 0.05, momentum 0.1, no
colour cast, the last round's network. `--stop` lets it end where one cluster holds a tenth, as `resight adapt` does.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from benchmarks.adapting import site_of, with_tracks
from torch import nn

from resight.core.progress import progress_bar
from resight.core.records import EmbeddedCrops, FloatArray, IntArray
from resight.data.crops import Crop, Dataset
from resight.data.formats.catalogue import open_dataset
from resight.embedding.loading import load
from resight.evaluation.evaluate import evaluate
from resight.evaluation.rerank import jaccard_within
from resight.models.inference import TorchNetwork
from resight.models.saved import TrainedNetwork
from resight.site.clustering import dbscan
from resight.site.files import load_site
from resight.site.fitting import fit_site
from resight.site.rounds import SITE_FILE, Round, RoundFacts
from resight.site.transform import SiteTransform
from resight.training.adaptation.adapt import Site, _Adapting
from resight.training.adaptation.beginning import _proxies
from resight.training.adaptation.pictures import SitePictures
from resight.training.adaptation.settings import Adaptation
from resight.training.batches.images import load_training_images
from resight.training.loop import TrainOptions
from resight.training.pretrained import load_trainable
from resight.training.unfolding import restore_statistics

MEASURED = 512  # pictures at the most that statistics are taken of
PLAIN = Adaptation(across_from=1000, temperature=0.05, momentum=0.1, colour_cast=0.0, eps=0.6)


class ClusterContrast(_Adapting):
    """Rounds of plain clusters of pictures."""

    stop: bool = False

    def _begin(self, number: int) -> Round:
        told = TrainedNetwork(copy.deepcopy(self.average.network).eval(), self.config)
        embeddings = self.pictures.embed(told, "cpu", self.progress)
        labels = dbscan(jaccard_within(embeddings, 30, 6, PLAIN.eps), PLAIN.eps, 4)
        proxies, memory = _proxies(labels, self.pictures.camera_codes, embeddings)
        sizes = np.bincount(labels[labels >= 0])
        largest = float(sizes.max()) / len(labels)
        facts = RoundFacts(
            number,
            None,
            None,
            0,
            PLAIN.eps,
            {},
            len(sizes),
            0,
            int(sizes.sum()),
            len(labels),
            largest,
            0,
            not self.stop,
        )
        return Round(facts, labels, proxies, memory)


def take_statistics(network: nn.Module, pixels: Sequence[npt.NDArray[np.uint8]], trained: TrainedNetwork) -> None:
    """Gives each normalisation the mean and variance over the pictures, layer after layer as in training."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over the batches
        norm.train()
    with torch.no_grad():
        for batch in pixels:
            network(torch.from_numpy(trained.config.preprocessing.normalise(batch)))
    network.eval()


def pixels_of(crops: Sequence[Crop], trained: TrainedNetwork) -> tuple[list[str], npt.NDArray[np.uint8]]:
    """Names and pixels, as the network takes them."""
    size = trained.config.preprocessing
    images = load_training_images(crops, size.height, size.width, resize=size.resize)
    return [crop.name for crop in images.crops], np.concatenate(list(images.batches([np.arange(len(images))])))


def by_statistics(
    trained: TrainedNetwork, site: Sequence[Crop], data: Dataset, each_camera: bool
) -> tuple[dict[str, FloatArray], list[Crop]]:
    """Embeddings of all pictures by name, the site's too, by a network of the site's statistics or of each camera's."""
    rng, found = np.random.default_rng(0), dict[str, FloatArray]()
    crops = [*site, *data.query, *data.gallery]
    own, every = {crop.name for crop in site}, {crop.name: crop for crop in crops}
    for camids in [{crop.camid} for crop in site] if each_camera else [{crop.camid for crop in crops}]:
        pending = [crop for crop in crops if crop.camid in camids and crop.name not in found]
        if not pending:
            continue
        names, pixels = pixels_of(pending, trained)
        rows = rng.permutation([row for row, name in enumerate(names) if name in own])[:MEASURED]
        network = copy.deepcopy(trained.network)
        take_statistics(network, [pixels[part] for part in np.array_split(rows, max(1, len(rows) // 64))], trained)
        told = TorchNetwork(TrainedNetwork(network, trained.config), "cpu")
        found |= dict(zip(names, told(pixels, trained.config.preprocessing), strict=True))
    return found, [every[name] for name in found]


def with_embeddings(crops: EmbeddedCrops, found: dict[str, FloatArray]) -> EmbeddedCrops:
    return replace(crops, embeddings=np.stack([found[name] for name in crops.names]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--source", help="pictures like those that a bundle was trained on")
    parser.add_argument("--pictures", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=6, help="of Cluster-Contrast; 0: the statistics alone")
    parser.add_argument("--stop", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    data = open_dataset(given.data)
    crops = with_tracks(site_of(data, given.pictures, given.seed))
    trained, folded = load_trainable(given.model)
    if folded:
        restore_statistics(trained, pixels_of(open_dataset(given.source).train[:MEASURED], trained)[1])
    trained.network.eval()
    sides = load(given.model).embed_dataset(data)
    figures: dict[str, dict[str, float]] = {}
    tracks = {crop.name: crop.track for crop in crops}

    def score(name: str, query: EmbeddedCrops, gallery: EmbeddedCrops) -> None:
        scored = evaluate(query, gallery, "market1501")
        figures[name] = {"rank1": scored.rank(1), "map": scored.mean_ap}
        print(f"{name:40} {scored.rank(1):.3f} / {scored.mean_ap:.3f}", flush=True)

    def at(site: SiteTransform, side: EmbeddedCrops) -> EmbeddedCrops:
        return replace(side, embeddings=site.apply(side.embeddings, side.camera_names))

    score("raw", sides.query, sides.gallery)
    for each_camera in (False, True):
        name = "statistics of each camera" if each_camera else "statistics of the site"
        found, of_rows = by_statistics(trained, crops, data, each_camera)
        query, gallery = with_embeddings(sides.query, found), with_embeddings(sides.gallery, found)
        score(name, query, gallery)
        rows = [crop for crop in of_rows if crop.name in tracks]
        cameras = [str(crop.camid) for crop in rows]
        site = fit_site(np.stack([found[crop.name] for crop in rows]), cameras, [tracks[crop.name] for crop in rows])
        score(f"{name} + transform", at(site, query), at(site, gallery))

    if not given.rounds:
        return
    told = []
    size = trained.config.preprocessing
    pictures = SitePictures.of(crops, data.name, size.height, size.width, tracked=False, resize=size.resize)
    codes: IntArray = np.zeros_like(pictures.camera_codes)
    place, settings = Site(data.name, crops, data.rights, tracked=False), replace(PLAIN, rounds=given.rounds)
    start, folded = load_trainable(given.model)
    if folded:
        restore_statistics(start, pictures.images.sample())
    options = TrainOptions(device="cpu", resume=True)
    args = (replace(pictures, camera_codes=codes), given.out / "run", settings, given.seed, options, progress_bar)
    (given.out / "run").mkdir(exist_ok=True)
    running = ClusterContrast(start, given.model, place, *args, lambda facts: told.append(asdict(facts)))
    running.stop = given.stop
    outcome = running.run()
    print(outcome.reason if outcome else "interrupted")
    for facts in told:
        print({name: facts[name] for name in ("number", "clusters", "pictures", "of", "largest")})
    sides = load(given.out / "run").embed_dataset(data)
    score("Cluster-Contrast", sides.query, sides.gallery)
    site = load_site(given.out / "run" / SITE_FILE)
    score("Cluster-Contrast + transform", at(site, sides.query), at(site, sides.gallery))
    (given.out / "figures.json").write_text(json.dumps({"rows": figures, "rounds": told}, indent=2))


if __name__ == "__main__":
    main()
