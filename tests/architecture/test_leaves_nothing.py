"""Nothing leaves the machine, and nothing is left on it but what was asked for: system calls of the verbs, traced."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SMALL = "synthetic:train_people=8,test_people=8,cameras=2,crops_per_camera=2,height=64,width=32"
QUICK = f"""
models
data export {SMALL} -o town/manifest.csv --pictures town/pictures
embed city town/manifest.csv -o embeddings.npz
evaluate city town/manifest.csv --verification --json figures.json
gallery create site.db --model city --keep-crops --audit-searches
gallery add site.db town/manifest.csv --split gallery
gallery search site.db PICTURE --purpose test
gallery export site.db -o site.jsonl
gallery forget site.db --pid 10000
"""
MORE = """
model inspect city
doctor town/manifest.csv -o doctor --fail-on never
evaluate --embeddings embeddings.npz
gallery stats site.db
gallery import again.db site.jsonl
gallery compact site.db
gallery verify site.db
gallery audit site.db
train town/manifest.csv --recipe slicenet2 --epochs 1 --height 64 --width 16 --dim 32 -o run
compare run city town/manifest.csv -o compare.html
export run -o run.resight
"""
SCRIPT = """
import os, sys
from pathlib import Path
from resight.cli import app
for line in filter(None, sys.stdin.read().splitlines()):
    picture = next(Path("town/pictures").rglob("*.jpg"), "") if Path("town").exists() else ""
    sys.argv = ["resight", *line.replace("PICTURE", str(picture)).split()]
    try:
        app.main()
    except SystemExit as stop:
        if stop.code:
            sys.exit(f"{line}: ended with {stop.code}")
"""
CREATED = re.compile(r'(?:openat|open|creat|mkdir|mkdirat|rename\w*)\((?:AT_FDCWD, )?"([^"]+)"')
WRITES = re.compile(r"O_CREAT|O_WRONLY|O_RDWR|^\d+ +(?:creat|mkdir|rename)")


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: apt-get install strace")
@pytest.mark.parametrize(
    "verbs", [pytest.param(QUICK, id="quick"), pytest.param(QUICK + MORE, id="all", marks=pytest.mark.slow)]
)
def test_the_verbs_ask_nobody_and_leave_only_what_was_asked_for(verbs: str, tmp_path: Path) -> None:
    for name in ("home", "work", "temporary"):
        (tmp_path / name).mkdir()
    strict = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "CI")
    environment = {name: value for name, value in os.environ.items() if name not in strict}
    environment |= {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "temporary")}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    trace = tmp_path / "trace.txt"
    calls = "trace=%network,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2"
    done = subprocess.run(
        [
            "strace",
            "-f",
            "-qq",
            "--seccomp-bpf",
            "-e",
            calls,
            "-e",
            "signal=none",
            "-o",
            trace,
            sys.executable,
            "-c",
            SCRIPT,
        ],
        input=verbs,
        cwd=tmp_path / "work",
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    if "ptrace" in done.stderr or "PTRACE" in done.stderr:
        pytest.skip(f"strace may not trace here: {done.stderr.strip()[:100]}")
    assert done.returncode == 0, done.stderr[-2000:]
    lines = trace.read_text(errors="replace").splitlines()
    assert [line for line in lines if re.search(r"AF_INET", line)] == []
    own = (str(tmp_path / "work"), str(tmp_path / "temporary"), "/dev/", "/proc/self/", "/sys/")
    paths = {
        found[1] for line in lines if WRITES.search(line) and " = -1 " not in line and (found := CREATED.search(line))
    }
    assert sorted(path for path in paths if os.path.isabs(path) and not path.startswith(own)) == []
    assert sorted((tmp_path / "home").rglob("*")) == []
    left = [path for path in (tmp_path / "temporary").rglob("*") if not path.name.startswith("torchinductor_")]
    assert left == []  # but for PyTorch's cache of compiled code, an empty folder where nothing is compiled
