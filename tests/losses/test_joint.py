"""Losses added up: which parts, which rows, which weights; and those of what teachers say."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from resight.losses.imitation import ImitationLoss
from resight.losses.joint import JointLoss
from resight.losses.relation import RelationLoss


def unit(rows: int, dim: int) -> torch.Tensor:
    return functional.normalize(torch.randn(rows, dim), dim=1)


def test_relation_loss_by_hand() -> None:
    torch.manual_seed(0)
    embeddings, targets = unit(4, 3), unit(4, 6)
    expected = 0.0
    for i in range(4):
        others = [j for j in range(4) if j != i]
        p, q = ([math.exp(5 * float(rows[i] @ rows[j])) for j in others] for rows in (targets, embeddings))
        expected += sum(a / sum(p) * math.log(a / sum(p) / (b / sum(q))) for a, b in zip(p, q, strict=True)) / 4
    assert RelationLoss(5.0)(embeddings, targets).item() == pytest.approx(expected, abs=1e-6)


def test_who_thinks_as_the_teachers_do_has_nothing_to_learn() -> None:
    torch.manual_seed(0)
    embeddings = unit(4, 3).requires_grad_()
    loss = RelationLoss()(embeddings, embeddings.detach())
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    assert embeddings.grad is not None
    assert embeddings.grad.abs().max().item() == pytest.approx(0.0, abs=1e-6)


def test_imitation_is_the_angle_after_a_linear_map() -> None:
    loss = ImitationLoss(2, 3)
    loss.load_state_dict({"linear.weight": torch.eye(3, 2), "linear.bias": torch.tensor([0.0, 0.0, 1.0])})
    embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    targets = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])  # the last teaches nothing
    assert loss(embeddings, targets).item() == pytest.approx((3 - 2 * math.sqrt(0.5)) / 3)


def test_the_whole_embedding_learns_from_teachers() -> None:
    torch.manual_seed(0)
    embeddings, labels, targets = torch.randn(4, 6), torch.tensor([0, 0, 1, 1]), unit(4, 5)
    both = JointLoss([(0, 2), (2, 6)], 2, {"distillation": 3.0, "imitation": 2.0}, target_dim=5)
    plain = JointLoss([(0, 2), (2, 6)], 2)
    plain.softmax.load_state_dict(both.softmax.state_dict())
    parts = [functional.normalize(part, dim=1) for part in (embeddings[:, :2], embeddings[:, 2:])]
    whole = torch.cat(parts, dim=1) / math.sqrt(2)
    taught = 3 * RelationLoss()(whole, targets) + 2 * both.of_targets["imitation"](whole, targets)
    expected = plain(embeddings, labels) + taught
    assert both(embeddings, labels, targets).item() == pytest.approx(expected.item(), abs=1e-5)


def test_losses_of_labels_see_the_labelled_rows_alone() -> None:
    torch.manual_seed(0)
    joint = JointLoss([(0, 2), (2, 6)], 2, {"triplet": 1.0, "circle": 0.5}, identity=0.25)
    whole = JointLoss([(0, 2), (2, 6)], 2, {"triplet": 1.0, "circle": 0.5})
    whole.load_state_dict(joint.state_dict())
    embeddings, labels = torch.randn(6, 6), torch.tensor([0, 0, 1, 1])
    assert joint(embeddings, labels).item() == pytest.approx(0.25 * whole(embeddings[:4], labels).item(), abs=1e-6)
    nobody = JointLoss([(0, 6)], 0, {"imitation": 1.0}, target_dim=5)
    assert nobody.kappa == 0
    assert nobody(embeddings, labels[:0], unit(6, 5)).item() > 0
