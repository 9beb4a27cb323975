"""A run is a directory.

config.json              the resolved recipe, seed, execution, library versions, data and its fingerprint
metrics.jsonl            one line an epoch
events/                  the same for TensorBoard
checkpoint.safetensors   everything that going on needs; written whole or not at all
model.safetensors        the finished model's weights, and
model.json               its card
"""

from __future__ import annotations

import errno
import json
import platform
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from tensorboardX import SummaryWriter
from torch import Tensor, nn

from resight.core.errors import ConfigError, TrainingError
from resight.core.files import is_left_over, locked, remove_left_over, write_whole
from resight.models.saved import load_strictly
from resight.training.recipe import Recipe

CONFIG_FILE = "config.json"
METRICS_FILE = "metrics.jsonl"
CHECKPOINT_FILE = "checkpoint.safetensors"
EVENTS_DIR = "events"
_HASH = re.compile("[0-9a-f]{64}")


def library_versions() -> dict[str, str]:
    """Of everything that the resulting weights may depend on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in ("resight", "torch", "numpy", "pillow", "simplejpeg", "safetensors"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Whole or not at all."""
    write_whole(path, json.dumps(values, indent=2).encode())


def is_begun(run_dir: Path) -> bool:
    """Whether the directory holds a run, finished or not."""
    return (run_dir / CONFIG_FILE).exists()


def read_config(run_dir: Path) -> dict[str, Any]:
    """The configuration that a run was started with. Raises ConfigError where there is none."""
    path = run_dir / CONFIG_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{run_dir} is not a run: it holds no {CONFIG_FILE}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read ({error})") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} is not a run's configuration")
    return values


def check_directory(run_dir: Path, resume: bool) -> None:
    """Raises ConfigError where it holds something else, or a run that is not to be resumed."""
    if run_dir.exists() and not run_dir.is_dir():
        raise ConfigError(f"{run_dir} is not a directory")
    begun = is_begun(run_dir)
    if begun and not resume:
        raise ConfigError(f"{run_dir} holds a run already. Go on with it by --resume, or name another directory.")
    if not begun and run_dir.exists() and not all(map(is_left_over, run_dir.iterdir())):
        raise ConfigError(f"{run_dir} holds other files; a run wants a directory of its own")


@contextmanager
def claimed_directory(run_dir: Path, resume: bool) -> Iterator[None]:
    """Makes the directory for what runs inside, which has it alone. If that raises, a directory in which nothing was
    begun goes again.

    Raises ConfigError where it holds something else, or a run that is not to be resumed, or another process trains
    there (not noticed on Windows, nor on a file system without locks); TrainingError, which says how to go on, where
    the disk is full and the run has begun.
    """
    check_directory(run_dir, resume)
    made = [folder for folder in (run_dir, *run_dir.parents) if not folder.exists()]
    run_dir.mkdir(parents=True, exist_ok=True)
    with _alone_in(run_dir):
        check_directory(run_dir, resume)  # another one may have begun there and ended meanwhile
        try:
            yield
        except BaseException as error:
            for folder in made:
                with suppress(OSError):  # not empty
                    folder.rmdir()
            if isinstance(error, OSError) and error.errno == errno.ENOSPC and is_begun(run_dir) and not resume:
                raise TrainingError(
                    f"no space is left on the disk for {run_dir}; free some, and go on with the run by --resume"
                ) from error
            raise


@contextmanager
def _alone_in(run_dir: Path) -> Iterator[None]:
    """Keeps other trainings out, and removes what a killed one has left half written. Raises ConfigError."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(run_dir))  # ends with the process, however that ends
            remove_left_over(run_dir)
        except BlockingIOError:
            raise ConfigError(
                f"another process trains in {run_dir} just now: wait until it ends, or name another directory"
            ) from None
        except OSError:  # a file system without locks, as some network ones
            pass
        yield


def write_or_check_config(run_dir: Path, fixed: Mapping[str, Any], described: Mapping[str, Any]) -> None:
    """Writes the configuration of a new run; of one that goes on, checks that what is fixed is as it was.

    Raises ConfigError naming what differs.
    """
    if not is_begun(run_dir):
        write_json(run_dir / CONFIG_FILE, {"schema": "resight.run/1", **fixed, **described})
        return
    before = read_config(run_dir)
    if "recipe" in fixed and isinstance(before.get("recipe"), dict):
        before["recipe"] = Recipe.from_dict(before["recipe"]).to_dict()  # an earlier version's has other fields
    differ = differing(before, fixed)
    if "data_digest" in differ:
        differ["data_digest"] = _pictures_told(before, described)
    if differ:
        raise ConfigError(
            f"{run_dir} was begun with {', '.join(differ.values())}. Resuming would mix two trainings: give what it "
            "was begun with, or name another directory"
        )


def differing(before: Mapping[str, Any], now: Mapping[str, Any], called: Mapping[str, str] = {}) -> dict[str, str]:
    """What of a configuration is another now, in words by field. called: what users know a field as."""
    return {
        name: f"another {called.get(name, name)} ({differences(before.get(name), value)})"
        for name, value in now.items()
        if before.get(name) != value
    }


def differences(before: Any, now: Any, most: int = 6) -> str:
    """In words what was, and is another now; of two tables those fields alone, as `epochs 2, not 9`."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        told = [f"{name} {differences(before.get(name), now.get(name))}" for name in names[:most]]
        return "; ".join(told) + f"; and {len(names) - most} more" * (len(names) > most)
    one, other = (
        _HASH.sub(lambda found: found[0][:12], "none" if v is None else str(v) or "''") for v in (before, now)
    )
    return f"{one}, not {other}"


def _pictures_told(before: Mapping[str, Any], described: Mapping[str, Any]) -> str:
    """What tells the pictures that a run was begun with from those given now, if anything does but their content."""
    for name, unit in (("data", ""), ("num_images", " pictures")):
        if before.get(name) != described[name]:
            return f"other pictures ({before.get(name)}{unit}; not: {described[name]}{unit})"
    return f"other pictures ({described['data']}: as many, with another content or other labels)"


@dataclass(frozen=True)
class Position:
    """How far a training is: `step` steps done, and the sum of the losses of the epoch under way."""

    step: int = 0
    loss_sum: float = 0.0


def save_checkpoint(
    run_dir: Path, trained: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer, position: Position
) -> None:
    """All tensors of the modules, each under its name, and of the optimizer, and the position, in one file."""
    tensors = {
        f"{part}.{name}": value for part, module in trained.items() for name, value in module.state_dict().items()
    }
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    metadata = {"step": str(position.step), "loss_sum": position.loss_sum.hex()}
    data = safetensors.torch.save(
        {name: value.detach().cpu().contiguous() for name, value in tensors.items()}, metadata
    )
    write_whole(run_dir / CHECKPOINT_FILE, data)


def checkpoint_step(run_dir: Path) -> int:
    """How many steps the checkpoint has behind it; 0 where there is none. Raises TrainingError as `load_checkpoint`."""
    path = run_dir / CHECKPOINT_FILE
    if not path.exists():
        return 0
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return int(file.metadata()["step"])
    except (OSError, safetensors.SafetensorError) as error:
        raise TrainingError(f"{path} cannot be read ({error}); remove it to begin this run anew") from None


def load_checkpoint(run_dir: Path, trained: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer) -> Position:
    """Puts the checkpoint's tensors back. A run without one begins at step 0."""
    path = run_dir / CHECKPOINT_FILE
    if not path.exists():
        return Position()
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise TrainingError(f"{path} cannot be read ({error}); remove it to begin this run anew") from None
    for part, module in trained.items():
        own = {n.removeprefix(f"{part}."): t for n, t in tensors.items() if n.startswith(f"{part}.")}
        load_strictly(module, own, str(path))
    _load_optimizer(optimizer, {n: t for n, t in tensors.items() if n.startswith("optimizer.")})
    return Position(int(metadata["step"]), float.fromhex(metadata["loss_sum"]))


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        _, index, key = name.split(".")
        like = parameters[int(index)]
        # The memory layout of the parameter, so that the resumed arithmetic is the unbroken one's.
        laid = torch.empty_like(like).copy_(value) if value.shape == like.shape and value.dim() else value
        state.setdefault(int(index), {})[key] = laid
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


class Metrics:
    """Appends to metrics.jsonl and the TensorBoard events; a resumed run drops what it will say again."""

    def __init__(self, run_dir: Path, after_step: int) -> None:
        self._path = run_dir / METRICS_FILE
        lines = [line for line in read_metrics(run_dir) if line["step"] <= after_step]
        write_whole(self._path, "".join(json.dumps(line) + "\n" for line in lines).encode())
        self._events = SummaryWriter(str(run_dir / EVENTS_DIR), purge_step=after_step + 1 if after_step else None)
        self._began, self._began_step = time.monotonic(), after_step

    def end_epoch(self, step: int, batch_size: int, values: Mapping[str, float]) -> None:
        """One line, with the speed since the last one."""
        speed = (step - self._began_step) * batch_size / (time.monotonic() - self._began)
        self._began, self._began_step = time.monotonic(), step
        line = {"step": step, **values, "images_per_s": speed}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        for name, value in line.items():
            self._events.add_scalar(f"train/{name}", value, step)

    def close(self) -> None:
        """Flushes the events."""
        self._events.close()


def read_metrics(run_dir: Path) -> list[dict[str, float]]:
    """The lines of a run's metrics; a last line that a kill cut short is left out."""
    try:
        lines = (run_dir / METRICS_FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found
