"""Drawings as SVG text that follows the page's colours."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from resight.core.calibration import RateCurve
from resight.core.records import IntArray
from resight.evaluation.decisions.calibrate import Reliability

# Matplotlib takes no `currentColor`: these stand for it, and for the page's two lines, and are exchanged in the text.
INK, FIRST, SECOND = "#010203", "#010204", "#010205"
EXCHANGED = {INK: "currentColor", FIRST: "var(--first)", SECOND: "var(--second)"}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "resight",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def cmc_drawing(curves: Mapping[str, Sequence[float]], ranks: int = 20) -> str:
    """SVG: two models' CMC curves, told apart by colour, stroke and label. curves: by model, rank-1 first."""
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(5.2, 3.0), layout="constrained")
        axes = canvas.add_subplot()
        for (name, curve), colour, stroke in zip(curves.items(), (FIRST, SECOND), ("-", "--"), strict=True):
            shown = list(curve[:ranks])
            axes.plot(range(1, len(shown) + 1), shown, stroke, color=colour, label=name, linewidth=2)
        axes.set(xlabel="rank", ylabel="queries answered", ylim=(None, 1.005))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(color=INK, alpha=0.12)
        axes.legend(frameon=False, loc="lower right")
        return _svg(canvas)


def presence_drawing(presence: IntArray, cameras: IntArray) -> str:
    """SVG: a heat map of pictures by identity and camera. presence: (num_ids, num_cameras); cameras: their ids."""
    order = np.lexsort((presence.sum(axis=1), (presence > 0).sum(axis=1)))[::-1]
    shown = np.ma.masked_equal(presence[order].T, 0)
    rows = len(cameras)
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(8.0, min(6.0, 1.4 + 0.22 * rows)), layout="constrained")
        axes: Axes = canvas.add_subplot()
        image = axes.imshow(shown, aspect="auto", interpolation="nearest", cmap="viridis", vmin=0)
        axes.set(xlabel="identities, those seen by most cameras first", ylabel="camera")
        step = -(-rows // 24)
        axes.set_yticks(range(0, rows, step), [str(camera) for camera in cameras[::step]])
        bar = canvas.colorbar(image, ax=axes, label="pictures", pad=0.01)
        bar.outline.set_visible(False)
        return _svg(canvas)


def reliability_drawing(reliability: Reliability) -> str:
    """SVG: P(same) as promised against as counted; a point's area grows with its share of the pairs."""
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(4.2, 3.8), layout="constrained")
        axes = canvas.add_subplot()
        axes.plot([0, 1], [0, 1], "--", color=INK, alpha=0.5, linewidth=1)
        axes.plot(reliability.told, reliability.true, color=FIRST, linewidth=1.5)
        axes.scatter(reliability.told, reliability.true, s=20 + 400 * reliability.weight, color=FIRST, alpha=0.6)
        axes.set(xlabel="P(same) as told", ylabel="share that was the same", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.grid(color=INK, alpha=0.12)
        return _svg(canvas)


def rates_drawing(thresholds: Sequence[float], curves: Mapping[str, RateCurve]) -> str:
    """SVG: two error rates by threshold, each with its interval, on a logarithmic scale."""
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(5.6, 3.8), layout="constrained")
        axes = canvas.add_subplot()
        lowest = 1e-5
        for (name, curve), colour, stroke in zip(curves.items(), (FIRST, SECOND), ("-", "--"), strict=True):
            axes.fill_between(
                thresholds, np.maximum(curve.low, lowest), curve.high, color=colour, alpha=0.2, linewidth=0
            )
            axes.plot(thresholds, np.maximum(curve.rate, lowest), stroke, color=colour, label=name, linewidth=1.5)
        axes.set(xlabel="threshold on the similarity", ylabel="rate", yscale="log", ylim=(lowest, 1.2))
        axes.grid(color=INK, alpha=0.12)
        axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)  # above the curves
        return _svg(canvas)


def det_drawing(false_accept: Sequence[float], true_accept: Sequence[float]) -> str:
    """SVG: the detection error trade-off curve, false rejects by false accepts, both on logarithmic scales."""
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(4.6, 3.8), layout="constrained")
        axes = canvas.add_subplot()
        axes.plot(false_accept, np.maximum(1 - np.asarray(true_accept), 1e-4), color=FIRST, linewidth=1.5)
        axes.set(xlabel="false accept rate", ylabel="false reject rate", xscale="log", yscale="log")
        axes.grid(color=INK, alpha=0.12)
        return _svg(canvas)


def progress_drawing(curves: Mapping[str, Sequence[tuple[Sequence[int], Sequence[float]]]]) -> str:
    """mAP over the epochs, a panel a model on one scale, a line a run. curves: by model, (epochs, mAP) of each run."""
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(2.3 * len(curves), 2.6), layout="constrained")
        panels = canvas.subplots(1, len(curves), sharey=True, squeeze=False)[0]
        for axes, (name, runs) in zip(panels, curves.items(), strict=True):
            for (epochs, values), stroke in zip(runs, itertools.cycle(("-", "--", ":", "-."))):
                axes.plot(epochs, values, stroke, color=FIRST, linewidth=1.5)
            axes.set(title=name, xlabel="epoch")
            axes.grid(color=INK, alpha=0.12)
        panels[0].set(ylabel="mAP on the test set")
        return _svg(canvas)


def rounds_drawing(numbers: Sequence[int], values: Sequence[float], end: float | None) -> str:
    """SVG: a criterion over the rounds of an adaptation, as each began, and at the end; lower is better."""
    told = [str(number) for number in numbers] + ([] if end is None else ["end"])
    shown = range(len(told) - 1, -1, -len(told) // 14)  # the last, and of many not each
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(5.2, 2.6), layout="constrained")
        axes = canvas.add_subplot()
        curve = [*values, *([] if end is None else [end])]
        axes.plot(range(len(curve)), curve, "-o", color=FIRST, linewidth=1.5, markersize=4)
        axes.set(xlabel="the beginning of round", ylabel="EER within cameras", ylim=(0, None))
        axes.set_xticks(list(shown), [told[place] for place in shown])
        axes.grid(color=INK, alpha=0.12)
        return _svg(canvas)


def _svg(canvas: Canvas) -> str:
    out = io.StringIO()
    FigureCanvasSVG(canvas)
    canvas.savefig(
        out, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
    )
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    for colour, value in EXCHANGED.items():
        svg = svg.replace(colour, value)
    return svg
