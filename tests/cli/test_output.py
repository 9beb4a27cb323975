"""Text on the terminal is text, whatever is in it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.table import Table

from resight.cli import output
from resight.cli.evaluate_tables import print_breakdown
from resight.data.crops import Crop
from resight.evaluation.breakdown import Breakdown, CameraPair, Person
from resight.evaluation.intervals import Interval
from tests.cli.calling import resight

NAMES = [r"D:\data\[set1]\0001.jpg", r"\[/set1]\a.jpg", ":smile:.jpg", "[bold]x[/bold]", "入口.jpg"]


def written(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    return captured.out + captured.err


@pytest.mark.parametrize("name", NAMES)
def test_names_are_shown_as_they_are(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(title=name)
    table.add_column(name)
    table.add_row(name)
    for show in (output.tell, output.say, output.fail, lambda text: output.print_wide(table)):
        show(name)
        assert name in written(capsys)


@pytest.mark.parametrize("sign", ["\x1b[31m", "\x07", "\r", "\x9b2J", "\u202e", "\u2066", "\ud800"])
def test_control_characters_are_written_out(sign: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table()
    table.add_column("name")
    table.add_row(f"red{sign}.jpg")
    for show in (output.tell, output.say, output.fail, lambda text: output.print_wide(table)):
        show(f"red{sign}.jpg")
        shown = written(capsys)
        assert sign[0] not in shown
        assert f"red{sign[0].encode('unicode_escape').decode()}" in shown


def test_what_the_stream_has_no_sign_for_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", stream)
    output.write_any_character()
    output.tell("入口 é")
    stream.flush()
    assert stream.buffer.getvalue() == rb"\u5165\u53e3 " + "é\n".encode("cp1252")


def test_the_same_command_can_be_pasted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/bin/resight", "train", "my data", "-o", "runs/sp ace"])
    assert output.same_command("--resume") == "resight train 'my data' -o 'runs/sp ace' --resume"
    monkeypatch.setattr(sys, "argv", ["/bin/resight", "train", "--resume", "-o", "x"])
    assert output.same_command("--resume") == "resight train --resume -o x"


def test_a_breakdown_calls_people_and_cameras_as_the_data_do(capsys: pytest.CaptureFixture[str]) -> None:
    some = Interval(0.1, 0.9)
    pair = CameraPair(1, 2, 3, 0.5, some, 0.5, some)
    found = Breakdown("market1501", "cosine", (pair,), (Person(13, 1, 0.25, 0.5, 0.1), Person(7, 1, 1.0, 1.0, 0.0)), ())
    print_breakdown(found, [Crop("a.jpg", 13, 1, person="Zoë Müller 110 王", camera="door"), Crop("b.jpg", 7, 2)])
    printed = capsys.readouterr().out
    assert "person Zoë Müller 110 王" in printed
    assert "person 7 " in printed
    assert "camera door among 2 " in printed


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="where root may not write either: on Linux alone")
def test_a_place_that_cannot_be_written_to_is_named_as_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    small = "synthetic:train_people=2,test_people=2"
    for number, place in enumerate((Path("/proc/t.csv"), tmp_path / "file" / "below" / "t.csv")):
        told = resight("data", "export", small, "-o", place, "--pictures", tmp_path / str(number), code=2).stderr
        assert "cannot be used (No" in told
        assert ".part" not in told
