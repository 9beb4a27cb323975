"""docs/tutorial.md, as its reader runs it: every command and every line of Python, in order; in a test of its own what
takes minutes, which is marked `sh` there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.cli.calling import resight

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.md"
BLOCKS = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_the_tutorial_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    printed = ""
    for kind, text in BLOCKS.findall(TUTORIAL.read_text()):
        if kind == "sh":
            continue
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


@pytest.mark.slow
def test_the_second_town_is_adapted_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (section,) = re.findall(r"^## A second town.*?(?=^## )", TUTORIAL.read_text(), re.DOTALL | re.MULTILINE)
    commands = [line for _, text in BLOCKS.findall(section) for line in text.splitlines()]
    told = {command: resight(*shlex.split(command)[1:]).stdout for command in commands}
    (adapting,) = (text for command, text in told.items() if command.startswith("resight adapt"))
    assert "adapted to" in adapting
    assert "told apart better" in adapting
