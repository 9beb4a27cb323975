"""docs/tutorial.md, as its reader runs it: every command and every line of Python, in order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.cli.calling import resight

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.md"


def test_the_tutorial_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    printed = ""
    for kind, text in re.findall(r"^```(\w*)\n(.*?)^```$", TUTORIAL.read_text(), re.DOTALL | re.MULTILINE):
        if kind == "python":
            exec(compile(text, "tutorial", "exec"), names)
            continue
        for line in text.splitlines():
            if "sightings.jsonl" in line:
                picture = next((tmp_path / "town" / "pictures").rglob("*.jpg"))
                seen = f'{{"path": "{picture}", "camera": "gate", "time": "2026-03-01T08:00:00Z", "track": "17"}}\n'
                (tmp_path / "sightings.jsonl").write_text(seen)
            printed += resight(*shlex.split(line)[1:]).stdout
    verdicts = names["verdicts"]
    assert verdicts.total() == len(names["seen_by_the_fifth"]) > 30
    assert verdicts["known, and right"] > 0.3 * verdicts.total()
    assert verdicts["known, but wrong"] <= 0.1 * verdicts.total()
    assert '"purpose": "ten requests"' in printed
    assert "every row and every line of the audit is what it was" in printed
    assert "known, and right" in capsys.readouterr().out
