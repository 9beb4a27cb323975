from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.nn import functional

from resight.losses.aligned import AlignedTriplet, aligned_distances, shortest_path


def _every_path(distances: torch.Tensor) -> float:
    """By trying all of them."""
    rows, columns = distances.shape
    best = math.inf
    for downs in itertools.combinations(range(rows + columns - 2), rows - 1):
        i = j = 0
        total = distances[0, 0].item()
        for step in range(rows + columns - 2):
            i, j = (i + 1, j) if step in downs else (i, j + 1)
            total += distances[i, j].item()
        best = min(best, total)
    return best


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (3, 1), (2, 2), (4, 4), (3, 5), (6, 6)])
def test_the_shortest_of_all_paths(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    distances = torch.rand(5, 2, *shape)
    found = shortest_path(distances)
    assert found.shape == (5, 2)
    for a, b in itertools.product(range(5), range(2)):
        assert found[a, b].item() == pytest.approx(_every_path(distances[a, b]), abs=1e-5)


def test_by_hand() -> None:
    assert shortest_path(torch.tensor([[1.0, 9.0], [2.0, 3.0]])).item() == 6.0
    one, other = torch.tensor([[[0.0], [3.0]]]), torch.tensor([[[0.0], [3.0]]])
    assert aligned_distances(one, other).item() == pytest.approx(math.tanh(1.5), abs=1e-6)  # one step off the diagonal


def test_a_shifted_person_is_met() -> None:
    """Strips that moved down by one: strip by strip nothing agrees, aligned all but the edge does."""
    torch.manual_seed(0)
    strips = functional.normalize(torch.randn(1, 7, 16), dim=2)
    still, moved, other = strips[:, 1:], strips[:, :-1], functional.normalize(torch.randn(1, 6, 16), dim=2)
    assert aligned_distances(still, moved) < 0.6 * aligned_distances(still, other)


def test_slopes_are_finite_and_right() -> None:
    distances = torch.rand(3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(shortest_path, (distances,))
    torch.manual_seed(0)
    strips = torch.randn(4, 12, requires_grad=True)
    whole = functional.normalize(torch.randn(4, 5), dim=1)
    equal = torch.ones(4, 12, requires_grad=True)
    for given in (strips, equal):
        AlignedTriplet(3)(given, whole, torch.tensor([0, 0, 1, 1])).backward()
        assert given.grad is not None
        assert torch.isfinite(given.grad).all()


def test_the_triplet_takes_the_hardest_by_the_whole() -> None:
    torch.manual_seed(0)
    strips, whole = torch.randn(6, 12), functional.normalize(torch.randn(6, 5), dim=1)
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    parts = functional.normalize(strips.reshape(6, 3, 4), dim=2)
    aligned, apart = aligned_distances(parts, parts), torch.cdist(whole, whole)
    losses = []
    for i in range(5):  # the last has no other of its person
        own = [j for j in range(6) if labels[j] == labels[i] and j != i]
        others = [j for j in range(6) if labels[j] != labels[i]]
        farthest = max(own, key=lambda j: apart[i, j].item())
        nearest = min(others, key=lambda j: apart[i, j].item())
        losses.append(math.log1p(math.exp(aligned[i, farthest] - aligned[i, nearest])))
    expected = sum(losses) / len(losses)
    assert AlignedTriplet(3)(strips, whole, labels).item() == pytest.approx(expected, abs=1e-5)
