"""The data doctor's page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from resight.data.crops import Crop
from resight.data.doctor.doctor import Diagnosis
from resight.report.drawings import presence_drawing
from resight.report.page import Plot, Table, contact_sheet, render

SHEET_PEOPLE, SHEET_COLUMNS = 8, 12
SIGNS = {"error": "✗", "warning": "!", "note": "i"}


@dataclass(frozen=True)
class DoubtfulLabel:
    """A picture beside the pictures nearest to it: of its own label, and of whom it looks like."""

    crop: Crop
    other_pid: int
    score: float
    own: tuple[Crop, ...]
    other: tuple[Crop, ...]


def sample_sheet(diagnosis: Diagnosis) -> Image.Image | None:
    """A contact sheet of eight people, evenly chosen over the identities, a row each, by each camera; None where there
    is no picture of anybody. Raises UnreadableImage where a crop that could be read can no longer be."""
    s = diagnosis.survey
    if not len(diagnosis.ids):
        return None
    places = np.unique(np.linspace(0, len(diagnosis.ids) - 1, SHEET_PEOPLE).round().astype(int))
    shown: list[Crop] = []
    blank = Crop("", 0, 0, data=_white())
    for pid in diagnosis.ids[places].tolist():
        rows = np.flatnonzero(s.pids == pid)
        rows = rows[np.argsort(s.camids[rows], kind="stable")]
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, SHEET_COLUMNS).round().astype(int))]
        crops = [s.crops[row] for row in rows]
        shown += crops + [blank] * (SHEET_COLUMNS - len(crops))
    return contact_sheet(shown, SHEET_COLUMNS)


def doctor_page(diagnosis: Diagnosis, doubtful: Sequence[DoubtfulLabel] = (), doubtful_note: str = "") -> str:
    """The page of a diagnosis. doubtful: pictures whose labels are doubtful; doubtful_note: how they were found, and
    how many there are; empty where nobody looked. Raises UnreadableImage as `sample_sheet`."""
    data, advice = diagnosis.survey.dataset, diagnosis.advice
    splits = Table(
        "What is there",
        ("", "images", "identities", "cameras", "images an identity", "images a camera"),
        tuple(
            (
                split.name,
                f"{split.num_images:,}",
                f"{split.num_ids:,}",
                f"{split.num_cameras:,}",
                _spread(split.per_identity),
                _spread(split.per_camera),
            )
            for split in diagnosis.splits
        ),
    )
    intervals = Table(
        "How sure figures on these data can be",
        ("a rank-1 of", "95% interval over queries", "over people"),
        tuple((f"{guess:.2f}", _interval(queries), _interval(people)) for guess, queries, people in advice.intervals),
    )
    sheet = sample_sheet(diagnosis)
    return render(
        "doctor.html",
        title=f"Data doctor: {data.name}",
        diagnosis=diagnosis,
        data=data,
        signs=SIGNS,
        splits=splits,
        intervals=intervals,
        advice=advice,
        heat_map=Plot(
            f"Pictures of each of {len(diagnosis.ids):,} identities (across) by each of {len(diagnosis.cameras):,} "
            "cameras (down), all splits together. No colour: none.",
            presence_drawing(diagnosis.presence, diagnosis.cameras),
        )
        if len(diagnosis.ids)
        else None,
        sheet=_png(sheet) if sheet is not None else None,
        doubtful=doubtful,
        doubtful_note=doubtful_note,
    )


def _spread(values: tuple[int, float, int]) -> str:
    return f"{values[1]:g} ({values[0]:,} to {values[2]:,})"


def _interval(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.2f} to {interval[1]:.2f}"


def _png(picture: Image.Image) -> str:
    out = io.BytesIO()
    picture.quantize(256).save(out, "PNG", optimize=True)
    return base64.b64encode(out.getvalue()).decode()


def _white() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (1, 1), "white").save(out, "PNG")
    return out.getvalue()
