"""One client of Milvus, the collections that it creates for a gallery, and the engine's errors in words."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from resight.core.errors import ConfigError, GalleryBusy, GalleryError
from resight.core.files import locked
from resight.gallery.milvus.schema import NULLS_SINCE, OLDEST, Form, entries_schema, form_of, records_schema, version_of
from resight.gallery.milvus.syntax import LARGEST_TOP_K, LITE, quoted
from resight.gallery.store import without_password

# Each error reaches the caller as an exception; logged with a traceback it would be noise. So would the client's remark
# that Milvus Lite issues no time stamps.
for _name in ("pymilvus", "milvus_lite", "grpc._server"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)

READ_AT_ONCE = 1000
NOT_LOADED = ("call load()", "collection not loaded", "collection not fully loaded", "channel not available")
T = TypeVar("T")


class Connection:
    """A client, and the names of a gallery's two collections: `entries`, and `records` for everything else."""

    def __init__(self, address: str, *, wait_s: float, make: bool) -> None:
        """address: as MilvusStore.uri_form. make: creates a Milvus Lite that does not exist.

        Raises ConfigError if the address cannot be read, GalleryError if no server answers.
        """
        self._options, gallery = _options_of(address)
        self.name = f"milvus gallery {gallery!r}"
        if address.startswith(LITE) and not make and not Path(self._options["uri"]).exists():
            raise GalleryError(f"there is no {self.name} there; `resight gallery create` makes one")
        self.entries, self.records = f"{gallery}_entries", f"{gallery}_records"
        self._timeout_s = max(10.0, wait_s)
        self.form = Form(nullable=True)  # until `created` has asked the server
        self.client = self._connected(wait_s)

    def _connected(self, wait_s: float) -> MilvusClient:
        until = time.monotonic() + wait_s
        turned_away = False
        while True:
            try:
                return self._told(partial(MilvusClient, **self._options, timeout=self._timeout_s))
            except GalleryBusy:
                if time.monotonic() >= until:
                    raise
            except GalleryError as error:
                # A busy machine's Milvus Lite may turn its own client away ("too many pings"), once.
                if turned_away or "://" in self._options["uri"] or "Fail connecting" not in str(error):
                    raise
                turned_away = True
            time.sleep(0.2)

    def call(self, what: str, *arguments: Any, **options: Any) -> Any:
        """Calls a method of the client by its name. Raises GalleryError."""
        act = partial(getattr(self.client, what), *arguments, timeout=self._timeout_s, **options)
        until = time.monotonic() + self._timeout_s
        while True:
            try:
                return self._told(act)
            except GalleryError as error:  # which says that nothing was done
                if not any(text in str(error) for text in NOT_LOADED) or time.monotonic() >= until:
                    raise
            # A restarted Milvus Lite has nothing loaded; a restarted server loads by itself, for a while.
            with suppress(GalleryError):
                self.load()
            time.sleep(0.1)

    def load(self) -> None:
        """Loads the collections that exist, so that they can be read."""
        found = self._told(partial(self.client.list_collections, timeout=self._timeout_s))
        for name in found:
            if name in (self.records, self.entries) or name.startswith(f"{self.entries}_"):
                self._told(partial(self.client.load_collection, name, timeout=self._timeout_s))

    def read(self, collection: str, filter: str, fields: Sequence[str], limit: int | None = None) -> list[Any]:
        """Rows in no particular order, including all that has been written."""
        more = {} if limit is None else {"limit": limit}
        asked, read = self._form_for(collection, fields)
        options: dict[str, Any] = {"filter": filter, "output_fields": asked, "consistency_level": "Strong"}
        return [read(row) for row in self.call("query", collection, **options, **more)]

    def count(self, collection: str, filter: str) -> int:
        """The number of rows that match."""
        return int(self.read(collection, filter, ["count(*)"])[0]["count(*)"])

    def pages(
        self, collection: str, key: str, first: str, filter: str, fields: Sequence[str], *, narrow: bool = False
    ) -> Iterator[list[Any]]:
        """The rows that match, by key, a page at a time. first: a condition that every key fulfils. narrow: the fields
        are short, so that many rows are one answer: on a server each question waits for its clock, 0.2 s."""
        if narrow:
            page = self.read(collection, filter or first, [*fields, key], LARGEST_TOP_K)
            if len(page) < LARGEST_TOP_K:
                yield from [sorted(page, key=lambda row: row[key])] if page else []
                return
        last = first
        asked, read = self._form_for(collection, fields)
        while True:
            # Each page starts above the last key: what is written or deleted meanwhile does not shift it.
            iterator = self.call(
                "query_iterator",
                collection,
                batch_size=READ_AT_ONCE,
                limit=READ_AT_ONCE,
                filter=f"({last}) and ({filter})" if filter else last,
                output_fields=[*asked, key],
                consistency_level="Strong",
            )
            try:
                page = self._told(iterator.next)
            finally:
                iterator.close()
            if not page:
                return
            page = sorted(map(read, page), key=lambda row: row[key])
            yield page
            last = f"{key} > {quoted(page[-1][key])}"

    def create(self, dim: int) -> None:
        """Creates the collections that do not exist. With one shard a batch is one message, kept whole or not at all.

        Raises GalleryError.
        """
        self.form = self._form_of_server()
        self._create(self.records, records_schema(), "none")
        self.create_entries(self.entries, dim)

    def create_entries(self, name: str, dim: int) -> None:
        """Creates a collection for entries if it does not exist, in the form of all, and loads it."""
        self._create(name, entries_schema(dim, self.form), "embedding")
        self.call("load_collection", name)

    def _create(self, name: str, schema: Any, vector: str) -> None:
        if self.call("has_collection", name):
            return
        index = MilvusClient.prepare_index_params()
        index.add_index(vector, index_type="FLAT", metric_type="IP")  # exact search
        options = {"schema": schema, "index_params": index, "consistency_level": "Strong", "num_shards": 1}
        try:
            self.call("create_collection", name, **options)
        except GalleryError:  # another process may have created it meanwhile
            if not self.call("has_collection", name):
                raise

    def learn_form(self) -> None:
        """Sets `form` to the one of the collection of entries, which exists."""
        self.form = form_of(self.call("describe_collection", self.entries))

    def insert(self, rows: Sequence[dict[str, Any]]) -> None:
        """Adds entries, all or none."""
        self.call("insert", self.entries, [self.form.written(row) for row in rows])

    def upsert(self, collection: str, rows: Sequence[dict[str, Any]]) -> None:
        """Adds entries to a collection of the gallery's form, in place of those of the same id."""
        self.call("upsert", collection, [self.form.written(row) for row in rows])

    def _form_of_server(self) -> Form:
        """For new collections. Raises GalleryError for a server that is too old."""
        told = str(self.call("get_server_version"))
        version = version_of(told)
        if told.startswith("milvus_lite"):
            return Form(nullable=True)
        if version and version < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise GalleryError(f"{self.name}: the server is Milvus {told}, and {oldest} or newer is needed")
        return Form(nullable=version >= NULLS_SINCE)

    def _form_for(self, collection: str, fields: Sequence[str]) -> tuple[list[str], Callable[[Any], Any]]:
        """The fields to read in a collection, and what makes a row of them."""
        if collection.startswith(self.entries):  # those at a site have the entries' form
            return self.form.asked(fields), self.form.read
        return list(fields), lambda row: row

    def close(self) -> None:
        """Disconnects."""
        self.client.close()

    def _told(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except MilvusException as error:
            text = " ".join(str(error.message).split())
            if text == "Open local milvus failed":  # which is all that Milvus Lite says
                if _is_locked(Path(self._options["uri"])):
                    raise GalleryBusy(
                        f"{self.name}: another process has it open, and Milvus Lite is for one process at a time"
                    ) from None
                raise GalleryError(
                    f"{self.name}: {self._options['uri']} cannot be opened; check its rights, and whether it is a "
                    "folder of Milvus Lite"
                ) from None
            raise GalleryError(f"{self.name}: {text[:300]}") from None
        except ValueError as error:  # of a client that was closed, or whose server went away
            raise GalleryError(f"{self.name}: {error}") from None


def _is_locked(folder: Path) -> bool:
    """Whether a process has this Milvus Lite open."""
    try:
        with locked(folder / "LOCK"):
            return False
    except OSError as error:
        return isinstance(error, BlockingIOError)


def _options_of(address: str) -> tuple[dict[str, Any], str]:
    """The client's options and the gallery's name."""
    try:
        parts = urlsplit(address)
        asked = {key: values[-1] for key, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()}
        port = parts.port or 19530
    except ValueError as error:
        raise ConfigError(f"{without_password(address)!r} is no address of Milvus: {error}") from None
    gallery, secure = asked.pop("gallery", "resight"), asked.pop("secure", "false")
    if asked:
        raise ConfigError(f"unknown option {min(asked)!r} in the address; known: gallery, secure")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", gallery):
        raise ConfigError(f"a gallery's name in Milvus consists of letters, digits and _, not {gallery!r}")
    if address.startswith(LITE):
        path = Path(unquote(address[len(LITE) :].split("?")[0]))
        if path.suffix != ".db":
            raise ConfigError(f"Milvus Lite needs a name that ends in .db, not {path.name!r}")
        if not path.parent.is_dir():
            raise GalleryError(f"there is no folder {path.parent}")
        return {"uri": str(path.absolute())}, gallery
    if secure not in ("true", "false"):
        raise ConfigError(f"secure must be true or false, not {secure!r}")
    scheme = "https" if secure == "true" else "http"
    options = {"uri": f"{scheme}://{parts.hostname or 'localhost'}:{port}"}
    if parts.username:
        options |= {"user": unquote(parts.username), "password": unquote(parts.password or "")}
    if parts.path.strip("/"):
        options["db_name"] = unquote(parts.path.strip("/"))
    return options, gallery
