"""The learning rate over time: a pure function of the step."""

from __future__ import annotations

import math

EPOCH_COSINE_FLOOR, EPOCH_COSINE_START = 0.002, 0.01
STEPWISE_FACTOR, STEPWISE_EPOCHS = 0.8, 2


def rate_factor(schedule: str, step: int, total_steps: int, warmup_steps: int) -> float:
    """What the recipe's rate is multiplied by at 0-based `step`, in (0, 1].

    `constant`: 1. `warmup-cosine`: linear up over the warm-up, then half a cosine down to nearly nothing
    (Loshchilov and Hutter, ICLR 2017, eq. 5, without restarts).
    """
    if schedule == "constant":
        return 1.0
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * done))


def epoch_factor(schedule: str, epoch: int, total_epochs: int, warmup_epochs: float) -> float:
    """The same of schedules that change by 0-based `epoch` only.

    `epoch-cosine`, TransReID's: at the t-th epoch, from 1, linear from 0.01 over the warm-up, and else half a cosine
    of t / total down to 0.002; the cosine goes on as if there had been no warm-up. `stepwise`, LA-Transformer's: times
    0.8 at the first epoch and at every second one from there.
    """
    if schedule == "stepwise":
        return float(STEPWISE_FACTOR ** (epoch // STEPWISE_EPOCHS + 1))
    turn = epoch + 1
    if turn < warmup_epochs:
        return EPOCH_COSINE_START + (1 - EPOCH_COSINE_START) * turn / warmup_epochs
    return EPOCH_COSINE_FLOOR + (1 - EPOCH_COSINE_FLOOR) * 0.5 * (1 + math.cos(math.pi * turn / total_epochs))
