"""The loss of camera-aware proxies against the paper's sums, one picture and one proxy at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from resight.losses.proxies import ProxyLoss

CLUSTERS = torch.tensor([0, 0, 1, 1, 1, 2, 3])
CAMERAS = torch.tensor([0, 1, 0, 1, 2, 0, 1])


def made(across: float, negatives: int = 2) -> tuple[ProxyLoss, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    memory = functional.normalize(torch.randn(7, 6, generator=generator), dim=1)
    embeddings = functional.normalize(torch.randn(9, 6, generator=generator), dim=1).requires_grad_()
    proxies = torch.tensor([0, 1, 2, 3, 4, 5, 6, 2, 0])
    return ProxyLoss(memory, CLUSTERS, CAMERAS, across=across, negatives=negatives), embeddings, proxies


def slow(loss: ProxyLoss, embeddings: Tensor, proxies: Tensor) -> float:
    total = 0.0
    memory = loss.memory.double().numpy()
    for row, proxy in zip(embeddings.detach().double().numpy(), proxies.tolist(), strict=True):
        score = memory @ row / loss.temperature
        of_camera = [p for p in range(7) if CAMERAS[p] == CAMERAS[proxy]]
        total += -score[proxy] + math.log(sum(math.exp(score[p]) for p in of_camera))
        own = [p for p in range(7) if CLUSTERS[p] == CLUSTERS[proxy]]
        if len(own) == 1:
            continue
        rivals = sorted((score[p] for p in range(7) if p not in own), reverse=True)[: loss.negatives]
        under = sum(math.exp(score[p]) for p in own) + sum(map(math.exp, rivals))
        total += loss.across * float(np.mean([-math.log(math.exp(score[p]) / under) for p in own]))
    return total / len(embeddings)


@pytest.mark.parametrize(("across", "negatives"), [(0.0, 2), (0.5, 2), (1.0, 50)])
def test_equals_the_sums(across: float, negatives: int) -> None:
    loss, embeddings, proxies = made(across, negatives)
    value = loss(embeddings, proxies)
    assert value.item() == pytest.approx(slow(loss, embeddings, proxies), rel=1e-5)
    value.backward()
    assert embeddings.grad is not None
    assert torch.isfinite(embeddings.grad).all()


def test_proxies_move_to_what_was_seen() -> None:
    loss, embeddings, proxies = made(0.5)
    before = loss.memory.clone()
    loss.update(embeddings.detach(), proxies)
    seen = functional.normalize(embeddings[2] + embeddings[7], dim=0)
    expected = functional.normalize(0.2 * before[2] + 0.8 * seen, dim=0)
    torch.testing.assert_close(loss.memory[2], expected.detach())
    one = proxies < 1
    loss.update(embeddings.detach()[one], proxies[one])
    assert not torch.equal(loss.memory[0], before[0])
    torch.testing.assert_close(loss.memory.norm(dim=1), torch.ones(7))
