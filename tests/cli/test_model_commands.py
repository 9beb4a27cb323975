"""The verbs around bundles, as their users call them."""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from resight.data.city.synthetic import CityConfig, draw_city, save_city
from resight.data.formats.catalogue import open_dataset
from resight.embedding.bundle import read_bundle
from resight.embedding.loading import find_card, load
from resight.embedding.model import Model
from tests.cli.calling import CITY, resight
from tests.embedding.foreign.test_bundling import of_bytes, with_classes
from tests.embedding.networks import linear


def test_a_bundle_scores_what_its_run_scores(run: Path, bundle: Path, tmp_path: Path) -> None:
    assert resight("evaluate", bundle, CITY).stdout == resight("evaluate", run, CITY).stdout
    openvino = resight("evaluate", bundle, CITY, "--runtime", "openvino", "--json", tmp_path / "f.json")
    values = json.loads((tmp_path / "f.json").read_text())
    assert values["model_identity"] == read_bundle(bundle).manifest.identity
    assert "rank-1" in openvino.stdout
    hidden = resight("evaluate", bundle, CITY, "--occlusion", "--json", tmp_path / "h.json")
    assert "middle, mask" in hidden.stdout
    assert len(json.loads((tmp_path / "h.json").read_text())["occlusion"]) == 7
    centred = resight("evaluate", bundle, CITY, "--centre-cameras")
    assert "cameras centred" in centred.stderr
    flipped = resight("evaluate", bundle, CITY, "--flip")
    assert "with mirrored pictures" in flipped.stderr
    assert flipped.stdout != resight("evaluate", bundle, CITY).stdout
    compared = resight("compare", run, bundle, CITY, "-o", tmp_path / "page.html")
    assert "noise" in compared.stdout


@pytest.mark.parametrize(
    "command",
    [
        ("model", "card", "{model}", "-o", "{file}"),
        ("evaluate", "{model}", CITY, "--json", "{file}"),
        ("compare", "city", "{model}", CITY, "-o", "{file}"),
        ("compare", "{model}", "city", CITY, "--json", "{file}"),
        ("calibrate", "{model}", CITY, "--page", "{file}"),
        ("site", "fit", CITY, "--model", "{model}", "-o", "{file}"),
        ("embed", "{model}", CITY, "-o", "{file}"),
    ],
)
def test_nothing_is_written_over_the_model_that_is_read(
    command: tuple[str, ...], run: Path, bundle: Path, tmp_path: Path
) -> None:
    file = Path(shutil.copy(bundle, tmp_path / "own.npz"))
    link = tmp_path / "link.npz"
    link.symlink_to(file)
    shutil.copytree(run, tmp_path / "run")
    for model, over in ((file, file), (link, file), (tmp_path / "run", tmp_path / "run" / "model.json")):
        before = over.read_bytes()
        words = [word.format(model=model, file=over) for word in command]
        if command[0] != "embed" or over == file:
            assert "is what is read" in resight(*words, code=2).stderr
        assert over.read_bytes() == before


def test_a_bundle_tells_what_it_is(bundle: Path, tmp_path: Path) -> None:
    shown = resight("model", "inspect", bundle).stdout
    for text in ("synthetic", "everything but drawings", "32 x 16", "strip 1 of 4", "market1501", "calibrate"):
        assert text in shown
    values = json.loads(resight("model", "inspect", bundle, "--json").stdout)
    assert values["schema"] == "resight.bundle/1"
    resight("model", "card", bundle, "-o", tmp_path / "card.md")
    card = (tmp_path / "card.md").read_text()
    assert card.startswith("---\nlicense: other\n")
    assert "person-re-identification" in card
    assert card == resight("model", "card", bundle).stdout


def test_a_run_is_reduced_to_fewer_values(run: Path, tmp_path: Path) -> None:
    wide, small = tmp_path / "wide", tmp_path / "small"
    size = ("--dim", "32", "--height", "64", "--width", "16", "--batch-size", "8")
    resight("train", CITY, *size, "--epochs", "1", "--warmup-epochs", "0", "-o", wide)
    assert "dimension 32 to 16" in resight("reduce", wide, CITY, "--dim", "16", "-o", small).stdout
    cards = [json.loads((folder / "model.json").read_text()) for folder in (wide, small)]
    assert [card["architecture"]["dim"] for card in cards] == [32, 16]
    assert cards[0]["rights"] == cards[1]["rights"]
    assert "rank-1" in resight("compare", wide, small, CITY, "-o", tmp_path / "page.html").stdout
    other = CITY.replace("synthetic:", "synthetic:seed=1,")
    resight("reduce", wide, other, "--dim", "16", "-o", tmp_path / "other")
    assert "its values chosen on" in json.loads((tmp_path / "other" / "model.json").read_text())["trained_on"]
    assert "not empty" in resight("reduce", wide, CITY, "--dim", "16", "-o", small, code=2).stderr
    assert "cannot be reduced" in resight("reduce", run, CITY, "--dim", "16", "-o", tmp_path / "no", code=2).stderr
    assert not (tmp_path / "no").exists()


def test_calibrating_a_bundle_keeps_the_model(run: Path, tmp_path: Path) -> None:
    city = CITY.replace("test_people=6", "test_people=14")
    path = tmp_path / "it.resight"
    resight("export", run, "-o", path)
    identity = read_bundle(path).manifest.identity
    resight("calibrate", path, city, "--far", "0.5")
    after = read_bundle(path).manifest
    assert after.calibration is not None
    assert after.identity == identity


def test_a_plain_network_gives_the_bundles_embeddings_by_what_it_says_of_itself(
    run: Path, bundle: Path, tmp_path: Path
) -> None:
    done = resight("export", run, "-o", tmp_path / "it.onnx", "--rights", "mine – ©", "--data", CITY)
    assert "float32 (n, 3, 32, 16), RGB" in done.stdout
    assert "NAME.resight" in done.stderr
    session = onnxruntime.InferenceSession(tmp_path / "it.onnx", providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    facts = {name.removeprefix("resight."): json.loads(value) for name, value in metadata.items()}
    assert set(metadata) == {f"resight.{name}" for name in facts}
    assert (facts["channel_order"], facts["resize"], facts["image_centring"]) == ("rgb", "bilinear-antialias", 0)
    assert facts["rights"] == "mine – ©"
    assert [(part["start"], part["stop"]) for part in facts["parts"]] == [
        (part.start, part.stop) for part in read_bundle(bundle).manifest.parts
    ]
    crops = open_dataset(CITY).gallery[:4]
    pictures = [
        Image.open(io.BytesIO(crop.read()))
        .convert("RGB")
        .resize((facts["width"], facts["height"]), Image.Resampling.BILINEAR)
        for crop in crops
    ]
    pixels = (np.array(pictures) / 255 - facts["mean"]) / facts["std"]
    (found,) = session.run(None, {session.get_inputs()[0].name: pixels.transpose(0, 3, 1, 2).astype(np.float32)})
    expected = load(bundle).embed([crop.read() for crop in crops])
    assert np.sum(found * expected, axis=1).min() > 0.9999


def test_a_packaged_model_goes_to_other_programs(tmp_path: Path) -> None:
    out = tmp_path / "it.onnx"
    done = resight("export", "city", "-o", out, "--scale", "imagenet", "--size", "256x128")
    assert "(n, 3, 256, 128), RGB" in done.stdout
    assert "rights: " in done.stdout
    assert onnxruntime.InferenceSession(out).get_inputs()[0].shape[1:] == [3, 256, 128]
    out.unlink()
    mistakes: list[tuple[list[str | Path], str]] = [
        (["-o", out, "--rights", "mine"], "--rights: of a run alone"),
        (["-o", tmp_path / "it.resight"], "a bundle already"),
        (["-o", tmp_path / "it.resight", "--scale", "0-1"], "of a network for other programs"),
        (["-o", out, "--size", "100x100"], "no whole multiple"),
        (["-o", out, "--size", "large"], "HEIGHTxWIDTH"),
    ]
    for options, says in mistakes:
        assert says in resight("export", "city", *options, code=2).stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_embed_and_its_shards_score_what_the_bundle_scores(bundle: Path, tmp_path: Path, suffix: str) -> None:
    whole, first, second = (tmp_path / f"{name}.{suffix}" for name in ("whole", "first", "second"))
    done = resight("embed", bundle, CITY, "-o", whole)
    assert "of dimension 32" in done.stdout
    resight("embed", bundle, CITY, "-o", first, "--shard", "1/2")
    resight("embed", bundle, CITY, "-o", second, "--shard", "2/2")
    expected = resight("evaluate", bundle, CITY).stdout
    assert resight("evaluate", "--embeddings", whole).stdout == expected
    assert resight("evaluate", "--embeddings", first, "--embeddings", second).stdout == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(p.name for p in (whole, first, second))


def test_embed_takes_pictures_and_names_what_it_cannot_read(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures" / "deep"
    folder.mkdir(parents=True)
    crops = open_dataset(CITY).gallery[:3]
    for number, crop in enumerate(crops):
        (folder / f"{number}.jpg").write_bytes(crop.read())
    (folder / "bad.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not asked for")
    done = resight("embed", bundle, folder.parent, "--plain", "-o", tmp_path / "it.npz")
    assert "3 of 4 pictures" in done.stdout
    assert "bad.jpg" in done.stderr
    with np.load(tmp_path / "it.npz") as file:
        assert file["vector"].shape == (3, 32)
        assert [Path(name).name for name in file["name"]] == ["0.jpg", "1.jpg", "2.jpg"]
        assert str(file["model"]) == read_bundle(bundle).manifest.identity
    one = resight("embed", bundle, folder / "0.jpg", folder / "1.jpg", "-o", tmp_path / "two.parquet")
    assert "2 of 2 pictures" in one.stdout
    resight("embed", bundle, folder, "--plain", "--strict", "-o", tmp_path / "strict.npz", code=3)
    resight("embed", bundle, folder / "bad.jpg", "-o", tmp_path / "none.npz", code=3)
    assert not (tmp_path / "none.npz").exists()


def test_embed_goes_on_after_a_kill(bundle: Path, tmp_path: Path) -> None:
    city = draw_city(CityConfig(train_people=6, test_people=6, cameras=3, crops_per_camera=12, height=32, width=16))
    save_city(replace(city, train=city.train * 15), tmp_path / "city")  # more pictures than a part takes
    call = [sys.executable, "-m", "resight.cli", "embed", str(bundle), str(tmp_path / "city"), "-o"]
    killed, whole = tmp_path / "killed.npz", tmp_path / "whole.npz"
    process = subprocess.Popen([*call, str(killed)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    parts = tmp_path / "killed.npz.parts"
    until = time.monotonic() + 120
    while not (parts / "part-000000.npz").exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if not killed.exists():  # it was killed before its end, as a rule
        again = resight("embed", bundle, tmp_path / "city", "-o", killed)
        assert "going on after 2,048" in again.stderr
    resight("embed", bundle, tmp_path / "city", "-o", whole)
    assert killed.read_bytes() == whole.read_bytes()
    assert not parts.exists()


def test_strips_are_aligned_at_inference_where_asked_for(bundle: Path, tmp_path: Path) -> None:
    plain, aligned = tmp_path / "plain.json", tmp_path / "aligned.json"
    resight("evaluate", bundle, CITY, "--json", plain)
    resight("evaluate", bundle, CITY, "--aligned", "--json", aligned)
    one, other = (json.loads(file.read_text())["evaluations"][0]["mean_ap"] for file in (plain, aligned))
    assert one != other
    assert min(one, other) > 0


def test_bundling_a_network_made_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "it.onnx").write_bytes(linear().SerializeToString())
    call: list[str | Path] = ["bundle", tmp_path / "it.onnx", "-o", tmp_path / "it.resight", "--channel-order", "bgr"]
    done = resight(*call, "--mean", "0", "--std", "1/255", "--probe", CITY)
    assert "declared" in done.stdout
    assert read_bundle(tmp_path / "it.resight").manifest.preprocessing.std == (1 / 255,) * 3
    for wrong in (["--mean", "x", "--std", "1"], ["--mean", "0", "--std", "1/0"], ["--mean", "0", "--std", "0"]):
        resight(*call, *wrong, code=2)
    assert "pictures of 8 x 4 pixels (height x width), bgr" in done.stdout
    assert "any number of pictures at once; 6 values, fp32" in done.stdout
    assert "exists already; remove it" in resight(*call, "--mean", "0", "--std", "1", code=2).stderr
    (tmp_path / "it.resight").unlink()
    resight(*call, "--mean", "0", "--std", "1", "--size", "9x4", code=2)
    done = resight(*call, "--mean", "123.675,116.28,103.53", "--std", "58.395,57.12,57.375", code=2)
    assert "--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225" in " ".join(done.stderr.split())
    assert not (tmp_path / "it.resight").exists()
    done = resight("import", tmp_path / "it.onnx", "-o", tmp_path / "run", code=4)
    assert "resight bundle" in done.stderr
    done = resight("evaluate", tmp_path / "it.onnx", CITY, code=4)
    assert "resight bundle" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["export", "RUN", "-o", "OUT/deep/it.resight"], 2, "does not exist"),
        (["export", "OUT", "-o", "it.resight"], 4, "is not there"),
        (["export", "RUN", "-o", "OUT", "--precision", "fp16"], 2, "Known: fp32, int8"),
        (["export", "RUN", "-o", "OUT", "--precision", "int8"], 2, "calibration-images"),
        (["export", "RUN", "-o", "OUT", "--calibration-images", "."], 2, "precision int8"),
        (["embed", "nothing.resight", CITY, "-o", "OUT.npz"], 4, "no packaged model"),
        (["embed", "BUNDLE", CITY, "-o", "OUT.csv"], 2, ".npz or .parquet"),
        (["embed", "BUNDLE", CITY, "-o", "OUT.npz", "--shard", "4/3"], 2, "--shard"),
        (["embed", "BUNDLE", CITY, "-o", "OUT.npz", "--runtime", "caffe"], 2, "Known: onnxruntime"),
        (["embed", "BUNDLE", "nowhere", "-o", "OUT.npz"], 3, "nowhere"),
        (["evaluate", "--embeddings", "OUT.npz", "--occlusion"], 2, "--occlusion takes a model"),
        (["evaluate", "--embeddings", "OUT.npz", "--flip"], 2, "--flip"),
        (["evaluate", "BUNDLE", CITY, "--aligned", "--rerank"], 2, "aligned strips"),
        (["evaluate", "BUNDLE", CITY, "--occlusion", "--flip"], 2, "leave"),
        (["evaluate", "BUNDLE", CITY, "--device", "tpu"], 2, "Known: auto"),
        (["model", "inspect", "RUN/config.json"], 4, "not a bundle"),
        (["model", "card", "BUNDLE", "-o", "OUT/deep/card.md"], 2, "does not exist"),
        (["bundle", "OUT", "--mean", "0", "--std", "1", "--channel-order", "rgb", "-o", "x"], 2, "does not exist"),
    ],
)
def test_mistakes_are_told(run: Path, bundle: Path, tmp_path: Path, arguments: list[str], code: int, says: str) -> None:
    places = {"RUN": run, "BUNDLE": bundle, "OUT": tmp_path / "out"}
    resolved = [next((a.replace(k, str(v)) for k, v in places.items() if a.startswith(k)), a) for a in arguments]
    done = resight(*resolved, code=code)
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_packaged_model_cannot_be_calibrated_and_that_is_said_first(tmp_path: Path) -> None:
    done = resight("calibrate", "city", CITY, code=2)
    assert "packaged model" in done.stderr
    assert "synthetic" not in done.stderr  # the data were not even opened


def test_a_calibrated_copy(run: Path, tmp_path: Path) -> None:
    city = CITY.replace("test_people=6", "test_people=14")
    for model, out in (("city", tmp_path / "mine.resight"), (run, tmp_path / "mine_run")):
        before, identity, _ = find_card(model)
        done = resight("calibrate", model, city, "--far", "0.5", "-o", out)
        copy, own, _ = find_card(out)
        assert own == identity
        assert copy.calibration is not None
        assert copy.calibration.data.startswith("synthetic")
        assert find_card(model)[0].calibration == before.calibration
        assert f"--model {out}" in done.stderr
        assert "a search among 14 people: known" in done.stdout
        assert re.search(
            r"will end `unsure`(\. To say `.*` to half of them: resight gallery search|, and to half)", done.stderr
        )
        assert "people to calibrate on at the least; here 14" in done.stderr
    assert "not empty" in resight("calibrate", run, city, "-o", tmp_path / "mine_run", code=2).stderr
    assert "is a directory" in resight("calibrate", "city", city, "-o", tmp_path, code=2).stderr
    both = resight("calibrate", "city", city, "-o", tmp_path / "a.resight", "--site", tmp_path / "a.site", code=3)
    assert "a.site" in both.stderr


def test_too_few_people_are_told_before_anything_is_embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Model, "embed_crops")
    done = resight("calibrate", "city", CITY, "-o", tmp_path / "mine.resight", code=3)
    assert "6 people are seen by two cameras" in done.stderr


def test_bundle_writes_what_it_has_run_or_nothing(tmp_path: Path) -> None:
    declared = ("--mean", "0,0,0", "--std", "1/255", "--channel-order", "rgb")
    path, out = tmp_path / "net.onnx", tmp_path / "net.resight"
    onnx.save(of_bytes(), path)
    resight("bundle", path, *declared, "-o", out)
    assert load(out).embed([np.arange(96, dtype=np.uint8).reshape(8, 4, 3)]).shape == (1, 6)
    out.unlink()
    onnx.save(with_classes("more"), path)  # which of the two is the embedding is not clear
    done = resight("bundle", path, *declared, "-o", out, code=2)
    assert "--output NAME" in " ".join(done.stderr.split())
    assert {p.name for p in tmp_path.iterdir()} == {"net.onnx"}
    done = resight("bundle", path, *declared, "--output", "out", "-o", out)
    assert "the embedding is the output out, of the outputs out, more" in done.stdout
