"""The verbs as their users call them: what they print, where, and how they end."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from resight.cli import app
from resight.core.errors import ResightError, unknown_name
from resight.embedding.loading import load
from tests.cli.calling import CITY, TINY, resight, resight_process


def test_evaluate_prints_figures_and_writes_json(run: Path, tmp_path: Path) -> None:
    done = resight(
        "evaluate", run, CITY, "--protocol", "market1501", "--protocol", "top10", "--json", tmp_path / "f.json"
    )
    assert "rank-1" in done.stdout
    assert "market1501" in done.stdout
    assert "queries scored" in done.stderr
    values = json.loads((tmp_path / "f.json").read_text())
    assert [e["protocol"] for e in values["evaluations"]] == ["market1501", "top10"]
    shown = f"{values['evaluations'][0]['mean_ap']:.3f}"
    assert shown in done.stdout
    assert values["model_identity"] == load(run).identity


def test_evaluate_says_what_was_on_and_takes_embeddings_of_any_tool(run: Path, tmp_path: Path) -> None:
    import numpy as np

    from resight.data.formats.catalogue import open_dataset

    plain = resight("evaluate", run, CITY)
    assert "by cosine; " in plain.stderr
    both = resight("evaluate", run, CITY, "--rerank", "--query-expansion", "2", "--alpha", "3")
    assert "by cosine, query expansion (2, alpha=3), k-reciprocal re-ranking (k1=20" in both.stderr
    assert both.stdout != plain.stdout
    embedded = load(run).embed_dataset(open_dataset(CITY))
    parts = (embedded.query, embedded.gallery)
    np.savez(
        tmp_path / "theirs.npz",
        vector=np.concatenate([part.embeddings for part in parts]),
        pid=np.concatenate([part.pids for part in parts]),
        camid=np.concatenate([part.camids for part in parts]),
        split=["query"] * len(parts[0]) + ["gallery"] * len(parts[1]),
    )
    assert resight("evaluate", "--embeddings", tmp_path / "theirs.npz").stdout == plain.stdout
    figures = tmp_path / "figures.json"
    flags = ("--verification", "--open-set")
    pairs = resight("evaluate", "--embeddings", tmp_path / "theirs.npz", *flags, "--json", figures)
    assert "EER" in pairs.stdout
    assert "too few to tell" in pairs.stdout
    assert "FNIR at FPIR 0.01" in pairs.stdout
    assert json.loads(figures.read_text())["verification"]["schema"] == "resight.verification/1"
    assert json.loads(figures.read_text())["open_set"]["schema"] == "resight.open_set/1"


def test_reproduce_resumes_and_writes_its_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from resight.training import reproduce

    assert reproduce.MODELS == tuple(reproduce.PUBLISHED) == ("baseline", "baseline-aug", "slicenet1", "slicenet2")
    monkeypatch.setattr(reproduce, "MODELS", ("baseline-aug", "slicenet2"))
    arguments: list[str | Path] = ["reproduce", CITY, "--quick", *TINY, "-o", tmp_path]
    one_seed = resight(*arguments, "--seeds", "1")
    assert one_seed.stderr.count("training ") == 2
    first = resight(*arguments, "--seeds", "2")
    assert first.stderr.count("training ") == 2
    second = resight(*arguments, "--seeds", "2")
    assert "training " not in second.stderr
    assert second.stdout == first.stdout
    assert first.stdout.split().count("paper") == 2  # the paper's own figures, a line a model
    assert "0.953" in first.stdout
    assert "flatters" in first.stderr
    values = json.loads((tmp_path / "reproduction.json").read_text())
    assert [m["model"] for m in values["models"]] == ["baseline-aug", "slicenet2"]
    for model in values["models"]:
        assert len(model["market1501"]["mAP"]["values"]) == 2
        assert [e["protocol"] for e in model["evaluations"]] == ["top10", "top10", "market1501", "market1501"]
        assert [len(told["epochs"]) for told in model["told"]] == [1, 1]
        assert min(model["choice"]["flattered"]["values"]) >= 0
    page = (tmp_path / "reproduction.html").read_text()
    assert page.count("<table>") == 3
    assert "<svg" in page
    assert 'href="ranked-lists.html"' in page
    assert "baseline-aug and slicenet2" in (tmp_path / "ranked-lists.html").read_text()


def test_a_model_of_ones_own_crops_and_a_teacher(bundle: Path, tmp_path: Path) -> None:
    """Without any labels, and with some; figures for the record; fewer values by the same pictures."""
    from resight.data.formats.catalogue import open_dataset

    for number, crop in enumerate(open_dataset(CITY).train):
        place = tmp_path / ("street" if number % 2 else "hall")
        place.mkdir(exist_ok=True)
        (place / f"{number}.jpg").write_bytes(crop.read())
    tiny = ["--recipe", "general", "--height", "64", "--width", "16", "--dim", "32"]
    tiny += ["--batch-size", "8", "--epochs", "1"]
    folders: list[str | Path] = ["--unlabelled", tmp_path / "street", "--unlabelled", tmp_path / "hall"]
    done = resight("train", *tiny, *folders, "--teacher", bundle, "-o", tmp_path / "own")
    assert "unlabelled 40 crops (hall, street)" in done.stderr
    more = ["--images-per-identity", "2", "--record-every", "1"]
    resight("train", CITY, *tiny, *more, *folders, "--teacher", bundle, "-o", tmp_path / "both")
    assert (tmp_path / "both" / "record.jsonl").exists()
    done = resight("reduce", tmp_path / "both", CITY, *folders, "--dim", "16", "-o", tmp_path / "small")
    assert "dimension 32 to 16" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["train", "-o", "OUT"], 2, "nothing to train on"),
        (["train", CITY, "--unlabelled", "nowhere", "-o", "OUT"], 3, "cannot be read"),
        (["train", "nowhere", "-o", "OUT"], 3, "does not exist"),
        (["train", CITY, "--recipe", "nonsense", "-o", "OUT"], 2, "Known: baseline"),
        (["train", CITY, "--height", "100", "-o", "OUT"], 2, "multiple of 32"),
        (["train", CITY, "--device", "tpu9", "-o", "OUT"], 2, "device"),
        (["train", "synthetic:people=3", "-o", "OUT"], 2, "Known: seed"),
        (["train", CITY], 2, "--out"),
        (["evaluate", "OUT", CITY], 4, "no packaged model"),
        (["evaluate", "RUN", CITY, "--protocol", "nonsense"], 2, "Known: market1501"),
        (["evaluate", "RUN", "synthetic:train_people=2,test_people=0"], 3, "no query pictures"),
        (["evaluate", "RUN"], 2, "name a model and its data"),
        (["evaluate"], 2, "name a model and its data"),
        (["evaluate", "RUN", CITY, "--alpha", "3"], 2, "--query-expansion"),
        (["evaluate", "RUN", CITY, "--multi-query", "--protocol", "no-camera"], 2, "--multi-query takes pictures"),
        (["evaluate", "RUN", CITY, "--rerank", "--distance", "euclidean"], 2, "supports cosine only"),
        (["evaluate", "RUN", CITY, "--rerank", "--metric", "euclidean"], 2, "--metric is called --distance now"),
        (["evaluate", "--embeddings", "nowhere.npz"], 3, "nowhere.npz"),
        (["import", "nowhere.pth", "--model", "slicenet2", "-o", "OUT"], 4, "cannot be read"),
        (["import", "nowhere.pth", "--option", "shift", "-o", "OUT"], 2, "NAME=VALUE"),
        (["evaluate", "RUN", CITY, "--cameras-as-trained"], 2, "not told cameras"),
        (["evaluate", "RUN", CITY, "--cameras-as-trained", "--flip"], 2, "leave --flip"),
        (["import", "nowhere.pth", "--model", "slicenet2", "-o", "OUT", "--mean", "1,2"], 2, "three numbers"),
        (["demo", "-o", "FILE"], 2, "not a directory"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_errors_are_one_paragraph(arguments: list[str], code: int, says: str, run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    places = {"OUT": str(tmp_path / "out"), "RUN": str(run), "FILE": str(tmp_path / "file")}
    done = resight(*(places.get(argument, argument) for argument in arguments), code=code)
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback() -> None:
    assert "Traceback" in resight("--debug", "train", "nowhere", "-o", "out", code=1).stderr


def test_the_process_ends_as_the_call_does(run: Path, tmp_path: Path) -> None:
    """The other tests of the verbs call the command in their own process."""
    call: list[str | Path] = ["evaluate", run, CITY, "--json", tmp_path / "f.json"]
    process, called = resight_process(*call), resight(*call)
    assert (process.stdout, process.stderr) == (called.stdout, called.stderr)
    failed = resight_process("evaluate", tmp_path / "nowhere", CITY, code=4)
    assert failed.stderr == resight("evaluate", tmp_path / "nowhere", CITY, code=4).stderr


def test_help_and_version_name_what_there_is() -> None:
    listing = resight("--help").stdout
    for verb in ("demo", "train", "evaluate", "reproduce", "import"):
        assert verb in listing
        assert "Example" in resight(verb, "--help").stdout
    assert "--random-erasing" in resight("train", "--help").stdout
    assert resight("--version").stdout.startswith("resight ")


def test_a_bad_picture_in_a_folder_is_named_and_the_rest_goes_on(run: Path, tmp_path: Path) -> None:
    from resight.data.city.synthetic import save_city
    from resight.data.formats.catalogue import open_dataset

    save_city(open_dataset(CITY), tmp_path)
    victim = sorted((tmp_path / "gallery").rglob("*.jpg"))[0]
    victim.write_bytes(victim.read_bytes()[:300])
    done = resight("evaluate", run, tmp_path)
    assert f"{victim.relative_to(tmp_path).as_posix()}: damaged or truncated" in done.stderr
    resight("evaluate", run, tmp_path, "--strict", code=3)
    victim.rename(victim.with_name("nocamera.jpg"))
    assert "nocamera.jpg: the name" in resight("evaluate", run, tmp_path).stderr
    assert "nocamera.jpg: the name" in resight("evaluate", run, tmp_path, "--strict", code=3).stderr


def test_every_error_has_an_exit_code_of_its_kind() -> None:
    def below(kind: type[ResightError]) -> list[type[ResightError]]:
        return [kind, *(k for child in kind.__subclasses__() for k in below(child))]

    assert {kind.exit_code for kind in below(ResightError)} == {1, 2, 3, 4, 5, 6, 9}
    assert "Known: a, b" in str(unknown_name("thing", "c", {"b", "a"}))


def test_the_reports_weights_import_with_their_rights(seed_weights: Path, tmp_path: Path) -> None:
    weights = seed_weights / "slicenet1_cosine_100.pth"
    told = ("--trained-on", "PKU-Reid, 62 ids", "--rights", "research only")
    resight("import", weights, "--model", "slicenet1", *told, "-o", tmp_path / "run")
    card = json.loads((tmp_path / "run" / "model.json").read_text())
    assert (card["trained_on"], card["rights"]) == ("PKU-Reid, 62 ids", "research only")
    resight("import", weights, "--model", "slicenet1", "-o", tmp_path / "run", code=2)


def test_a_defect_of_our_own_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def breaking() -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(app, "app", breaking)
    monkeypatch.setattr(sys, "argv", ["resight"])
    with pytest.raises(SystemExit) as caught:
        app.main()
    assert caught.value.code == 1
    assert "ZeroDivisionError: by zero. This is a defect" in capsys.readouterr().err


def test_calibrate_writes_into_the_model_and_evaluate_checks_it(own_run: Path, tmp_path: Path) -> None:
    from resight.models.saved import load_model

    run = own_run
    few = resight("calibrate", run, CITY, "--far", "0.5", code=3)
    assert "people are seen by two cameras" in few.stderr
    assert load_model(run).config.calibration is None
    other = CITY.replace("train_people=8,test_people=6", "seed=5,train_people=30,test_people=20")
    refused = resight("calibrate", run, other, "--far", "0.00001", code=3)
    assert "Nothing was written" in refused.stderr
    assert load_model(run).config.calibration is None
    page = tmp_path / "calibration.html"
    done = resight("calibrate", run, other, "--everybody", "--far", "0.5", "--far", "0.00001", "--page", page)
    assert "same, FAR 0.5" in done.stdout
    assert "refused" in done.stdout
    assert "Brier score" in page.read_text()
    assert "same, FAR 0.5" in page.read_text()
    assert "replaces" not in done.stderr
    model = load_model(run)
    assert model.config.calibration is not None
    assert model.config.calibration.num_people > 40
    figures = tmp_path / "figures.json"
    checked = resight("evaluate", run, other, "--verification", "--breakdown", "--json", figures)
    assert "calibration promised" in checked.stdout
    assert "fitted on these very people" in " ".join(checked.stderr.split())
    assert "The hardest pairs of cameras" in checked.stdout
    values = json.loads(figures.read_text())
    assert values["breakdown"]["schema"] == "resight.breakdown/1"
    promised = {promise["false_accept_rate"]: promise for promise in values["calibration"]}
    assert 0.1 in promised
    assert 0.0001 not in promised  # these people are too few for it
    for rate, promise in promised.items():  # some of the people on whom it was fitted
        assert promise["counted"]["low"] <= rate
        assert promise["verdict"] in ("kept", "within noise", "too few to tell")
        assert (promise["verdict"] == "within noise") <= (promise["counted"]["value"] > rate)
    assert "trained on these people" in resight("calibrate", run, CITY, "--everybody", code=2).stderr
    resight("data", "export", CITY, "-o", tmp_path / "renamed.csv", "--pictures", tmp_path / "pictures")
    renamed = resight("calibrate", run, tmp_path / "renamed.csv", "--everybody", code=2)
    assert "trained on these people" in renamed.stderr
    left_out = resight("calibrate", run, CITY, "--unlabelled", code=3)
    assert "40 training pictures: they are left out" in left_out.stderr
    again = resight("calibrate", run, other, "--unlabelled", "--far", "0.5")
    assert f"replaces the calibration of {model.config.calibration.date}" in again.stderr
    assert "with its P(same)" in again.stderr
    assert "rate lies between" in resight("calibrate", run, CITY, "--far", "2", code=2).stderr


def test_a_run_that_goes_on_keeps_the_rights_it_was_begun_with(tmp_path: Path) -> None:
    from resight.models.saved import load_model

    run = tmp_path / "a run"
    resight("train", CITY, "--recipe", "slicenet2-quick", *TINY, "--rights", "mine, all", "-o", run)
    resight("train", CITY, "-o", run, "--resume")
    assert load_model(run).config.rights == "mine, all"
