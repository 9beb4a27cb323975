"""A walk past one camera, searched for among all others with a promise: raw and at the site, by pictures and by tracks.

As walk.py has it: the test part of a data set becomes a gallery, but for one camera and every fourth person, a stranger
to it; that camera's people are searched for. Here each variant is a gallery of its own, calibrated with labels on
embeddings of its own kind: of the test people themselves, as the packaged `market` is on `market501` (which flatters),
or of the training part's people (--calibrate train), for a model that was not trained on them; or without labels, on
the test part (--calibrate none). With --calibrate half, half of all people calibrate and the other half are searched
for; all of them but the strangers are in the gallery: 545 people, of market501. The site transform is always fitted to
the training part, without its labels. A track is one person by one camera (market501: and sequence, without a long
gap); its embeddings are pooled into one entry, and one search.

`if anybody`: one to three people are named, one of whom it is if it is anybody there; rightly where the right one is
among them. Of so many searches for people who are there they leave the right one out at the most: --misses. P(same): of
the nearest, where it is right / is not.

    python benchmarks/site_walk.py market501 --camera 6 --model market --misses 0.1
    python benchmarks/site_walk.py market501 --camera 6 --model PEER.resight --calibrate half --misses 0.1
    python benchmarks/site_walk.py synthetic:seed=7,train_people=120,test_people=120,cameras=6 --camera 5 \\
        --model city --calibrate train
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from site_transform import embedded, market_tracks, part  # type: ignore[import-not-found]

import resight
from resight.core.distances import unit_rows
from resight.core.records import EmbeddedCrops
from resight.data.crops import Crop
from resight.embedding.model import Model
from resight.evaluation.decisions.calibrate import calibrate
from resight.evaluation.decisions.unlabelled import calibrate_unlabelled
from resight.site.fitting import fit_site
from resight.site.transform import SiteTransform

COLUMNS = (
    "nearest right",
    "known, rightly",
    "wrongly",
    "one, if anybody",
    "two or three",
    "wrongly",
    "nobody",
    "unsure",
    "strangers known",
    "P(same)",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--camera", type=int, required=True, help="whose people are searched for")
    parser.add_argument("--model", default="market")
    parser.add_argument("--rate", type=float, default=0.1, help="of strangers told as known, at the most")
    parser.add_argument("--misses", type=float, default=0.05, help="of known people left out of an answer, at the most")
    parser.add_argument("--calibrate", choices=("test", "train", "none", "half"), default="test")
    parser.add_argument("--cache", type=Path)
    options = parser.parse_args()
    model, data = resight.load(options.model), resight.open_dataset(options.data)
    crops = [*data.train, *data.query, *data.gallery]
    found = embedded(model, crops, options.cache)
    train, rows = np.arange(len(data.train)), np.arange(len(data.train), len(crops))
    rows = rows[found.pids[rows] > 0]
    tracks = np.array(_tracks(crops))
    fitted = fit_site(
        found.embeddings[train], part(found, train).camera_names, tracks[train].tolist(), model=model.identity
    )
    if options.calibrate == "half":
        rows = np.arange(len(crops))
        rows = rows[found.pids[rows] > 0]
    people_there = np.unique(found.pids[rows])
    halves = np.random.default_rng(0).permutation(people_there)
    calibrating = halves[: len(halves) // 2] if options.calibrate == "half" else np.zeros(0, np.int64)
    print(f"| | | {' | '.join(COLUMNS)} |")
    print("|" + "---|" * (len(COLUMNS) + 2))
    for what, site in (("raw", _nothing(fitted)), ("site", fitted)):
        for unit in ("pictures", "tracks"):
            groups = tracks if unit == "tracks" else np.arange(len(crops)).astype(str)
            people = train if options.calibrate == "train" else rows
            people = people[np.isin(found.pids[people], calibrating)] if len(calibrating) else people
            pooled = _pooled(part(found, people), groups[people])
            moved = site.apply(pooled.embeddings, pooled.camera_names)
            columns = (pooled.pids, pooled.camids, pooled.content_hashes, pooled.names)
            if options.calibrate == "none":
                calibration = calibrate_unlabelled(moved, pooled.camera_names).calibration
            else:
                calibration = calibrate(EmbeddedCrops(moved, *columns)).calibration
            test = _pooled(part(found, rows), groups[rows])
            counts = _walk(model, test, site.with_calibration(calibration), options, calibrating)
            print(f"| {what} | {unit} | {' | '.join(counts)} |", flush=True)


def _walk(
    model: Model,
    test: EmbeddedCrops,
    site: SiteTransform,
    options: argparse.Namespace,
    calibrating: npt.NDArray[np.int64],
) -> list[str]:
    """Counts of the verdicts: of searches for people who are there, and for strangers."""
    people = sorted(set(test.pids.tolist()) - set(calibrating.tolist()))
    strangers = set(people[::4])
    kept = part(test, (test.camids != options.camera) & ~np.isin(test.pids, list(strangers)))
    sought = part(test, (test.camids == options.camera) & ~np.isin(test.pids, calibrating))
    sought = part(sought, np.unique(sought.pids, return_index=True)[1])  # one search a person
    told: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    likely: dict[bool, list[float]] = {True: [], False: []}  # P(same) of the nearest, by whether it is right
    right = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        resight.open_gallery(Path(folder) / "a.db", model, new=True) as gallery,
    ):
        gallery.add_embeddings(
            kept.embeddings, model=model.identity, camera=list(kept.camera_names), pid=kept.pids.tolist()
        )
        gallery.site.use(site)
        answers = gallery.search_embeddings(
            sought.embeddings,
            1,
            seen_by=list(sought.camera_names),
            false_positive_rate=options.rate,
            false_negative_rate=options.misses,
        )
        for pid, answer in zip(sought.pids.tolist(), answers, strict=True):
            known, found = pid not in strangers, answer[0].pid == pid
            right += known and found
            if answer[0].probability:
                likely[known and found].append(answer[0].probability.value)
            verdict: str = answer.decision.verdict if answer.decision else ""
            verdict += f" of {min(2, len(answer.named))}" if answer.named else ""
            rightly = str(pid) in answer.named if answer.named else verdict == "known" and found
            told[known][verdict + (", rightly" if rightly else "")] += 1
    there, strange = told[True], told[False]
    counts = [there[verdict] for verdict in ("known, rightly", "known", "if anybody of 1, rightly")]
    counts += [there["if anybody of 2, rightly"], there["if anybody of 1"] + there["if anybody of 2"]]
    counts += [there["nobody we know"], there["unsure"]]
    shown = " / ".join(f"{np.mean(values):.2f}" for values in likely.values() if values)
    return [f"{right} of {there.total()}", *map(str, counts), f"{strange['known']} of {strange.total()}", shown]


def _nothing(site: SiteTransform) -> SiteTransform:
    """The transform that changes nothing, so that raw embeddings are searched in the same way."""
    return SiteTransform(
        site.model, site.cameras, 0 * site.means, 0 * site.site_mean, np.eye(site.dim, dtype=np.float32)
    )


def _tracks(crops: Sequence[Crop]) -> list[str]:
    if crops[0].frame:
        tracks: list[str] = market_tracks(list(crops))
        return tracks
    return [f"{crop.pid} {crop.camid}" for crop in crops]


def _pooled(crops: EmbeddedCrops, groups: npt.NDArray[np.str_]) -> EmbeddedCrops:
    """A row for each group: the mean embedding."""
    place, first = np.unique(groups, return_inverse=True)[1], np.unique(groups, return_index=True)[1]
    sums = np.zeros((len(first), crops.embeddings.shape[1]))
    np.add.at(sums, place, crops.embeddings)
    columns = (crops.pids[first], crops.camids[first], crops.content_hashes[first])
    return EmbeddedCrops(
        unit_rows(sums.astype(np.float32)), *columns, tuple(crops.names[row] for row in first.tolist())
    )


if __name__ == "__main__":
    main()
