"""Adding to a gallery that a service shows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resight.core.errors import ConfigError, DataError, GalleryError, UnreadableImage
from resight.core.progress import Progress, silent
from resight.data.crops import SPLITS, Dataset
from resight.data.formats.catalogue import open_dataset
from resight.gallery.arguments import embeddings_of, entries_of, listed, pooled_entry
from resight.gallery.records import Added, Attributes
from resight.gallery.transfer.batches import WRONG, error_of, in_batches
from resight.gallery.transfer.rows import Row, crops_of, rows_of_crops
from resight.service.client.answers import LINES, error_in
from resight.service.client.asking import Asking
from resight.service.client.records import bytes_of, line_of, line_of_entry, name_of, titled


class Adding(Asking):
    """The part of RemoteGallery that adds."""

    def add(
        self,
        crops: Any,
        *,
        camera: str | Sequence[str],
        time: Any = None,
        track: str | Sequence[str | None] | None = None,
        pid: int | Sequence[int | None] | None = None,
        person: str | Sequence[str | None] | None = None,
        attributes: Attributes | None = None,
        pool: str | None = None,
        channel_order: str = "rgb",
    ) -> list[int]:
        """As Gallery.add, 64 pictures and one request's bytes at most. crops: paths, or the bytes of files, of which
        the service knows the channel_order. pool: raises ConfigError; it is for embeddings."""
        if pool is not None:
            raise ConfigError("a service makes an entry of each picture: to pool, embed here and use add_embeddings")
        items = listed(crops)
        pictures = [bytes_of(item, place) for place, item in enumerate(items)]
        nothing = np.zeros((len(items), 0), np.float32)
        names = [name_of(item) for item in items]
        entries = entries_of(nothing, camera, time, track, pid, person, attributes, names, None, None)
        try:
            lines = [
                line_of_entry(entry, "", data, f"picture {number}")
                for number, (entry, data) in enumerate(zip(entries, pictures, strict=True), 1)
            ]
            return [told["id"] for told in self._send(lines, True)]
        except UnreadableImage as error:
            raise titled(error, items) from None

    def add_embeddings(
        self,
        embeddings: npt.ArrayLike,
        *,
        model: str,
        camera: str | Sequence[str],
        time: Any = None,
        track: str | Sequence[str | None] | None = None,
        pid: int | Sequence[int | None] | None = None,
        person: str | Sequence[str | None] | None = None,
        attributes: Attributes | Sequence[Attributes] | None = None,
        names: Sequence[str] | None = None,
        crops: Sequence[bytes | None] | None = None,
        ids: Sequence[int] | None = None,
        pool: str | None = None,
    ) -> list[int]:
        """As Gallery.add_embeddings, 64 and one request's bytes at most. crops, ids: raise ConfigError."""
        if crops is not None:
            raise ConfigError("a service embeds the pictures that it keeps: leave crops out, or use add")
        if ids is not None:
            raise ConfigError("a service gives the ids of what is added to it: leave ids out")
        vectors = embeddings_of(embeddings, self.settings.dim)
        entries = entries_of(vectors, camera, time, track, pid, person, attributes, names, None, None)
        entries = [pooled_entry(entries, pool)] if pool is not None and entries else entries
        return [told["id"] for told in self._send([line_of_entry(entry, model) for entry in entries], True)]

    def add_dataset(
        self,
        dataset: Dataset | str | Path,
        *,
        splits: Sequence[str] = SPLITS,
        camera: str | None = None,
        with_pids: bool = True,
        strict: bool = False,
        format: str | None = None,
        progress: Progress = silent,
    ) -> Added:
        """As Gallery.add_dataset."""
        found = dataset if isinstance(dataset, Dataset) else open_dataset(str(dataset), format)
        left_out = [f"{problem.name}: {problem.reason}" for problem in found.problems]
        if strict and left_out:
            raise DataError(left_out[0])
        ids, there = list[int](), list[int]()
        crops = crops_of(found, splits)
        with progress("adding to the gallery", len(crops)) as advance:
            for added in self.add_rows(rows_of_crops(crops, camera, with_pids), strict=strict):
                ids += added.ids
                there += added.there
                left_out += added.left_out
                advance(len(added.ids) + len(added.there) + len(added.left_out))
        return Added(tuple(ids), tuple(left_out), tuple(there))

    def add_rows(
        self, rows: Iterable[Row | DataError], *, strict: bool = False, keep_ids: bool = False, going_on: bool = False
    ) -> Iterator[Added]:
        """As Gallery.add_rows. keep_ids, going_on: raise ConfigError."""
        if keep_ids or going_on:
            raise ConfigError("a service gives the ids of what is added to it: leave out keep_ids and going_on")
        return self.add_batches(in_batches(rows), strict=strict)

    def add_batches(self, batches: Iterable[Sequence[Row | DataError]], *, strict: bool = False) -> Iterator[Added]:
        """As Gallery.add_batches."""
        for batch in batches:
            outcomes: dict[int, int | str] = {}
            lines: dict[int, bytes] = {}
            for place, row in enumerate(batch):
                if isinstance(row, DataError):
                    if strict:
                        raise row
                    outcomes[place] = str(row)
                    continue
                try:
                    lines[place] = line_of(row, self.settings)
                except WRONG as error:
                    outcomes[place] = str(error_of(row, error, strict))
            there = list[int]()
            for place, told in zip(lines, self._send(list(lines.values()), strict), strict=True):
                outcomes[place] = told["id"] if "id" in told else _named(told, batch[place])
                there += [told["id"]] if told.get("there") else []
            rows = tuple(outcomes[place] for place in range(len(batch)))
            fresh = tuple(each for each in rows if isinstance(each, int) and each not in there)
            yield Added(fresh, tuple(each for each in rows if isinstance(each, str)), tuple(there), rows)

    def _send(self, lines: Sequence[bytes], strict: bool) -> list[dict[str, Any]]:
        """What became of each line. While the service is busy, those that are not answered yet are sent again."""
        if not lines:
            return []
        told: list[dict[str, Any]] = []

        def rest() -> bytes:
            return b"".join(lines[len(told) :])

        def read(answer: bytes) -> None:
            for each in map(json.loads, answer.splitlines()):
                if "problem" in each:
                    raise error_in(each["problem"])
                told.append({name: each[name] for name in ("line", "id" if "id" in each else "error")} | each)

        headers = {"Content-Type": "application/x-ndjson"}
        query = {"strict": "true"} if strict else {}
        self._to.call("POST", "/entries/lines", read, media=LINES, query=query, body=rest, headers=headers)
        if len(told) != len(lines):
            raise GalleryError("the service did not answer every line; send them again, none becomes double")
        return told


def _named(told: dict[str, Any], row: Row | DataError) -> str:
    """Why the service left a row out, by the row's own place where it has no name."""
    text = str(told["error"])
    place = row.place if isinstance(row, Row) and not row.name else ""
    return text.replace(f"lines, line {told['line']}", place, 1) if place else text
