"""What adapting to a site without labels brings, beside its site transform alone: rank-1 and mAP on other people there.

    python benchmarks/adapting.py MODEL DATA -o FOLDER [--pictures 3000] [--seed 0] [--set rounds=8 ...]

DATA: `synthetic:...` or the folder of a data set with a training part. Its training part is the site, pids hidden; its
query and gallery, other people before the same cameras, are scored once, after all is done. Tracklets are made of the
labels within one camera (and sequence, parted at 100 frames): a tracker knows as much, but makes errors that these
lack. Killed and started again, it goes on. FOLDER/figures.json holds the rows.

    --halve              half of the people are the site, for data without a training part
    --spoil .1           so many tracklets are joined to another one of the camera
    --thin 2             so many pictures of a person by one camera at the most
    --wrong-camera 2=1   the pictures by camera 2 are named as by camera 1, at the site and in the transform's use
    --each-round         score the averaged network of each round too, with its own transform, for the record
    --home DATA          score both models, without a transform, on what the source is at home in
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from rich.console import Console
from rich.table import Table

from resight.core.progress import progress_bar
from resight.core.records import EmbeddedCrops
from resight.data.crops import Crop, Dataset
from resight.data.formats.catalogue import open_dataset
from resight.embedding.loading import load
from resight.evaluation.compare import compare
from resight.evaluation.evaluate import evaluate
from resight.models.saved import load_model, load_strictly, save_model
from resight.site.files import load_site, save_site
from resight.site.fitting import fit_site
from resight.site.rounds import SITE_FILE, RoundFacts, load_round
from resight.site.transform import SiteTransform
from resight.training.adaptation.adapt import Site, adapt
from resight.training.adaptation.pictures import SitePictures
from resight.training.adaptation.settings import Adaptation
from resight.training.loop import TrainOptions
from resight.training.run import CHECKPOINT_FILE

GAP_FRAMES = 100


def with_tracks(crops: Sequence[Crop], spoil: float = 0.0, seed: int = 0) -> list[Crop]:
    """The crops with tracklets. spoil: the share of tracklets that are joined to another of their camera."""
    order = sorted(range(len(crops)), key=lambda row: _walk(crops[row]))
    found: list[Crop] = list(crops)
    names: list[tuple[int, str]] = []
    for place, row in enumerate(order):
        crop, before = crops[row], crops[order[place - 1]]
        gone_on = place > 0 and _walk(crop)[:3] == _walk(before)[:3] and _near(crop, before)
        if not gone_on:
            names.append((crop.camid, f"t{len(names)}"))
        found[row] = replace(crop, track=names[-1][1])
    rng, joined = np.random.default_rng(seed), {}
    for camid, name in names:
        others = [other for camera, other in names if camera == camid and other != name]
        if others and rng.random() < spoil:
            joined[name] = others[int(rng.integers(len(others)))]
    return [replace(crop, track=joined.get(str(crop.track), crop.track)) for crop in found]


def _walk(crop: Crop) -> tuple[int, int, int, int]:
    return crop.camid, crop.pid, crop.sequence or 0, crop.frame or 0


def _near(crop: Crop, before: Crop) -> bool:
    return crop.sequence is None or (crop.frame or 0) - (before.frame or 0) <= GAP_FRAMES


def site_of(data: Dataset, pictures: int, seed: int) -> list[Crop]:
    """Training pictures of people drawn at random, until there are so many; 0: all."""
    people = np.random.default_rng(seed).permutation(sorted({crop.pid for crop in data.train})).tolist()
    by_person: dict[int, list[Crop]] = {}
    for crop in data.train:
        by_person.setdefault(crop.pid, []).append(crop)
    found: list[Crop] = []
    for pid in people:
        if pictures and len(found) >= pictures:
            break
        found += by_person[pid]
    return found


def halved(data: Dataset, seed: int) -> tuple[list[Crop], Dataset]:
    """The pictures of half the people, and the data of the other half: of those that several cameras saw, and of the
    others. Of the first at least 110, since a camera takes 100 pictures for a mean (prid has one a person)."""
    cameras: dict[int, set[int]] = {}
    for crop in (*data.query, *data.gallery):
        if crop.pid > 0:
            cameras.setdefault(crop.pid, set()).add(crop.camid)
    several = sorted(pid for pid, seen in cameras.items() if len(seen) > 1)
    others, rng = sorted(cameras.keys() - set(several)), np.random.default_rng(seed)
    first = max(len(several) // 2, min(110, len(several)))
    site = {*rng.permutation(several)[:first].tolist(), *rng.permutation(others)[: len(others) // 2].tolist()}
    query, gallery = (tuple(c for c in part if c.pid not in site) for part in (data.query, data.gallery))
    return [c for c in (*data.query, *data.gallery) if c.pid in site], replace(data, query=query, gallery=gallery)


def thinned(crops: Sequence[Crop], most: int) -> list[Crop]:
    """The first `most` crops of each person and camera; 0: all."""
    seen: Counter[tuple[int, int]] = Counter()
    found = []
    for crop in crops:
        seen[crop.pid, crop.camid] += 1
        if not most or seen[crop.pid, crop.camid] <= most:
            found.append(crop)
    return found


def misnamed(crops: Sequence[Crop], wrong: str) -> list[Crop]:
    """The crops, of whom those by one camera are said to be by another one. wrong: `2=1`; empty: none is."""
    if not wrong:
        return list(crops)
    camera, other = map(int, wrong.split("="))
    return [replace(crop, camid=other) if crop.camid == camera else crop for crop in crops]


def transformed(site: SiteTransform, crops: EmbeddedCrops, wrong: str) -> EmbeddedCrops:
    """The crops at the site, whose cameras are as wrong there as they were in the fit; they are scored by the true."""
    camera, other = wrong.split("=") if wrong else ("", "")
    names = [other if name == camera else name for name in crops.camera_names]
    return replace(crops, embeddings=site.apply(crops.embeddings, names))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="model", type=Path)
    parser.add_argument("data")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--spoil", type=float, default=0.0)
    parser.add_argument("--thin", type=int, default=0)
    parser.add_argument("--wrong-camera", default="")
    parser.add_argument("--halve", action="store_true")
    parser.add_argument("--no-tracks", action="store_true")
    parser.add_argument("--each-round", action="store_true")
    parser.add_argument("--home")
    parser.add_argument("--set", nargs="*", default=[], help="fields of Adaptation, as rounds=8")
    given = parser.parse_args()
    torch.set_num_threads(1)
    kinds = {name: type(value) for name, value in Adaptation().to_dict().items()}
    pairs = [text.partition("=")[::2] for text in given.set]
    fields: dict[str, Any] = {n: v == "True" if kinds[n] is bool else kinds[n](v) for n, v in pairs}
    data = open_dataset(given.data)
    found, data = halved(data, given.seed) if given.halve else (site_of(data, given.pictures, given.seed), data)
    crops = misnamed(with_tracks(thinned(found, given.thin), given.spoil), given.wrong_camera)
    people = {crop.name: crop.pid for crop in crops}
    given.out.mkdir(parents=True, exist_ok=True)

    def told(facts: RoundFacts) -> None:
        if given.each_round and facts.number > 1:
            keep_average(given.out, facts.number)
        console.print(json.dumps({**asdict(facts), "seconds": round(time.monotonic() - began)}), soft_wrap=True)

    console = Console()
    began = time.monotonic()
    options = TrainOptions(device="cpu", resume=True)
    site = Site(data.name, crops, data.rights, tracked=not given.no_tracks)
    result = adapt(
        given.run, site, given.out / "run", Adaptation(**fields), given.seed, options, progress_bar, on_round=told
    )
    seconds = time.monotonic() - began
    outcome = result.outcome
    if outcome is None:
        raise SystemExit(130)
    console.print(outcome.reason, soft_wrap=True)

    figures: dict[str, Any] = {
        "outcome": asdict(outcome),
        "seconds": seconds,
        "settings": Adaptation(**fields).to_dict(),
    }
    pictures = result.pictures or SitePictures.of(
        crops, data.name, *_size(given.out / "run"), tracked=site.tracked, seed=given.seed
    )
    figures["purity"] = _purity(given.out / "run", pictures, people)
    table = Table("", "rank-1", "mAP", box=None)
    rows: dict[str, tuple[EmbeddedCrops, EmbeddedCrops]] = {}
    for name, path in (("raw", given.run), ("adapted", given.out / "run")):
        model = load(path)
        embedded = model.embed_dataset(data, progress=progress_bar)
        rows[name] = embedded.query, embedded.gallery
        if name == "raw":
            own = given.out / "before.site"
            if not own.exists():
                seen, _ = model.embed_crops(crops, progress=progress_bar)
                tracks = {crop.name: crop.track for crop in crops}
                used = None if given.no_tracks else [tracks[name] for name in seen.names]
                save_site(fit_site(seen.embeddings, seen.camera_names, used), own)
        else:
            own = given.out / "run" / SITE_FILE
        transform = load_site(own)
        sides = (transformed(transform, side, given.wrong_camera) for side in rows[name])
        rows[f"{name} + site"] = next(sides), next(sides)
    for name, (query, gallery) in rows.items():
        scored = evaluate(query, gallery, "market1501")
        figures[name] = {"rank1": scored.rank(1), "map": scored.mean_ap}
        table.add_row(name, f"{scored.rank(1):.3f}", f"{scored.mean_ap:.3f}")
    if given.home:
        home = open_dataset(given.home)
        for name, path in (("raw", given.run), ("adapted", given.out / "run")):
            embedded = load(path).embed_dataset(home, progress=progress_bar)
            scored = evaluate(embedded.query, embedded.gallery, "market1501")
            figures[f"{name} at home"] = {"rank1": scored.rank(1), "map": scored.mean_ap}
            table.add_row(f"{name} at home", f"{scored.rank(1):.3f}", f"{scored.mean_ap:.3f}")
    if given.each_round:
        figures["rounds"] = score_rounds(given.out, pictures, data, given.wrong_camera)
    paired = compare(rows["raw + site"], rows["adapted + site"], "market1501")
    gain = paired.differences["mean_ap"]
    figures["gain"] = {"map": gain.mean, "low": gain.interval.low, "high": gain.interval.high}
    console.print(table)
    console.print(
        f"adapted + site less raw + site: mAP {gain.mean:+.3f} [{gain.interval.low:+.3f}, {gain.interval.high:+.3f}]"
    )
    (given.out / "figures.json").write_text(json.dumps(figures, indent=2))


def keep_average(out: Path, number: int) -> None:
    """Keeps the averaged weights that a round begins with: the checkpoint is of the round before."""
    kept = safetensors.torch.load_file(out / "run" / CHECKPOINT_FILE)
    own = {name.removeprefix("average."): value for name, value in kept.items() if name.startswith("average.")}
    safetensors.torch.save_file(own, out / f"round-{number}.safetensors")


def score_rounds(out: Path, pictures: SitePictures, data: Dataset, wrong: str) -> list[dict[str, float]]:
    """rank-1 and mAP of the averaged network of each round that was kept, with its own transform."""
    found = []
    for path in sorted(out.glob("round-*.safetensors")):
        folder = out / path.stem
        if not folder.exists():
            trained = load_model(out / "run")
            load_strictly(trained.network, safetensors.torch.load_file(path), str(path))
            save_model(folder, trained.network, trained.config)
        own = pictures.fit(pictures.embed(load_model(folder), "cpu"), "")
        embedded = load(folder).embed_dataset(data)
        scored = evaluate(
            transformed(own, embedded.query, wrong), transformed(own, embedded.gallery, wrong), "market1501"
        )
        found.append({"number": int(path.stem.split("-")[1]), "rank1": scored.rank(1), "map": scored.mean_ap})
    return found


def _size(run: Path) -> tuple[int, int]:
    shape = load_model(run).config.preprocessing
    return shape.height, shape.width


def _purity(run: Path, pictures: SitePictures, people: dict[str, int]) -> list[dict[str, float]]:
    """Of each round's clusters, by the labels that were hidden: pair precision, and recall of pairs across cameras."""
    pids = np.array([people[pictures.images.crops[row].name] for row in pictures.rows.tolist()])
    found: list[dict[str, float]] = []
    number = 0
    while (one := load_round(run, number := number + 1)) is not None:
        rows = np.flatnonzero((one.labels >= 0) | ~pictures.judging)
        same = pids[rows][:, None] == pids[rows][None]
        labels = one.labels[rows]
        together = (labels[:, None] == labels[None]) & (labels[:, None] >= 0)
        np.fill_diagonal(together, False)
        np.fill_diagonal(same, False)
        other = pictures.camera_codes[rows][:, None] != pictures.camera_codes[rows][None]
        found.append(
            {
                "precision": float((together & same).sum() / max(1, together.sum())),
                "precision_across": float((together & same & other).sum() / max(1, (together & other).sum())),
                "recall_across": float((together & same & other).sum() / max(1, (same & other).sum())),
            }
        )
    return found


if __name__ == "__main__":
    main()
