"""The cases of ../shared/parity: weights and inputs by their rules, and what the published networks made of them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

PARITY = Path(__file__).resolve().parents[4] / "shared" / "parity"
TOLERANCE = 1e-5


def case(name: str) -> Path:
    """The folder of a case; skips where it is not."""
    folder = PARITY / name
    if not folder.exists():
        pytest.skip(f"../shared/parity/{name} is not here: outputs of other people's networks are not of the project")
    return folder


def config(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return found


def expected(folder: Path, name: str) -> Tensor:
    return torch.from_numpy(np.load(folder / f"{name}.npy"))


def weights(folder: Path) -> dict[str, Tensor]:
    """Those stored, or by the rule of the weights from the list of keys."""
    if (folder / "weights.safetensors").exists():
        return load_file(folder / "weights.safetensors")
    keys = json.loads((folder / "keys-full.json").read_text())
    return {key: _by_rule(key, shape, dtype, config(folder)) for key, (dtype, shape) in keys.items()}


def inputs(folder: Path) -> Tensor:
    """Those stored, or by the rule of the input."""
    if (folder / "input.npy").exists():
        return torch.from_numpy(np.load(folder / "input.npy"))
    told = config(folder)["input"]
    n, channels, height, width = told["shape"]
    r = np.random.RandomState(told["seed"])
    small = (n, channels, height // 16, width // 16)
    if told["rule"].startswith("smooth"):
        coarse, fine = r.standard_normal(small), r.standard_normal(told["shape"])
        values = 2 * np.repeat(np.repeat(coarse, 16, 2), 16, 3) + fine
    else:
        whole, noise = r.randint(0, 256, small), r.randint(-20, 21, told["shape"])
        values = np.clip(np.repeat(np.repeat(whole, 16, 2), 16, 3) + noise, 0, 255).astype(np.float64)
    return torch.from_numpy(values.astype(np.float32))


def close(got: Tensor, wanted: Tensor, tolerance: float = TOLERANCE) -> None:
    """Within the tolerance, everywhere; a shape that differs does not pass."""
    torch.testing.assert_close(got, wanted, atol=tolerance, rtol=1e-6)


def _by_rule(key: str, shape: list[int], dtype: str, told: Mapping[str, Any]) -> Tensor:
    r = np.random.RandomState(zlib.crc32(key.encode()))
    last = key.rsplit(".", 1)[-1]
    if "int" in dtype:
        return torch.zeros(shape, dtype=torch.int64)
    if key in ("pixel_mean", "pixel_std"):
        return torch.tensor(told[key], dtype=torch.float32).reshape(shape)
    if last == "running_var":
        values = 0.5 + r.random_sample(shape)
    elif ".NL_" in key and key.endswith(".W.1.weight"):
        values = 0.001 * r.standard_normal(shape)
    elif last == "p" and shape == [1]:
        values = 3 + 0.1 * r.standard_normal(shape)
    elif last.endswith("weight") and len(shape) == 1:
        values = 1 + 0.1 * r.standard_normal(shape)
    elif last.endswith("weight"):
        values = r.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    else:
        values = 0.1 * r.standard_normal(shape)
    return torch.from_numpy(np.asarray(values, np.float32).reshape(shape))
