"""A site transform as one file: an npz of its arrays and a JSON text of all else. Written whole or not at all."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from resight.core.calibration import Calibration
from resight.core.errors import DAMAGED_NPZ, CalibrationError, DataError
from resight.core.files import read_regular, write_whole
from resight.site.transform import CameraFacts, SiteFacts, SiteTransform

SCHEMA = "resight.site/1"
ARRAYS = ("means", "site_mean", "matrix")


def save_site(site: SiteTransform, path: str | Path) -> None:
    """Writes it to a file. Raises OSError where that cannot be written."""
    write_whole(Path(path), to_bytes(site))


def load_site(path: str | Path) -> SiteTransform:
    """Reads what `save_site` wrote. Raises DataError where the file cannot be read or is something else."""
    try:
        data = read_regular(Path(path))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None
    return from_bytes(data, str(path))


def to_bytes(site: SiteTransform) -> bytes:
    """The bytes of its file: the same transform is the same bytes."""
    facts = {
        "schema": SCHEMA,
        "identity": site.identity,
        "model": site.model,
        "cameras": list(site.cameras),
        "facts": asdict(site.facts),
        "calibration": site.calibration.to_dict() if site.calibration else None,
    }
    file = io.BytesIO()
    np.savez(file, facts=np.array(json.dumps(facts)), **{name: getattr(site, name) for name in ARRAYS})
    return file.getvalue()


def from_bytes(data: bytes, source: str) -> SiteTransform:
    """From `to_bytes`. source: for messages. Raises DataError where it is damaged or something else."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            facts = json.loads(str(file["facts"]))
            arrays = {name: file[name] for name in ARRAYS}
        if facts["schema"] != SCHEMA:
            raise DataError(f"{source} is a site of schema {facts['schema']!r}; this version reads {SCHEMA!r}")
        calibration = Calibration.from_dict(facts["calibration"]) if facts["calibration"] else None
        site = SiteTransform(
            str(facts["model"]),
            tuple(map(str, facts["cameras"])),
            **arrays,
            facts=facts_of(facts["facts"]),
            calibration=calibration,
        )
    except (*DAMAGED_NPZ, AttributeError):
        raise DataError(f"{source} is no site that `resight site fit` wrote, or it is damaged") from None
    except CalibrationError as error:
        raise DataError(f"{source}: its calibration cannot be read ({error})") from None
    if site.identity != facts["identity"]:
        raise DataError(f"{source} is damaged: its arrays are not those that it was written with")
    return site


def facts_of(values: Mapping[str, Any]) -> SiteFacts:
    """From `asdict(facts)` as JSON has it. Raises KeyError, TypeError for what is none."""
    cameras = {name: CameraFacts(**facts) for name, facts in values["cameras"].items()}
    lists = {name: tuple(values[name]) for name in ("without", "warnings")}
    return SiteFacts(**{**values, "cameras": cameras, **lists})
