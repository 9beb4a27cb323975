"""One connection to PostgreSQL, renewed if it is lost; and the engine's errors in words."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import environ
from pathlib import Path
from threading import RLock
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pg8000 import exceptions, native

from resight.core.errors import ConfigError, GalleryBusy, GalleryError
from resight.gallery.store import without_password

BUSY = {"55P03", "40001", "40P01", "57014"}
WHAT_FAILED = {
    "53100": "the server's disk is full; nothing of this change was kept",
    "25006": "it was opened for reading only, or the server is a standby",
    "28P01": "wrong password; give it in the address or as PGPASSWORD",
    "28000": "the server refuses this user; give user and password in the address, or as PGUSER and PGPASSWORD",
    "3D000": "there is no such database on the server",
    "42501": "this user lacks the permission for it",
}


class _Connection(native.Connection):  # type: ignore[misc]  # its types are unknown
    """Closing a connection that the server has closed is no error: pg8000's would hide why the server did so."""

    def close(self) -> None:
        with suppress(exceptions.InterfaceError, OSError):
            super().close()


class Connection:
    """Threads take turns, a whole transaction at a time."""

    def __init__(self, address: str, *, read_only: bool, wait_s: float) -> None:
        """address: as PostgresStore.uri_form. Raises ConfigError if it cannot be read; connects at the first use."""
        self._options, self.schema = _options_of(address)
        self.name = f"postgresql gallery {self.schema!r}"
        self._read_only, self._wait_s = read_only, wait_s
        self._lock = RLock()
        self._db: native.Connection | None = None

    def _connection(self) -> native.Connection:
        if self._db is None:
            self._db = _Connection(**self._options)
            self._db.run(f"SET search_path = {self.schema}, public")
            self._db.run("SET synchronous_commit = on")
            self._db.run("SET jit = off")  # compiling a search takes longer than what it saves
            self._db.run(f"SET lock_timeout = {max(1, round(self._wait_s * 1000))}")
            if self._read_only:
                self._db.run("SET default_transaction_read_only = on")
        return self._db

    def run(self, query: str, /, **values: Any) -> list[Any]:
        """The rows that a query returns. Raises GalleryError, or GalleryBusy if another writer kept it waiting."""
        begun = self._db is not None
        try:
            return self._connection().run(query, **values) or []
        except exceptions.DatabaseError as error:
            told = error.args[0] if error.args and isinstance(error.args[0], dict) else {"M": str(error)}
            code = told.get("C", "")
            if code in BUSY:
                raise GalleryBusy(f"{self.name}: another process is writing to it; try again, or wait longer") from None
            raise GalleryError(f"{self.name}: {WHAT_FAILED.get(code, told.get('M'))}") from None
        except (exceptions.InterfaceError, OSError) as error:
            self.close()  # the next call connects again
            if not begun:
                raise GalleryError(f"{self.name}: the server cannot be reached ({error})") from None
            raise GalleryError(
                f"{self.name}: the connection was lost ({error}); whether a change under way was kept is not known"
            ) from None

    def one(self, query: str, /, **values: Any) -> Any:
        """The first value of the first row, or None."""
        found = self.run(query, **values)
        return found[0][0] if found else None

    def has(self, name: str) -> bool:
        """Whether the gallery has a table or an index of this name."""
        return self.one("SELECT to_regclass(:name)::text", name=f"{self.schema}.{name}") is not None

    @contextmanager
    def changing(self, level: str = "READ COMMITTED") -> Iterator[None]:
        """A transaction: on the server's disk as a whole when it ends, or rolled back."""
        with self._lock:
            self.run(f"START TRANSACTION ISOLATION LEVEL {level}")
            try:
                yield
                self.run("COMMIT")
            except BaseException:
                if self._db is not None:
                    self.run("ROLLBACK")
                raise

    @contextmanager
    def looking(self) -> Iterator[None]:
        """A read transaction: everything read in it is of one moment."""
        with self.changing("REPEATABLE READ, READ ONLY"):
            yield

    def close(self) -> None:
        """Disconnects; the next use connects again."""
        with self._lock:
            if self._db is not None:
                db, self._db = self._db, None
                db.close()


def _options_of(address: str) -> tuple[dict[str, Any], str]:
    """The driver's options and the gallery's schema. PGHOST and the like stand in for what the address leaves out."""
    try:
        parts = urlsplit(address)
        port = parts.port or int(environ.get("PGPORT", "5432"))
        asked = {key: values[-1] for key, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()}
    except ValueError as error:
        raise ConfigError(f"{without_password(address)!r} is no address of PostgreSQL: {error}") from None
    schema, sslmode, socket = asked.pop("gallery", "resight"), asked.pop("sslmode", ""), asked.pop("host", "")
    if asked:
        raise ConfigError(f"unknown option {min(asked)!r} in the address; known: gallery, host, sslmode")
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema):
        raise ConfigError(f"a gallery's name in PostgreSQL consists of a to z, 0 to 9 and _, not {schema!r}")
    if sslmode not in ("", "disable", "require", "verify-full"):
        raise ConfigError(f"sslmode must be disable, require or verify-full, not {sslmode!r}")
    host = unquote(parts.hostname or "") or socket or environ.get("PGHOST", "localhost")
    options: dict[str, Any] = {
        "user": unquote(parts.username or "") or environ.get("PGUSER", "postgres"),
        "password": unquote(parts.password or "") or environ.get("PGPASSWORD"),
        "database": unquote(parts.path.lstrip("/")) or environ.get("PGDATABASE", "postgres"),
        "timeout": None,
        "application_name": "resight",
    }
    if host.startswith("/"):
        options["unix_sock"] = str(Path(host) / f".s.PGSQL.{port}")
    else:
        options |= {"host": host, "port": port}
    if sslmode in ("require", "verify-full"):
        context = ssl.create_default_context()
        if sslmode == "require":
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        options["ssl_context"] = context
    return options, schema
