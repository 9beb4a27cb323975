"""Where and how a training runs: nothing here is meant to change what comes out, within rounding."""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass

import torch
import torch.distributed

from resight.core.errors import unknown_name
from resight.models.devices import choose_device

COMPILE_MODES = ("auto", "on", "off")
# On a CPU eager is as fast (docs/decisions/0006); on a GPU a training shorter than this is over too soon.
COMPILE_PAYS_AFTER_IMAGES = 60_000


@dataclass(frozen=True)
class World:
    """The processes that train together, as torchrun tells them; one process alone: rank 0 of 1."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        return self.rank == 0


def join_world(device: str) -> World:
    """Joins the others that torchrun started, if it did. device: auto, cpu, cuda, or cuda:N."""
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    chosen = choose_device(device, int(os.environ.get("LOCAL_RANK", "0")) if size > 1 else None)
    if size > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    return World(rank, size, chosen)


def leave_world() -> None:
    """Parts from the others; nothing to do where there are none."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        gc.collect()  # DDP lives in cycles; if it outlives the group, its threads abort the exit now and then
        torch.distributed.destroy_process_group()


def any_process(flag: bool, world: World) -> bool:
    """Whether the flag is set in any of the processes, so that all of them stop after the same step."""
    if world.size == 1:
        return flag
    shared = torch.tensor(float(flag), device=world.device)
    torch.distributed.all_reduce(shared, torch.distributed.ReduceOp.MAX)
    return bool(shared.item())


def decide_compile(mode: str, device: torch.device, num_images: int) -> bool:
    """Whether to compile. `auto`: on a GPU, where the training is long enough to repay it."""
    if mode not in COMPILE_MODES:
        raise unknown_name("compile mode", mode, COMPILE_MODES)
    if mode != "auto":
        return mode == "on"
    return device.type == "cuda" and num_images >= COMPILE_PAYS_AFTER_IMAGES


def mixed_precision(device: torch.device, wanted: bool) -> bool:
    """bfloat16 where the device computes in it: on others it is slower than float32 (decision 5)."""
    if not wanted:
        return False
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}  # since torch 2.10
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
