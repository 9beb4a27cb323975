"""Parts of an archive embedded by a cluster of Ray. Workers hold the model and read the pictures; the results come back
to the one process that writes, so that each is written once, whoever dies.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resight.core.errors import ConfigError, DataError, MissingExtra, ResightError, UnreadableImage
from resight.data.crops import Crop
from resight.embedding.archive.parts import PartDone, Parts, embed_part
from resight.embedding.model import Model

TRIES = 3  # of a part whose worker died; a part that kills its third worker is to blame
PATIENCE_S = 300.0  # for the first worker, while none is at work


@dataclass(frozen=True)
class ModelOrder:
    """What a worker opens. spec: as `load` takes it. content: of the bundle's file, where spec is one; it is sent, so
    that the file need not lie on each machine. threads: of a worker. device: as `load` has it."""

    spec: str
    content: bytes | None
    identity: str
    runtime: str
    threads: int
    device: str
    batch_size: int


def order_of(spec: str, model: Model, *, runtime: str, threads: int | None, device: str, batch_size: int) -> ModelOrder:
    """The order for workers to hold `model`, which was loaded from `spec`. A worker has one thread unless told."""
    path = Path(spec)
    content = path.read_bytes() if path.is_file() else None
    return ModelOrder(spec, content, model.identity, runtime, threads or 1, device, batch_size)


class Worker:
    """An actor: one model, one part at a time."""

    def open(self, order: ModelOrder) -> str:
        """Loads the model. Returns what went wrong, or nothing."""
        from resight.embedding.loading import load

        options: dict[str, Any] = {"runtime": order.runtime, "threads": order.threads, "device": order.device}
        try:
            if order.content is None:
                self._model = load(order.spec, **options, batch_size=order.batch_size)
            else:
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / "sent.resight"
                    path.write_bytes(order.content)
                    self._model = load(path, **options, batch_size=order.batch_size)
        except ResightError as error:
            return str(error)
        if self._model.identity != order.identity:
            return f"{order.spec} is another model there ({self._model.identity}, not {order.identity})"
        return ""

    def embed(self, number: int, crops: Sequence[Crop]) -> PartDone:
        """Embeds one part; what cannot be read is named in it."""
        return embed_part(self._model, number, crops, strict=False)


def embed_on_ray(
    order: ModelOrder, parts: Parts, *, address: str | None, workers: int | None = None, strict: bool = False
) -> Iterator[PartDone]:
    """Embeds the parts in no particular order.

    address: of a cluster's head (host:port), or `auto`, the cluster that this machine belongs to; None starts a cluster
    of this machine alone, for as long as it takes. workers: how many at most; None: as many as have `order.threads`
    cores each (and, on cuda, a GPU). A worker that dies is replaced, and its part given to another.

    Raises ConfigError where there is no cluster, where the model does not open on a machine, or where a part has killed
    TRIES workers; DataError where a machine reads none of a part's pictures; UnreadableImage if strict.
    """
    ray = _ray()
    _join(ray, address)
    crew = _Crew(ray, order, workers)
    try:
        yield from _shared_out(crew, parts, strict)
    finally:
        ray.shutdown()


class _Crew:
    """The workers: those that open their model, those that are free, and those at work, by the future of either."""

    def __init__(self, ray: Any, order: ModelOrder, most: int | None) -> None:
        gpus = 1 if order.device.startswith("cuda") else 0
        self.ray = ray
        self._make = ray.remote(num_cpus=order.threads, num_gpus=gpus, max_restarts=0)(Worker)
        self._order = ray.put(order)
        alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        places = sum(int(there.get("CPU", 0) // order.threads) for there in alive)
        if gpus:
            places = min(places, sum(int(there.get("GPU", 0)) for there in alive))
        if not places:
            raise ConfigError(f"no machine of the cluster has {order.threads} cores" + " and a GPU" * gpus)
        self.opening: dict[Any, Any] = {}
        self.at_work: dict[Any, tuple[Any, int]] = {}
        self.free: list[Any] = []
        self.num = min(places, most or places)

    def hire(self) -> None:
        """Begins another worker."""
        worker = self._make.remote()
        self.opening[worker.open.remote(self._order)] = worker

    def give(self, number: int, crops: Sequence[Crop]) -> None:
        """Gives a part to a free worker."""
        worker = self.free.pop()
        self.at_work[worker.embed.remote(number, crops)] = (worker, number)


def _shared_out(crew: _Crew, parts: Parts, strict: bool) -> Iterator[PartDone]:
    ray = crew.ray
    waiting = deque(parts)
    died = dict.fromkeys(parts, 0)
    for _ in range(min(crew.num, len(parts))):
        crew.hire()
    last_sign, failed_starts = time.monotonic(), 0
    while waiting or crew.at_work:
        while crew.free and waiting:
            number = waiting.popleft()
            crew.give(number, parts[number])
        ended, _ = ray.wait([*crew.at_work, *crew.opening], num_returns=1, timeout=5.0)
        if ended or crew.at_work:
            last_sign = time.monotonic()
        elif time.monotonic() - last_sign > PATIENCE_S:
            raise ConfigError(f"no worker has started within {PATIENCE_S:.0f} s: is the cluster busy with other work?")
        for future in ended:
            starting = future in crew.opening
            worker, number = (crew.opening.pop(future), -1) if starting else crew.at_work.pop(future)
            try:
                answer = ray.get(future)
            except ray.exceptions.RayActorError:
                failed_starts += starting
                if not starting:
                    waiting.appendleft(number)
                    died[number] += 1
                if max(died.values()) >= TRIES or failed_starts >= TRIES * crew.num:
                    which = "at their start" if starting else f"at pictures {_range_of(parts[number])}"
                    raise ConfigError(f"{TRIES} workers died {which}; is there enough memory?") from None
                crew.hire()
                continue
            if starting:
                if answer:
                    raise ConfigError(f"a worker cannot open the model: {answer}")
                crew.free.append(worker)
                continue
            crew.free.append(worker)
            _check_read(answer, parts[number], strict)
            yield answer


def _check_read(done: PartDone, crops: Sequence[Crop], strict: bool) -> None:
    if strict and done.problems:
        raise UnreadableImage(done.problems[0].name, done.problems[0].reason)
    paths = [crop.path for crop in crops if crop.path is not None]
    if len(crops) > 1 and len(done.problems) == len(crops) and paths and os.access(paths[0], os.R_OK):
        raise DataError(
            f"a worker reads none of {len(crops):,} pictures, as {done.problems[0].name} ({done.problems[0].reason}): "
            "they must lie at the same path on each machine of the cluster"
        )


def _range_of(crops: Sequence[Crop]) -> str:
    return f"{crops[0].name} to {crops[-1].name}"


def _ray() -> Any:
    # Ray reports its use to its makers unless it is told not to before its import.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError:
        raise MissingExtra("Ray, which --engine ray needs,", "ray") from None
    return ray


def _join(ray: Any, address: str | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
    try:
        if address is None:
            ray.init(address="local", include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        raise ConfigError(
            f"no Ray cluster answers at {address or 'local'} ({' '.join(str(error).split())[:200]}); give the head's "
            "host and port, on a machine that `ray start` has joined to it"
        ) from None
