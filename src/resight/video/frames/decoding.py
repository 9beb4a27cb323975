"""Decodes a container packet by packet, so that a damaged one costs its own frames and no more."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any

MOST_DAMAGED = 1000  # packets in a row, after which nothing more is expected


class Decoder:
    """The frames of a container's first video, each with its number in it, from 1: frames that are known to be lost are
    counted, where the packets have time stamps that say so.

    frames: that came. damaged: packets that could not be read or decoded. reason: of the last one. earliest: the least
    time stamp of a packet, None where there is none. frames_before: that came before the first damage.
    """

    def __init__(self, av: Any, container: Any, *, live: bool = False, on_damage: Callable[[], object] = int) -> None:
        """av: the module. live: an error of the connection ends it, and is raised. on_damage: called for each damaged
        packet."""
        self._error, self._container, self._live, self._on_damage = av.FFmpegError, container, live, on_damage
        self._stream = container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.frames = self.damaged = self.frames_before = 0
        self.reason = ""
        self.earliest: int | None = None
        self._in_a_row = 0
        self._stamped = True
        self._waiting: list[int] = []  # a heap: the stamps of packets whose frames are still to come
        self._passed = self._silent = 0  # packets whose frames came or are lost; those that never have one

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        packets = iter(self._container.demux(self._stream))
        while not self.given_up:
            try:
                packet = next(packets, None)
            except self._error as error:
                if self._live:
                    raise
                self._note(error)
                packets = iter(self._container.demux(self._stream))  # a generator that raised has ended
                continue
            if packet is None:
                return
            self._stamp(packet)
            try:
                pictures = packet.decode()
            except self._error as error:
                self._note(error)
                continue
            for picture in pictures:
                self._in_a_row = 0
                yield self._number(picture.pts), picture

    @property
    def given_up(self) -> bool:
        """Whether so much was damaged that the rest was not read."""
        return self._in_a_row >= MOST_DAMAGED

    @property
    def lost(self) -> int:
        """How many frames did not come, once all were read."""
        if not self.damaged:
            return 0
        known = self._passed + len(self._waiting) - self._silent if self._stamped else self.frames + self.damaged
        return max(0, known - self.frames)

    def _note(self, error: BaseException) -> None:
        if not self.damaged:
            self.frames_before = self.frames
        self.damaged += 1
        self._in_a_row += 1
        self.reason = reason(error)
        self._on_damage()

    def _stamp(self, packet: Any) -> None:
        if self._live or not packet.size or packet.is_discard:
            return
        if packet.pts is None:
            self._stamped = False
            return
        heapq.heappush(self._waiting, packet.pts)
        self.earliest = packet.pts if self.earliest is None else min(self.earliest, packet.pts)

    def _number(self, stamp: int | None) -> int:
        self.frames += 1
        if self._live:
            return 0
        if stamp is None or not self._stamped:
            return self.frames + self.damaged
        while self._waiting and self._waiting[0] <= stamp:
            heapq.heappop(self._waiting)
            self._passed += 1
        if not self.damaged:  # packets without a frame of their own, as before the first key frame, have no number
            self._silent = self._passed - self.frames
        return self._passed - self._silent


def reason(error: BaseException) -> str:
    """The error's text in a line."""
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).strip()
