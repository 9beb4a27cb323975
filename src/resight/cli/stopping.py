"""Signals that ask a verb to stop: it finishes what it has begun, and ends with the signal's exit code."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

NAMES = ("SIGTERM", "SIGINT", "SIGHUP")


@contextmanager
def stopping(stop: Callable[[], None] | None = None) -> Iterator[list[signal.Signals]]:
    """While it lasts, the first of these signals calls `stop` and stands in the list; a second one ends the process."""
    came: list[signal.Signals] = []
    before: dict[signal.Signals, Any] = {}

    def restore() -> None:
        while before:
            number, handler = before.popitem()
            signal.signal(number, handler)

    def handle(number: int, frame: Any) -> None:
        came.append(signal.Signals(number))
        restore()
        if stop is not None:
            stop()

    with suppress(ValueError):  # of another thread than the main one
        for name in NAMES:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
                before[number] = signal.signal(number, handle)
    try:
        yield came
    finally:
        restore()


def exit_code(came: signal.Signals) -> int:
    """As shells have it."""
    return 128 + int(came)
