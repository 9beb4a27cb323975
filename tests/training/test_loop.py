"""The loop: what a run leaves, how it resumes, and how it stops."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from resight.core.errors import ConfigError, DatasetError, NonFiniteLoss, TrainingError, UnreadableImage, WeightsError
from resight.data.city.synthetic import CityConfig, draw_city
from resight.data.crops import Dataset
from resight.embedding.loading import load
from resight.evaluation.evaluate import evaluate
from resight.losses.cosine_softmax import CosineSoftmax
from resight.models.saved import WEIGHTS_FILE, load_model, save_calibration
from resight.training import loop
from resight.training.demo import run_demo
from resight.training.loop import TrainOptions, is_finished, train
from resight.training.recipes import Recipe, find_recipe
from resight.training.run import CHECKPOINT_FILE, claimed_directory, read_config, read_metrics, save_checkpoint
from tests.cli.calling import resight
from tests.core.test_calibration import CALIBRATION

TINY = find_recipe("slicenet2", height=32, width=16, epochs=2, dim=32)
STRIPNET = find_recipe(
    "stripnet",
    height=64,
    width=16,
    dim=32,
    epochs=3,
    batch_size=8,
    images_per_identity=2,
    progressive="32x16*2",
    constant_epochs=1,
)
CPU = TrainOptions(device="cpu", compile="off")


def weights(run_dir: Path) -> bytes:
    return (run_dir / WEIGHTS_FILE).read_bytes()


@pytest.fixture(scope="module")
def unbroken(small_city: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("runs") / "unbroken"
    assert train(TINY, small_city, run_dir, 5, CPU).finished
    return run_dir


def test_a_run_holds_what_it_should(unbroken: Path, small_city: Dataset) -> None:
    config = read_config(unbroken)
    assert Recipe.from_dict(config["recipe"]) == TINY
    assert config["seed"] == 5
    assert config["versions"]["torch"] == torch.__version__
    assert config["num_images"] == len(small_city.train)
    lines = read_metrics(unbroken)
    assert [line["epoch"] for line in lines] == [1, 2]
    assert lines[-1]["step"] == 2 * (2 * len(small_city.train) // 16)
    assert list((unbroken / "events").iterdir())
    card = load_model(unbroken).config
    assert card.data_digest == config["data_digest"]
    assert "no real person" in card.rights


def test_the_seed_decides(unbroken: Path, small_city: Dataset, tmp_path: Path) -> None:
    train(TINY, small_city, tmp_path / "same", 5, CPU)
    train(TINY, small_city, tmp_path / "other", 6, CPU)
    assert weights(tmp_path / "same") == weights(unbroken)
    assert weights(tmp_path / "other") != weights(unbroken)


def test_streaming_gives_the_same_weights(unbroken: Path, small_city: Dataset, tmp_path: Path) -> None:
    train(TINY, small_city, tmp_path / "run", 5, replace(CPU, max_memory_mb=0))
    assert weights(tmp_path / "run") == weights(unbroken)


def verb(run_dir: Path, *more: str) -> list[str]:
    return [
        "train",
        "synthetic:train_people=12,test_people=2,cameras=3,crops_per_camera=2,height=64,width=32",
        "--recipe", "slicenet2", "--height", "32", "--width", "16", "--dim", "32",
        "--device", "cpu", "--checkpoint-every-s", "0", "-o", str(run_dir), *more,
    ]  # fmt: skip


def call(run_dir: Path, *more: str) -> None:
    resight(*verb(run_dir, *more))


def command(run_dir: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "resight.cli", *verb(run_dir, *more)]


def started(run_dir: Path, *more: str) -> subprocess.Popen[bytes]:
    """The command, as soon as it has saved a checkpoint of its own."""
    checkpoint = run_dir / "checkpoint.safetensors"
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    process = subprocess.Popen(command(run_dir, *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


KILLS = ((signal.SIGKILL, 0.0), (signal.SIGKILL, 0.1), (signal.SIGINT, 0.0))


@pytest.mark.parametrize(
    ("kills", "epochs"), [(KILLS, 8), pytest.param(KILLS * 8, 60, marks=pytest.mark.slow)], ids=["3", "24"]
)
def test_killed_and_resumed_ends_in_the_same_weights(
    tmp_path: Path, kills: tuple[tuple[signal.Signals, float], ...], epochs: int
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    call(whole, "--epochs", str(epochs))
    for sent, wait in kills:
        process = started(broken, "--resume", "--epochs", str(epochs))
        time.sleep(wait)
        process.send_signal(sent)
        _, stderr = process.communicate(timeout=60)
        assert not is_finished(broken), "the training is too short for this test"
        if sent == signal.SIGINT:
            assert process.returncode == 130, stderr
            assert b"--resume" in stderr
    call(broken, "--resume", "--epochs", str(epochs))
    assert weights(broken) == weights(whole)

    def figures(run_dir: Path) -> list[tuple[float, float]]:
        return [(line["step"], line["loss"]) for line in read_metrics(run_dir)]

    assert figures(broken) == figures(whole)


def train_copying(city: Dataset, run_dir: Path, options: TrainOptions, recipe: Recipe = TINY) -> list[Path]:
    """Trains, and copies the run as it stands at every step."""
    copies: list[Path] = []

    def copying(directory: Path, *rest: object) -> None:
        save_checkpoint(directory, *rest)  # type: ignore[arg-type]
        copies.append(shutil.copytree(directory, run_dir.with_name(f"copy{len(copies)}")))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", copying)
        train(recipe, city, run_dir, 5, replace(options, checkpoint_every_s=0))
    return copies


def test_a_run_copied_at_any_step_goes_on_to_the_same_end(unbroken: Path, small_city: Dataset, tmp_path: Path) -> None:
    copies = train_copying(small_city, tmp_path / "run", CPU)
    assert len(copies) == read_metrics(unbroken)[-1]["step"] + 1
    for copy in copies[:: len(copies) // 4]:
        train(TINY, small_city, copy, 5, replace(CPU, resume=True))
        assert weights(copy) == weights(unbroken)
        assert [m["loss"] for m in read_metrics(copy)] == [m["loss"] for m in read_metrics(unbroken)]


def test_progressive_averaged_training_resumes_exactly_too(small_city: Dataset, tmp_path: Path) -> None:
    copies = train_copying(small_city, tmp_path / "run", CPU, STRIPNET)
    for copy in copies[1:-1:4]:
        train(STRIPNET, small_city, copy, 5, replace(CPU, resume=True))
        assert weights(copy) == weights(tmp_path / "run")
    last = load_file(copies[-1] / CHECKPOINT_FILE)
    network = load_model(tmp_path / "run").network.state_dict()
    name = "global_dense.0.weight"
    assert torch.equal(network[name], last[f"average.{name}"])  # what is kept is the average, not the last weights
    assert not torch.equal(network[name], last[f"objective.network.{name}"])
    assert load_model(tmp_path / "run").config.preprocessing.height == 64


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # torch's compiler uses what torch deprecates
def test_a_compiled_run_resumes_exactly_too(small_city: Dataset, tmp_path: Path) -> None:
    compiled = replace(CPU, compile="on")
    copies = train_copying(small_city, tmp_path / "run", compiled)
    train(TINY, small_city, copies[3], 5, replace(compiled, resume=True))
    assert weights(copies[3]) == weights(tmp_path / "run")
    with pytest.raises(ConfigError, match="another compiled"):
        train(TINY, small_city, copies[2], 5, replace(CPU, resume=True))


@pytest.mark.slow
def test_two_processes_train_one_model(tmp_path: Path, small_city: Dataset) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    call = command(tmp_path / "run", "--compile", "off", "--epochs", "2")[1:]
    done = subprocess.run([*launch, *call], capture_output=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert read_config(tmp_path / "run")["processes"] == 2
    embedded = load(tmp_path / "run").embed_dataset(small_city)
    assert evaluate(embedded.query, embedded.gallery, "no-camera").num_scored > 0


def test_a_second_run_in_the_same_directory_is_refused(unbroken: Path, small_city: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--resume"):
        train(TINY, small_city, unbroken, 5, CPU)
    with pytest.raises(ConfigError, match=r"another seed \(5, not 6\)"):
        train(TINY, small_city, unbroken, 6, replace(CPU, resume=True))
    with pytest.raises(ConfigError, match=r"another recipe \(epochs 2, not 9\)"):
        train(replace(TINY, epochs=9), small_city, unbroken, 5, replace(CPU, resume=True))
    changed = replace(small_city, train=small_city.train[1:])
    with pytest.raises(ConfigError, match=r"other pictures \(.*; not: .*\)"):
        train(TINY, changed, unbroken, 5, replace(CPU, resume=True))
    swapped = replace(small_city, train=small_city.train[::-1])
    with pytest.raises(ConfigError, match="another content or other labels"):
        train(TINY, swapped, unbroken, 5, replace(CPU, resume=True))
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="other files"):
        train(TINY, small_city, tmp_path, 5, CPU)
    with pytest.raises(ConfigError, match="a seed is a whole number of 0 and above, not -1"):
        train(TINY, small_city, tmp_path / "new", -1, CPU)
    with pytest.raises(ConfigError, match="not a directory"):
        train(TINY, small_city, tmp_path / "file", 5, CPU)


HOLDER = """
import sys, time
from pathlib import Path
from resight.training.run import claimed_directory
with claimed_directory(Path(sys.argv[1]), False):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such locks")
def test_two_trainings_do_not_take_one_directory_and_a_killed_one_gives_it_back(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(run_dir)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    try:
        with pytest.raises(ConfigError, match="another process trains in"), claimed_directory(run_dir, False):
            pass
        assert run_dir.is_dir()
    finally:
        holder.kill()
        holder.communicate()
    left = run_dir / "checkpoint.safetensors.0123abcd.part"
    left.write_bytes(b"half")
    with claimed_directory(run_dir, False):
        assert not left.exists()


def test_a_finished_run_keeps_its_calibration(unbroken: Path, small_city: Dataset, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(unbroken, run_dir)
    save_calibration(run_dir, CALIBRATION, load_model(run_dir).config.identity)
    assert train(TINY, small_city, run_dir, 5, replace(CPU, resume=True)).finished
    assert load_model(run_dir).config.calibration == CALIBRATION


def test_what_ends_a_training_early_leaves_a_run_to_go_on_with_or_nothing(
    unbroken: Path, small_city: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = tmp_path / "runs" / "one"
    with pytest.raises(ConfigError, match="take --batch-size 120"):  # known after the directory was made
        train(replace(TINY, batch_size=5000), small_city, run_dir, 5, CPU)
    assert not list(tmp_path.iterdir())

    def full(*ignored: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(loop, "write_or_check_config", full)
        with pytest.raises(OSError, match="No space"):  # nothing was begun: the command as it was
            train(TINY, small_city, run_dir, 5, CPU)
        assert not list(tmp_path.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", full)
        with pytest.raises(TrainingError, match="go on with the run by --resume"):
            train(TINY, small_city, run_dir, 5, CPU)
        with pytest.raises(OSError, match="No space"):  # resumed already: the command as it was
            train(TINY, small_city, run_dir, 5, replace(CPU, resume=True))
    train(TINY, small_city, run_dir, 5, replace(CPU, resume=True))
    assert weights(run_dir) == weights(unbroken)


def test_teachers_and_a_recipe_that_learns_from_them_go_together(small_city: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--teacher MODEL"):
        train(replace(TINY, imitation=1.0), small_city, tmp_path / "run", 5, CPU)
    with pytest.raises(ConfigError, match="--unlabelled"):
        train(TINY, replace(small_city, unlabelled=small_city.query), tmp_path / "run", 5, CPU)


def test_a_nan_loss_names_step_rate_and_files(
    small_city: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    plain = CosineSoftmax.forward

    def breaking(self: CosineSoftmax, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return plain(self, embeddings, labels) * (float("nan") if calls == 4 else 1.0)

    monkeypatch.setattr(CosineSoftmax, "forward", breaking)
    with pytest.raises(NonFiniteLoss, match=r"nan at step 3, with a learning rate of 0.001.*train/0") as caught:
        train(TINY, small_city, tmp_path / "run", 5, CPU)
    assert sum(crop.name in str(caught.value) for crop in small_city.train) >= 8


def test_one_bad_picture_is_left_out_unless_strict_and_a_blank_one_is_named(
    small_city: Dataset, tmp_path: Path
) -> None:
    first, second, *others = small_city.train
    grey = io.BytesIO()
    Image.new("RGB", (64, 128), (90, 80, 70)).save(grey, "PNG")
    broken, blank = replace(first, data=b"broken"), replace(second, data=grey.getvalue())
    bad = replace(small_city, train=(broken, blank, *others))
    result = train(replace(TINY, epochs=1), bad, tmp_path / "run", 0, CPU)
    assert [p.name for p in result.problems] == [small_city.train[0].name]
    assert result.blank == (second.name,)
    assert read_config(tmp_path / "run")["blank"] == [second.name]
    assert read_config(tmp_path / "run")["left_out"][0].startswith(small_city.train[0].name)
    with pytest.raises(UnreadableImage):
        train(TINY, bad, tmp_path / "strict", 0, replace(CPU, strict=True))
    with pytest.raises(DatasetError, match="two persons"):
        train(TINY, replace(small_city, train=small_city.train[:3]), tmp_path / "few", 0, CPU)


def test_every_option_of_a_recipe_trains(small_city: Dataset, tmp_path: Path) -> None:
    recipe = replace(
        TINY, epochs=1, sampler="cameras", images_per_identity=2, schedule="warmup-cosine", warmup_epochs=0.5,
        flipped_copies=False, random_flip=True, pad_and_crop=2, colour_jitter=0.2, colour_cast=0.2, random_erasing=0.5,
        circle=0.5, weight_decay=0.05, normalise=False, network="slicenet1",
    )  # fmt: skip
    assert train(recipe, small_city, tmp_path / "run", 0, CPU).finished
    assert train(
        replace(STRIPNET, epochs=1, constant_epochs=0, progressive="", aligned=True), small_city, tmp_path / "a", 0, CPU
    ).finished
    mutual = replace(STRIPNET, epochs=1, constant_epochs=0, progressive="", mutual=True)
    assert train(mutual, small_city, tmp_path / "c", 0, CPU).finished
    kept = load_file(tmp_path / "c" / CHECKPOINT_FILE)
    one, other = (kept[f"objective.{peer}network.global_dense.0.weight"] for peer in ("", "peer."))
    assert not torch.equal(one, other)
    cosine = find_recipe("cosine", height=32, width=16, epochs=1, batch_size=8, images_per_identity=2)
    assert train(cosine, small_city, tmp_path / "b", 0, CPU).finished
    assert load_model(tmp_path / "run").config.preprocessing.mean == (0.0, 0.0, 0.0)


def test_a_training_may_begin_with_another_runs_weights(unbroken: Path, small_city: Dataset, tmp_path: Path) -> None:
    still = replace(TINY, learning_rate=0.0, epochs=1)
    train(still, small_city, tmp_path / "run", 5, CPU, pretrained=unbroken)
    before, after = (load_model(path).network.state_dict() for path in (unbroken, tmp_path / "run"))
    name = "trunk.conv1.0.weight"
    assert torch.equal(before[name], after[name])
    assert len(read_config(tmp_path / "run")["pretrained"]) == 64
    with pytest.raises(ConfigError, match="another pretrained"):
        train(still, small_city, tmp_path / "run", 5, replace(CPU, resume=True))
    with pytest.raises(WeightsError, match=r"^\S+ is of another network \(network slicenet2\).*--network sl"):
        train(STRIPNET, small_city, tmp_path / "foreign", 5, CPU, pretrained=unbroken)
    centred = replace(still, image_centring=0.5)
    train(centred, small_city, tmp_path / "centred", 5, CPU, pretrained=unbroken)
    train(still, small_city, tmp_path / "on", 5, CPU, pretrained=tmp_path / "centred")
    for run, centring in ((unbroken, 0.0), (tmp_path / "centred", 0.5), (tmp_path / "on", 0.5)):
        assert load_model(run).config.preprocessing.image_centring == centring  # as the weights are used to


def test_training_works(tmp_path: Path) -> None:
    """A trained network is far above chance, a colour histogram, and itself untrained."""
    city = draw_city(CityConfig(train_people=28, test_people=16))
    result = run_demo(city, frozenset(), tmp_path, ["baseline-quick"])
    assert result is not None
    chance, histogram, untrained, trained = (m.evaluation for m in result.measured)
    best_other = max(other.rank(1) for other in (chance, histogram, untrained))
    assert trained.rank(1) > best_other + 0.3
    assert trained.mean_ap > 0.5
    assert max(chance.mean_ap, untrained.mean_ap) < 0.2
    assert json.loads(json.dumps(result.to_dict()))["models"][3]["name"] == "baseline-quick"
