"""What teachers think of every two pictures of a batch.

After Passalis and Tefas, "Learning Deep Representations with Probabilistic Knowledge Transfer", ECCV 2018, with a
softmax of cosines as the kernel. A teacher needs no classifier for it, only its embeddings.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class RelationLoss(nn.Module):
    """The divergence KL(p || q) of how alike each picture finds the others: p by the teachers, q by the student.

    p and q: the softmax over the other pictures of scale times their cosines to this one. At scale 5 what two people
    have in common still counts beside who is one person.
    """

    def __init__(self, scale: float = 5.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        """embeddings (n, dim), targets (n, target_dim) by the teachers, both of unit length; the mean over pictures."""
        teacher_similarity = targets @ targets.T  # (n, n)
        itself = torch.eye(len(embeddings), dtype=torch.bool, device=embeddings.device)
        own, theirs = (
            (self.scale * cosines).masked_fill(itself, torch.finfo(cosines.dtype).min).log_softmax(dim=1)
            for cosines in (embeddings @ embeddings.T, teacher_similarity)
        )
        return functional.kl_div(own, theirs, reduction="batchmean", log_target=True)
