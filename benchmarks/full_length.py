"""The trainings that take hours, by name: several side by side on one device, within a time limit, and resumed.

Each is a process of `resight train`, so that small networks share a GPU, or the cores of a CPU (a thread each). What is
finished is not trained again; what was stopped or killed goes on at the next call. Shortly before the limit all are
interrupted, which saves them. --bring copies what is worth keeping: models, cards, metrics, records and logs, and no
checkpoint.

    python benchmarks/full_length.py --shared ../shared -o runs --list
    python benchmarks/full_length.py --shared ../shared -o runs --only 'reproduce/*' --side-by-side 4 --limit-s 540
        --bring kept
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import IO

BROUGHT = ("config.json", "metrics.jsonl", "record.jsonl", "model.safetensors", "model.json", "log.txt")
SAVING_S = 20.0  # from the interruption to the limit
CROPS = ("cuhk", "ilid", "mit", "towncentre")
PEERS = ("retail-0248", "osnet", "retail-0287")  # as `resight bundle` makes them (docs/results.md)


@dataclass(frozen=True)
class Training:
    """data: below SHARED/data, or any that `resight train` takes. fields: of the recipe. more: other options, in which
    SHARED and RUNS stand for those folders. record_every: epochs between two scorings for the record; 0: none."""

    name: str
    data: str
    recipe: str
    seed: int = 0
    fields: dict[str, str] = field(default_factory=dict)
    more: tuple[str, ...] = ()
    record_every: int = 0

    def command(self, shared: Path, out: Path, device: str, data: str | None, fields: Sequence[str]) -> list[str]:
        """The call, which begins the run or goes on with it. data, fields: in place of the list's own, for a try."""
        options = [*(f"--{name.replace('_', '-')}={value}" for name, value in self.fields.items()), *fields]
        more = [part.replace("SHARED", str(shared)).replace("RUNS", str(out)) for part in self.more]
        record = [f"--record-every={self.record_every}"] if self.record_every else []
        return [
            *(sys.executable, "-m", "resight.cli", "train", data or str(shared / "data" / self.data), "--resume"),
            *("--recipe", self.recipe, "--seed", str(self.seed), "--device", device, "--compile", "off"),
            *("-o", str(out / self.name), *options, *more, *record),
        ]


def general(name: str, seed: int = 0, peers: Sequence[str] = PEERS, **fields: str) -> Training:
    """The generalist: `pku_reid` and the sites are left out. What its teachers say is kept for all of its runs."""
    unlabelled = [f"--unlabelled=SHARED/data/crops/{place}" for place in CROPS]
    teachers = [f"--teacher=SHARED/models/{peer}.resight" for peer in peers]
    targets = f"--targets=RUNS/targets-{'-'.join(peers)}"
    return Training(f"general/{name}", "market501", "general", seed, fields, (*unlabelled, *teachers, targets))


TRAININGS: tuple[Training, ...] = (
    Training("cosine/seed0", "market501", "cosine", fields={"epochs": "1515"}),  # of 66 steps: 100,000
    *(general(f"seed{seed}", seed, epochs="60", views="8") for seed in range(3)),
    *(
        # As `resight reproduce -o` lays them out.
        Training(f"reproduce/{model}/seed{seed}", "pku_reid", model, seed, record_every=10)
        for seed in range(3)
        for model in ("slicenet2", "slicenet1", "baseline-aug", "baseline")
    ),
    *(Training(f"stripnet/seed{seed}", "market501", "stripnet", seed) for seed in range(3)),
    Training("aligned-mutual/seed0", "market501", "stripnet-aligned", more=("--mutual",)),
    Training("aligned/seed0", "market501", "stripnet-aligned"),
    *(Training(f"slices-{k}/seed0", "market501", "stripnet", fields={"slices": str(k)}) for k in (1, 2)),
    Training("transreid-small/seed0", "market501", "transreid-small"),  # from scratch: see docs/results.md
)


@dataclass(eq=False)
class Running:
    """One training under way, and where its output goes."""

    training: Training
    process: subprocess.Popen[bytes]
    log: IO[bytes]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True, help="the runs' directories")
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="the folder of data and models")
    parser.add_argument("--only", nargs="+", default=["*"], metavar="NAME", help="of the list; * stands for anything")
    parser.add_argument("--side-by-side", type=int, default=2)
    parser.add_argument("--limit-s", type=float, default=float("inf"), help="seconds from now, saving included")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--bring", type=Path, help="where models, metrics and logs are copied")
    parser.add_argument("--data", help="other data for all of them, for a try")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", help="fields of all recipes, for a try")
    parser.add_argument("--list", action="store_true", help="print the names, and whether each is finished")
    options = parser.parse_args()
    chosen = [one for one in TRAININGS if any(fnmatch(one.name, pattern) for pattern in options.only)]
    if options.list:
        for one in chosen:
            print(f"{'finished' if _finished(options.out, one) else 'to do':10}{one.name}")
        return 0
    fields = [f"--{setting}" for setting in options.set]
    commands = {
        one.name: one.command(options.shared, options.out, options.device, options.data, fields) for one in chosen
    }
    failed = run_all(chosen, commands, options.out, options.side_by_side, time.monotonic() + options.limit_s)
    left = [one.name for one in chosen if not _finished(options.out, one)]
    if options.bring:
        bring(options.out, options.bring, [one.name for one in chosen])
    print(f"{len(chosen) - len(left)} of {len(chosen)} finished" + (f"; to do: {', '.join(left)}" if left else ""))
    return 1 if failed else 0


def run_all(
    trainings: Sequence[Training], commands: dict[str, list[str]], out: Path, side_by_side: int, deadline: float
) -> list[str]:
    """Trains what is not finished, so many at a time, and stops all shortly before the deadline; those that failed."""
    waiting = [one for one in trainings if not _finished(out, one)]
    running: list[Running] = []
    failed: list[str] = []
    while (waiting or running) and time.monotonic() < deadline - SAVING_S:
        while waiting and len(running) < side_by_side:
            running.append(_start(waiting[0], commands[waiting.pop(0).name], out))
        for one in [one for one in running if one.process.poll() is not None]:
            running.remove(one)
            one.log.close()
            print(f"{one.training.name}: exit code {one.process.returncode}", flush=True)
            failed += [one.training.name] if one.process.returncode else []
        time.sleep(0.2)
    for one in running:
        one.process.send_signal(signal.SIGINT)  # it saves, and can be resumed
    for one in running:
        try:
            one.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            one.process.kill()  # its last checkpoint stands
            one.process.wait()
        one.log.close()
    return failed


def bring(out: Path, kept: Path, names: Sequence[str]) -> None:
    """Copies what is small and worth keeping of each run."""
    for name in names:
        for file in BROUGHT:
            if (out / name / file).exists() or (out / f"{name}.{file}").exists():
                (kept / name).mkdir(parents=True, exist_ok=True)
                source = out / name / file if (out / name / file).exists() else out / f"{name}.{file}"
                shutil.copyfile(source, kept / name / file)


def _start(training: Training, command: list[str], out: Path) -> Running:
    path = out / f"{training.name}.log.txt"  # beside the run: its directory is its own
    path.parent.mkdir(parents=True, exist_ok=True)
    log = path.open("ab")
    print(f"{training.name}: begins", flush=True)
    # More threads than one get in each other's way where several trainings share the cores.
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    return Running(training, subprocess.Popen(command, stdout=log, stderr=log, env=environment), log)


def _finished(out: Path, training: Training) -> bool:
    return (out / training.name / "model.json").exists()


if __name__ == "__main__":
    sys.exit(main())
