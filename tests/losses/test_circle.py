from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from resight.losses.circle import CircleLoss
from resight.losses.joint import JointLoss


def _slow(embeddings: torch.Tensor, labels: list[int], m: float, scale: float) -> float:
    """Equations 6 to 8 of Sun et al., picture by picture and pair by pair."""
    losses = []
    for i, own in enumerate(labels):
        near, far = [], []
        for j, label in enumerate(labels):
            s = float(embeddings[i] @ embeddings[j])
            if label != own:
                far.append(math.exp(scale * max(0.0, s + m) * (s - m)))
            elif i != j:
                near.append(math.exp(-scale * max(0.0, 1 + m - s) * (s - (1 - m))))
        if near and far:
            losses.append(math.log1p(sum(near) * sum(far)) / scale)
    return sum(losses) / len(losses) if losses else 0.0


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 2], [0, 1, 2, 3], [0, 0, 0, 0], [0, 0, 1, 2]])
def test_circle_as_a_slow_one(labels: list[int]) -> None:
    torch.manual_seed(0)
    embeddings = functional.normalize(torch.randn(len(labels), 5), dim=1)
    loss = CircleLoss(0.25, 20.0)(embeddings, torch.tensor(labels)).item()
    assert loss == pytest.approx(_slow(embeddings, labels, 0.25, 20.0), abs=1e-5)


@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [0, 1, 2, 3], [0, 0, 0, 0]])
def test_equal_pictures_and_missing_pairs_have_a_finite_slope(labels: list[int]) -> None:
    embeddings = functional.normalize(torch.ones(4, 3), dim=1).requires_grad_()
    CircleLoss()(embeddings, torch.tensor(labels)).backward()
    assert embeddings.grad is not None
    assert torch.isfinite(embeddings.grad).all()


def test_the_farther_from_where_it_should_be_the_harder_a_pair_is_pulled() -> None:
    angles = torch.tensor([0.0, 0.9, 1.6, 3.0], requires_grad=True)
    CircleLoss(scale=4.0)(torch.stack([angles.cos(), angles.sin()], dim=1), torch.tensor([0, 0, 1, 1])).backward()
    assert angles.grad is not None
    assert angles.grad[0] < 0  # a larger angle is nearer to its own
    assert angles.grad[3] > angles.grad[0].abs()  # whose own is farther


def test_the_joint_loss_adds_it_to_each_part() -> None:
    torch.manual_seed(0)
    embeddings, labels = torch.randn(6, 10), torch.tensor([0, 0, 1, 1, 2, 2])
    joint = JointLoss([(0, 4), (4, 10)], 3, {"circle": 0.5})
    expected = 0.0
    for part, softmax in zip(joint.parts, joint.softmax, strict=True):
        one = functional.normalize(embeddings[:, part[0] : part[1]], dim=1)
        expected += (softmax(one, labels) + 0.5 * CircleLoss()(one, labels)).item()
    assert joint(embeddings, labels).item() == pytest.approx(expected, abs=1e-5)
