"""Adaptation to a site: what it leaves, that it learns without names, how it goes on, and what it refuses."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from resight.core.errors import ConfigError, DataError, TrainingError, WeightsError
from resight.core.pictures.preprocessing import Preprocessing
from resight.data.city.synthetic import draw_city
from resight.data.crops import UNKNOWN_PID, Dataset
from resight.data.formats.manifest import read_manifest, write_manifest
from resight.data.formats.tables import OF_NOBODY
from resight.data.unlabelled import hide_people
from resight.embedding.loading import load
from resight.models.catalogue import Architecture, build_network
from resight.models.saved import CARD_FILE, WEIGHTS_FILE, ModelConfig, load_model, save_model
from resight.report.adaptation import adaptation_page
from resight.site.clustering import Judges
from resight.site.files import load_site
from resight.site.rounds import OUTCOME_FILE, SITE_FILE, load_outcome, load_round, save_round
from resight.site.transform import SiteTransform
from resight.training.adaptation import adapt as module
from resight.training.adaptation.adapt import AdaptResult, Site, adapt
from resight.training.adaptation.pictures import SitePictures
from resight.training.adaptation.settings import Adaptation
from resight.training.run import CHECKPOINT_FILE, CONFIG_FILE, read_metrics, write_json
from tests.cli.calling import resight
from tests.training.adaptation.places import CITY, CPU, QUICK, city, site, source, tracked

ONE_ROUND = replace(QUICK, rounds=1)
OFTEN = replace(CPU, checkpoint_every_s=0, resume=True)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return source(tmp_path_factory.mktemp("runs") / "begun")


@pytest.fixture(scope="module")
def town() -> Dataset:
    return city()


@pytest.fixture(scope="module")
def unbroken(begun: Path, town: Dataset, tmp_path_factory: pytest.TempPathFactory) -> AdaptResult:
    return adapt(begun, site(town), tmp_path_factory.mktemp("runs") / "unbroken", QUICK, 0, CPU)


@pytest.fixture(scope="module")
def adapted(begun: Path, town: Dataset, tmp_path_factory: pytest.TempPathFactory) -> AdaptResult:
    """Whether one short round helps depends on the machine's rounding: here the judges say that it did."""
    run_dir = tmp_path_factory.mktemp("runs") / "adapted"
    counted = Judges.eer

    def kind(judges: Judges, transform: SiteTransform) -> float:
        return counted(judges, transform) * (0.1 if (run_dir / CHECKPOINT_FILE).exists() else 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Judges, "eer", kind)
        return adapt(begun, site(town), run_dir, ONE_ROUND, 0, CPU)


def left(run_dir: Path) -> dict[str, Any]:
    """What decides what comes of a run. The order of the metadata in a file of tensors is none of it."""
    found: dict[str, Any] = {name: (run_dir / name).read_bytes() for name in (WEIGHTS_FILE, CARD_FILE, OUTCOME_FILE)}
    tensors = load_file(run_dir / CHECKPOINT_FILE)
    return {**found, **{name: tensor.numpy().tobytes() for name, tensor in tensors.items()}}


def test_the_run_is_one_like_any_other(begun: Path, town: Dataset, adapted: AdaptResult) -> None:
    outcome = adapted.outcome
    assert outcome is not None
    assert outcome.adapted
    assert outcome.after is not None
    assert outcome.before is not None
    assert outcome.after < outcome.before == outcome.rounds[0].criterion
    assert outcome.spread is not None
    assert outcome.spread.before[0] <= outcome.before <= outcome.spread.before[1]
    assert outcome.spread.pictures == outcome.judging == 2 * outcome.spread.tracklets == 2 * outcome.spread.same
    assert load_outcome(adapted.run_dir) == outcome
    cameras = [str(crop.camid) for crop in town.train]
    page = adaptation_page(outcome, adapted.run_dir, town.train, cameras)
    assert f"of {outcome.spread.tracklets:,} tracklets that were left out of learning" in page
    assert ">end</text>" in page
    assert "whose spread was not kept" in adaptation_page(
        replace(outcome, spread=None), adapted.run_dir, town.train, cameras
    )
    model, before = load(adapted.run_dir), load(begun)
    assert model.identity != before.identity
    assert "adapted to the square from 320 pictures without labels" in model.card.trained_on
    assert before.card.trained_on in model.card.trained_on
    assert town.rights in model.card.rights
    assert model.calibration is None
    found, _ = model.embed_crops(town.query)
    transform = load_site(adapted.run_dir / SITE_FILE)
    assert transform.model == model.identity
    moved = transform.apply(found.embeddings, found.camera_names)
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 1, atol=1e-5)
    assert read_metrics(adapted.run_dir)[-1]["clusters"] == outcome.rounds[-1].clusters


def test_where_it_does_not_help_the_model_stays(begun: Path, town: Dataset, tmp_path: Path) -> None:
    hurting = replace(QUICK, eps=0.3, learning_rate=0.1)
    result = adapt(begun, site(town), tmp_path / "run", hurting, 0, CPU)
    assert result.outcome is not None
    assert not result.outcome.adapted
    model = load(result.run_dir)
    assert model.identity == load(begun).identity
    transform = load_site(result.run_dir / SITE_FILE)
    assert transform.model == model.identity
    page = adaptation_page(result.outcome, result.run_dir, town.train, [str(crop.camid) for crop in town.train])
    assert "the transform alone is what helps here" in page
    assert f"--site {result.run_dir / SITE_FILE}" in page


def test_nobodys_name_decides_anything(begun: Path, town: Dataset, unbroken: AdaptResult, tmp_path: Path) -> None:
    named = site(town)
    shuffled = np.random.default_rng(0).permutation([crop.pid for crop in named.crops]).tolist()
    others = [
        replace(crop, pid=pid, person=f"p{pid}", sequence=pid) for crop, pid in zip(named.crops, shuffled, strict=True)
    ]
    again = adapt(begun, replace(named, crops=others), tmp_path / "run", QUICK, 0, CPU)
    assert left(again.run_dir) == left(unbroken.run_dir)
    assert again.pictures is not None
    assert {crop.pid for crop in again.pictures.images.crops} == {UNKNOWN_PID}
    assert set(again.pictures.images.labels.tolist()) == {-1}


def test_hidden_people_leave_no_trace(town: Dataset) -> None:
    crops = [replace(crop, person="Ada", sequence=crop.pid, frame=crop.pid) for crop in tracked(town.train)]
    hidden = hide_people(crops, 1)
    assert sorted(crop.name for crop in hidden) == sorted(crop.name for crop in crops)
    assert [crop.name for crop in hidden] != [crop.name for crop in crops]
    assert {(c.pid, c.person, c.sequence, c.frame) for c in hidden} == {(UNKNOWN_PID, None, None, None)}
    pids = {crop.name: crop.pid for crop in crops}
    people_of: dict[str, set[int]] = {}
    cameras_of: dict[str, set[int]] = {}
    for crop in hidden:
        people_of.setdefault(str(crop.track), set()).add(pids[crop.name])
        cameras_of.setdefault(str(crop.track), set()).add(crop.camid)
    assert {len(people) for people in people_of.values()} == {1}
    assert {len(cameras) for cameras in cameras_of.values()} == {1}  # a person's tracks differ from camera to camera


class Killed(Exception):
    pass


def killing(original: Callable[..., Any], after: int) -> Callable[..., Any]:
    """The function, whose call number `after` does its work and ends all."""
    calls = iter(range(1, 10_000))

    def call(*given: Any, **named: Any) -> Any:
        done = original(*given, **named)
        if next(calls) == after:
            raise Killed
        return done

    return call


def test_stopped_again_and_again_it_ends_the_same(
    begun: Path, town: Dataset, unbroken: AdaptResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each kind of file that it writes, in the middle of a round and between two, and before the last file."""
    run_dir = tmp_path / "broken"
    kills = [
        ("write_or_check_config", 1),
        ("save_checkpoint", 3),  # of this start: within the first round
        ("save_checkpoint", 4),
        ("save_round", 2),
        ("save_checkpoint", 2),
        ("save_site", 1),
    ]
    for what, after in kills:
        with monkeypatch.context() as patch:
            patch.setattr(module, what, killing(getattr(module, what), after))
            with pytest.raises(Killed):
                adapt(begun, site(town), run_dir, QUICK, 0, OFTEN)
        assert load_outcome(run_dir) is None
    found = adapt(begun, site(town), run_dir, QUICK, 0, OFTEN)
    assert found.outcome == unbroken.outcome
    assert left(run_dir) == left(unbroken.run_dir)
    again = adapt(begun, site(town), run_dir, QUICK, 0, OFTEN)  # finished: nothing is done
    assert again.outcome == unbroken.outcome
    assert again.pictures is None


def test_another_site_or_setting_does_not_go_on(
    begun: Path, town: Dataset, unbroken: AdaptResult, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(unbroken.run_dir, run_dir)
    (run_dir / OUTCOME_FILE).unlink()
    with pytest.raises(ConfigError, match="another adaptation"):
        adapt(begun, site(town), run_dir, replace(QUICK, rounds=9), 0, OFTEN)
    with pytest.raises(ConfigError, match="--resume"):
        adapt(begun, site(town), run_dir, QUICK, 0, CPU)
    assert "resight adapt --resume" in resight("train", "synthetic", "-o", run_dir, "--resume", code=2).stderr
    with pytest.raises(ConfigError, match="other pictures than the square has now"):
        adapt(begun, replace(site(town), crops=site(town).crops[1:]), run_dir, QUICK, 0, OFTEN)
    (run_dir / "rounds" / "001.npz").write_bytes(b"nothing of the kind")
    with pytest.raises(TrainingError, match=r"001\.npz cannot be read"):
        adapt(begun, site(town), run_dir, QUICK, 0, OFTEN)


def test_a_finished_adaptation_is_no_answer_to_another_question(
    begun: Path, town: Dataset, unbroken: AdaptResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What differs is told before a picture is read."""
    run_dir, place = unbroken.run_dir, site(town)
    with monkeypatch.context() as patch:
        patch.setattr(SitePictures, "of", killing(SitePictures.of, 1))
        with pytest.raises(ConfigError, match=r"another adaptation \(rounds 2, not 9\)"):
            adapt(begun, place, run_dir, replace(QUICK, rounds=9), 0, OFTEN)
        with pytest.raises(ConfigError, match=r"another model \([0-9a-f]{12}, not [0-9a-f]{12}\)"):
            adapt(Path("default"), place, run_dir, QUICK, 0, OFTEN)
        with pytest.raises(ConfigError, match="another seed"):
            adapt(begun, place, run_dir, QUICK, 1, OFTEN)
        slower = replace(place, crops=[replace(crop, time=1.0) for crop in place.crops])
        with pytest.raises(ConfigError, match="or with other cameras, tracks or times"):
            adapt(begun, slower, run_dir, QUICK, 0, OFTEN)
        config = json.loads((run_dir / CONFIG_FILE).read_text())
        shutil.copytree(run_dir, tmp_path / "earlier")
        write_json(tmp_path / "earlier" / CONFIG_FILE, {k: v for k, v in config.items() if k != "listing"})
        with pytest.raises(ConfigError, match="other pictures"):
            adapt(begun, replace(place, crops=place.crops[1:]), tmp_path / "earlier", QUICK, 0, OFTEN)
        assert adapt(begun, place, tmp_path / "earlier", QUICK, 0, OFTEN).outcome == unbroken.outcome
    others = [replace(crop, data=place.crops[row - 1].data) for row, crop in enumerate(place.crops)]
    with pytest.raises(ConfigError, match="other pictures"):
        adapt(begun, replace(place, crops=others), run_dir, QUICK, 0, OFTEN, with_pictures=True)
    shown = adapt(begun, place, run_dir, QUICK, 0, OFTEN, with_pictures=True)
    assert shown.pictures is not None
    assert unbroken.pictures is not None
    assert shown.pictures.cameras == unbroken.pictures.cameras


def test_stopped_while_it_reads_it_says_that_nothing_is_saved(
    begun: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*given: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SitePictures, "of", stop)
    done = resight("adapt", begun, manifest, "-o", tmp_path / "run", code=130)
    assert "nothing is saved" in done.stderr
    assert "--resume" not in done.stderr
    assert not (tmp_path / "run").exists()


def of_one_camera(place: Site) -> Site:
    return replace(
        place, crops=[replace(crop, camid=1, camera=None, track=f"{crop.camid} {crop.track}") for crop in place.crops]
    )


def of_ten_pictures(place: Site) -> Site:
    return replace(place, crops=place.crops[:10])


def of_one_file(place: Site) -> Site:
    return replace(place, crops=place.crops[:1])


def of_nothing_readable(place: Site) -> Site:
    return replace(place, crops=[replace(crop, data=b"no picture") for crop in place.crops])


def of_enough_for_a_transform_alone(place: Site) -> Site:
    """110 pictures a camera, of which some 15 only judge."""
    people = sorted({crop.pid for crop in place.crops})[:55]
    return replace(place, crops=[crop for crop in place.crops if crop.pid in people])


def of_wrong_tracks(place: Site) -> Site:
    """Each track of pictures of different people."""
    numbers = iter(range(10_000))
    return replace(place, crops=[replace(crop, track=str(next(numbers) % 80)) for crop in place.crops])


def of_few_tracks(place: Site) -> Site:
    kept = {str(crop.track) for crop in place.crops[:40]}
    return replace(place, crops=[replace(c, track=c.track if c.track in kept else None) for c in place.crops])


def of_no_tracks(place: Site) -> Site:
    return replace(place, crops=[replace(crop, track=None) for crop in place.crops])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (of_one_camera, "an adaptation takes two cameras with 100 different pictures"),
        (of_ten_pictures, "an adaptation takes two cameras with 100 different pictures each; here 0 of 2 have as many"),
        (of_one_file, r"an adaptation takes two cameras .* camera 0 \(1 picture\)"),
        (of_nothing_readable, "it takes two pictures at the least to learn from; of 320 pictures 0 can be read"),
        (of_few_tracks, "60 are needed"),
        (of_enough_for_a_transform_alone, "60 of 220 pictures are not counted here: they are left out of learning"),
        (of_wrong_tracks, "the tracks are wrong"),
        (of_no_tracks, "--no-tracks"),
    ],
)
def test_a_site_that_cannot_be_used_is_refused(
    begun: Path, town: Dataset, tmp_path: Path, spoil: Callable[[Site], Site], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        adapt(begun, spoil(site(town)), tmp_path / "run", ONE_ROUND, 0, CPU)
    assert not (tmp_path / "run").exists()  # and a right one may follow


def test_copies_count_once(begun: Path, town: Dataset, tmp_path: Path) -> None:
    place = site(town)
    copies = [replace(crop, name=f"copy of {crop.name}") for crop in place.crops[::2]]
    result = adapt(begun, replace(place, crops=[*place.crops, *copies]), tmp_path / "run", ONE_ROUND, 0, CPU)
    assert result.outcome is not None
    assert result.outcome.copies == len(copies)
    assert result.outcome.pictures == len(place.crops)


def test_without_tracks_nothing_is_promised(begun: Path, town: Dataset, tmp_path: Path) -> None:
    place = replace(site(town), tracked=False)
    result = adapt(begun, place, tmp_path / "run", ONE_ROUND, 0, CPU)
    assert result.outcome is not None
    if result.outcome.adapted:
        assert result.outcome.reason == "no tracklets tell whether it helped"
    assert result.outcome.before is None
    found = load_round(tmp_path / "run", 1)
    assert found is not None
    assert found.facts.criterion is None
    assert found.facts.of == len(place.crops)  # none is left out to judge


def test_where_no_cluster_is_found_the_model_stays(
    begun: Path, town: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, nothing = replace(site(town), tracked=False), replace(ONE_ROUND, eps=1e-9)
    with monkeypatch.context() as patch:
        patch.setattr(module, "save_round", killing(save_round, 1))
        with pytest.raises(Killed):
            adapt(begun, place, tmp_path / "run", nothing, 0, CPU)
    result = adapt(begun, place, tmp_path / "run", nothing, 0, OFTEN)
    assert result.outcome is not None
    assert not result.outcome.adapted
    assert result.outcome.reason == "in round 1 no two clusters were found"
    assert load(result.run_dir).identity == load(begun).identity
    page = adaptation_page(result.outcome, result.run_dir, town.train, [str(crop.camid) for crop in town.train])
    assert "no two clusters were found" in page


def test_without_tracks_one_picture_of_each_person_is_refused(begun: Path, tmp_path: Path) -> None:
    """Clusters of four pictures are of four people then."""
    place = site(draw_city(replace(CITY, train_people=120)))
    once = {(crop.pid, crop.camid): crop for crop in place.crops}.values()
    with pytest.raises(DataError, match=r"one picture of each person here.*take the site transform alone"):
        adapt(begun, replace(place, crops=[*once], tracked=False), tmp_path / "run", ONE_ROUND, 0, CPU)


@pytest.mark.parametrize(
    ("model", "told"), [("slicenet2", "slicenet2.*of a stripnet alone"), ("nowhere", "nowhere is not there")]
)
def test_what_cannot_be_trained_on_is_told_apart(town: Dataset, tmp_path: Path, model: str, told: str) -> None:
    with pytest.raises(WeightsError, match=told):
        adapt(Path(model), site(town), tmp_path / "run", QUICK, 0, CPU)


def test_the_network_is_shown_what_the_model_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, town: Dataset
) -> None:
    """By the model's own rule of resizing; the pictures are of another size."""
    architecture, size = Architecture("slicenet2", 16, 1), Preprocessing(24, 8, (0.4,) * 3, (0.2,) * 3)
    card = ModelConfig(architecture, replace(size, resize="bicubic-antialias"), "drawings", "anyone's")
    save_model(tmp_path / "model", build_network(architecture, 24, 8), card)
    shown: list[SitePictures] = []

    def stop(number: int, pictures: SitePictures, *given: Any) -> None:
        shown.append(pictures)
        raise Killed

    monkeypatch.setattr(module, "begin_round", stop)
    with pytest.raises(Killed):
        adapt(tmp_path / "model", site(town), tmp_path / "run", QUICK, 0, CPU)
    found = shown[0].embed(load_model(tmp_path / "model"), "cpu")
    crops = [shown[0].images.crops[row] for row in shown[0].rows.tolist()]
    expected, _ = load(tmp_path / "model", device="cpu").embed_crops(crops)
    np.testing.assert_allclose(found, expected.embeddings, atol=1e-5)


def test_settings_have_bounds(town: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a seed is a whole number of 0 and above, not -1"):
        adapt(tmp_path / "model", site(town), tmp_path / "run", QUICK, -1, CPU)
    with pytest.raises(ConfigError, match="rounds must be between"):
        Adaptation(rounds=0)
    with pytest.raises(ConfigError, match="does not divide"):
        Adaptation(batch_size=62)


@pytest.fixture(scope="module")
def manifest(town: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as a table: paths, cameras and tracks alone."""
    folder = tmp_path_factory.mktemp("site")
    named = [replace(crop, pid=-1, name=f"{row}.jpg") for row, crop in enumerate(tracked(town.train))]
    table = folder / "site.csv"
    write_manifest(Dataset("site", "manifest", (), (), tuple(named), town.rights), table, folder / "pictures")
    rows = csv.DictReader(table.read_text().splitlines())
    told = [f"{row['path']},cam{row['camid']},{row['track']}" for row in rows]
    table.write_text("\n".join(["path,camera,track", *told]))
    return table


def test_the_verb(begun: Path, manifest: Path, tmp_path: Path) -> None:
    done = resight(
        "adapt", begun, manifest, "-o", tmp_path / "run", "--rounds", "1", "--batch-size", "16", "--device", "cpu"
    )
    assert "round 1: EER within cameras" in done.stderr
    assert "--site" in done.stdout
    page = (tmp_path / "run" / "adaptation.html").read_text()
    assert "Samples of the last round's clusters" in page
    assert "<svg" in page
    (tmp_path / "run" / "adaptation.html").unlink()
    call: list[str | Path] = ["adapt", begun, manifest, "-o", tmp_path / "run", "--resume"]
    call += ["--batch-size", "16", "--device", "cpu"]
    resight(*call, "--rounds", "1")
    assert (tmp_path / "run" / "adaptation.html").read_text() == page
    assert "rounds 1, not 2" in resight(*call, "--rounds", "2", code=2).stderr
    facts = json.loads((tmp_path / "run" / OUTCOME_FILE).read_text())
    assert facts["schema"] == "resight.adaptation/1"
    assert resight("model", "card", tmp_path / "run").stdout
    assert "of a stripnet alone" in resight("adapt", "slicenet2", manifest, "-o", tmp_path / "x", code=4).stderr
    for crop in read_manifest(manifest, OF_NOBODY).gallery:
        place = tmp_path / "folder" / f"cam{crop.camid}" / Path(crop.name).name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(crop.read())
    untracked = resight("adapt", begun, tmp_path / "folder", "-o", tmp_path / "y", code=3)
    assert "--no-tracks" in untracked.stderr
    assert "each sub-folder is taken as a camera: cam0, cam1" in untracked.stderr
    fitted = resight("site", "fit", tmp_path / "folder", "-m", begun, "-o", tmp_path / "its.site")
    assert "whitened by the scatter of all pictures" in fitted.stdout


@pytest.mark.slow
@pytest.mark.parametrize("delays", [(0.2, 0.9, 1.7, 2.5, 3.4, 4.4)])
def test_killed_at_any_moment_it_goes_on(
    begun: Path, manifest: Path, tmp_path: Path, delays: tuple[float, ...]
) -> None:
    def command(run_dir: Path) -> list[str]:
        call = [sys.executable, "-m", "resight.cli", "adapt", begun, manifest, "-o", run_dir, "--resume"]
        more = ["--rounds", "2", "--batch-size", "16", "--device", "cpu", "--checkpoint-every-s", "0"]
        return [*map(str, call), *more]

    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    for delay in delays:
        process = subprocess.Popen(command(tmp_path / "broken"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 120
        while not (tmp_path / "broken" / "config.json").exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    subprocess.run(command(tmp_path / "broken"), check=True, capture_output=True)
    assert left(tmp_path / "broken") == left(tmp_path / "whole")
    exported = resight("export", tmp_path / "whole", "-o", tmp_path / "mine.resight")
    assert f"{SITE_FILE} is of the run, not of the bundle" in exported.stderr
    assert load(tmp_path / "mine.resight").dim == 16
