"""Sessions of the page: a cookie in place of a key. They are in memory alone, and end with the process."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from threading import Lock

from resight.service.access.keys import Keys
from resight.service.access.roles import Caller

LASTS_S = 8 * 3600.0  # whatever happens
IDLE_S = 3600.0
FIRST_LASTS_S = 3600.0  # of the one-time address, and of the session that it opens
MOST = 10_000
FIRST = Caller("first", "first start", "admin")


@dataclass(frozen=True)
class _Session:
    caller: Caller
    until: float
    seen: float


class Sessions:
    """The sessions of one service. Any number of threads may share one."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._lock = Lock()
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._first = ""
        self._first_until = 0.0

    def one_time_secret(self) -> str:
        """A new secret that opens one session as admin, once, within the hour."""
        secret = secrets.token_urlsafe(32)
        self._first, self._first_until = _digest(secret), time.monotonic() + FIRST_LASTS_S
        return secret

    def open(self, text: str) -> str | None:
        """The token of a new session, for a key or the one-time secret; None for anything else."""
        now = time.monotonic()
        key = self._keys.check(text)
        caller, lasts = (None, 0.0) if key is None else (key.caller, LASTS_S)
        with self._lock:
            if caller is None and self._first and hmac.compare_digest(_digest(text), self._first):
                caller = FIRST if now < self._first_until else None
                self._first, lasts = "", FIRST_LASTS_S
            if caller is None:
                return None
            token = secrets.token_urlsafe(32)
            caller = replace(caller, csrf=secrets.token_urlsafe(24))
            self._sessions[_digest(token)] = _Session(caller, now + lasts, now)
            while len(self._sessions) > MOST:
                self._sessions.popitem(last=False)
            return token

    def caller(self, token: str) -> Caller | None:
        """Whose session it is, as long as it lasts and its key is active."""
        now, digest = time.monotonic(), _digest(token)
        with self._lock:
            session = self._sessions.get(digest)
            if session is None:
                return None
            key = self._keys.get(session.caller.key)
            ended = now >= session.until or now >= session.seen + IDLE_S
            if ended or (key is None and session.caller.key != FIRST.key):
                del self._sessions[digest]
                return None
            self._sessions[digest] = replace(session, seen=now)
            return session.caller

    def close(self, token: str) -> None:
        """Ends a session."""
        with self._lock:
            self._sessions.pop(_digest(token), None)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
