"""What teachers say of the training pictures: the views, the targets, and a training by them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from resight.core.errors import ConfigError, DatasetError
from resight.core.pictures.images import Pixels, decode_image, resize_image
from resight.core.pictures.preprocessing import Preprocessing
from resight.core.records import FloatArray
from resight.data.crops import UNKNOWN_PID, Dataset
from resight.data.unlabelled import read_unlabelled
from resight.models.saved import WEIGHTS_FILE, Origin, load_model
from resight.training import loop
from resight.training.batches.plan import epoch_batches
from resight.training.batches.tones import change_tones
from resight.training.batches.views import LEAST_SHARE, cut_batch, cut_picture, draw_views, view_boxes
from resight.training.loop import TrainOptions, train
from resight.training.recipes import find_recipe
from resight.training.run import read_config, save_checkpoint
from resight.training.teaching.targets import TARGETS_DIR, join_targets, load_targets, shown_views
from resight.training.teaching.teachers import Teacher, open_teacher

CPU = TrainOptions(device="cpu", compile="off")
SMALL = Preprocessing(12, 6, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
TINY = find_recipe(
    "general",
    height=64,
    width=16,
    dim=32,
    views=3,
    epochs=2,
    batch_size=16,
    images_per_identity=2,
    progressive="32x16*1",
    constant_epochs=0,
)


def colours(pixels: Pixels) -> FloatArray:
    """A teacher that sees the mean colours of the upper and the lower half."""
    halves = pixels.reshape(len(pixels), 2, -1, 3).mean(axis=2).reshape(len(pixels), 6)
    return np.asarray(halves + 1, np.float32)


def teacher(name: str = "colours", embed: Callable[[Pixels], FloatArray] = colours) -> Teacher:
    return Teacher(Origin(name, "other people", "research only"), SMALL, 6, embed)


@pytest.fixture(scope="module")
def city(small_city: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Half of it without labels, in two folders."""
    folder = tmp_path_factory.mktemp("places")
    for number, crop in enumerate(small_city.train[30:]):
        place = folder / ("street" if number % 3 else "hall/below")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:03}.png").write_bytes(crop.read())
    unlabelled = read_unlabelled([folder / "street", folder / "hall"], 4)
    return replace(small_city, train=small_city.train[:30], unlabelled=unlabelled)


def test_folders_of_nobody_in_particular(city: Dataset, tmp_path: Path) -> None:
    names = [crop.name for crop in city.unlabelled]
    assert (names[0], names[-1][:11]) == ("street/001.png", "hall/below/")
    assert {(crop.pid, crop.camid) for crop in city.unlabelled} == {(UNKNOWN_PID, 4), (UNKNOWN_PID, 5)}
    assert "unlabelled 30 crops (hall, street)" in str(city)
    with pytest.raises(DatasetError, match="no pictures"):
        read_unlabelled([tmp_path], 1)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_unlabelled([tmp_path / "nowhere"], 1)


def test_views_are_a_function_of_the_seed() -> None:
    assert view_boxes(0, 0, 2).tolist() == [[0, 0, 1, 1, 0]] * 2
    assert view_boxes(0, 1, 2).tolist() == [[0, 0, 1, 1, 1]] * 2
    boxes = view_boxes(3, 2, 500)
    assert (boxes == view_boxes(3, 2, 500)).all()
    assert not (boxes[:, :4] == view_boxes(3, 3, 500)[:, :4]).any()
    assert boxes[:, 2:4].min() >= LEAST_SHARE
    assert (boxes[:, :2] + boxes[:, 2:4]).max() <= 1
    assert 0.4 < boxes[:, 4].mean() < 0.6


def test_teacher_and_student_see_the_same() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 40, 20, 3), np.uint8)
    boxes = np.concatenate([view_boxes(0, view, 2) for view in range(3)])
    views = cut_batch(torch.from_numpy(pixels), boxes, 16, 8).numpy()
    for picture, box, view in zip(pixels, boxes, views, strict=True):
        by_teacher = resize_image(cut_picture(picture, box), 16, 8)
        assert np.abs(view.astype(int) - by_teacher.astype(int)).max() <= 1
    assert (cut_picture(pixels[0], boxes[2]) == pixels[0][:, ::-1]).all()
    assert cut_picture(pixels[0, :1, :1], boxes[4]).shape == (1, 1, 3)


def test_drawn_cameras_and_joined_pictures() -> None:
    cameras, labels = np.repeat([1, 7], [700, 100]), np.where(np.arange(800) % 2, -1, 3)
    views = draw_views(0, 3, cameras, labels, colours=1.0, joins=0.5)
    fewer = draw_views(0, 2, cameras, labels, colours=1.0, joins=0.5)
    assert views.tones is not None
    assert fewer.tones is not None
    for whole, part in ((views.tones, fewer.tones), (views.partners, fewer.partners), (views.joins, fewer.joins)):
        assert (whole[:2] == part).all()  # each view by its number alone
    assert (views.cameras[0] == cameras).all()
    assert (change_tones(torch.arange(192).byte().reshape(1, 8, 8, 3), torch.from_numpy(views.tones[0, :1])).flatten()
            == torch.arange(192)).all()  # fmt: skip
    for view in (1, 2):
        of_first = np.unique(views.cameras[view, :700])
        assert (len(of_first), len(np.unique(views.cameras[view]))) == (2, 3)  # 250 pictures each at the least
        assert all(len(np.unique(views.tones[view, views.cameras[view] == code], axis=0)) == 1 for code in of_first)
        joined = views.partners[view] != np.arange(800)
        assert not joined[labels >= 0].any()
        assert 0.4 < joined[labels < 0].mean() < 0.55
        assert (views.cameras[view, views.partners[view]] == views.cameras[view]).all()


def test_joined_and_coloured_teacher_and_student_see_the_same(city: Dataset) -> None:
    crops = city.unlabelled
    views = draw_views(0, 2, np.ones(len(crops), np.int64), np.full(len(crops), -1), colours=1.0, joins=0.5)
    of_views, rows = np.ones(len(crops), np.int64), np.arange(len(crops))
    partners = views.partners[1]
    assert views.joined(of_views, rows)
    pixels = [decode_image(crop.read(), crop.name) for crop in crops]
    height, width = pixels[0].shape[:2]
    assert len({picture.shape for picture in pixels}) == 1
    size = Preprocessing(height, width, SMALL.mean, SMALL.std)
    with ThreadPoolExecutor(2) as pool:
        by_teacher = shown_views(crops, views, of_views, rows, size, pool)
    stored = torch.from_numpy(np.stack(pixels))
    by_student = views.show(of_views, rows, stored, stored[partners], (height, width))
    assert (by_teacher == by_student.numpy()).all()
    alone = replace(views, tones=None)
    row = int(np.flatnonzero(partners != rows)[0])
    seen = alone.show(of_views, rows, stored, stored[partners], (height, width))[row]
    assert (seen[0] == stored[row, 0].flip(0)).all()  # view 1 is mirrored
    assert (seen[-1] == stored[partners[row], -1].flip(0)).all()


def test_targets_by_hand() -> None:
    rng = np.random.default_rng(0)
    raw = [rng.normal(size=(2, 40, dim)).astype(np.float32) for dim in (3, 4)]
    cameras = np.repeat([1, 2], 20)

    def centred(view: np.ndarray) -> np.ndarray:
        unit = view / np.linalg.norm(view, axis=1, keepdims=True)
        first = raw_first / np.linalg.norm(raw_first, axis=1, keepdims=True)
        means = {camera: first[cameras == camera].mean(axis=0) * 20 / 30 for camera in (1, 2)}
        away = unit - np.stack([means[camera] for camera in cameras])
        return np.asarray(away / np.linalg.norm(away, axis=1, keepdims=True))

    whole = []
    for view in range(2):
        parts = []
        for one in raw:
            raw_first = one[0]
            parts.append(centred(one[view]))
        whole.append(np.concatenate(parts, axis=1) / np.sqrt(2))
    found = join_targets(raw, np.tile(cameras, (2, 1))).astype(np.float32)
    assert found.shape == (2, 40, 7)
    for view in range(2):  # all seven components are kept: the angles are those of what was joined
        assert found[view] @ found[0].T == pytest.approx(whole[view] @ whole[0].T, abs=3e-3)
    axes = np.linalg.eigh(whole[0].T @ whole[0])[1][:, ::-1][:, :2]
    plane = whole[1] @ axes
    plane /= np.linalg.norm(plane, axis=1, keepdims=True)
    fewer = join_targets(raw, np.tile(cameras, (2, 1)), 2)[1].astype(np.float32)
    assert fewer @ fewer.T == pytest.approx(plane @ plane.T, abs=3e-3)


def test_teachers_are_asked_once_and_go_on_after_a_kill(city: Dataset, tmp_path: Path) -> None:
    crops = city.train
    asked: list[int] = []

    def counting(pixels: Pixels) -> FloatArray:
        if sum(asked) >= 48:
            raise KeyboardInterrupt
        asked.append(len(pixels))
        return colours(pixels)

    def load(embed: Callable[[Pixels], FloatArray], views: int = 3, digest: str = "d") -> np.ndarray:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("resight.training.teaching.targets.CHUNK", 16)
            found = load_targets([teacher("a", embed)], crops, tmp_path, digest=digest, views=views)
        return found.embeddings

    with pytest.raises(KeyboardInterrupt):
        load(counting)
    asked.clear()
    asked.append(-1000)  # no more kills
    found = load(counting)
    assert sum(asked) + 1000 == 3 * 30 - 48
    for file in tmp_path.glob("teacher*"):
        file.unlink()
    assert (load(colours) == found).all()
    kept = np.load(tmp_path / "teacher0.npy")
    view = cut_picture(decode_image(crops[7].read()), view_boxes(0, 2, 30)[7])
    expected = colours(resize_image(view, 12, 6)[None])[0]
    assert kept[2, 7].astype(np.float32) == pytest.approx(expected / np.linalg.norm(expected), abs=1e-3)
    for wrong in ({"views": 2}, {"digest": "other"}):
        with pytest.raises(ConfigError, match="another"):
            load(colours, **wrong)


def test_half_of_each_batch_is_labelled() -> None:
    labels = np.array([0] * 5 + [1] * 7 + [2] * 4 + [-1] * 50)
    recipe = find_recipe("general", batch_size=8, images_per_identity=2)
    epochs = [epoch_batches(recipe, labels, np.zeros(66, np.int64), epoch, 3) for epoch in range(8)]
    assert all(batches.shape == (66 // 8, 8) for batches in epochs)
    joined = np.concatenate(epochs)
    assert (labels[joined[:, :4]] >= 0).all()
    assert (labels[joined[:, 4:]] == -1).all()
    for batch in joined:
        assert labels[batch[0]] == labels[batch[1]] != labels[batch[2]] == labels[batch[3]]
    turn = joined[:12, 4:].ravel()  # 50 unlabelled pictures are 12 halves, and 2 left out
    assert len(set(turn.tolist())) == 48
    again = epoch_batches(recipe, labels, np.zeros(66, np.int64), 5, 3)
    assert (again == epochs[5]).all()


def test_a_training_by_teachers_resumes_exactly(city: Dataset, tmp_path: Path) -> None:
    copies: list[Path] = []

    def copying(directory: Path, *rest: object) -> None:
        save_checkpoint(directory, *rest)  # type: ignore[arg-type]
        copies.append(shutil.copytree(directory, tmp_path / f"copy{len(copies)}"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", copying)
        train(TINY, city, tmp_path / "run", 5, replace(CPU, checkpoint_every_s=0), teachers=[teacher()])
    whole = (tmp_path / "run" / WEIGHTS_FILE).read_bytes()
    resuming = replace(CPU, resume=True)
    train(TINY, city, copies[3], 5, resuming, teachers=[teacher(embed=_never)])
    assert (copies[3] / WEIGHTS_FILE).read_bytes() == whole
    assert read_config(copies[3])["teachers"] == ["colours"]
    config = load_model(copies[3]).config
    assert config.trained_on == f"{city}; by way of other models, other people"
    assert config.rights == f"{city.rights}; of the models learnt from, research only"
    for wrong in ([teacher("x")], [teacher(), teacher("x")]):
        with pytest.raises(ConfigError, match="another teachers"):
            train(TINY, city, copies[2], 5, resuming, teachers=wrong)
    state = json.loads((copies[2] / TARGETS_DIR / "teacher0.json").read_text())
    (copies[2] / TARGETS_DIR / "teacher0.json").write_text(json.dumps({**state, "seed": 6}))
    with pytest.raises(ConfigError, match="targets of another seed"):
        train(TINY, city, copies[2], 5, resuming, teachers=[teacher()])


def _never(pixels: Pixels) -> FloatArray:
    raise AssertionError("asked again")


def test_nobody_needs_labels(city: Dataset, tmp_path: Path) -> None:
    bare = replace(city, train=())
    one = replace(TINY, epochs=1, progressive="")
    assert train(one, bare, tmp_path / "bare", 0, CPU, teachers=[teacher()]).finished
    # A run teaches too, and of labelled pictures alone.
    master = open_teacher(tmp_path / "bare", "cpu")
    labelled = replace(city, unlabelled=())
    assert train(replace(one, views=1, batch_size=8), labelled, tmp_path / "pupil", 0, CPU, teachers=[master]).finished
    assert read_config(tmp_path / "pupil")["teachers"] == [load_model(tmp_path / "bare").config.identity]


def test_what_cannot_be_taught(city: Dataset, small_city: Dataset, tmp_path: Path) -> None:
    plain = replace(TINY, imitation=0.0, distillation=0.0)
    for recipe, teachers, why in ((TINY, [], "--teacher MODEL"), (plain, [teacher()], "learns nothing from a teacher")):
        with pytest.raises(ConfigError, match=why):
            train(recipe, city, tmp_path / "a", 0, CPU, teachers=teachers)
    with pytest.raises(ConfigError, match="nothing is learnt from unlabelled pictures without teachers"):
        train(plain, city, tmp_path / "b", 0, CPU)
    with pytest.raises(ConfigError, match="mutual learning is of people with names"):
        train(replace(TINY, mutual=True), replace(city, train=()), tmp_path / "b", 0, CPU, teachers=[teacher()])
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds"):  # nobody is asked before the directory is free
        train(TINY, city, tmp_path / "c", 0, CPU, teachers=[teacher(embed=_never)])
