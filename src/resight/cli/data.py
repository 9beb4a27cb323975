"""Opens the data that a verb names, and says what is there."""

from __future__ import annotations

from resight.cli import output
from resight.core.errors import DatasetError
from resight.data.crops import Dataset
from resight.data.formats.catalogue import open_dataset


def open_data(spec: str, format: str | None, strict: bool) -> Dataset:
    """The data set. Files that do not fit are named; with `strict` the first is an error."""
    dataset = open_dataset(spec, format)
    tell(dataset)
    if strict and dataset.problems:
        raise DatasetError(f"{dataset.problems[0].name}: {dataset.problems[0].reason}")
    output.name_problems(dataset.problems)
    return dataset


def tell(dataset: Dataset) -> None:
    """Says what is there, what to know of it, and what its labels could also mean."""
    output.say(str(dataset))
    for text in (*dataset.notes, *dataset.doubts):
        output.say(f"note: {text}")
