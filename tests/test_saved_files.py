"""Files that earlier versions wrote open as before: each says what it said to the version that wrote it."""

from __future__ import annotations

import json
import tarfile
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import resight
from tests.cli.calling import resight as verb

SAVED = Path(__file__).parent / "saved"
VERSIONS = sorted(path.name for path in SAVED.iterdir() if (path / "files.tar.xz").exists())
NEAR = 1e-4  # how far one machine's float32 is from another's
# Of a training, whose steps make a difference larger; and of the ranks after one, where few queries decide.
NEAR_TRAINED, NEAR_SCORED = 0.01, 0.03
FIGURES = {"rank1", "mean_ap", "mean_inp"}


@pytest.fixture(scope="module", params=VERSIONS)
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version's files, unpacked."""
    folder = tmp_path_factory.mktemp(request.param)
    with tarfile.open(SAVED / request.param / "files.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    (folder / "expected.json").write_bytes((SAVED / request.param / "expected.json").read_bytes())
    return folder


@pytest.fixture(scope="module")
def expected(files: Path) -> dict[str, Any]:
    """What they said."""
    values: dict[str, Any] = json.loads((files / "expected.json").read_text())
    return values


@pytest.fixture(scope="module")
def pictures(files: Path, expected: dict[str, Any]) -> list[str]:
    return [str(files / name) for name in expected["bundle"]["pictures"]]


def check_figures(arguments: list[str | Path], expected: list[dict[str, Any]], folder: Path, near: float) -> None:
    out = folder / "figures.json"
    verb("evaluate", *arguments, "--protocol", "market1501", "--protocol", "no-camera", "--json", out)
    found = json.loads(out.read_text())["evaluations"]
    for one, other in zip(found, expected, strict=True):
        for name, value in other.items():
            close = pytest.approx(value, abs=near) if name in FIGURES else value
            assert one[name] == close, (other["protocol"], name)


def embeddings_of_run(run: Path, files: Path) -> np.ndarray:
    crops = resight.open_dataset(str(files / "city")).query[:6]
    return resight.load(run, device="cpu").embed([crop.read() for crop in crops])


def similarities(model: Any, embeddings: np.ndarray) -> list[float]:
    return [model.similarity(embeddings[i], embeddings[j]) for i, j in combinations(range(len(embeddings)), 2)]


def test_a_finished_run(files: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    told = expected["run"]
    run = files / "run"
    assert np.abs(embeddings_of_run(run, files) - told["embeddings"]).max() < NEAR
    check_figures([run, files / "city"], told["figures"], tmp_path, NEAR)
    verb("export", run, "-o", tmp_path / "again.resight")
    again = resight.load(tmp_path / "again.resight")
    # Folding rounds otherwise on another CPU, so that the identity is this machine's.
    bundled = again.embed([crop.read() for crop in resight.open_dataset(str(files / "city")).query[:6]])
    assert np.abs(bundled - told["embeddings"]).max() < NEAR
    assert (again.card.trained_on, again.card.rights) == (told["trained_on"], told["rights"])
    assert again.card.data_digest == told["data_digest"]
    assert again.calibration == resight.load(files / "small.resight").calibration


def test_an_interrupted_run_goes_on(files: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    told = expected["interrupted"]
    run = tmp_path / "run"
    run.mkdir()
    for path in (files / "interrupted").iterdir():
        (run / path.name).write_bytes(path.read_bytes())
    verb("train", files / "city", *told["options"], "--resume", "-o", run)
    losses = [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert losses == pytest.approx(told["losses"], abs=NEAR_TRAINED)
    assert np.abs(embeddings_of_run(run, files) - told["embeddings"]).max() < NEAR_TRAINED
    check_figures([run, files / "city"], told["figures"], tmp_path, NEAR_SCORED)


def test_a_bundle_with_its_calibration(files: Path, expected: dict[str, Any], pictures: list[str]) -> None:
    told = expected["bundle"]
    model = resight.load(files / "small.resight")
    assert (model.identity, model.dim) == (told["identity"], told["dim"])
    assert (model.card.rights, model.card.weaknesses) == (told["rights"], told["weaknesses"])
    assert [[part.name, part.start, part.stop] for part in model.parts] == told["parts"]
    embeddings = model.embed(pictures)
    assert np.abs(embeddings - told["embeddings"]).max() < NEAR
    assert similarities(model, embeddings) == pytest.approx(told["similarities"], abs=NEAR)
    kept = np.asarray(told["embeddings"], np.float32)
    pairs = combinations(range(len(kept)), 2)
    decided = [model.decide(kept[i], kept[j], false_accept_rate=0.1) for i, j in pairs]
    found = [[d.verdict, None if d.rate is None else d.rate.value, d.threshold] for d in decided]
    assert found == told["decisions"]
    assert len({d.verdict for d in decided}) > 1
    calibration = model.calibration
    assert calibration is not None
    assert np.allclose(calibration.probability([0.0, 0.3, 0.6, 0.9], prior=0.1), told["probabilities"], atol=1e-6)


def test_the_packaged_models_are_the_same(expected: dict[str, Any], pictures: list[str]) -> None:
    # Both forms of the default of then have better successors, and are packaged no more.
    names = ("city", "slicenet1", "slicenet2")
    assert set(expected["packaged"]) == {*names, "default", "default-int8"}
    for name in names:
        told, model = expected["packaged"][name], resight.load(name)
        assert (model.identity, model.dim) == (told["identity"], told["dim"]), name
        embeddings = model.embed(pictures)
        assert np.abs(embeddings[:, : len(told["begin"][0])] - told["begin"]).max() < NEAR, name
        assert similarities(model, embeddings) == pytest.approx(told["similarities"], abs=NEAR), name


@pytest.mark.parametrize("name", ["city.npz", "city.parquet"])
def test_embeddings(files: Path, expected: dict[str, Any], name: str, tmp_path: Path) -> None:
    check_figures(["--embeddings", files / name], expected[name], tmp_path, NEAR)


def check_gallery(path: Path, files: Path, expected: dict[str, Any], *, with_audit: bool) -> None:
    told = expected["gallery"]
    with resight.open_gallery(path, resight.load(files / "small.resight")) as gallery:
        assert asdict(gallery.settings) == told["settings"]
        found = [[e.id, e.camera, e.time, e.track, e.pid, e.name, dict(e.attributes)] for e in gallery.entries()]
        assert found == told["entries"]
        assert list(gallery.verify()) == told["damages"] == []
        stats = asdict(gallery.stats())
        if with_audit:
            assert [asdict(line) for line in gallery.audit()] == told["audit"]
            assert [[link.number, link.pid, link.into] for link in gallery.links()] == told["links"]
            assert {key: stats[key] for key in told["stats"]} == told["stats"]
        kept = np.asarray(expected["bundle"]["embeddings"], np.float32)
        answers = gallery.search_embeddings(kept, false_positive_rate=0.5, false_negative_rate=0.5)
        for answer, other in zip(answers, told["answers"], strict=True):
            assert (answer.verdict, answer.num_people) == (other["verdict"], other["num_people"])
            rows = [[match.id, match.verdict, match.person] for match in answer]
            assert rows == [[id, verdict, person] for id, _, verdict, person in other["matches"]]
            near = pytest.approx([row[1] for row in other["matches"]], abs=NEAR)
            assert [match.similarity for match in answer] == near


def test_a_gallery_and_its_audit(files: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "site.db"
    path.write_bytes((files / "site.db").read_bytes())
    check_gallery(path, files, expected, with_audit=True)
    with resight.open_gallery(path, resight.load(files / "small.resight"), who="today") as gallery:
        gallery.forget(camera="c0")
        assert not list(gallery.verify())
        assert len(list(gallery.audit())) > len(expected["gallery"]["audit"])


def test_a_gallerys_lines(files: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    verb("gallery", "import", tmp_path / "copy.db", files / "site.jsonl")
    check_gallery(tmp_path / "copy.db", files, expected, with_audit=False)
    verb("gallery", "export", tmp_path / "copy.db", "-o", tmp_path / "again.jsonl")
    (header, *lines), (old, *olds) = (
        path.read_bytes().splitlines() for path in (tmp_path / "again.jsonl", files / "site.jsonl")
    )
    assert lines == olds
    assert json.loads(header) == {**json.loads(old), "entries": len(olds)}  # which 0.1.0 did not count
