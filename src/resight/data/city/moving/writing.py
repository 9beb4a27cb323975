"""The town on disk: a video a camera, its truth as lines, and the site file that linking takes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from resight.core.errors import MissingExtra
from resight.core.files import check_new, written_whole
from resight.core.progress import Progress, silent
from resight.data.city.moving.filming import TownFrame, film
from resight.data.city.moving.town import Town

CODEC = "mpeg4"  # FFmpeg's own: no encoder under the GPL is used
TICKS = 1000  # a second
BITS_PER_PIXEL = 0.6


def save_town(town: Town, root: Path, *, pixels: bool = True, progress: Progress = silent) -> None:
    """Writes into a new folder: `cameraN.mp4` of each camera, `truth/cameraN.txt` as MOT lines, `truth/truth.jsonl` of
    all cameras by time, `site.toml`, and `starts.json`: when each video begins. pixels: without, no videos.

    Raises ConfigError where the folder holds something, MissingExtra without PyAV.
    """
    check_new(root)
    if pixels:
        _av()  # before anything is written
    (root / "truth").mkdir(parents=True, exist_ok=True)
    (root / "site.toml").write_text(site_file(town))
    starts: dict[str, float] = {}
    lines: list[dict[str, Any]] = []
    for camera, name in enumerate(town.names):
        frames: Iterable[TownFrame] = film(town, camera, pixels=pixels)
        with progress(f"filming {name}", len(town.times(camera))) as advance:
            frames = _told(frames, advance)
            frames = save_video(frames, root / f"{name}.mp4") if pixels else frames
            with written_whole(root / "truth" / f"{name}.txt") as file:
                for frame in frames:
                    starts.setdefault(name, frame.time)
                    for each in frame.truth:
                        left, top, right, bottom = each.box
                        size = f"{left:.2f},{top:.2f},{right - left:.2f},{bottom - top:.2f}"
                        file.write(f"{frame.number},{each.pid},{size},1,1,{each.visibility:.3f}\n".encode())
                        lines.append(
                            {
                                "camera": name,
                                "frame": frame.number,
                                "time": round(frame.time, 4),
                                "track": each.pid,
                                "box": [round(side, 2) for side in each.box],
                                "visibility": each.visibility,
                            }
                        )
    lines.sort(key=lambda line: (line["time"], line["camera"]))
    (root / "truth" / "truth.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (root / "starts.json").write_text(json.dumps(starts))


def save_video(frames: Iterable[TownFrame], path: Path) -> Iterator[TownFrame]:
    """Writes frames into a video with their times, and hands them on. Raises MissingExtra without PyAV."""
    av = _av()
    part = path.with_name(path.name + ".part")
    first: float | None = None
    last = -1
    with av.open(str(part), "w", format="mp4") as container:
        stream: Any = None
        for frame in frames:
            if frame.pixels is None:
                continue
            if stream is None:
                stream = container.add_stream(CODEC, rate=TICKS)
                stream.height, stream.width = frame.pixels.shape[:2]
                stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, TICKS)
                stream.bit_rate = int(frame.pixels.shape[0] * frame.pixels.shape[1] * BITS_PER_PIXEL * 10)
                first = frame.time
            picture = av.VideoFrame.from_ndarray(frame.pixels, format="rgb24")
            last = max(last + 1, round((frame.time - (first or 0.0)) * TICKS))
            picture.pts, picture.time_base = last, Fraction(1, TICKS)
            container.mux(stream.encode(picture))
            yield frame
        if stream is not None:
            container.mux(stream.encode(None))
    part.replace(path)


def _av() -> Any:
    try:
        import av
    except ImportError:
        raise MissingExtra("PyAV, which writes video,", "video") from None
    return av


def site_file(town: Town) -> str:
    """What the town would say of itself to `resight video link`."""
    config = town.config
    text = "# The drawn town: no two views overlap, and nobody is faster than these.\n"
    if config.wrong_clock_s:
        text += f"\n[clock_s]\n{town.names[-1]} = {-config.wrong_clock_s}\n"
    for first in range(config.cameras):
        for second in range(first + 1, config.cameras):
            usual = town.travel_s(first, second)
            pair = f'["{town.names[first]}", "{town.names[second]}"]'
            text += f"\n[[travel]]\nbetween = {pair}\nleast_s = {0.3 * usual:.1f}\n"
    return text


def _told(frames: Iterable[TownFrame], advance: Any) -> Iterator[TownFrame]:
    for frame in frames:
        yield frame
        advance(1)
