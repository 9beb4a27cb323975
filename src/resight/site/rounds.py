"""What an adaptation tells of its rounds, in records that need no torch: for its page, and to go on from."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from resight.core.errors import DAMAGED_NPZ, TrainingError
from resight.core.files import write_whole
from resight.core.records import FloatArray, IntArray
from resight.site.spread import Spread

OUTCOME_FILE = "adaptation.json"
SITE_FILE = "at.site"
ROUNDS_DIR = "rounds"
SCHEMA = "resight.adaptation/1"


@dataclass(frozen=True)
class RoundFacts:
    """A round, as it began. number: from 1. criterion: EER of the tracklets that judge, transformed; raw: of raw
    embeddings; both None where nothing judges. eps: of the clusters. judged: the criterion of each possible eps.
    clusters: how many; across: by more than one camera. pictures: in clusters, of `of` that learn. largest: share of
    the largest cluster. parted: tracklets that cannot be one person and were taken apart. sound: whether no cluster is
    so large that it is many people."""

    number: int
    criterion: float | None
    raw: float | None
    exponent: float
    eps: float
    judged: Mapping[str, float]
    clusters: int
    across: int
    pictures: int
    of: int
    largest: float
    parted: int
    sound: bool


@dataclass(frozen=True, eq=False)
class Round:
    """labels: (n,) int64, the cluster of each of the site's pictures, -1: none. proxies: (n,) int64, the row of each in
    `memory`; memory: (p, dim) float32, the mean embedding of each cluster and camera. judges: (m, dim) float32, at the
    site, of the pictures that judge; None where none do, or it is not the first round."""

    facts: RoundFacts
    labels: IntArray
    proxies: IntArray
    memory: FloatArray
    judges: FloatArray | None = None


@dataclass(frozen=True)
class Outcome:
    """How an adaptation ended.

    adapted: whether the run holds the adapted network; if not, it holds the model that it began with. reason: in words.
    before, after: the criterion of the model that it began with and of the last round's average, each with its own site
    transform; None where nothing judges. pictures: how many there are, `judging` of them; copies: left out of them.
    spread: how far before and after could be off; None where one of them is, or an earlier version wrote it.
    """

    adapted: bool
    reason: str
    site: str
    source: str
    pictures: int
    judging: int
    copies: int
    before: float | None
    after: float | None
    rounds: tuple[RoundFacts, ...]
    warnings: tuple[str, ...] = field(default=())
    spread: Spread | None = None


def round_path(run_dir: Path, number: int) -> Path:
    """Where a round is kept."""
    return run_dir / ROUNDS_DIR / f"{number:03d}.npz"


def save_round(run_dir: Path, found: Round) -> None:
    """Whole or not at all."""
    path = round_path(run_dir, found.facts.number)
    path.parent.mkdir(exist_ok=True)
    file = io.BytesIO()
    facts = np.array(json.dumps(asdict(found.facts)))
    judges = {} if found.judges is None else {"judges": found.judges}
    np.savez(file, facts=facts, labels=found.labels, proxies=found.proxies, memory=found.memory, **judges)  # type: ignore[arg-type]
    write_whole(path, file.getvalue())


def load_round(run_dir: Path, number: int) -> Round | None:
    """None where it is not there. Raises TrainingError where it cannot be read."""
    path = round_path(run_dir, number)
    try:
        with np.load(path, allow_pickle=False) as file:
            facts = RoundFacts(**json.loads(str(file["facts"])))
            judges = file.get("judges")
            return Round(facts, file["labels"], file["proxies"], file["memory"], judges)
    except FileNotFoundError:
        return None
    except DAMAGED_NPZ as error:
        raise TrainingError(f"{path} cannot be read ({error}); begin the adaptation anew in another folder") from None


def save_outcome(run_dir: Path, outcome: Outcome) -> None:
    """Whole or not at all: it says that the adaptation is finished."""
    write_whole(run_dir / OUTCOME_FILE, json.dumps({"schema": SCHEMA, **asdict(outcome)}, indent=2).encode())


def load_outcome(run_dir: Path) -> Outcome | None:
    """None where the adaptation is not finished. Raises TrainingError where it cannot be read."""
    path = run_dir / OUTCOME_FILE
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("schema") != SCHEMA:
            raise ValueError("of another schema")
        rounds = tuple(RoundFacts(**facts) for facts in values.pop("rounds"))
        told: dict[str, Any] = values.pop("spread", None) or {}
        told = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
        spread = Spread(**told) if told else None
        return Outcome(**{**values, "rounds": rounds, "warnings": tuple(values["warnings"]), "spread": spread})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(f"{path} cannot be read ({error})") from None
