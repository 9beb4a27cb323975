"""Mixed precision: where it is taken, and what stays in float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from resight.core.errors import ConfigError
from resight.core.pictures.preprocessing import Preprocessing
from resight.data.crops import Dataset
from resight.losses.joint import JointLoss
from resight.models.catalogue import build_network
from resight.training.execution import mixed_precision
from resight.training.loop import TrainOptions, train
from resight.training.objective import architecture_of, make_objective
from resight.training.recipes import find_recipe
from resight.training.run import read_config


@pytest.mark.parametrize(
    ("able", "taken"),
    [({}, False), ({"avx512_bf16": False}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True)],
)
def test_a_cpu_takes_bfloat16_where_it_computes_in_it(
    able: dict[str, bool], taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert mixed_precision(torch.device("cpu"), True) is taken
    assert not mixed_precision(torch.device("cpu"), False)
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not mixed_precision(torch.device("cpu"), True)  # a torch that does not tell


def test_a_run_goes_on_in_the_precision_that_it_began_in(
    small_city: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = find_recipe("slicenet2", height=32, width=16, epochs=1, dim=32)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    train(tiny, small_city, tmp_path / "run", 0, TrainOptions(device="cpu", amp=False))
    assert read_config(tmp_path / "run")["amp"] is False
    with pytest.raises(ConfigError, match="another amp"):
        train(tiny, small_city, tmp_path / "run", 0, TrainOptions(device="cpu", resume=True))


def test_a_network_is_trained_on_what_it_is_used_on() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 64, 16, 3), dtype=np.uint8)
    for centring in (0.0, 0.5):
        rule = Preprocessing(64, 16, (0.5, 0.4, 0.3), (0.2, 0.3, 0.2), image_centring=centring)
        recipe = find_recipe("slicenet2", height=64, width=16, dim=32)
        objective = make_objective(recipe, build_network(architecture_of(recipe), 64, 16), 2, rule)
        trained_on = objective.normalise(torch.from_numpy(pixels)).numpy()
        np.testing.assert_allclose(trained_on, rule.normalise(pixels), atol=1e-5)


@pytest.mark.parametrize("mutual", [False, True])
def test_the_loss_is_counted_in_float32(mutual: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = find_recipe("stripnet", height=64, width=16, dim=32, progressive="", mutual=mutual)
    grey = Preprocessing(64, 16, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    objective = make_objective(recipe, build_network(architecture_of(recipe), 64, 16), 2, grey)
    seen: list[torch.dtype] = []
    forward = JointLoss.forward

    def watched(self: JointLoss, embeddings: Tensor, labels: Tensor, targets: Tensor | None = None) -> Tensor:
        seen.extend((embeddings.dtype, (embeddings @ embeddings.T).dtype))
        return forward(self, embeddings, labels, targets)

    monkeypatch.setattr(JointLoss, "forward", watched)
    pixels = torch.randint(0, 256, (4, 64, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        loss = objective(pixels, torch.tensor([0, 0, 1, 1]))
    assert loss.dtype == torch.float32
    assert set(seen) == {torch.float32}
