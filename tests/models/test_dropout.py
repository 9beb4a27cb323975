from __future__ import annotations

import pytest
import torch

from resight.models.dropout import Dropout


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_zeroes_as_often_as_asked_and_keeps_the_mean(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    x = torch.ones(16, 32, 33, 17).to(memory_format=layout).requires_grad_()
    out = Dropout(0.4)(x)
    assert out.stride() == x.stride()
    kept = out != 0
    assert kept.float().mean().item() == pytest.approx(0.6, abs=0.003)
    assert out.mean().item() == pytest.approx(1.0, abs=0.005)
    assert out.unique().tolist() == pytest.approx([0.0, 1 / 0.6], abs=1e-4)
    for dims in ((1, 2, 3), (0, 2, 3), (0, 1, 2)):  # nowhere more than elsewhere
        assert (kept.float().mean(dim=dims) - 0.6).abs().max() < 0.03
    out.sum().backward()
    assert torch.equal(x.grad, out) if x.grad is not None else False


def test_neighbours_are_independent() -> None:
    torch.manual_seed(1)
    kept = (Dropout(0.5)(torch.ones(400_000)) != 0).float() - 0.5
    for shift in (1, 2, 3, 4, 8):  # four values share a draw
        assert abs((kept[shift:] * kept[:-shift]).mean().item()) < 0.002


def test_the_seed_decides_and_evaluation_leaves_alone() -> None:
    dropout, x = Dropout(0.4), torch.randn(8, 8, 4, 4)
    first, second = (torch.manual_seed(3), dropout(x))[1], (torch.manual_seed(3), dropout(x))[1]
    assert torch.equal(first, second)
    assert not torch.equal(first, dropout(x))
    assert dropout.eval()(x) is x
    strange = torch.randn(8, 8, 6, 4)[:, ::2].transpose(1, 3)
    assert dropout.train()(strange).shape == strange.shape
