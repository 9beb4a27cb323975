"""What `resight video` reaches: linking, tracking, dropped frames, speed, memory. One command a claim.

    python benchmarks/video.py market DATA [--models default-int8] [--uncalibrated]  # tracklets of Market-1501's names
    python benchmarks/video.py town DETECTOR [--seeds 5] [--dropped 0 .3 .6]  # the drawn town, detector to people
    python benchmarks/video.py towns [--models city default open]             # linking with and without a calibration
    python benchmarks/video.py campus FOLDER [--peer LINES]                   # four real cameras, a detector's boxes
    python benchmarks/video.py speed DETECTOR [VIDEO]                         # 1280 x 720, decode to gallery
    python benchmarks/video.py soak [--hours 1]                               # a stream with cuts: memory, numbers

`market` tells nothing of the people to the linker: whom the pictures show is read for scoring only. The packaged
models' calibrations were counted on these people, though, and no others are at hand: `--models` takes any. `campus
--peer` takes MOT lines of another tracker (VIEW.txt) on the same boxes; with `trackers` installed, ByteTrack is run.
"""

from __future__ import annotations

import argparse
import gzip
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resight.data.city.moving.filming import film
from resight.data.city.moving.town import START, Town, TownConfig
from resight.data.city.moving.writing import save_town
from resight.data.crops import Crop
from resight.data.formats.catalogue import open_dataset
from resight.embedding.loading import load
from resight.gallery.opening import open_gallery
from resight.video.adding import VideoReport, add_tracklets
from resight.video.detected import LinesReport, moments_of, with_boxes
from resight.video.detector import OnnxDetector
from resight.video.formats.lines import Boxes, parsed, table_of
from resight.video.frames.clock import at_most, rising
from resight.video.frames.opening import open_frames
from resight.video.linking.clustering import cluster
from resight.video.linking.evidence import evidence_of, line_of
from resight.video.linking.linker import carry_out, plan_links, undo_links
from resight.video.linking.sightings import Sightings
from resight.video.linking.site import Site, read_site
from resight.video.records import Detections, Frame, detections
from resight.video.scoring.evaluate import GAP_S, Track, evaluate_tracks
from resight.video.scoring.metrics import identity
from resight.video.scoring.moments import Seen, compare
from resight.video.scoring.reading import read_truth, tracks_of_gallery
from resight.video.tracking.tracker import TimeTracker
from resight.video.tracklets import tracklets_of

GAP = 250  # frames of one camera between which a person of Market-1501 has gone
RATE = 25.0  # its cameras' frames a second
CAMPUS_RATE = 29.97
VIEWS = ("IP5", "HC3", "IP2", "HC4")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    part = parts.add_parser("market")
    part.add_argument("data")
    part.add_argument("--models", nargs="+", default=["default-int8", "market"])
    part.add_argument("--uncalibrated", action="store_true", help="also as if the models had no calibration")
    part = parts.add_parser("town")
    part.add_argument("detector", type=Path)
    part.add_argument("--seeds", nargs="+", type=int, default=[5])
    part.add_argument("--people", type=int, default=60)
    part.add_argument("--cameras", type=int, default=4)
    part.add_argument("--seconds", type=float, default=240)
    part.add_argument("--rate", type=float, default=8)
    part.add_argument("--look", type=float, default=8, help="frames a second that are looked at")
    part.add_argument("--dropped", nargs="+", type=float, default=[0.0])
    part.add_argument("--films", type=Path, help="a folder that keeps the films, in place of a temporary one")
    part = parts.add_parser("towns")
    part.add_argument("--models", nargs="+", default=["city", "default", "open"])
    part.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    part.add_argument("--people", type=int, default=30)
    part.add_argument("--seconds", type=float, default=100)
    part = parts.add_parser("campus")
    part.add_argument("folder", type=Path)
    part.add_argument("--peer", type=Path)
    part = parts.add_parser("speed")
    part.add_argument("detector", type=Path)
    part.add_argument("video", nargs="?", type=Path)
    part.add_argument("--frames", type=int, default=150)
    part = parts.add_parser("soak")
    part.add_argument("--hours", type=float, default=1.0)
    options = vars(parser.parse_args())
    claims: dict[str, Any] = {each.__name__: each for each in (market, town, towns, campus, speed, soak)}
    claims[options.pop("part")](**options)


def market(data: str, models: list[str], uncalibrated: bool) -> None:
    """Tracklets of file names: camera, sequence and frame, at most GAP frames apart."""
    dataset = open_dataset(data)
    crops = [crop for crop in (*dataset.query, *dataset.gallery) if crop.pid > 0]
    print("| model | people told | about | identities | IDF1 | pairs right | pairs found | wrong of links, by P |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in models:
        model = load(name)
        embedded, _ = model.embed_crops(crops)
        found, pids, sizes = _of_names(crops, embedded.embeddings)
        lines = {name: line_of(model.calibration)} | ({f"{name}, uncalibrated": line_of(None)} if uncalibrated else {})
        overlapping = frozenset(frozenset((a, b)) for a in found.names for b in found.names if a != b)
        print(f"| {name} | not linked | | {len(found)} | {_idf1(pids, np.arange(len(pids)), sizes):.3f} | | | |")
        for (told_name, line), people in product(lines.items(), (None, float(len(set(pids.tolist()))))):
            site = Site(people=people, overlaps=overlapping)  # its views do overlap
            evidence = evidence_of(found, line, site)
            linked = cluster(evidence.ratios, evidence.prior, evidence.forbidden)
            again = cluster(evidence.ratios, evidence.prior, evidence.forbidden)
            if (linked.labels != again.labels).any():
                raise SystemExit("equal input twice gave other identities")
            same, together = pids[:, None] == pids[None], linked.labels[:, None] == linked.labels[None]
            pairs = np.triu(np.ones(same.shape, np.bool_), 1)
            both = (same & together & pairs).sum()
            told = "no" if people is None else f"{people:.0f}"
            print(
                f"| {told_name} | {told} | {evidence.people:.0f} | {linked.labels.max() + 1} | "
                f"{_idf1(pids, linked.labels, sizes):.3f} | {both / (together & pairs).sum():.2f} | "
                f"{both / (same & pairs).sum():.2f} | {_wrong(pids, linked.labels, linked.probability)} |",
                flush=True,
            )


def _of_names(crops: list[Crop], vectors: npt.NDArray[np.float32]) -> tuple[Sightings, Any, Any]:
    keys = [(crop.pid, crop.camid, crop.sequence or 0, crop.frame or 0) for crop in crops]
    groups: list[list[int]] = []
    for row in sorted(range(len(crops)), key=lambda each: keys[each]):
        last = groups[-1][-1] if groups else None
        if last is not None and keys[last][:3] == keys[row][:3] and keys[row][3] - keys[last][3] <= GAP:
            groups[-1].append(row)
        else:
            groups.append([row])
    starts = np.array([keys[group[0]][2] * 1e6 + keys[group[0]][3] for group in groups]) / RATE
    ends = np.array([keys[group[-1]][2] * 1e6 + keys[group[-1]][3] for group in groups]) / RATE
    means = np.stack([vectors[group].mean(axis=0) for group in groups])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    names, cameras = np.unique([str(keys[group[0]][1]) for group in groups], return_inverse=True)
    order = np.argsort(starts, kind="stable")
    ids = np.arange(1, len(groups) + 1)
    sizes = np.array([len(group) for group in groups])
    pids = np.array([keys[group[0]][0] for group in groups])
    rows = (starts[order], ends[order], means[order].astype(np.float32), sizes[order])
    return Sightings(ids, ids, tuple(names.tolist()), cameras[order], *rows), pids[order], sizes[order]


def _idf1(pids: Any, labels: Any, sizes: Any) -> float:
    """IDF1 where each crop is a box that is found."""
    rows = np.repeat(np.arange(len(pids)), sizes)
    boxes = np.tile(np.array([[0, 0, 1, 1]], np.float32), (len(rows), 1))
    moments = np.arange(len(rows))
    return identity(compare(Seen(moments, pids[rows], boxes), Seen(moments, labels[rows], boxes))).idf1


def _wrong(pids: Any, labels: Any, probability: Any) -> str:
    """The share of tracklets that lie with a person of whom they are not, by what was stated: stated -> counted."""
    main = {label: np.bincount(pids[labels == label]).argmax() for label in np.unique(labels)}
    right = np.array([main[label] == pid for label, pid in zip(labels, pids, strict=True)])
    several = np.bincount(labels)[labels] > 1
    told = []
    for low, high in ((0.5, 0.7), (0.7, 0.9), (0.9, 0.99), (0.99, 1.01)):
        rows = several & (probability >= low) & (probability < high)
        if rows.any():
            told.append(f"{1 - probability[rows].mean():.2f} -> {1 - right[rows].mean():.2f} ({rows.sum()})")
    return ", ".join(told)


def town(
    detector: Path, seeds: list[int], people: int, cameras: int, seconds: float, rate: float, look: float,
    dropped: list[float], films: Path | None,
) -> None:  # fmt: skip
    """The drawn town: a real detector on drawn pixels, the `city` model, links with the site file."""
    find, model = OnnxDetector(detector), load("city")
    for seed in seeds:
        config = TownConfig(seed=seed, people=people, cameras=cameras, seconds=seconds, rate=rate)
        with tempfile.TemporaryDirectory() as scratch:
            root = (films or Path(scratch)) / f"town{seed}"
            if not root.exists():
                save_town(Town(config), root)
            truth, site = read_truth(root / "truth"), read_site(root / "site.toml")
            seen = {name: _seen(root / f"{name}.mp4", find, look) for name in Town(config).names}
            print(f"\nseed {seed}: frames dropped, and IDF1 within cameras, each walk a person of its own")
            print(f"| dropped | {' | '.join(seen)} | mean |")
            print("|---" * (len(seen) + 2) + "|", flush=True)
            for share in dropped:
                within = [_within(name, number, seed, share, seen, truth) for number, name in enumerate(seen)]
                cells = [f"{value:.3f}" for value in (*within, float(np.mean(within)))]
                print(f"| {share:.0%} | {' | '.join(cells)} |", flush=True)
            report = VideoReport()
            with open_gallery(Path(scratch) / "town.db", model, new=True) as gallery:
                for name, frames in seen.items():
                    found = tracklets_of(rising(_with_pixels(root / f"{name}.mp4", frames), report.clock), name)
                    for _ in add_tracklets(gallery, found, report, source=name):
                        pass
                for plan in plan_links(gallery, site):
                    carry_out(gallery, plan)
                result = evaluate_tracks(tracks_of_gallery(gallery), truth)
            linked, perfect = result.linked.identity.idf1, result.perfect.identity.idf1
            print(
                "\n| tracklets | alone | linked | perfect | share | HOTA | identities a person | people an identity |"
            )
            print("|---|---|---|---|---|---|---|---|")
            print(
                f"| {result.num_tracklets} | {result.alone.identity.idf1:.3f} | {linked:.3f} "
                f"[{result.interval[0]:.3f}, {result.interval[1]:.3f}] | {perfect:.3f} | {linked / perfect:.2f} | "
                f"{result.linked.hota.hota:.3f} | {result.identities_per_person:.2f} | "
                f"{result.people_per_identity:.2f} |",
                flush=True,
            )


def towns(models: list[str], seeds: list[int], people: int, seconds: float) -> None:
    """Drawn towns by the boxes of the truth: linked from each model's calibration, and as if it had none."""
    print("| town | model | alone | linked | uncalibrated | perfect |")
    print("|---|---|---|---|---|---|", flush=True)
    sums = []
    for seed, name in product(seeds, models):
        config = TownConfig(seed=seed, people=people, cameras=3, seconds=seconds, rate=5, height=180, width=320)
        model = load(name)
        with tempfile.TemporaryDirectory() as scratch:
            root, report, lines = Path(scratch) / "town", VideoReport(), LinesReport()
            save_town(Town(config), root)
            truth = read_truth(root / "truth")
            with open_gallery(Path(scratch) / "town.db", model, new=True) as gallery:
                for camera in Town(config).names:
                    boxes = moments_of(str(root / "truth" / f"{camera}.txt"), camera, lines)
                    frames = with_boxes(open_frames(root / f"{camera}.mp4", START), boxes, lines, START)
                    found = tracklets_of(rising(frames, report.clock), camera)
                    for _ in add_tracklets(gallery, found, report, source=camera):
                        pass
                scored = []
                for calibration in (model.card.calibration, None):
                    model.card = replace(model.card, calibration=calibration)
                    for plan in plan_links(gallery):
                        carry_out(gallery, plan)
                    result = evaluate_tracks(tracks_of_gallery(gallery), truth)
                    scored.append(result.linked.identity.idf1)
                    undo_links(gallery)
        sums.append(scored)
        print(
            f"| {seed} | {name} | {result.alone.identity.idf1:.3f} | {scored[0]:.3f} | {scored[1]:.3f} | "
            f"{result.perfect.identity.idf1:.3f} |",
            flush=True,
        )
    own, none = np.mean(sums, axis=0)
    print(f"| mean | | | {own:.3f} | {none:.3f} ({none - own:+.3f}) | |")


def _seen(path: Path, find: OnnxDetector, look: float) -> list[tuple[float, Detections]]:
    """What the detector finds in each frame; kept beside the film, as finding takes most of the time."""
    kept = path.with_suffix(f".{look:g}.npz")
    if not kept.exists():
        looked_at = at_most(open_frames(path, START), look)
        frames = [(frame.time, find(frame.pixels)) for frame in looked_at if frame.pixels is not None]
        np.savez(
            kept,
            times=[at for at, _ in frames],
            counts=[len(found) for _, found in frames],
            boxes=np.concatenate([found.boxes for _, found in frames]),
            scores=np.concatenate([found.scores for _, found in frames]),
        )
    with np.load(kept) as file:
        edges = np.cumsum(file["counts"])[:-1]
        boxes, scores = np.split(file["boxes"], edges), np.split(file["scores"], edges)
        found = [detections(*each) for each in zip(boxes, scores, strict=True)]
        return list(zip(file["times"].tolist(), found, strict=True))


def _with_pixels(path: Path, kept: list[tuple[float, Detections]]) -> Iterator[Frame]:
    """The frames that are not dropped, with what was found in them before."""
    found = dict(kept)
    for frame in open_frames(path, START):
        if frame.time in found:
            yield Frame(frame.time, frame.pixels, found=found[frame.time])


def _within(
    camera: str, number: int, seed: int, share: float, seen: dict[str, list[tuple[float, Detections]]], truth: Boxes
) -> float:
    """IDF1 of one camera's tracks, each by itself."""
    frames = seen[camera]
    keep = np.random.default_rng([seed, number]).random(len(frames)) >= share
    tracker, boxes = TimeTracker(), dict[int, list[tuple[float, Any]]]()
    for (at, found), stays in zip(frames, keep.tolist(), strict=True):
        if stays:
            for row, track in enumerate(tracker(found, at).tolist()):
                if track >= 0:
                    boxes.setdefault(track, []).append((at, found.boxes[row]))
    tracks = [
        Track(camera, track, np.array([at for at, _ in rows]), np.array([box for _, box in rows], np.float32), GAP_S)
        for track, rows in boxes.items()
        if len(rows) >= 3
    ]
    return evaluate_tracks(tracks, _visits(truth[truth.cameras == camera])).alone.identity.idf1


def _visits(truth: Boxes) -> Boxes:
    """With a number for each walk: who is not seen for five seconds has gone."""
    numbers = truth.tracks.copy()
    for person in np.unique(truth.tracks):
        rows = np.flatnonzero(truth.tracks == person)
        rows = rows[np.argsort(truth.times[rows])]
        numbers[rows] = person * 1000 + np.concatenate([[0], np.cumsum(np.diff(truth.times[rows]) > 5)])
    return replace(truth, tracks=numbers)


def campus(folder: Path, peer: Path | None) -> None:
    """Four real cameras, a real detector's boxes, each camera by itself and all pooled."""
    print("| view | people | tracks | IDF1 | peer's tracks | peer's IDF1 | ours, ms a frame |")
    print("|---|---|---|---|---|---|---|", flush=True)
    pooled: list[tuple[Any, Any, Any]] = []
    for view in VIEWS:
        truth, found = _lines(folder / f"{view}-truth.txt.gz"), _lines(folder / f"{view}-detections.txt.gz")
        real = Seen(truth.frames, truth.tracks, truth.boxes)
        begun = time.process_time()
        ours = _tracked(found, TimeTracker())
        spent = (time.process_time() - begun) / int(found.frames.max()) * 1e3
        other = _peer(found, view, peer)
        figures = [identity(compare(real, one)).idf1 if one is not None else None for one in (ours, other)]
        cells = [f"{len(np.unique(ours.ids))} | {figures[0]:.3f}"]
        cells += [f"{len(np.unique(other.ids))} | {figures[1]:.3f}" if other is not None else "- | -"]
        print(f"| {view} | {len(np.unique(truth.tracks))} | {' | '.join(cells)} | {spent:.2f} |", flush=True)
        pooled.append((view, real, ours))
    moved = [(number * 10**6, real, ours) for number, (_, real, ours) in enumerate(pooled)]
    real = _joined([(shift, 0, each) for shift, each, _ in moved])
    alone = _joined([(shift, shift, each) for shift, _, each in moved])
    print(f"\npooled, each track by itself: IDF1 {identity(compare(real, alone)).idf1:.3f}; there is no video of this")
    print(f"place, so nothing to link by. Linked perfectly: {identity(compare(real, _perfect(real, alone))).idf1:.3f}")


def _perfect(real: Seen, ours: Seen) -> Seen:
    compared = compare(real, ours)
    counts = np.zeros((len(compared.truth_ids), len(compared.result_ids)))
    for moment in compared.moments:
        rows, columns = np.nonzero(moment.similarity >= 0.5)
        counts[moment.truth[rows], moment.result[columns]] += 1
    best = compared.truth_ids[counts.argmax(axis=0)]
    whose = np.where(counts.max(axis=0) > 0, best, -1 - np.arange(len(best)))
    return Seen(ours.moments, whose[np.searchsorted(compared.result_ids, ours.ids)], ours.boxes)


def _joined(parts: list[tuple[int, int, Seen]]) -> Seen:
    return Seen(
        np.concatenate([each.moments + shift for shift, _, each in parts]),
        np.concatenate([each.ids + more for _, more, each in parts]),
        np.concatenate([each.boxes for _, _, each in parts]),
    )


def _lines(path: Path) -> Boxes:
    with gzip.open(path, "rt") as file:
        return table_of(parsed(file, str(path)))


def _by_frame(found: Boxes) -> Iterator[tuple[int, Any]]:
    order = np.argsort(found.frames, kind="stable")
    last = int(found.frames.max())
    edges = np.searchsorted(found.frames[order], np.arange(1, last + 2))
    for frame in range(1, last + 1):
        yield frame, order[edges[frame - 1] : edges[frame]]


def _tracked(found: Boxes, tracker: TimeTracker, least: int = 3) -> Seen:
    """Tracks of `least` boxes or more."""
    frames, numbers, rows_of = [], [], []
    for frame, rows in _by_frame(found):
        given = tracker(detections(found.boxes[rows], found.scores[rows]), frame / CAMPUS_RATE)
        for row, number in zip(rows[given >= 0], given[given >= 0], strict=True):
            frames.append(frame)
            numbers.append(int(number))
            rows_of.append(row)
    counts = np.bincount(numbers)
    kept = counts[numbers] >= least
    return Seen(np.array(frames)[kept], np.array(numbers)[kept], found.boxes[np.array(rows_of)[kept]])


def _peer(found: Boxes, view: str, lines: Path | None) -> Seen | None:
    if lines is not None:
        with (lines / f"{view}.txt").open() as file:
            theirs = table_of(parsed(file, view))
        return Seen(theirs.frames, theirs.tracks, theirs.boxes)
    try:
        import supervision
        from trackers import ByteTrackTracker
    except ImportError:
        return None
    tracker = ByteTrackTracker(frame_rate=CAMPUS_RATE)
    parts = []
    for frame, rows in _by_frame(found):
        if not len(rows):
            tracker.update(supervision.Detections.empty())
            continue
        given = tracker.update(
            supervision.Detections(found.boxes[rows], None, found.scores[rows], np.zeros(len(rows), int))
        )
        good = given.tracker_id >= 0
        parts.append((np.full(int(good.sum()), frame), given.tracker_id[good], given.xyxy[good]))
    frames, numbers, boxes = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Seen(frames, numbers.astype(np.int64), boxes.astype(np.float32))


def speed(detector: Path, video: Path | None, frames: int) -> None:
    """CPU time a frame, one thread each, of decoding, detecting, and all else down to the gallery."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        if video is None:
            config = TownConfig(people=20, cameras=1, seconds=frames / 10, height=720, width=1280)
            save_town(Town(config), root / "town")
            video = root / "town" / "camera1.mp4"
        find, model = OnnxDetector(detector, threads=1), load("default-int8", threads=1)
        begun = time.process_time()
        decoded = sum(1 for _ in open_frames(video, START))
        decode = time.process_time() - begun
        spent = 0.0

        def found(pixels: Any) -> Detections:
            nonlocal spent
            begun = time.process_time()
            given = find(pixels)
            spent += time.process_time() - begun
            return given

        report = VideoReport()
        with open_gallery(root / "speed.db", model, new=True, keep_crops=True) as gallery:
            begun = time.process_time()
            tracklets = tracklets_of(rising(open_frames(video, START), report.clock), "north", detector=found)
            for _ in add_tracklets(gallery, tracklets, report, source="speed"):
                pass
            total = time.process_time() - begun
        print("| ms of CPU a frame | decode | detect | all else | tracklets |")
        print("|---|---|---|---|---|")
        cells = [f"{value / decoded * 1e3:.1f}" for value in (decode, spent, total - spent - decode)]
        print(f"| {video.name}, {decoded} frames | {' | '.join(cells)} | {report.added} |")


def soak(hours: float) -> None:
    """A stream of the drawn town without pixels: cut every ten minutes, looks as embeddings; memory and numbers."""
    model = load("city", threads=1)
    rng = np.random.default_rng(0)
    looks = rng.normal(size=(4000, model.dim)).astype(np.float32)
    seconds = hours * 3600
    config = TownConfig(people=int(seconds / 12), cameras=1, seconds=seconds, rate=5)

    def stream() -> Iterator[Frame]:
        for frame in film(Town(config), 0, pixels=False):
            since = frame.time - START
            people = [each.pid for each in frame.truth]
            vectors = looks[np.array(people, int) % 4000] + rng.normal(0, 0.6, (len(people), model.dim)).astype(
                np.float32
            )
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
            boxes = np.array([each.box for each in frame.truth], np.float32).reshape(-1, 4)
            found = detections(boxes, np.full(len(people), 0.9), embeddings=vectors if len(people) else None)
            if since % 600 < 595:  # five seconds of every ten minutes are lost, and it is connected anew
                yield Frame(frame.time, None, int(since // 600), found)

    print("| hour | tracklets | resident MB |")
    print("|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        report = VideoReport()
        with open_gallery(Path(scratch) / "soak.db", model, new=True) as gallery:
            told = 0.0
            frames = rising(stream(), report.clock)
            for _ in add_tracklets(gallery, tracklets_of(frames, "door"), report, source="stream", batch=1):
                at = report.clock.frames / config.rate / 3600
                if at >= told:
                    print(f"| {at:.2f} | {report.added} | {_resident_mb():.0f} |", flush=True)
                    told += hours / 6
            tracks = [entry.track for entry in gallery.entries()]
        print(f"| {hours:.2f} | {report.added} | {_resident_mb():.0f} |")
        print(f"\nnumbers given twice: {len(tracks) - len(set(tracks))}; {'; '.join(report.clock.told())}")
        print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
