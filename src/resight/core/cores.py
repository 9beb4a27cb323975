"""How many cores this process may use: fewer than the machine has, in a container or a batch system."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

CGROUPS = Path("/sys/fs/cgroup")
P = ParamSpec("P")
R = TypeVar("R")


def blas_by_one_thread(function: Callable[P, R]) -> Callable[P, R]:
    """Decorates what multiplies small matrices often. BLAS's threads wait for each other by spinning: on cores that
    others use too that costs many times the product."""

    @wraps(function)
    def limited(*args: P.args, **options: P.kwargs) -> R:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1, "blas"):
            return function(*args, **options)

    return limited


def available_cores() -> int:
    """The cores that the scheduler allows this process, or fewer where a cgroup's quota of CPU time is less; 1 at the
    least."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas())]))


def _quotas() -> Iterator[float]:
    """In cores, of the process's cgroup and those above it; version 2 (cpu.max) and version 1."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        version1 = "cpu" in controllers.split(",")
        if controllers and not version1:
            continue
        root = CGROUPS / "cpu" if version1 else CGROUPS
        folder = root / path.lstrip("/")
        for place in (folder, *(above for above in folder.parents if above.is_relative_to(root))):
            quota = _version1(place) if version1 else _version2(place)
            if quota is not None:
                yield quota


def _version2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _version1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        return quota / int((folder / "cpu.cfs_period_us").read_text()) if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
