"""What all methods of a gallery behind a service share: the connection, its settings, and what for."""

from __future__ import annotations

from typing import Any

from resight.core.errors import ConfigError
from resight.gallery.arguments import text_of
from resight.gallery.records import Settings
from resight.service.client.transport import Transport

LONGEST = 500  # letters of a purpose


class Asking:
    """The base of RemoteGallery."""

    _to: Transport
    purpose: str
    settings: Settings

    def _purpose(self, given: str | None) -> str:
        """What for, where it is needed. Raises ConfigError, here and below."""
        if len(purpose := self._why(given)) < 3:
            raise ConfigError("a service asks what for: give a purpose (--purpose, purpose=), which its audit keeps")
        return purpose

    def _why(self, given: str | None) -> str:
        """What for; empty where it is not said."""
        purpose = given or self.purpose or ""
        if not isinstance(purpose, str) or len(purpose) > LONGEST:
            raise ConfigError(f"a purpose is a text of {LONGEST} letters at most")
        return text_of(purpose)

    def _told(self, purpose: str | None) -> dict[str, Any]:
        """The purpose, where none is needed, as the headers of a request without a body."""
        given = " ".join(self._why(purpose).split())
        return {"X-Purpose": given.encode()} if given else {}


def check_who(who: str | None) -> None:
    """Raises ConfigError if somebody is named."""
    if who is not None:
        raise ConfigError("a service knows who asks by the key: leave who out")
