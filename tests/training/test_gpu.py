"""Training on a CUDA device: runs where there is one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from resight.data.crops import Dataset
from resight.embedding.loading import load
from resight.models.saved import WEIGHTS_FILE
from resight.training.loop import TrainOptions, train
from resight.training.recipes import find_recipe
from resight.training.run import read_config, read_metrics

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")

TINY = find_recipe("stripnet", epochs=4, batch_size=16, height=64, width=32, progressive="", dim=64, constant_epochs=0)
CUDA = TrainOptions(device="cuda", compile="off")


def test_it_learns_in_bfloat16(small_city: Dataset, tmp_path: Path) -> None:
    assert train(replace(TINY, epochs=8), small_city, tmp_path / "run", 0, CUDA).finished
    config = read_config(tmp_path / "run")
    assert (config["amp"], config["device"]) == (torch.cuda.is_bf16_supported(), "cuda")
    losses = [line["loss"] for line in read_metrics(tmp_path / "run")]
    assert losses[-1] < losses[0]


def test_a_run_goes_on_where_it_was(small_city: Dataset, tmp_path: Path) -> None:
    """As near as a GPU's sums are to themselves: their order is not fixed."""
    train(TINY, small_city, tmp_path / "whole", 0, CUDA)
    with pytest.MonkeyPatch.context() as patch:
        steps = 0

        def stop(*rest: object) -> bool:
            nonlocal steps
            steps += 1
            return steps == 3

        patch.setattr("resight.training.loop.any_process", stop)
        assert not train(TINY, small_city, tmp_path / "broken", 0, CUDA).finished
    assert train(TINY, small_city, tmp_path / "broken", 0, replace(CUDA, resume=True)).finished
    one, other = (load(tmp_path / name, device="cuda").embed_dataset(small_city).query for name in ("whole", "broken"))
    assert np.sum(one.embeddings * other.embeddings, axis=1).min() > 0.98
    assert (tmp_path / "broken" / WEIGHTS_FILE).exists()


@pytest.mark.slow
def test_it_compiles(small_city: Dataset, tmp_path: Path) -> None:
    assert train(replace(TINY, epochs=1), small_city, tmp_path / "run", 0, replace(CUDA, compile="on")).finished
    assert read_config(tmp_path / "run")["compiled"]


def test_the_same_embeddings_as_on_the_cpu(small_city: Dataset, tmp_path: Path) -> None:
    train(replace(TINY, epochs=1), small_city, tmp_path / "run", 0, CUDA)
    one, other = (load(tmp_path / "run", device=name).embed_dataset(small_city).query for name in ("cuda", "cpu"))
    assert np.sum(one.embeddings * other.embeddings, axis=1).min() > 0.999


def test_a_bundle_on_onnxruntimes_cuda_provider(small_city: Dataset, tmp_path: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has no CUDA provider (onnxruntime-gpu has)")
    one = load("default", device="cuda").embed_dataset(small_city).query
    other = load("default", device="cpu").embed_dataset(small_city).query
    assert np.sum(one.embeddings * other.embeddings, axis=1).min() > 0.999
