"""benchmarks/full_length.py, with tiny sizes: it trains side by side, stops in time, and brings models back."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "full_length.py"
CITY = "synthetic:train_people=12,test_people=4,cameras=3,crops_per_camera=2,height=64,width=32"


@pytest.fixture(scope="module")
def full_length() -> ModuleType:
    spec = util.spec_from_file_location("full_length", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_list_is_trained_and_brought_back(tmp_path: Path) -> None:
    call = [sys.executable, str(SCRIPT), "-o", str(tmp_path / "runs"), "--only", "reproduce/slicenet2/seed1"]
    tiny = ["--set", "epochs=1", "height=32", "width=16", "dim=32", "--device", "cpu", "--data", CITY]
    call += [*tiny, "--bring", str(tmp_path / "kept")]
    done = subprocess.run(call, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 finished" in done.stdout
    kept = tmp_path / "kept" / "reproduce" / "slicenet2" / "seed1"
    assert {file.name for file in kept.iterdir()} == {
        "config.json", "metrics.jsonl", "model.safetensors", "model.json", "log.txt"
    }  # fmt: skip
    again = subprocess.run([*call, "--list"], capture_output=True, text=True, timeout=60, check=True)
    assert again.stdout.split() == ["finished", "reproduce/slicenet2/seed1"]


def test_it_stops_before_the_limit_and_names_what_failed(full_length: ModuleType, tmp_path: Path) -> None:
    slow = "import signal, sys, time; signal.signal(signal.SIGINT, lambda *_: sys.exit(130)); print('on', flush=True)"
    programs = {"slow": f"{slow}; time.sleep(60)", "bad": "raise SystemExit(3)", "late": f"{slow}; time.sleep(60)"}
    trainings = [full_length.Training(name, "", "") for name in programs]
    commands = {name: [sys.executable, "-c", program] for name, program in programs.items()}
    began = time.monotonic()
    failed = full_length.run_all(trainings, commands, tmp_path, 2, began + full_length.SAVING_S + 4)
    assert failed == ["bad"]
    assert time.monotonic() - began < full_length.SAVING_S
    assert (tmp_path / "late.log.txt").read_text() == "on\n"  # begun when the bad one had ended
