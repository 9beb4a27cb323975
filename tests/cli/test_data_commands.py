"""The verbs about data and about two models: what they print, write, and how they end."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path
from unittest.mock import Mock

import pyarrow.compute
import pyarrow.parquet
import pytest

from resight.cli.compare import folded
from resight.data.embedding_files import EmbeddingFile
from tests.cli.calling import CITY, resight


def exported(folder: Path) -> Path:
    resight("data", "export", CITY, "-o", folder / "manifest.csv", "--pictures", folder / "pictures")
    return folder


def test_the_doctor_ends_by_severity_and_writes_its_files(tmp_path: Path) -> None:
    data, out = exported(tmp_path / "data"), tmp_path / "out"
    done = resight("doctor", data, "-o", out)  # small crops, few queries: warnings, which are not failures
    assert "warning: " in done.stdout
    assert "to begin with: resight train" in done.stdout
    assert {path.name for path in out.iterdir()} == {"index.html", "doctor.json", "sample.png"}
    resight("doctor", data, "--fail-on", "warning", code=7)
    table = data / "manifest.csv"
    lines = table.read_text().splitlines()
    query = next(line for line in lines if ",query," in line)
    table.write_text("\n".join([*lines, query.replace(",query,", ",gallery,")]) + "\n")
    done = resight("doctor", data, "-o", out, code=8)
    assert "error: 1 of " in done.stdout
    resight("doctor", data, "--fail-on", "warning", code=8)
    resight("doctor", data, "--fail-on", "never")
    values = json.loads((out / "doctor.json").read_text())
    assert values["severity"] == "error"
    assert values["findings"][0]["code"] == "query-in-gallery"
    assert "doubtful_labels" not in values


@pytest.mark.parametrize("num_people", [2, 16])
def test_the_command_to_begin_with_is_one_that_trains(num_people: int, tmp_path: Path) -> None:
    data = f"synthetic:train_people={num_people},test_people=2,cameras=2,crops_per_camera=2,height=64,width=32"
    resight("doctor", data, "-o", tmp_path / "doctor")
    command = json.loads((tmp_path / "doctor" / "doctor.json").read_text())["advice"]["command"]
    assert ("--batch-size 8" in command) == (num_people == 2)
    program, *arguments = shlex.split(command)
    assert program == "resight"
    assert arguments[-2:] == ["-o", "runs/first"]
    resight(*arguments[:-1], tmp_path / "run", "--epochs", "1")
    recipe = json.loads((tmp_path / "run" / "config.json").read_text())["recipe"]
    assert (recipe["network"], recipe["height"], recipe["width"]) == ("stripnet", 64, 32)


def test_the_doctor_with_a_model_ranks_labels(runs: tuple[Path, Path], tmp_path: Path) -> None:
    done = resight("doctor", CITY, "--model", runs[1], "-o", tmp_path)
    assert "nearer to another identity" in done.stdout
    values = json.loads((tmp_path / "doctor.json").read_text())
    assert values["doubtful_labels"]
    first = values["doubtful_labels"][0]
    assert first["pid"] != first["looks_like"]
    assert "Labels that are likely wrong" in (tmp_path / "index.html").read_text()


def test_compare_writes_a_page_and_json(runs: tuple[Path, Path], tmp_path: Path) -> None:
    out, figures = tmp_path / "page.html", tmp_path / "page.json"
    done = resight("compare", *runs, CITY, "-o", out, "--json", figures)
    assert "most important strip painted over" in done.stdout
    values = json.loads(figures.read_text())
    assert [c["protocol"] for c in values["comparisons"]] == ["market1501", "no-camera", "top10"]
    assert [m["name"] for m in values["models"]] == ["baseline", "slicenet2"]
    assert list(values["without_a_strip"]) == ["slicenet2"]
    difference = values["comparisons"][0]["differences"]["mean_ap"]
    both = [values["comparisons"][0][side]["mean_ap"] for side in ("first", "second")]
    assert difference["mean"] == pytest.approx(both[1] - both[0])
    assert f"{difference['mean']:+.3f}" in done.stdout
    assert "baseline" in out.read_text()


def test_a_data_set_of_nobodys_names_is_told_what_takes_none(tmp_path: Path) -> None:
    resight("data", "export", CITY, "-o", tmp_path / "town.csv", "--pictures", tmp_path / "pictures")
    with (tmp_path / "town.csv").open() as file:
        rows = list(csv.DictReader(file))
    lines = [f"{row['path']},-1,{row['camid']},gallery" for row in rows[:30]]
    (tmp_path / "few.csv").write_text("\n".join(["path,pid,camid,split", *lines]))
    few = " ".join(resight("doctor", tmp_path / "few.csv", "-o", tmp_path / "few").stdout.split())
    assert "Nobody is named, so nothing can be scored" in few
    assert "from 100 different pictures of each of two cameras at the least; here 0 of" in few
    assert "<strong>To begin with:</strong> nothing." in (tmp_path / "few" / "index.html").read_text()


@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet"])
def test_a_table_beside_a_folder_that_is_not_there_is_offered(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert f"Is {tmp_path / name} meant?" in " ".join(resight("doctor", tmp_path / "mine", code=3).stderr.split())


def test_export_writes_over_no_table(tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_text("mine")
    assert "exists already" in resight("data", "export", CITY, "-o", tmp_path / "there.csv", code=2).stderr
    assert (tmp_path / "there.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("heading", "lines"),
    [
        ("", [""]),
        ("baseline", ["baseline"]),
        ("slicenet2-quick", ["slicenet2-", "quick"]),
        ("the-one/and_the other", ["the-one/and_", "the other"]),
        ("x" * 30, ["x" * 14, "x" * 14, "xx"]),
    ],
)
def test_long_headings_are_broken_between_words(heading: str, lines: list[str]) -> None:
    assert folded(heading).split("\n") == lines


def test_folders_of_people_without_a_split_are_told_where_to_go(tmp_path: Path) -> None:
    for person in ("p1", "p2"):
        (tmp_path / person).mkdir()
        (tmp_path / person / "c1_a.jpg").touch()
    fit = "site", "fit", tmp_path, "-o", tmp_path / "s.site", "--model", "default"
    assert f"move them into {tmp_path / 'train'}/" in resight(*fit, code=3).stderr
    assert f"`resight data split {tmp_path} -o NEW.csv` divides them" in resight("doctor", tmp_path, code=3).stderr
    (tmp_path / "p1").rename(tmp_path / "other")
    (tmp_path / "other" / "c1_a.jpg").unlink()
    (tmp_path / "p2" / "c1_a.jpg").unlink()
    assert "data split" not in resight("doctor", tmp_path, code=3).stderr


def test_labelled_people_are_divided(tmp_path: Path) -> None:
    """Under the table's own names; no file is written over, and the table that is read least of all."""
    rows = [f"{pid}-{camid}-{n}.jpg,{pid},{camid}" for pid in range(1, 5) for camid in (1, 2) for n in (1, 2)]
    labels, out = tmp_path / "labels.csv", tmp_path / "mine.csv"
    labels.write_text("\n".join(["image,person,cam", *rows]))
    named = "--column", "path=image", "--column", "pid=person", "--column", "camid=cam"
    done = resight("data", "split", labels, *named, "-o", out)
    assert "train 8 crops of 2 ids, query 4 crops of 2 ids, gallery 4 crops of 2 ids" in done.stderr
    assert f"next: resight doctor {out}" in done.stderr
    assert len(out.read_text().splitlines()) == 17
    for place in (out, labels):
        assert "exists already" in resight("data", "split", labels, *named, "-o", place, code=2).stderr
    assert "is what is read" in resight("data", "export", out, "-o", out, code=2).stderr
    assert "OURS=THEIRS" in resight("data", "export", out, "--column", "pid", "-o", tmp_path / "x.csv", code=2).stderr


def test_protocols_that_score_nothing_are_left_out(runs: tuple[Path, Path], tmp_path: Path) -> None:
    data = exported(tmp_path / "data")
    table = data / "manifest.csv"
    header, *rows = table.read_text().splitlines()
    place = header.split(",").index("camid")
    cells = [row.split(",") for row in rows]
    one = [",".join((*row[:place], "1", *row[place + 1 :])) for row in cells]
    table.write_text("\n".join((header, *one)) + "\n")
    done = resight("compare", *runs, data, "-o", tmp_path / "page.html")
    assert "left out: none of" in done.stderr
    assert "no-camera" in done.stdout
    resight("compare", *runs, data, "-o", tmp_path / "page.html", "--protocol", "market1501", code=3)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["doctor", "nowhere"], 3, "does not exist"),
        (["doctor", CITY, "--format", "coco"], 2, "Known: cuhk03"),
        (["doctor", CITY, "--fail-on", "often"], 2, "often"),
        (["doctor", CITY, "--model", "nowhere"], 4, "no packaged model"),
        (["doctor", CITY, "-o", "FILE"], 2, "not a directory"),
        (["compare", "RUN", "RUN", CITY], 2, "one and the same"),
        (["compare", "RUN", "nowhere", CITY], 4, "no packaged model"),
        (["compare", "RUN", "OTHER", CITY, "-o", "nowhere/page.html"], 2, "does not exist"),
        (["compare", "RUN", "OTHER", CITY, "--queries", "0"], 2, "queries"),
        (["compare", "RUN", "OTHER", "synthetic:train_people=2,test_people=0"], 3, "no query pictures"),
        (["data", "export", CITY, "-o", "table.txt"], 2, "ends in"),
        (["data", "export", CITY, "-o", "table.csv"], 2, "--pictures"),
        (["data", "export", "nowhere", "-o", "table.csv"], 3, "does not exist"),
    ],
)
def test_errors_are_one_paragraph(
    arguments: list[str], code: int, says: str, runs: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    places = {"RUN": str(runs[0]), "OTHER": str(runs[1]), "FILE": str(tmp_path / "file")}
    done = resight(*(places.get(argument, argument) for argument in arguments), code=code)
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_help_has_examples() -> None:
    for verb in (("doctor",), ("compare",), ("data", "export")):
        assert "Example" in resight(*verb, "--help").stdout


def test_people_numbered_from_zero_are_people_in_every_command(tmp_path: Path) -> None:
    exported(tmp_path / "data")
    table = tmp_path / "data" / "manifest.csv"
    header, *rows = [line.split(",") for line in table.read_text().splitlines()]
    person = next(row[1] for row in rows if row[3] == "query")
    kept = [[*row[:1], "0" if row[1] == person else row[1], *row[2:]] for row in rows if row[1] != "0"]
    table.write_text("\n".join(",".join(row) for row in [header, *kept]) + "\n")
    done = resight("evaluate", "city", table)
    assert "note: pid 0 is a person here" in done.stderr
    queries = sum(row[3] == "query" for row in kept)
    assert f"{queries} of {queries} queries scored (0 without a match skipped)" in done.stderr
    assert "pid 0 are taken as a person" in " ".join(resight("doctor", table, "--fail-on", "never").stdout.split())
    done = resight("embed", "city", table, "-o", tmp_path / "e.npz")
    assert "note: pid 0 is a person here" in done.stderr


def test_heic_is_named_and_counted(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    done = resight("embed", "city", tmp_path / "in", "--plain", "-o", tmp_path / "e.npz", code=3)
    assert "HEIF picture (HEIC, as phones take), which is not read: convert it to JPEG" in " ".join(done.stderr.split())


def test_tables_that_are_not_as_they_should_be(tmp_path: Path) -> None:
    small = "synthetic:train_people=1,test_people=2,cameras=2,crops_per_camera=2,height=64,width=32"
    resight("data", "export", small, "-o", tmp_path / "t.csv", "--pictures", tmp_path / "pictures")
    first, *lines = (tmp_path / "t.csv").read_text().splitlines()
    named = "\n".join(line.replace(".jpg,", ".jpg,Jürgen") for line in lines)
    (tmp_path / "w.csv").write_bytes(f"{first}\n{named}\n".encode("cp1252"))
    done = resight("embed", "city", tmp_path / "w.csv", "-o", tmp_path / "it.parquet")
    assert "w.csv is no UTF-8" in done.stderr
    assert "Jürgen" in pyarrow.parquet.read_table(tmp_path / "it.parquet")["person"].to_pylist()[0]
    path, pid, rest = lines[0].split(",", 2)
    (tmp_path / "c.csv").write_text("\n".join([first, *lines, f"{path},{pid}9,{rest}"]) + "\n")
    done = resight("doctor", tmp_path / "c.csv", code=8)
    assert "1 picture is listed with labels that contradict each other" in done.stdout
    assert f"{path}: pid {pid} in row 1 and pid {pid}9 in row {len(lines) + 1}" in done.stderr
    odd = b"1_\xfc.jpg".decode("utf-8", "surrogateescape")
    (tmp_path / odd).write_bytes((tmp_path / path).read_bytes())
    (tmp_path / "o.csv").write_bytes(b"path,pid,camid,split\n1_\xfc.jpg,1,1,query\n")
    done = resight("embed", "city", tmp_path / "o.csv", "-o", tmp_path / "odd.parquet", code=2)
    assert "write an .npz" in done.stderr
    resight("embed", "city", tmp_path / "o.csv", "-o", tmp_path / "odd.npz")


def test_embed_keeps_the_table_and_the_labels_that_it_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = "synthetic:train_people=1,test_people=2,cameras=2,crops_per_camera=2,height=64,width=32"
    table, out = tmp_path / "t.parquet", tmp_path / "e.npz"
    resight("data", "export", small, "-o", table, "--pictures", tmp_path / "pictures")
    content = table.read_bytes()
    assert "is what is read" in resight("embed", "city", table, "-o", table, code=2).stderr
    assert table.read_bytes() == content
    with monkeypatch.context() as broken:
        broken.setattr(EmbeddingFile, "finish", Mock(side_effect=KeyboardInterrupt))
        resight("embed", "city", table, "-o", out, code=130)
    columns = pyarrow.parquet.read_table(table)
    place = columns.column_names.index("pid")
    corrected = columns.set_column(place, "pid", pyarrow.compute.add(columns["pid"], 100))
    pyarrow.parquet.write_table(corrected, table)
    assert "parts of other work" in resight("embed", "city", table, "-o", out, code=2).stderr
    pyarrow.parquet.write_table(columns, table)
    assert "going on after" in resight("embed", "city", table, "-o", out).stderr


def test_the_doctors_page_takes_data_of_nobody(tmp_path: Path) -> None:
    small = "synthetic:train_people=1,test_people=2,cameras=2,crops_per_camera=2,height=64,width=32"
    resight("data", "export", small, "-o", tmp_path / "t.csv", "--pictures", tmp_path / "pictures")
    first, *lines = (tmp_path / "t.csv").read_text().splitlines()
    place = first.split(",").index("pid")
    nobody = [",".join("-1" if n == place else cell for n, cell in enumerate(line.split(","))) for line in lines]
    (tmp_path / "n.csv").write_text("\n".join([first, *nobody]))
    resight("doctor", tmp_path / "n.csv", "-o", tmp_path / "doctor", "--fail-on", "never")
    assert (tmp_path / "doctor" / "index.html").exists()
