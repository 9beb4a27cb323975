"""Dynamically matching local information: strips of two pictures, aligned by the shortest path (AlignedReID++).

Luo, Jiang, Zhang, Fan, Qian and Zhang, Pattern Recognition 94 (2019), equations 1 to 3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def shortest_path(distances: Tensor) -> Tensor:
    """The least sum of a path from the first cell to the last, going right or down: (..., K, L) to (...)."""
    *_, rows, columns = distances.shape
    above: list[Tensor] = []  # the row of sums above, cell by cell: every pair of the batch at once
    for i in range(rows):
        current: list[Tensor] = []
        for j in range(columns):
            before = [current[j - 1]] if j else []
            before += [above[j]] if i else []
            reached = torch.minimum(*before) if len(before) == 2 else (before[0] if before else 0.0)
            current.append(distances[..., i, j] + reached)
        above = current
    return above[-1]


def aligned_distances(first: Tensor, second: Tensor) -> Tensor:
    """Between all pictures of two sets: (n, K, d) and (m, K, d) to (n, m), in [0, 2 K - 1).

    Two strips are (e^x - 1) / (e^x + 1) = tanh(x / 2) apart, x their Euclidean distance; the path may match a strip
    with several, so that a person who stands lower in one picture is still met.
    """
    n, slices, dim = first.shape
    apart = torch.cdist(first.reshape(-1, dim), second.reshape(-1, dim), compute_mode="donot_use_mm_for_euclid_dist")
    between = apart.reshape(n, slices, len(second), slices).permute(0, 2, 1, 3)  # (n, m, K, K)
    return shortest_path(torch.tanh(between / 2))


class AlignedTriplet(nn.Module):
    """Soft-margin triplet over aligned distances; the triplets are those that are hardest by the global embedding."""

    def __init__(self, slices: int) -> None:
        super().__init__()
        self.slices = slices

    def forward(self, strips: Tensor, whole: Tensor, labels: Tensor) -> Tensor:
        """strips (n, K d), whole (n, dim) of unit length, labels (n,) int64; the mean loss."""
        with torch.no_grad():
            distances = 2 - 2 * whole @ whole.T
            same = labels[:, None] == labels[None, :]
            others = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
            farthest = distances.masked_fill(~others, -torch.inf).argmax(dim=1)
            nearest = distances.masked_fill(same, torch.inf).argmin(dim=1)
            takes_part = others.any(dim=1) & ~same.all(dim=1)
        parts = functional.normalize(strips.reshape(len(strips), self.slices, -1), dim=2)  # (n, K, d)
        gap = self._between(parts, parts[farthest]) - self._between(parts, parts[nearest])
        losses = torch.where(takes_part, functional.softplus(gap), 0.0)
        return losses.sum() / takes_part.sum().clamp_min(1)

    def _between(self, first: Tensor, second: Tensor) -> Tensor:
        """Pair by pair: (n, K, d) twice to (n,)."""
        squares = (first[:, :, None] - second[:, None]).square().sum(dim=3)  # (n, K, K)
        return shortest_path(torch.tanh(squares.clamp_min(1e-12).sqrt() / 2))
