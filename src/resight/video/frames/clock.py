"""Times that a source gives, made to rise: what repeats, goes back or jumps is named and counted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from resight.video.records import Frame, Frames

GAP_S = 10.0  # a longer silence begins a new epoch: nobody is followed across it
BACK_S = 1.0  # a clock that goes back by more was set anew; by less, the frames came in the wrong order


@dataclass
class ClockReport:
    """What was odd about a source's times. repeated, disordered, unknown: frames that were left out: of the time of the
    one before, of an earlier one, of none. back, jumped, cut: new epochs: the clock was set back, was silent or set
    ahead for more than GAP_S, or the source was connected anew. frames: that were used. skipped: that came from a
    stream while the one before was still worked on. damaged: packets of a stream that could not be decoded."""

    frames: int = 0
    repeated: int = 0
    disordered: int = 0
    unknown: int = 0
    back: int = 0
    jumped: int = 0
    cut: int = 0
    skipped: int = 0
    damaged: int = 0

    def told(self) -> list[str]:
        """A line for each kind that occurred."""
        texts = {
            "repeated": "frames had the time of the one before: left out",
            "disordered": "frames were earlier than the one before: left out",
            "unknown": "frames had no time: left out",
            "back": "times the clock was set back: tracks begin anew there",
            "jumped": f"gaps of more than {GAP_S:g} s: tracks begin anew there",
            "cut": "times the source was cut and connected again: tracks begin anew there",
            "skipped": "frames of the stream came while the one before was worked on: skipped",
            "damaged": "packets of the stream could not be decoded: left out",
        }
        return [f"{getattr(self, name):,} {text}" for name, text in texts.items() if getattr(self, name)]


def rising(frames: Frames, report: ClockReport) -> Iterator[Frame]:
    """The frames in rising order of time within each epoch; epochs are counted from 0 here."""
    last: Frame | None = None
    epoch = 0
    for frame in frames:
        if not math.isfinite(frame.time):
            report.unknown += 1
            continue
        if last is not None:
            step = frame.time - last.time
            if frame.epoch != last.epoch:
                report.cut += 1
                epoch += 1
            elif step == 0:
                report.repeated += 1
                continue
            elif step < -BACK_S:
                report.back += 1
                epoch += 1
            elif step < 0:
                report.disordered += 1
                continue
            elif step > GAP_S:
                report.jumped += 1
                epoch += 1
        last = frame
        report.frames += 1
        yield replace(frame, epoch=epoch)


def at_most(frames: Frames, per_second: float) -> Iterator[Frame]:
    """No more than so many frames a second, as evenly as they come."""
    step = 1 / per_second
    due, epoch = -math.inf, -1
    for frame in frames:
        if frame.epoch != epoch:
            due, epoch = frame.time, frame.epoch
        if frame.time >= due - 1e-3:
            due = max(due + step, frame.time)
            yield frame
