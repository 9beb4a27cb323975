"""Opens the data that a verb names, and says what is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from resight.cli import output
from resight.core.errors import ConfigError, DatasetError
from resight.core.words import counted
from resight.data.crops import Dataset
from resight.data.formats.catalogue import open_dataset
from resight.data.unlabelled import open_unlabelled, read_unlabelled

FORMAT_HELP = (  # of what does not look at labels
    "The data's format, where it is not to be guessed; `cameras`: each sub-folder is a camera, whatever it is called."
)

NAMED = 3  # pictures whose labels contradict each other


def open_data(spec: str, format: str | None, strict: bool, labelled: bool = True) -> Dataset:
    """The data set. Files that do not fit are named; with `strict` the first is an error. labelled: False where nobody
    asks who is in the pictures, as `open_unlabelled` has it."""
    dataset = open_dataset(spec, format) if labelled else open_unlabelled(spec, format)
    tell(dataset, strict)
    return dataset


def open_training_data(spec: str | None, folders: Sequence[Path], format: str | None, strict: bool) -> Dataset:
    """The data set, if any, and the crops of those folders beside it, of people whom nobody named."""
    if spec is None and not folders:
        raise ConfigError("nothing to train on: name a folder of crops, or --unlabelled ones")
    dataset = open_data(spec, format, strict) if spec is not None else Dataset("unlabelled", "folder", (), (), ())
    if not folders:
        return dataset
    cameras = [crop.camid for part in (dataset.train, dataset.query, dataset.gallery) for crop in part]
    dataset = replace(dataset, unlabelled=read_unlabelled(folders, max(cameras, default=0) + 1))
    output.say(str(dataset))
    return dataset


def tell(dataset: Dataset, strict: bool = False) -> None:
    """Says what is there, what to know of it, what its labels could also mean, and which files do not fit; with
    `strict` the first of these is an error."""
    output.say(str(dataset))
    for text in (*dataset.notes, *dataset.doubts):
        output.say(f"note: {text}")
    if dataset.contradictions:
        names = list(dict.fromkeys(problem.name for problem in dataset.contradictions))
        reasons = {problem.name: problem.reason for problem in reversed(dataset.contradictions)}
        shown = "; ".join(f"{name}: {reasons[name]}" for name in names[:NAMED])
        more = f"; and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
        which = counted(len(names), "picture is", "pictures are")
        output.say(
            f"warning: the labels contradict each other: {which} listed with more than one, and within a split the "
            f"first is taken: {shown}{more}"
        )
    if strict and dataset.problems:
        raise DatasetError(f"{dataset.problems[0].name}: {dataset.problems[0].reason}")
    output.name_problems(dataset.problems)
