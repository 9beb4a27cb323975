from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from resight.losses.aligned import AlignedTriplet
from resight.losses.cosine_softmax import CosineSoftmax
from resight.losses.joint import JointLoss
from resight.losses.triplet import BatchHardTriplet


def _slow(embeddings: torch.Tensor, labels: list[int]) -> float:
    """Equation 5 of Hermans et al., picture by picture."""
    losses = []
    for i, own in enumerate(labels):
        same = [j for j, label in enumerate(labels) if label == own and j != i]
        others = [j for j, label in enumerate(labels) if label != own]
        if same and others:
            farthest = max((embeddings[i] - embeddings[j]).norm().item() for j in same)
            nearest = min((embeddings[i] - embeddings[j]).norm().item() for j in others)
            losses.append(math.log1p(math.exp(farthest - nearest)))
    return sum(losses) / len(losses) if losses else 0.0


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 2], [0, 1, 2, 3], [0, 0, 0, 0], [0, 0, 1, 2]])
def test_as_a_slow_one(labels: list[int]) -> None:
    torch.manual_seed(0)
    embeddings = functional.normalize(torch.randn(len(labels), 5), dim=1)
    assert BatchHardTriplet()(embeddings, torch.tensor(labels)).item() == pytest.approx(
        _slow(embeddings, labels), abs=1e-5
    )


def test_equal_pictures_have_a_finite_slope() -> None:
    embeddings = functional.normalize(torch.ones(4, 3), dim=1).requires_grad_()
    BatchHardTriplet()(embeddings, torch.tensor([0, 0, 1, 1])).backward()
    assert embeddings.grad is not None
    assert torch.isfinite(embeddings.grad).all()


def test_it_pulls_the_farthest_and_pushes_the_nearest() -> None:
    angles = torch.tensor([0.0, 1.0, 1.2, 2.5], requires_grad=True)
    embeddings = torch.stack([angles.cos(), angles.sin()], dim=1)
    BatchHardTriplet()(embeddings, torch.tensor([0, 0, 1, 1])).backward()
    assert angles.grad is not None
    assert angles.grad[0] < 0  # a larger angle is nearer to its own
    assert angles.grad[3] > 0


def test_the_joint_loss_is_the_sum_of_its_parts() -> None:
    torch.manual_seed(0)
    embeddings, labels = torch.randn(6, 10), torch.tensor([0, 0, 1, 1, 2, 2])
    joint = JointLoss([(0, 4), (4, 10)], 3, {"triplet": 0.5}, kappa=5.0, label_smoothing=0.1)
    expected = 0.0
    for (start, stop), softmax in zip(joint.parts, joint.softmax, strict=True):
        part = functional.normalize(embeddings[:, start:stop], dim=1)
        expected += softmax(part, labels).item() + 0.5 * BatchHardTriplet()(part, labels).item()
    assert joint(embeddings, labels).item() == pytest.approx(expected, abs=1e-5)
    assert joint.kappa == pytest.approx(5.0)


def test_one_part_without_triplet_is_the_cosine_softmax() -> None:
    torch.manual_seed(0)
    embeddings, labels = functional.normalize(torch.randn(6, 4), dim=1), torch.tensor([0, 0, 1, 1, 2, 2])
    joint = JointLoss([(0, 4)], 3, kappa=5.0)
    alone = joint.softmax[0]
    assert isinstance(alone, CosineSoftmax)
    assert joint(embeddings, labels).item() == alone(embeddings, labels).item()


def test_label_smoothing_by_hand() -> None:
    loss = CosineSoftmax(2, 2, kappa=3.0, label_smoothing=0.1)
    with torch.no_grad():
        loss.weight.copy_(torch.eye(2))
    right, wrong = (math.exp(value) / (math.exp(1.8) + math.exp(2.4)) for value in (1.8, 2.4))
    expected = -(0.95 * math.log(right) + 0.05 * math.log(wrong))
    assert loss(torch.tensor([[0.6, 0.8]]), torch.tensor([0])).item() == pytest.approx(expected, abs=1e-6)


def test_aligned_strips_take_the_place_of_the_last_triplet() -> None:
    torch.manual_seed(0)
    embeddings, labels = torch.randn(6, 10), torch.tensor([0, 0, 1, 1, 2, 2])
    joint = JointLoss([(0, 4), (4, 10)], 3, {"triplet": 0.5}, aligned_strips=2)
    whole, strips = (functional.normalize(embeddings[:, a:b], dim=1) for a, b in joint.parts)
    expected = sum(softmax(part, labels) for softmax, part in zip(joint.softmax, (whole, strips), strict=True))
    expected = expected + 0.5 * (BatchHardTriplet()(whole, labels) + AlignedTriplet(2)(strips, whole, labels))
    assert joint(embeddings, labels).item() == pytest.approx(expected.item(), abs=1e-5)
