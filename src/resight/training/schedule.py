"""The learning rate over time: a pure function of the step."""

from __future__ import annotations

import math


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
