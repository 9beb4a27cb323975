from __future__ import annotations

import copy
import io
import itertools
import multiprocessing
import os
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import resight
from resight.core.distances import unit_rows
from resight.core.errors import ConfigError, EmbeddingError, UnreadableImage, WeightsError
from resight.core.pictures.images import Pixels, resize_image
from resight.data.crops import Crop
from resight.embedding.bundle import make_bundle, write_bundle
from resight.embedding.loading import of_bundle
from resight.embedding.model import Model
from resight.embedding.packaged import packaged_bundle
from resight.embedding.pictures import ahead, shape_notes
from tests.core.test_calibration import CALIBRATION
from tests.embedding.networks import DIM, HEIGHT, PREPROCESSING, WIDTH, linear, manifest_of, small_bundle, weights

RUNTIMES = ("onnxruntime", "openvino")


def _pictures(number: int, height: int = 20, width: int = 10, seed: int = 0) -> list[Pixels]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(number)]


def _png(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _expected(pictures: list[Pixels]) -> np.ndarray[Any, Any]:
    """By hand: resize, normalise, multiply by the matrix, bring to unit length."""
    rows = []
    for pixels in pictures:
        small = resize_image(pixels, HEIGHT, WIDTH).astype(np.float64) / 255
        image = (small - np.array(PREPROCESSING.mean)) / np.array(PREPROCESSING.std)
        rows.append(image.transpose(2, 0, 1).reshape(-1) @ weights().astype(np.float64))
    return unit_rows(np.array(rows, np.float32))


@pytest.fixture(scope="module", params=RUNTIMES)
def model(request: pytest.FixtureRequest) -> Model:
    return of_bundle(small_bundle(), runtime=request.param, batch_size=4)


def test_embeds_what_the_formula_says(model: Model) -> None:
    pictures = _pictures(7)
    embeddings = model.embed(pictures)
    assert embeddings.shape == (7, DIM)
    assert embeddings.dtype == np.float32
    assert embeddings == pytest.approx(_expected(pictures), abs=1e-6)
    assert np.linalg.norm(embeddings, axis=1) == pytest.approx(np.ones(7), abs=1e-6)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("batch", [None, 1, 3])
def test_other_layouts_and_fixed_batches(layout: str, batch: int | None) -> None:
    pictures = _pictures(7)
    model = of_bundle(small_bundle(layout, batch), batch_size=4)
    found = model.embed(pictures)
    assert found == pytest.approx(np.concatenate([model.embed(picture) for picture in pictures]), abs=1e-6)
    if layout == "nchw":
        assert found == pytest.approx(_expected(pictures), abs=1e-6)


def test_every_kind_of_picture_is_the_same(model: Model, tmp_path: Path) -> None:
    pixels = _pictures(1)[0]
    path = tmp_path / "it.png"
    path.write_bytes(_png(pixels))
    kinds: list[Any] = [path, str(path), path.read_bytes(), bytearray(path.read_bytes()), Image.open(path), pixels]
    embeddings = model.embed(kinds)
    assert np.ptp(embeddings, axis=0).max() < 1e-6
    assert model.embed(path) == pytest.approx(embeddings[:1], abs=1e-6)
    assert model.embed(np.stack([pixels, pixels])).shape == (2, DIM)
    assert model.embed(pixels[:, :, ::-1], channel_order="bgr") == pytest.approx(embeddings[:1], abs=1e-6)
    assert model.embed(iter([])).shape == (0, DIM)


def test_one_opened_picture_several_times(model: Model, tmp_path: Path) -> None:
    """Pillow decodes it where it is needed first, which several threads do at one time."""
    pixels = _pictures(1, 900, 600)[0]
    pixels[:450] //= 4
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for _ in range(3):
        opened = Image.open(tmp_path / "a.png")
        assert np.ptp(model.embed([opened] * 16), axis=0).max() < 1e-6


def test_grey_is_three_equal_channels(model: Model) -> None:
    grey = _pictures(1)[0][:, :, 0]
    assert model.embed(grey) == pytest.approx(model.embed(np.repeat(grey[:, :, None], 3, axis=2)), abs=1e-6)


def test_boxes_of_a_frame(model: Model) -> None:
    frame = _pictures(1, 60, 80)[0]
    boxes: list[Any] = [(0, 0, 10, 20), (70.4, 50, 90, 70), (-5, -5, 10, 10)]
    crops = [frame[:20, :10], frame[50:60, 70:80], frame[:10, :10]]
    assert model.embed(frame, boxes=boxes) == pytest.approx(model.embed(crops), abs=1e-6)
    bgr = np.ascontiguousarray(frame[:, :, ::-1])
    assert model.embed(bgr, boxes=boxes, channel_order="bgr") == pytest.approx(model.embed(crops), abs=1e-6)
    strange: list[Any] = [(10, 10, 10, 20), (90, 0, 100, 10), (5, 5, 1, 1), (0, 0, np.nan, 4), (1, 2, 3), "abcd"]
    for box in strange:
        with pytest.raises(UnreadableImage, match="box 0"):
            model.embed(frame, boxes=[box])
    with pytest.raises(ConfigError, match="one full frame"):
        model.embed([frame, frame], boxes=boxes)


def test_unreadable_pictures_are_named(model: Model, tmp_path: Path) -> None:
    good = _pictures(2)
    bad: list[Any] = [tmp_path / "none.png", b"", b"no picture", np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8), 7]
    for picture in bad:
        with pytest.raises(UnreadableImage):
            model.embed([picture])
    rows = model.embed([good[0], *bad, good[1]], strict=False)
    assert np.isnan(rows[1:-1]).all()
    assert rows[[0, -1]] == pytest.approx(_expected(good), abs=1e-6)
    batches = list(model.stream([good[0], *bad, good[1]]))
    assert [position for batch in batches for position in batch.positions.tolist()] == [0, len(bad) + 1]
    problems = [problem for batch in batches for problem in batch.problems]
    assert [problem.name for problem in problems] == [str(bad[0]), *(f"picture {n}" for n in range(2, len(bad) + 1))]


def test_an_endless_stream_is_read_as_far_as_needed(model: Model) -> None:
    read = 0

    def camera() -> Iterator[Pixels]:
        nonlocal read
        for picture in itertools.cycle(_pictures(3)):
            read += 1
            yield picture

    first = list(itertools.islice(model.stream(camera()), 5))
    assert [batch.positions[0] for batch in first] == [0, 4, 8, 12, 16]
    assert read <= (5 + 4) * model.batch_size


def test_what_a_source_raises_reaches_the_caller(model: Model) -> None:
    def camera() -> Iterator[Pixels]:
        yield from _pictures(6)
        raise RuntimeError("the camera is gone")

    with pytest.raises(RuntimeError, match="the camera is gone"):
        list(model.stream(camera()))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("ahead", "decode"))]


def test_ahead_keeps_the_order() -> None:
    assert list(ahead(iter(range(20)))) == list(range(20))
    assert list(ahead(iter([]))) == []


def test_threads_may_share_a_model(model: Model) -> None:
    pictures = _pictures(40)
    expected = model.embed(pictures)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(model.embed(pictures))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for embeddings in found:
        assert embeddings == pytest.approx(expected, abs=1e-6)


def test_similarity(model: Model) -> None:
    embeddings = model.embed(_pictures(3))
    assert model.similarity(embeddings[0], embeddings[0]) == pytest.approx(1.0, abs=1e-6)
    assert isinstance(model.similarity(embeddings[0], embeddings[1]), float)
    assert np.shape(model.similarity(embeddings, embeddings[:2])) == (3, 2)
    with pytest.raises(EmbeddingError, match="dimension 6"):
        model.similarity(embeddings[0], np.zeros(5))
    with pytest.raises(ConfigError, match="not calibrated"):
        model.decide(embeddings[0], embeddings[1])


def test_what_cannot_be_compared_is_refused(model: Model) -> None:
    one, other = model.embed(_pictures(2))
    known = model.similarity(one, other)
    assert model.similarity(5 * one, 1e-30 * other) == pytest.approx(known, abs=1e-6)
    assert model.similarity(7 * one, 7 * one) <= 1
    nan = np.full(DIM, np.nan, np.float32)
    for bad in (0 * one, nan, np.full(DIM, np.inf)):
        with pytest.raises(EmbeddingError, match="cannot be compared"):
            model.similarity(bad, other)
        with pytest.raises(EmbeddingError, match=r"embedding 1 \(1 such\)"):
            model.similarity(one, np.stack([other, bad]))
        with pytest.raises(EmbeddingError, match="cannot be compared"):
            resight.load("city").decide(np.resize(bad, 256), np.ones(256))
    with pytest.raises(EmbeddingError, match="two embeddings"):
        resight.load("city").decide(np.ones((1, 256)), np.ones(256))


def test_open_files_are_pictures(model: Model, tmp_path: Path) -> None:
    pictures = _pictures(2)
    expected = model.embed(pictures)
    path = tmp_path / "a.png"
    path.write_bytes(_png(pictures[0]))
    with path.open("rb") as file:
        assert model.embed(file) == pytest.approx(expected[:1], abs=1e-6)
        with pytest.raises(UnreadableImage, match=r"a\.png: there is nothing left"):
            model.embed(file)
    files = [io.BytesIO(_png(picture)) for picture in pictures]
    assert model.embed(files) == pytest.approx(expected, abs=1e-6)
    assert model.embed(io.BytesIO(_png(pictures[0])), boxes=[(0, 0, 10, 20)]) == pytest.approx(expected[:1], abs=1e-6)
    with path.open(encoding="latin-1") as text, pytest.raises(UnreadableImage, match='"rb"'):
        model.embed(text)
    with pytest.raises(UnreadableImage, match="closed"):
        model.embed([text])  # type: ignore[list-item]


def test_a_calibration_is_not_kept_with_another_model(tmp_path: Path) -> None:
    path = tmp_path / "small.resight"
    write_bundle(path, small_bundle())
    model = resight.load(path)
    write_bundle(path, small_bundle(batch=2))
    before = path.read_bytes()
    with pytest.raises(WeightsError, match="another model by now"):
        model.save_calibration(CALIBRATION)
    assert path.read_bytes() == before


def test_load(tmp_path: Path) -> None:
    path = tmp_path / "small.resight"
    write_bundle(path, small_bundle())
    model = resight.load(path)
    assert model.identity == small_bundle().manifest.identity
    assert "linear" in repr(model)
    with pytest.raises(WeightsError, match="no packaged model"):
        resight.load(tmp_path / "none.resight")
    with pytest.raises(ConfigError, match="Known: onnxruntime, openvino"):
        resight.load(path, runtime="tensorrt")
    with pytest.raises(ConfigError, match="Known: auto, cpu, cuda"):
        resight.load(path, device="tpu")
    with pytest.raises(ConfigError, match="unknown device 'cudaX'"):
        resight.load(path, device="cudaX")
    for options in ({"threads": "2"}, {"threads": 2.5}, {"batch_size": 1.5}, {"device": None}):
        with pytest.raises(ConfigError):
            resight.load(path, **options)
    with pytest.raises(ConfigError, match="uint8"):
        model.embed_pixels(np.zeros((1, HEIGHT, WIDTH, 3), np.float32))
    if os.name == "posix":
        os.mkfifo(tmp_path / "pipe.resight")
        for endless in ("/dev/zero", tmp_path / "pipe.resight"):
            with pytest.raises(WeightsError, match="not a regular file"):
                resight.load(endless)
    with pytest.raises(ConfigError, match="1 at the least"):
        resight.load(path, batch_size=0)


def test_a_model_is_copied_by_opening_its_source_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = _pictures(1)
    write_bundle(tmp_path / "small.resight", small_bundle())
    monkeypatch.chdir(tmp_path)
    model = resight.load("small.resight", batch_size=3)
    written = pickle.dumps(model)
    monkeypatch.chdir("/")
    for copied in (pickle.loads(written), copy.deepcopy(model), copy.copy(model)):
        assert copied.batch_size == 3
        assert copied.can_keep_calibration
        assert copied.embed(picture) == pytest.approx(model.embed(picture), abs=1e-6)
    packaged = pickle.loads(pickle.dumps(resight.load("city", threads=1)))
    assert packaged.name == "city"
    with pytest.raises(ConfigError, match="cannot be pickled"):
        pickle.dumps(of_bundle(small_bundle()))
    write_bundle(tmp_path / "small.resight", packaged_bundle("city"))
    with pytest.raises(WeightsError, match="another model by now"):
        pickle.loads(written)


def test_a_model_goes_to_another_process() -> None:
    model = resight.load("city", threads=1)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(model.embed, _pictures(1)).result().shape == (1, 256)


@pytest.mark.parametrize("given", [5, b"city", [Path("a")]])
def test_what_no_model_is_opened_by(given: Any) -> None:
    with pytest.raises(ConfigError, match="by a path or a packaged name"):
        resight.load(given)
    with pytest.raises(ConfigError, match="by a path or a packaged name"):
        resight.open_gallery("nowhere.db", given)
    assert not Path("nowhere.db").exists()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores are bound on Linux alone")
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_no_runtime_binds_its_caller_to_a_core(runtime: str) -> None:
    model = resight.load("city", runtime=runtime, threads=1)
    own, stopped, seen = threading.get_native_id(), threading.Event(), set()

    def watch() -> None:
        while not stopped.is_set():
            seen.add(frozenset(os.sched_getaffinity(own)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    model.embed(_pictures(16))
    stopped.set()
    watcher.join()
    assert seen == {frozenset(os.sched_getaffinity(0))}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_network_that_lies_is_found_when_it_is_opened(runtime: str) -> None:
    model = linear()
    model.graph.node[1].input[1] = "missing"
    data = model.SerializeToString()
    with pytest.raises(WeightsError, match="does not take the network"):
        of_bundle(make_bundle(manifest_of(data), data, "it"), runtime=runtime)
    model = linear()
    model.graph.initializer[0].CopyFrom(_nan_weights())
    data = model.SerializeToString()
    with pytest.raises(WeightsError, match="NaN"):
        of_bundle(make_bundle(manifest_of(data), data, "it"), runtime=runtime)


def _nan_weights() -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.full_like(weights(), np.nan), "w")


def test_int8_is_found_to_be_another_model() -> None:
    bundle = small_bundle()
    other = replace(bundle.manifest, network=replace(bundle.manifest.network, precision="int8"))
    assert other.identity != bundle.manifest.identity


def test_what_shows_nothing_is_named(model: Model) -> None:
    black = np.zeros((16, 8, 3), np.uint8)
    with pytest.raises(UnreadableImage, match="picture 1: shows nothing"):
        model.embed([*_pictures(1), black])
    with pytest.raises(UnreadableImage, match="shows nothing"):
        model.embed(black)
    rows = model.embed([*_pictures(1), black], strict=False)
    assert np.isnan(rows).all(axis=1).tolist() == [False, True]

    data = io.BytesIO()
    Image.fromarray(black).save(data, "PNG")
    named: list[str] = []
    crops = [Crop("covered.png", 1, 1, data=data.getvalue())]
    embedded, problems = model.embed_crops(crops, on_blank=named.append)  # of a data set, figures are of all pictures
    assert (named, len(embedded), problems) == (["covered.png"], 1, ())
    embedded, problems = model.embed_crops(crops, leave_blank=True)
    assert (len(embedded), [problem.name for problem in problems]) == (0, ["covered.png"])


def test_a_picture_that_is_not_of_a_persons_shape_is_told(tmp_path: Path) -> None:
    frame, person = np.zeros((72, 128, 3), np.uint8), np.zeros((128, 64, 3), np.uint8)
    (tmp_path / "frame.png").write_bytes(_png(frame))
    for wide in (frame, Image.fromarray(frame), _png(frame), tmp_path / "frame.png"):
        (note,) = shape_notes([person, wide])
        assert "128 x 72 pixels" in note
    assert shape_notes([person, _png(person), b"no picture"]) == ()
