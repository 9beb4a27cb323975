from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from resight.losses.cosine_softmax import CosineSoftmax


def test_by_hand() -> None:
    loss = CosineSoftmax(2, 2, kappa=3.0)
    with torch.no_grad():
        loss.weight.copy_(torch.tensor([[5.0, 0.0], [0.0, 0.1]]))  # their lengths do not matter
    embedding = torch.tensor([[0.6, 0.8]])
    assert loss.logits(embedding).tolist()[0] == pytest.approx([1.8, 2.4])
    expected = -math.log(math.exp(1.8) / (math.exp(1.8) + math.exp(2.4)))
    assert loss(embedding, torch.tensor([0])).item() == pytest.approx(expected, abs=1e-6)


def test_kappa_and_weights_learn() -> None:
    torch.manual_seed(0)
    loss = CosineSoftmax(8, 5)
    embeddings = functional.normalize(torch.randn(6, 8, dtype=torch.float64), dim=1).requires_grad_()
    loss.double()
    labels = torch.tensor([0, 1, 2, 3, 4, 0])
    assert torch.autograd.gradcheck(
        lambda e, w, k: functional.cross_entropy(k * (e @ functional.normalize(w, dim=1).T), labels),
        (embeddings, loss.weight, loss.scale),
    )
    loss(embeddings, labels).backward()
    assert loss.scale.grad is not None
    assert loss.scale.grad.item() != 0


def test_kappa_as_its_authors_have_it() -> None:
    loss = CosineSoftmax(2, 2, kappa=14.0, softplus=True)
    assert loss.kappa.item() == pytest.approx(14.0, rel=1e-5)
    with torch.no_grad():
        loss.scale.fill_(-50.0)
    assert 0 < loss.kappa.item() < 1e-20


def test_a_margin_counts_the_right_class_for_less() -> None:
    loss = CosineSoftmax(2, 2, kappa=3.0, margin=0.2)
    with torch.no_grad():
        loss.weight.copy_(torch.tensor([[5.0, 0.0], [0.0, 0.1]]))
    embedding = torch.tensor([[0.6, 0.8]])
    expected = -math.log(math.exp(1.2) / (math.exp(1.2) + math.exp(2.4)))  # 3 (0.6 - 0.2)
    assert loss(embedding, torch.tensor([0])).item() == pytest.approx(expected, abs=1e-6)
    assert loss.logits(embedding).tolist()[0] == pytest.approx([1.8, 2.4])  # what it thinks stays as it was
