"""One step's arithmetic: the loss of a batch, and the update of the weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn

WARM_UP = 3  # steps as usual before one is captured, in which libraries choose their kernels


class Step:
    """`loss` of a batch, then `update` by it. forward: (batch, *goal) to the mean loss. amp: in bfloat16."""

    def __init__(self, forward: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device, amp: bool) -> None:
        self._forward, self._optimizer, self._device, self._amp = forward, optimizer, device, amp
        self._value: Tensor | None = None

    def loss(self, batch: Tensor, goal: Sequence[Tensor]) -> float:
        """Of the network as it is. batch and goal lie on the device."""
        with self._autocast():
            self._value = self._forward(batch, *goal)
        return float(self._value.item())

    def update(self, before: Callable[[], object] | None = None) -> None:
        """The step that the last loss asks for; nothing, where it is taken already. before: called when the gradients
        are there."""
        if self._value is None:
            return
        self._optimizer.zero_grad(set_to_none=True)
        self._value.backward()  # type: ignore[no-untyped-call]
        if before is not None:
            before()
        self._optimizer.step()
        self._value = None

    def _autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._amp)


class CapturedStep(Step):
    """The same on one GPU, whose kernels are launched as one graph: small networks spend most of a step on launching.

    A step of each new shape is captured after a few as usual; from there on `loss` replays it, the update included.
    Where it cannot be captured, all go on as usual, with a warning. The optimizer is Adam or AdamW.
    """

    def __init__(self, forward: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device, amp: bool) -> None:
        super().__init__(forward, optimizer, device, amp)
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._seen: dict[tuple[torch.Size, ...], int] = {}
        self._graphs: dict[tuple[torch.Size, ...], tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]] = {}
        self._able = True
        for group in optimizer.param_groups:
            group["capturable"] = True
            group["lr"] = torch.tensor(float(group["lr"]), device=device)  # a graph reads the rate where it is

    def loss(self, batch: Tensor, goal: Sequence[Tensor]) -> float:
        """As Step's; of a captured shape, the weights are updated too."""
        inputs = [batch, *goal]
        shape = tuple(one.shape for one in inputs)
        if shape not in self._graphs:
            seen = self._seen[shape] = self._seen.get(shape, 0) + 1
            if not self._able or seen <= WARM_UP:
                return self._as_usual(inputs)
            try:
                self._graphs[shape] = self._capture(inputs)
            except RuntimeError as error:
                self._able = False
                warnings.warn(f"a step cannot be captured as a graph, and goes on without: {error}", stacklevel=2)
                torch.cuda.synchronize(self._device)
                return self._as_usual(inputs)
        graph, static, value = self._graphs[shape]
        for into, one in zip(static, inputs, strict=True):
            into.copy_(one)
        graph.replay()
        return float(value.item())

    def update(self, before: Callable[[], object] | None = None) -> None:
        """As Step's; of a captured step, whose update is taken already, `before` is not called."""
        with self._aside():
            super().update(before)

    def _as_usual(self, inputs: Sequence[Tensor]) -> float:
        with self._aside():
            return super().loss(inputs[0], inputs[1:])

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """On the stream that captures too: what a step leaves for the next is then where the graph looks for it."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            yield
        current.wait_stream(self._stream)

    def _capture(self, inputs: Sequence[Tensor]) -> tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]:
        static = [one.clone() for one in inputs]
        graph = torch.cuda.CUDAGraph()
        self._optimizer.zero_grad(set_to_none=True)
        torch.cuda.synchronize(self._device)
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            with self._autocast():
                value = self._forward(static[0], *static[1:])
            value.backward()
            self._optimizer.step()
        return graph, static, value.detach()


def make_step(
    forward: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device, *, amp: bool, capture: bool
) -> Step:
    """capture: launch as a graph, where the device and the optimizer allow."""
    able = device.type == "cuda" and isinstance(optimizer, (torch.optim.Adam, torch.optim.AdamW))
    return (CapturedStep if capture and able else Step)(forward, optimizer, device, amp)
