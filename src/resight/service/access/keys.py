"""The keys of a service: in one file that only its owner can read, and there only their hashes.

A key has 256 bits of chance, so that one SHA-256 is enough; its first part is the id by which it is found. Revoked keys
stay in the file with their names, as the audit has them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from resight.core.errors import ConfigError, DataError
from resight.core.files import write_whole
from resight.gallery.arguments import camera_of, text_of
from resight.service.access.roles import Caller, check_role

SCHEMA = "resight.keys/1"
PREFIX = "rsk"
LONGEST_NAME = 100


@dataclass(frozen=True)
class Key:
    """One key. sha256: of the whole key. cameras: what it is bounded to; None: all. created, expires, revoked: seconds
    since 1970; None: never."""

    id: str
    name: str
    role: str
    sha256: str
    cameras: tuple[str, ...] | None
    created: float
    expires: float | None = None
    revoked: float | None = None

    def active(self, now: float) -> bool:
        """Whether it opens anything."""
        return self.revoked is None and (self.expires is None or now < self.expires)

    @property
    def caller(self) -> Caller:
        """Who uses it."""
        return Caller(self.id, self.name, self.role, self.cameras)


Before = Callable[[Key], None]


class Keys:
    """The keys in a file. Any number of threads may share one."""

    def __init__(self, path: Path) -> None:
        """Reads the file, if it is there. Raises DataError if it cannot be read, or others may read it."""
        self.path = path
        self._lock = Lock()
        self._keys: dict[str, Key] = {}
        if path.exists():
            if os.name == "posix" and path.stat().st_mode & 0o077:
                raise DataError(f"{path} can be read by others than its owner: chmod 600 {path}")
            try:
                told = json.loads(path.read_text())
                for values in told["keys"]:
                    cameras = values["cameras"]
                    key = Key(**{**values, "cameras": None if cameras is None else tuple(cameras)})
                    self._keys[key.id] = replace(key, role=check_role(key.role))
            except (ValueError, TypeError, KeyError) as error:
                raise DataError(
                    f"{path} is no file of keys ({error}); restore it, or remove it and start anew"
                ) from None

    def all(self) -> tuple[Key, ...]:
        """All keys, the oldest first, the revoked ones too."""
        return tuple(sorted(self._keys.values(), key=lambda key: (key.created, key.id)))

    def any_admin(self) -> bool:
        """Whether somebody can make further keys."""
        now = _now()
        return any(key.role == "admin" and key.cameras is None and key.active(now) for key in self.all())

    def make(
        self,
        name: str,
        role: str,
        cameras: Sequence[str] | None = None,
        expires: float | None = None,
        first: Before = lambda key: None,
    ) -> tuple[Key, str]:
        """A new key, and its text, which is never shown again. first: is told the key before it opens anything; if it
        raises, no key is made.

        Raises ConfigError for an empty name or one that a key has, an unknown role, no cameras, or a time that is over.
        """
        name = text_of(name).strip()
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            raise ConfigError(f"a key has a name of 1 to {LONGEST_NAME} letters: whose it is")
        if cameras is not None and not cameras:
            raise ConfigError("a key that is bounded to cameras needs at least one")
        if cameras is not None and role == "admin":
            raise ConfigError("an admin makes keys for all cameras, so an admin's key cannot be bounded to some")
        if expires is not None and expires <= _now():
            raise ConfigError("that key would be expired already")
        bound = None if cameras is None else tuple(camera_of(camera) for camera in cameras)
        number, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
        text = f"{PREFIX}_{number}_{secret}"
        key = Key(number, name, check_role(role), _digest(text), bound, _now(), expires)
        with self._lock:
            if any(other.name == name and other.revoked is None for other in self._keys.values()):
                raise ConfigError(f"there is a key named {name!r} already; revoke it first, or choose another name")
            first(key)
            self._write({**self._keys, number: key})
        return key, text

    def revoke(self, number: str, first: Before = lambda key: None) -> Key:
        """Ends a key. first: as in `make`. Raises ConfigError if there is none of this id."""
        with self._lock:
            key = self._keys.get(number)
            if key is None:
                raise ConfigError(f"there is no key {number}")
            if key.revoked is None:
                first(key)
                key = replace(key, revoked=_now())
                self._write({**self._keys, number: key})
            return key

    def get(self, number: str) -> Key | None:
        """The key of this id, if it is active."""
        key = self._keys.get(number)
        return key if key is not None and key.active(_now()) else None

    def check(self, text: str) -> Key | None:
        """The active key of this text. One that is unknown, revoked, expired or misspelt is all the same: None."""
        parts = text.split("_", 2)
        key = self._keys.get(parts[1]) if len(parts) == 3 else None
        right = hmac.compare_digest(_digest(text), key.sha256 if key else "0" * 64)
        return key if right and key is not None and key.active(_now()) else None

    def _write(self, keys: dict[str, Key]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        told = {"schema": SCHEMA, "keys": [asdict(key) for key in keys.values()]}
        write_whole(self.path, json.dumps(told, indent=1).encode(), private=True)
        self.path.chmod(0o600)
        self._keys = keys


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _now() -> float:
    return datetime.now(UTC).timestamp()
