"""Figures while a network is trained, which change nothing of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from resight.data.crops import Dataset
from resight.embedding.loading import load
from resight.evaluation.evaluate import evaluate
from resight.models.saved import WEIGHTS_FILE, TrainedNetwork
from resight.training.loop import TrainOptions, train
from resight.training.recipes import find_recipe
from resight.training.record import EpochRecord, read_record

CPU = TrainOptions(device="cpu", compile="off")
RECIPE = find_recipe(
    "stripnet",
    height=64,
    width=16,
    dim=32,
    epochs=2,
    batch_size=8,
    images_per_identity=2,
    progressive="32x16*1",
    constant_epochs=0,
)


def test_a_record_changes_nothing_and_knows_each_epoch_once(small_city: Dataset, tmp_path: Path) -> None:
    train(RECIPE, small_city, tmp_path / "plain", 5, CPU)
    record = EpochRecord(tmp_path / "run", (small_city,), ("top10", "market1501"), every=1)
    told: list[TrainedNetwork] = []

    def hook(epoch: int, model: TrainedNetwork) -> None:
        assert not model.network.training
        record(epoch, model)
        told.append(model)

    train(RECIPE, small_city, tmp_path / "run", 5, CPU, on_epoch=hook)
    assert (tmp_path / "run" / WEIGHTS_FILE).read_bytes() == (tmp_path / "plain" / WEIGHTS_FILE).read_bytes()
    lines = read_record(tmp_path / "run")
    assert [line["epoch"] for line in lines] == [1, 2]
    embedded = load(tmp_path / "run", device="cpu").embed_dataset(small_city)
    for protocol in ("top10", "market1501"):
        scored = evaluate(embedded.query, embedded.gallery, protocol)
        figures = {"rank-1": scored.rank(1), "rank-5": scored.rank(5), "mAP": scored.mean_ap}
        assert lines[1]["figures"][small_city.name][protocol] == figures
    record(1, told[0])  # a run that was killed tells an epoch again
    record(2, told[1])
    assert read_record(tmp_path / "run") == lines
    replace(record, every=3)(2, told[0])  # not its turn
    assert read_record(tmp_path / "run") == lines
    assert read_record(tmp_path / "plain") == []
