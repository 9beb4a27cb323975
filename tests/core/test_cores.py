"""How many cores may be used: by affinity and by a cgroup's quota, as files say it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np  # noqa: F401  # whose BLAS it is
import pytest
from threadpoolctl import threadpool_info

from resight.core import cores


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 64 cores whose cgroups are files under this folder."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    monkeypatch.setattr(cores, "CGROUPS", tmp_path)
    real = Path.read_text
    listing = tmp_path / "listing"
    monkeypatch.setattr(
        Path,
        "read_text",
        lambda path, *rest, **more: real(listing if path == Path("/proc/self/cgroup") else path, *rest, **more),
    )
    return tmp_path


def test_affinity_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3}, raising=False)
    assert cores.available_cores() == 1


@pytest.mark.parametrize(
    ("own", "above", "expected"),
    [
        ("max 100000", None, 64),
        ("250000 100000", None, 3),
        ("50000 100000", None, 1),
        ("max 100000", "800000 100000", 8),
        ("400000 100000", "800000 100000", 4),
        ("rubbish", None, 64),
    ],
)
def test_the_quota_of_a_cgroup_counts(machine: Path, own: str, above: str | None, expected: int) -> None:
    (machine / "listing").write_text("0::/pod/container\n")
    (machine / "pod" / "container").mkdir(parents=True)
    (machine / "pod" / "container" / "cpu.max").write_text(own)
    if above:
        (machine / "pod" / "cpu.max").write_text(above)
    assert cores.available_cores() == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1", 64), ("200000", 2)])
def test_so_does_that_of_version_1(machine: Path, quota: str, expected: int) -> None:
    (machine / "listing").write_text("5:memory:/\n4:cpu,cpuacct:/job\n0::/\n")
    (machine / "cpu" / "job").mkdir(parents=True)
    (machine / "cpu" / "job" / "cpu.cfs_quota_us").write_text(quota)
    (machine / "cpu" / "job" / "cpu.cfs_period_us").write_text("100000")
    assert cores.available_cores() == expected


def test_blas_by_one_thread_and_by_all_again() -> None:
    def threads() -> set[int]:
        return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

    before = threads()
    assert cores.blas_by_one_thread(threads)() == {1}
    assert threads() == before
