# mypy: ignore-errors
"""Writes tests/saved/v0.1.0: files of every kind, and what they said. Runs on the code of 0.1.0 alone:

    git worktree add /tmp/v010 22865fb
    PYTHONPATH=/tmp/v010/src python tests/saved/make_v0_1_0.py tests/saved/v0.1.0

The pictures are of the drawn city. The networks are sparse, so that the files are small: of each kernel but a few
weights are 0, and stay so while it trains.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from PIL import Image
from resight.data.synthetic import CityConfig, draw_city, save_city
from resight.training.embed import embed_crops

import resight
import resight.gallery.audit
import resight.gallery.gallery
from resight.models.saved import load_model
from resight.training import loop
from resight.training.recipes import find_recipe

CITY = CityConfig(train_people=8, test_people=10, cameras=2, crops_per_camera=2, height=32, width=16, seed=3)
LEARNT = "synthetic:seed=3,train_people=40,test_people=2,cameras=3,crops_per_camera=2,height=32,width=16"
CALIBRATED = "synthetic:seed=5,train_people=40,test_people=20,cameras=3,crops_per_camera=2,height=32,width=16"
FINISHED = find_recipe("slicenet2-quick", height=32, width=16, dim=32, epochs=6)
INTERRUPTED = [
    "--recipe", "stripnet", "--height", "32", "--width", "16", "--dim", "16", "--epochs", "3", "--batch-size", "8",
    "--images-per-identity", "2", "--average", "0.9", "--no-amp", "--device", "cpu", "--seed", "4",
]  # fmt: skip
STOP_AT = 9  # of 12 steps
CPU = loop.TrainOptions(device="cpu", compile="off", amp=False)


class Clock(datetime):
    """A second a look, from a fixed moment on."""

    moment = datetime(2026, 3, 1, 8, 0, 0, tzinfo=UTC)

    @classmethod
    def now(cls, tz=None):
        Clock.moment += timedelta(seconds=1)
        return Clock.moment


def sparse(share: float):
    """make_objective, of a network of which that share of the kernels' weights is not 0."""
    plain = loop.__dict__["make_objective"]

    def make(*arguments):
        objective = plain(*arguments)
        generator = torch.Generator().manual_seed(0)
        for weights in objective.parameters():
            if weights.numel() < 2000:
                continue
            kernels = weights.shape[:2] + (1,) * (weights.dim() - 2)  # whole ones, which pack better
            mask = (torch.rand(kernels, generator=generator) < share).float().expand_as(weights)
            with torch.no_grad():
                weights.mul_(mask / share**0.5)
            weights.register_hook(lambda gradient, mask=mask: gradient * mask)
        return objective

    return make


def command(folder: Path, *arguments: str) -> str:
    call = [sys.executable, "-m", "resight.cli", *arguments]
    return subprocess.run(call, cwd=folder, check=True, capture_output=True, text=True).stdout


def rounded(values, digits: int = 6):
    return np.round(np.asarray(values, np.float64), digits).tolist()


def figures_of(folder: Path, *arguments: str):
    command(folder, "evaluate", *arguments, "--protocol", "market1501", "--protocol", "no-camera", "--json", "f.json")
    found = json.loads((folder / "f.json").read_text())["evaluations"]
    (folder / "f.json").unlink()
    return [{key: e[key] for key in ("protocol", "rank1", "mean_ap", "mean_inp", "num_query")} for e in found]


def embeddings_of(run: Path, folder: Path):
    data = resight.open_dataset(str(folder / "city"))
    embedded, _ = embed_crops(load_model(run), data.query[:6], device="cpu")
    return rounded(embedded.embeddings)


def main(out: Path) -> None:
    folder = Path(tempfile.mkdtemp())
    expected = {}
    # The pictures: lossless, and so the same to every decoder.
    save_city(draw_city(CITY), folder / "jpeg")
    for path in sorted((folder / "jpeg").rglob("*.jpg")):
        target = (folder / "city" / path.relative_to(folder / "jpeg")).with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        buffer = BytesIO()
        Image.open(path).save(buffer, "PNG", compress_level=0)
        target.write_bytes(buffer.getvalue())
    shutil.rmtree(folder / "jpeg")
    pictures = [str(crop.path.relative_to(folder)) for crop in resight.open_dataset(str(folder / "city")).query[:6]]
    os.chdir(folder)

    # A finished run, calibrated on other people.
    plain = loop.make_objective
    loop.make_objective = sparse(0.02)
    assert loop.train(FINISHED, resight.open_dataset(LEARNT), folder / "run", 7, CPU).finished
    command(folder, "calibrate", "run", CALIBRATED, "--everybody", "--far", "0.1", "--device", "cpu")
    (folder / "run" / "checkpoint.safetensors").unlink()
    shutil.rmtree(folder / "run" / "events")
    card = json.loads((folder / "run" / "model.json").read_text())
    card["calibration"]["date"] = "2026-03-01"
    (folder / "run" / "model.json").write_text(json.dumps(card, indent=2))
    expected["run"] = {
        "embeddings": embeddings_of(folder / "run", folder),
        "figures": figures_of(folder, "run", "city"),
        "trained_on": card["trained_on"],
        "rights": card["rights"],
        "data_digest": card["data_digest"],
    }

    # A run that was interrupted, and what it comes to.
    loop.make_objective = sparse(0.004)
    steps = iter(range(1000))
    stop = loop.any_process
    loop.any_process = lambda flag, world: next(steps) == STOP_AT - 1 or flag
    sys.argv = ["resight", "train", "city", *INTERRUPTED, "-o", "interrupted"]
    from resight.cli.app import main as verbs

    try:
        verbs()
    except SystemExit as ended:
        print("interrupted:", ended.code)
    loop.any_process, loop.make_objective = stop, plain
    shutil.rmtree(folder / "interrupted" / "events")
    shutil.copytree(folder / "interrupted", folder / "resumed")
    command(folder, "train", "city", *INTERRUPTED, "--resume", "-o", "resumed")
    lines = (folder / "resumed" / "metrics.jsonl").read_text().splitlines()
    expected["interrupted"] = {
        "options": INTERRUPTED,
        "step": STOP_AT,
        "losses": [json.loads(line)["loss"] for line in lines],
        "embeddings": embeddings_of(folder / "resumed", folder),
        "figures": figures_of(folder, "resumed", "city"),
    }
    shutil.rmtree(folder / "resumed")

    # Its bundle.
    command(folder, "export", "run", "-o", "small.resight", "--weaknesses", "Everybody. It is for tests.")
    model = resight.load("small.resight")
    embeddings = model.embed(pictures)
    pairs = [(i, j) for i in range(6) for j in range(i + 1, 6)]
    decided = [model.decide(embeddings[i], embeddings[j], false_accept_rate=0.1) for i, j in pairs]
    calibration = model.manifest.calibration
    expected["bundle"] = {
        "pictures": pictures,
        "identity": model.identity,
        "dim": model.dim,
        "rights": model.manifest.rights,
        "weaknesses": model.manifest.weaknesses,
        "parts": [[part.name, part.start, part.stop] for part in model.manifest.parts],
        "embeddings": rounded(embeddings),
        "similarities": rounded([model.similarity(embeddings[i], embeddings[j]) for i, j in pairs]),
        "decisions": [[d.verdict, None if d.rate is None else d.rate.value, d.threshold] for d in decided],
        "probabilities": rounded(calibration.probability([0.0, 0.3, 0.6, 0.9], prior=0.1)),
    }
    expected["packaged"] = {}
    os.chdir("/")  # where nothing has the name of a packaged model
    for name in ("city", "default", "default-int8", "slicenet1", "slicenet2"):
        packaged = resight.load(name)
        vectors = packaged.embed([str(folder / name) for name in pictures])
        expected["packaged"][name] = {
            "identity": packaged.identity,
            "dim": packaged.dim,
            "begin": rounded(vectors[:, :8]),
            "similarities": rounded([packaged.similarity(vectors[i], vectors[j]) for i, j in pairs]),
        }

    os.chdir(folder)
    # Embeddings.
    for name in ("city.npz", "city.parquet"):
        command(folder, "embed", "small.resight", "city", "-o", name)
        expected[name] = figures_of(folder, "--embeddings", name)

    # A gallery: every third entry has no pid, some no time, a few attributes; one person linked, some forgotten.
    resight.gallery.audit.datetime = resight.gallery.gallery.datetime = Clock
    kept = [crop for crop in resight.open_dataset(str(folder / "city")).gallery if crop.pid][:20]
    with resight.open_gallery("site.db", model, audit_searches=True, keep_crops=False, who="maker") as gallery:
        for number, crop in enumerate(kept):
            gallery.add(
                str(crop.path.relative_to(folder)),
                camera=f"c{crop.camid}",
                time=None if number % 7 == 6 else 1772352000.0 + 60 * number,
                track=f"{number // 2}",
                pid=None if number % 3 == 2 else crop.pid,
                attributes={"door": number % 2 == 0, "floor": number % 4, "by": "maker"} if number % 5 == 0 else None,
            )
        pids = sorted({crop.pid for crop in kept})
        gallery.link(pids[1], pids[0], purpose="the same coat")
        gone = gallery.link(pids[3], pids[2])
        gallery.unlink(gone, purpose="they are two")
        gallery.search(pictures[0], purpose="a test")
        gallery.forget(track="2", who="officer", purpose="request 12")
        gallery.forget(before=1772352000.0 + 61)
        gallery.search(pictures[1], 3, camera="c1")
        expected["gallery"] = {
            "entries": [
                [e.id, e.camera, e.time, e.track, e.pid, e.name, dict(e.attributes)] for e in gallery.entries()
            ],
            "audit": [asdict(line) for line in gallery.audit()],
            "links": [[link.number, link.pid, link.into] for link in gallery.links()],
            "damages": [asdict(damage) for damage in gallery.verify()],
            "stats": {key: value for key, value in asdict(gallery.stats()).items() if key != "size_bytes"},
            "settings": asdict(gallery.settings),
        }
    command(folder, "gallery", "export", "site.db", "-o", "site.jsonl")
    shutil.copy("site.db", "searched.db")
    with resight.open_gallery("searched.db", model) as gallery:
        rates = {"false_positive_rate": 0.5, "false_negative_rate": 0.5}
        answers = gallery.search_embeddings(embeddings, **rates)
        expected["gallery"]["answers"] = [
            {
                "verdict": answer.verdict,
                "num_people": answer.num_people,
                "matches": [[m.id, round(m.similarity, 6), m.verdict, m.person] for m in answer],
            }
            for answer in answers
        ]
    for left in folder.glob("searched.db*"):
        left.unlink()
    shutil.rmtree(folder / "runs", ignore_errors=True)

    out.mkdir(exist_ok=True)
    with tarfile.open(out / "files.tar.xz", "w:xz", preset=9) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = archive.gettarinfo(path, str(path.relative_to(folder)))
            entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 1772352000, 0, 0, "", ""
            with path.open("rb") as file:
                archive.addfile(entry, file)
            print(f"{path.stat().st_size:10,} {path.relative_to(folder)}")
    (out / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(f"{(out / 'files.tar.xz').stat().st_size:,}, {(out / 'expected.json').stat().st_size:,}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
