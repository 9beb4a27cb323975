from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from resight.losses.joint import JointLoss
from resight.losses.mutual import MutualLoss


def _losses() -> tuple[JointLoss, JointLoss]:
    torch.manual_seed(0)
    return JointLoss([(0, 4), (4, 8)], 3, kappa=5.0), JointLoss([(0, 4), (4, 8)], 3, kappa=5.0)


def test_by_the_formula() -> None:
    one, other = _losses()
    a, b = torch.randn(5, 8), torch.randn(5, 8)
    wholes = [functional.normalize(e[:, :4], dim=1) for e in (a, b)]
    p, q = (torch.softmax(loss.logits(whole, 0), dim=1) for loss, whole in zip((one, other), wholes, strict=True))
    expected = (q * (q / p).log()).sum() / 5 + (p * (p / q).log()).sum() / 5
    apart = [torch.cdist(whole, whole) for whole in wholes]
    expected = expected + 2 * (apart[0] - apart[1]).square().mean()
    assert MutualLoss()(a, b, one, other).item() == pytest.approx(expected.item(), abs=1e-3)


def test_networks_of_one_mind_have_nothing_to_learn_from_each_other() -> None:
    one, _ = _losses()
    a = torch.randn(5, 8)
    assert MutualLoss()(a, a.clone(), one, one).item() == pytest.approx(0, abs=1e-6)


def test_the_other_is_a_target() -> None:
    """Each moves towards the other as it stands: the slope is that of its own half alone."""
    one, other = _losses()
    a, b = torch.randn(5, 8, requires_grad=True), torch.randn(5, 8)
    MutualLoss()(a, b, one, other).backward()
    assert a.grad is not None
    whole, fixed = functional.normalize(a[:, :4], dim=1), functional.normalize(b[:, :4], dim=1)
    target = torch.softmax(other.logits(fixed, 0), dim=1).detach()
    half = (target * (target.log() - torch.log_softmax(one.logits(whole, 0), dim=1))).sum() / 5
    apart = [(2 - 2 * part @ part.T).clamp_min(1e-6).sqrt() for part in (whole, fixed)]
    half = half + (apart[0] - apart[1]).square().mean()
    (expected,) = torch.autograd.grad(half, a)
    torch.testing.assert_close(a.grad, expected, atol=1e-5, rtol=1e-4)
