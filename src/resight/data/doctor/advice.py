"""What to do with a data set: which protocol fits, how sure its figures can be, and where to begin."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from resight.core.intervals import wilson_interval
from resight.data.doctor.label_checks import cameras_are_none
from resight.data.doctor.people_checks import answered_across_cameras, answered_at_all
from resight.data.doctor.survey import Survey

RANK1_GUESSES = (0.5, 0.8, 0.95)
WIDTH_STEP_PX = 8  # widths are advised in such steps
SITE_PICTURES = 100  # of a camera, for its mean: LEAST_PICTURES of `resight.site.fitting`


class RecipeSizes(Protocol):
    """What the advice needs of the recipe that a training begins with: a `resight.training.recipes.Recipe`, say."""

    @property
    def height(self) -> int:
        """Of the network's input."""

    @property
    def width(self) -> int:
        """Of the network's input."""

    @property
    def batch_size(self) -> int:
        """Pictures in a batch."""

    @property
    def images_per_identity(self) -> int:
        """Pictures of each person in a batch."""


@dataclass(frozen=True)
class Advice:
    """protocols: names of protocols that fit, the one to quote first. num_scored, num_people: queries that the first
    protocol scores, and their people. intervals: (rank-1, interval over queries, interval over people): for some values
    of rank-1, the 95% interval that so many queries leave, and the wider one if the queries of a person are all right
    or all wrong together. command: to begin training with, None where there is nothing to train on. protocol_reason,
    command_reason: why."""

    protocols: tuple[str, ...]
    protocol_reason: str
    num_scored: int
    num_people: int
    intervals: tuple[tuple[float, tuple[float, float], tuple[float, float]], ...]
    command: str | None
    command_reason: str

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "protocols": list(self.protocols),
            "protocol_reason": self.protocol_reason,
            "num_scored": self.num_scored,
            "num_people": self.num_people,
            "intervals": [
                {"rank1": guess, "over_queries": list(queries), "over_people": list(people)}
                for guess, queries, people in self.intervals
            ],
            "command": self.command,
            "command_reason": self.command_reason,
        }


def advise(s: Survey, data: str, recipe: RecipeSizes | None = None) -> Advice:
    """data: what the user calls the data on the command line. recipe: the one that `resight train` takes by default, so
    that the command fits its sizes to the data; without it the command has no options."""
    protocols, reason = _protocols(s)
    answered = answered_across_cameras(s) if protocols[:1] == ("market1501",) else answered_at_all(s)
    scored, people = int(answered.sum()), len(np.unique(s.pids[s.rows("query")][answered]))
    intervals = tuple(
        (guess, wilson_interval(guess, scored), wilson_interval(guess, people))
        for guess in RANK1_GUESSES
        if scored and protocols
    )
    command, why = _command(s, data, recipe)
    return Advice(protocols, reason, scored, people, intervals, command, why)


def _protocols(s: Survey) -> tuple[tuple[str, ...], str]:
    if _is_nameless(s):
        return (), "Nobody is named, so nothing can be scored: a few people's names would tell how right a model is."
    if not len(s.rows("query")) or not len(s.rows("gallery")):
        return (), "There is no query or no gallery, so there is nothing to score."
    across, at_all = int(answered_across_cameras(s).sum()), int(answered_at_all(s).sum())
    if not at_all:
        return (), "No query's person is in the gallery, so there is nothing to score."
    if cameras_are_none(s):
        return (), "The cameras are none, as the error says, and every protocol needs them: mend that first."
    if not across:
        return ("no-camera",), (
            "No query's person is in the gallery by another camera, so market1501 would score nothing. no-camera "
            "leaves out the query's own picture only: it does not show that anybody is found across cameras."
        )
    if across < at_all:
        return ("market1501", "no-camera"), (
            f"market1501 scores {across:,} of {at_all:,} queries, those that another camera answers; no-camera "
            "scores the others as well, and is easier."
        )
    return ("market1501",), "Every query is answered by another camera. It is the protocol that the field compares by."


def _is_nameless(s: Survey) -> bool:
    return len(s.pids) > 0 and bool((s.pids < 0).all())


def _without_names(s: Survey, data: str) -> tuple[str | None, str]:
    pictures = {int(camid): len(np.unique(s.content_hashes[s.camids == camid])) for camid in np.unique(s.camids)}
    able = sum(number >= SITE_PICTURES for number in pictures.values())
    takes = (
        f"`resight adapt` and `site fit` learn cameras without names, from {SITE_PICTURES} different pictures of each"
    )
    if able < 2:
        return None, f"{takes} of two cameras at the least; here {able} of {len(pictures)} cameras have so many."
    told = f"{takes}: {able} of {len(pictures)} cameras have so many."
    return f"resight adapt default {shlex.quote(data)} -o runs/mine", told


def _command(s: Survey, data: str, recipe: RecipeSizes | None) -> tuple[str | None, str]:
    if _is_nameless(s):
        return _without_names(s, data)
    train = s.rows("train")
    people = len(np.unique(s.pids[train]))
    if people < 2:
        return None, "There are not two people to train on; evaluate a model that was trained elsewhere."
    aspect = float(np.median(s.height_px[train] / s.width_px[train]))
    options, reasons = "", [f"the crops are {aspect:.1f} times as high as wide (median)"]
    if recipe is not None:
        height = recipe.height if np.median(s.height_px[train]) > recipe.height / 2 else recipe.height // 2
        width = max(WIDTH_STEP_PX, round(height / aspect / WIDTH_STEP_PX) * WIDTH_STEP_PX)
        if (height, width) != (recipe.height, recipe.width):
            options += f" --height {height} --width {width}"
        each = recipe.images_per_identity
        if people < recipe.batch_size // each:
            options += f" --batch-size {people * each}"
            reasons.append(
                f"a batch has {each} pictures of each of {recipe.batch_size // each} people, and there are {people}"
            )
    return f"resight train {shlex.quote(data)}{options} -o runs/first", (
        f"It takes the default recipe, which did best on real data; {'; '.join(reasons)}. "
        "With --recipe slicenet2-quick in place of all options it shows within minutes whether all is well."
    )
