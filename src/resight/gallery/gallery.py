"""The gallery: a store, the model whose embeddings it takes, and what a similarity means there."""

from __future__ import annotations

import getpass
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy.typing as npt

from resight.core.calibration import FALSE_ACCEPT_RATE, FALSE_REJECT_RATE
from resight.core.errors import ConfigError, EmbeddingError, GalleryError
from resight.core.images import is_one
from resight.core.visibility import SECOND_STAGE, Parts
from resight.embedding.card import short_of
from resight.embedding.model import Model
from resight.gallery.answers import answers_of, decider
from resight.gallery.arguments import (
    camera_of,
    embeddings_of,
    joined_of,
    one_for_each,
    plain_of,
    rate_of,
    seconds_of,
    text_of,
    top_of,
    where_of,
    whole_of,
    word_of,
)
from resight.gallery.audit import Line
from resight.gallery.records import (
    Answer,
    Attributes,
    Damage,
    Entry,
    Forgotten,
    Hit,
    Link,
    Settings,
    Stats,
)
from resight.gallery.search.approximate import Approximation
from resight.gallery.search.occluded import compared_again, hidden_of
from resight.gallery.sqlite.store import SqliteStore
from resight.gallery.store import Detail, Store
from resight.gallery.stores import open_store


class Gallery:
    """A kept gallery, open. Use it in a `with`, or call `close`. Any number of threads may use one."""

    def __init__(self, store: Store, model: Model | None = None, *, who: str | None = None, purpose: str = "") -> None:
        """who, purpose: what the audit writes down, unless a call says otherwise.

        Raises GalleryError where the gallery's embeddings are of another model.
        """
        self.store = store
        self.model = model
        self.who = who if who is not None else _user()
        self.purpose = purpose
        if model is not None and model.identity != store.settings.model:
            raise GalleryError(
                f"this gallery holds embeddings of the model {_short(store.settings)}, and those of "
                f"{model.name} ({short_of(model.identity)}) cannot be compared with them. Open it with its "
                "own model, or make another gallery for this one"
            )

    def __enter__(self) -> Gallery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return self.store.count()

    @property
    def settings(self) -> Settings:
        """As it was created."""
        return self.store.settings

    def close(self) -> None:
        """It is not used afterwards."""
        self.store.close()

    def add(
        self,
        crops: Any,
        *,
        camera: str | Sequence[str],
        time: float | datetime | Sequence[float | datetime | None] | None = None,
        track: str | Sequence[str | None] | None = None,
        pid: int | Sequence[int | None] | None = None,
        attributes: Attributes | None = None,
        join: str | None = None,
        channel_order: str = "rgb",
    ) -> list[int]:
        """Embeds pictures and keeps them; their ids. All of them or, where anything is wrong, none.

        crops: one picture or several, as `Model.embed` takes them. camera, time, track, pid: one for all, or one
        for each. time: seconds since 1970 or a datetime with a zone. join: `mean` makes one entry of all of them, at
        unit length; `best` keeps the one that is nearest to their mean.

        Raises UnreadableImage, ConfigError, and GalleryError as the store does.
        """
        model = self.needed_model()
        items = [crops] if is_one(crops) else list(crops)
        embeddings = model.embed(items, channel_order=channel_order)
        kept = [_encoded(item) for item in items] if self.settings.keep_crops else None
        names = [str(item) if isinstance(item, str | Path) else "" for item in items]
        return self.add_embeddings(
            embeddings,
            model=model.identity,
            camera=camera,
            time=time,
            track=track,
            pid=pid,
            attributes=attributes,
            names=names,
            crops=kept,
            join=join,
        )

    def add_embeddings(
        self,
        embeddings: npt.ArrayLike,
        *,
        model: str,
        camera: str | Sequence[str],
        time: float | datetime | Sequence[float | datetime | None] | None = None,
        track: str | Sequence[str | None] | None = None,
        pid: int | Sequence[int | None] | None = None,
        attributes: Attributes | Sequence[Attributes] | None = None,
        names: Sequence[str] | None = None,
        crops: Sequence[bytes | None] | None = None,
        ids: Sequence[int] | None = None,
        join: str | None = None,
    ) -> list[int]:
        """As `add`, of embeddings (n, dim) made before by the model of that identity.

        ids: of entries that come from another gallery and keep theirs. Raises ConfigError, and keeps none, where one
        of them is given already.
        """
        if model != self.settings.model:
            own = _short(self.settings)
            raise EmbeddingError(f"these embeddings are of model {short_of(model)}, the gallery is of {own}")
        vectors = embeddings_of(embeddings, self.settings.dim)
        num = len(vectors)
        times, tracks = one_for_each(time, num, "time"), one_for_each(track, num, "track")
        cameras, pids = one_for_each(camera, num, "camera"), one_for_each(pid, num, "pid")
        details = (
            [attributes or {}] * num if attributes is None or isinstance(attributes, Mapping) else list(attributes)
        )
        titles, pictures = list(names or [""] * num), list(crops or [None] * num)
        numbers = [whole_of(number) or 0 for number in ids] if ids is not None else [0] * num
        if not len(details) == len(titles) == len(pictures) == len(numbers) == num:
            raise ConfigError(f"{num} embeddings, but {len(details)} attributes, {len(titles)} names")
        given = Counter(number for number in numbers if number)
        taken = {number for number, count in given.items() if count > 1}
        if given:
            taken |= {entry.id for entry in self.store.read(sorted(given))}
        if taken:
            raise ConfigError(f"id {min(taken)} is given already; an id is of one entry")
        entries = [
            Entry(
                vector,
                camera_of(camera),
                seconds_of(moment),
                word_of(walk, "track"),
                whole_of(person),
                text_of(name),
                plain_of(more),
                crop,
                number,
            )
            for vector, camera, moment, walk, person, more, name, crop, number in zip(
                vectors, cameras, times, tracks, pids, details, titles, pictures, numbers, strict=True
            )
        ]
        if join is not None and entries:
            entries = [joined_of(entries, join)]
        return self.store.add(entries) if entries else []

    def search(
        self,
        crop: Any,
        top: int | None = 20,
        *,
        at_least: float | None = None,
        channel_order: str = "rgb",
        **asked: Any,
    ) -> Answer:
        """Where else was this person seen? crop: one picture. The other arguments are `search_embeddings`'s."""
        embedding = self.needed_model().embed([crop], channel_order=channel_order)
        return self.search_embeddings(embedding, top, at_least=at_least, **asked)[0]

    def search_embeddings(
        self,
        embeddings: npt.ArrayLike,
        top: int | None = 20,
        *,
        at_least: float | None = None,
        hidden: tuple[float, float] | None = None,
        false_positive_rate: float = FALSE_ACCEPT_RATE,
        false_negative_rate: float = FALSE_REJECT_RATE,
        who: str | None = None,
        purpose: str | None = None,
        **where: Any,
    ) -> list[Answer]:
        """An answer for each row of (q, dim): the `top` most alike (None: all) of similarity `at_least`.

        where: which entries may answer, by Where's fields, or one name alone: camera, track, pid, exclude_camera,
        exclude_track, exclude_pid. after, before: seconds since 1970 or datetimes with a zone.

        hidden: what of the picture's height something hides, from the top, as (0.6, 1): the first 100 are compared
        again on the strips that it shows, and answer without a decision, since no calibration is of parts.

        false_positive_rate: how often a stranger may be told as somebody known; false_negative_rate: how often
        somebody known as a stranger. They hold where the model's calibration does.
        """
        top, wanted = top_of(top), where_of(**where)
        rates = rate_of(false_positive_rate, "false_positive_rate"), rate_of(false_negative_rate, "false_negative_rate")
        if at_least is not None and not -2 <= at_least <= 2:  # of NaN nothing is true
            raise ConfigError(f"at_least is a similarity, not {at_least!r}")
        vectors = embeddings_of(embeddings, self.settings.dim)
        if hidden is None:
            found = self.store.search(vectors, top, wanted, at_least)
        else:
            place, parts = hidden_of(hidden), self._parts()
            found = self.store.search(vectors, SECOND_STAGE, wanted, None)
            found = compared_again(found, vectors, self._entries(found.answers), parts, place, top, at_least)
        if self.settings.audit_searches:
            answers = sum(map(len, found.answers))
            detail: Detail = {"searches": len(vectors), "answers": answers, "by": ", ".join(wanted.names())}
            self.store.write_line("search", *self._asking(who, purpose), detail)
        decide = None if self.model is None or hidden is not None else decider(self.model, found.num_people, *rates)
        nearest = [hits[:1] for hits in found.answers]
        cut = [row for row, hits in enumerate(nearest) if not hits]
        if cut and decide and at_least is not None:  # a decision rests on the nearest, whether or not it is shown
            again = self.store.search(vectors[cut], 1, wanted, None).answers
            for row, hits in zip(cut, again, strict=True):
                nearest[row] = hits
        links = {link.pid: link.into for link in self.store.links()}
        return answers_of(found, nearest, self._entries((*found.answers, *nearest)), links, decide)

    def approximate(self, top: int = 20, *, recall: float = 0.99) -> Approximation:
        """From now on, searches without a filter for `top` at the most go along a graph of neighbours.

        It is made in memory, which takes a while, and measured on the gallery's own rows: what it then finds of the
        true answers is returned, and stands in each Answer. Searches with a filter stay exact, and so do all after an
        entry was removed, until this is called again. recall: made as wide as that takes.

        Raises ConfigError where usearch is not installed, or the engine is not SQLite.
        """
        found, recall = top_of(top), rate_of(recall, "recall")
        if found is None:
            raise ConfigError("an approximate search is for some answers, not for all")
        if not isinstance(self.store, SqliteStore):
            raise ConfigError("approximate search is for galleries in a file; other engines have indexes of their own")
        return self.store.approximate(found, recall)

    def forget(self, *, who: str | None = None, purpose: str | None = None, **where: Any) -> Forgotten:
        """Removes the entries that are meant, with all their traces, and writes an audit line that does not say whom.

        where: as in `search_embeddings`; `keep` (seconds): all that is older than that. At least one is given.
        """
        keep = where.pop("keep", None)
        if keep is not None:
            if not 0 <= keep < 1e11 or where.get("before") is not None:
                raise ConfigError("keep is a number of seconds, and stands without `before`")
            where["before"] = datetime.now(UTC).timestamp() - keep
        wanted = where_of(**where)
        if not wanted.names():
            raise ConfigError("say what to forget: pid, track, camera, before, ...")
        return self.store.remove(wanted, *self._asking(who, purpose))

    def link(self, pid: int, into: int, *, who: str | None = None, purpose: str | None = None) -> int:
        """From now on both pids are one person, told as `into`. Returns a number, with which `unlink` undoes it."""
        first, second = whole_of(pid), whole_of(into)
        if first is None or second is None:
            raise ConfigError("a link is of two pids")
        return self.store.link(first, second, *self._asking(who, purpose))

    def unlink(self, number: int, *, who: str | None = None, purpose: str | None = None) -> None:
        """Undoes a link."""
        self.store.unlink(whole_of(number) or 0, *self._asking(who, purpose))

    def links(self) -> tuple[Link, ...]:
        """Those that hold."""
        return self.store.links()

    def entries(self, **where: Any) -> Iterator[Entry]:
        """All that are meant, by id."""
        return self.store.scan(where_of(**where))

    def audit(self) -> Iterator[Line]:
        """Who searched and who removed what, in order."""
        return self.store.lines()

    def stats(self) -> Stats:
        """Counts."""
        return self.store.stats()

    def verify(self) -> Iterator[Damage]:
        """Looks at every row, and at the audit's chain."""
        return self.store.verify()

    def compact(self) -> None:
        """Gives freed space back."""
        self.store.compact()

    def _entries(self, answers: Sequence[Sequence[Hit]]) -> dict[int, Entry]:
        """Of all hits, by id."""
        ids = sorted({hit.id for hits in answers for hit in hits})
        return {entry.id: entry for entry in self.store.read(ids)}

    def _parts(self) -> Parts:
        """Where the strips lie in an embedding. Raises ConfigError where the model has none."""
        return self.needed_model().strips

    def needed_model(self) -> Model:
        """The model. Raises ConfigError where the gallery was opened without one."""
        if self.model is None:
            raise ConfigError("the gallery was opened without a model, which pictures need: open_gallery(path, model)")
        return self.model

    def _asking(self, who: str | None, purpose: str | None) -> tuple[str, str]:
        return text_of(self.who if who is None else who), text_of(self.purpose if purpose is None else purpose)


def open_gallery(
    place: str | Path,
    model: Model | None = None,
    *,
    keep_crops: bool = False,
    audit_searches: bool = False,
    new: bool = False,
    read_only: bool = False,
    wait_s: float = 5.0,
    who: str | None = None,
    purpose: str = "",
) -> Gallery:
    """Opens a gallery, and makes it where there is none and a model is given.

    place: a file; or postgresql://user@host/database?gallery=name; or milvus://host:port/database?gallery=name.
    model: what `resight.load` gives. keep_crops, audit_searches: of a new gallery; see Settings. new: it must not be
    there yet. wait_s: how long to wait while another process writes, before GalleryBusy is raised. who, purpose: for
    the audit.
    """
    settings = None
    if model is not None and not read_only:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        card = model.card
        settings = Settings(model.identity, card.name, model.dim, keep_crops, audit_searches, now, card.rights)
    store = open_store(place, settings, new=new, read_only=read_only, wait_s=wait_s)
    try:
        return Gallery(store, model, who=who, purpose=purpose)
    except BaseException:
        store.close()
        raise


def _encoded(item: Any) -> bytes | None:
    """The picture as it was given, where that was a file."""
    if isinstance(item, str | Path):
        return Path(item).read_bytes()
    return bytes(item) if isinstance(item, bytes | bytearray | memoryview) else None


def _short(settings: Settings) -> str:
    return f"{settings.model_name} ({short_of(settings.model)})"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user, as in a container
        return "unknown"
