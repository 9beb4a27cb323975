"""The command, called in this process: what `python -m resight.cli` prints and how it ends, without its start."""

from __future__ import annotations

import io
import subprocess
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from resight.cli import app

CITY = "synthetic:train_people=8,test_people=6,cameras=3,crops_per_camera=2,height=32,width=16"
TINY = ["--height", "32", "--width", "16", "--epochs", "1", "--dim", "32"]

Done = subprocess.CompletedProcess[str]


def resight(*arguments: str | Path, code: int = 0, stdin: str = "") -> Done:
    """The command's ends, having checked that it ended in `code`."""
    words = ["resight", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    given = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
    with mock.patch.multiple(sys, argv=words, stdin=given), redirect_stdout(out), redirect_stderr(err):
        ended = _ended()
    done = subprocess.CompletedProcess(words, ended, out.getvalue(), err.getvalue())
    assert done.returncode == code, done.stderr
    return done


def resight_process(*arguments: str | Path, code: int = 0) -> Done:
    """The same as a process of its own: slow, and what users have."""
    call = [sys.executable, "-m", "resight.cli", *map(str, arguments)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, done.stderr
    return done


def _ended() -> int:
    """As the interpreter ends."""
    try:
        app.main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0
