"""Mutual learning: two networks that are trained together, each on what the other thinks.

Zhang, Xiang, Hospedales and Lu (CVPR 2018), eq. 4, for the classes; Zhang et al. (AlignedReID, 2017), eq. 6, for the
distances. What the other thinks is a target: no gradient flows through it.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from resight.losses.joint import JointLoss


class MutualLoss(nn.Module):
    """Added to two networks' own losses: divergence of their classes, and of their distances within the batch."""

    def forward(self, first: Tensor, second: Tensor, first_loss: JointLoss, second_loss: JointLoss) -> Tensor:
        """first, second: (n, dim) embeddings of the same pictures. The mean loss, by their first parts (the whole)."""
        whole = [loss.part(embeddings, 0) for embeddings, loss in ((first, first_loss), (second, second_loss))]
        logs = [
            functional.log_softmax(loss.logits(part, 0), dim=1)
            for part, loss in zip(whole, (first_loss, second_loss), strict=True)
        ]
        apart = [(2 - 2 * part @ part.T).clamp_min(1e-6).sqrt() for part in whole]  # (n, n) each
        total = first.new_zeros(())
        for own, other in ((0, 1), (1, 0)):
            total = total + functional.kl_div(logs[own], logs[other].detach(), reduction="batchmean", log_target=True)
            total = total + (apart[own] - apart[other].detach()).square().mean()
        return total
