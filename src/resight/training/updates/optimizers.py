"""The optimizers by name: which of the parameters decay, and whose rate is another."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from resight.training.recipe import Recipe

MOMENTUM = 0.9
FIRST_LEARNING = 2  # blocks of a transformer that is freed block by block


def make_optimizer(recipe: Recipe, objective: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimizer of the objective's parameters. Of each group, `rate_share` is what the rate is times.

    adamw: decoupled decay, of matrices and kernels only. adam, sgd: the decay is part of the gradient, of everything;
    sgd with momentum 0.9.
    """
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(_decayed_apart(objective, recipe.weight_decay), fused=True)
    groups = _biases_apart(objective, recipe)
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, fused=True)
    return torch.optim.SGD(groups, momentum=MOMENTUM, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The rate of the next step, in each group times its share."""
    for group in optimizer.param_groups:
        own = rate * group.get("rate_share", 1.0)
        if isinstance(group["lr"], Tensor):  # a captured step reads it where it is
            group["lr"].fill_(own)
        else:
            group["lr"] = own


def hold_frozen(recipe: Recipe, network: nn.Module, epoch: int) -> None:
    """Drops the gradients of the blocks that do not learn yet in 0-based `epoch`; after backward, before the step.

    Blockwise fine-tuning (LA-Transformer, section 3.3): the last two blocks learn at first, and one more, towards the
    first, every `unfreeze_epochs` epochs. 0: all learn.
    """
    if not recipe.unfreeze_epochs:
        return
    blocks = list(network.get_submodule("base.blocks").children())
    learning = FIRST_LEARNING + epoch // recipe.unfreeze_epochs
    for block in blocks[: max(0, len(blocks) - learning)]:
        for parameter in block.parameters():
            parameter.grad = None


def _decayed_apart(objective: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Kernels and matrices decay; scales, shifts and kappa do not."""
    if not weight_decay:
        return [{"params": list(objective.parameters()), "weight_decay": 0.0}]
    matrices = [p for p in objective.parameters() if p.dim() > 1]
    others = [p for p in objective.parameters() if p.dim() <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _biases_apart(objective: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    named = [(name, p) for name, p in objective.named_parameters() if p.requires_grad]
    biases = [p for name, p in named if name.endswith("bias")]
    others = [p for name, p in named if not name.endswith("bias")]
    decay = {"weight_decay": recipe.weight_decay}
    return [{"params": others, **decay}, {"params": biases, "rate_share": recipe.bias_rate, **decay}]
