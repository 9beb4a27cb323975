"""Checks of what `connect` is given: the address, the key, certificates, times to wait. No message has a secret."""

from __future__ import annotations

import os
import ssl
from typing import Any
from urllib.parse import SplitResult, urlsplit

from resight.core.errors import ConfigError

KEY = "RESIGHT_KEY"  # the environment variable that has the key
LONGEST_S = 1e9  # of a time to wait: sockets take no more


def address_of(url: Any) -> SplitResult:
    """The parts of a service's address. Raises ConfigError if it is none, or has more in it than where the service is:
    a name, a password, a query or a fragment."""
    if not isinstance(url, str) or not url.lower().startswith(("http://", "https://")):
        raise ConfigError(
            "the first argument is no address of a service, such as https://host/resight. The key is the second one"
        )
    if "@" in url or "?" in url or "#" in url:
        raise _wrong(url, "leave out what stands before @ or after ? or #; the key is an argument of its own")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # it raises ValueError
        (parts.hostname or "").encode("idna")
    except ValueError as error:
        raise _wrong(url, str(error)) from None
    if not parts.hostname:
        raise _wrong(url, "it names no host")
    if not url.isprintable() or " " in url:
        raise _wrong(url, "it has a space or a control character")
    if not parts.path.isascii():
        raise _wrong(url, "write other letters than ASCII in its path as a browser sends them, as %C3%A4")
    return parts


def place_of(location: str) -> str:
    """Where a redirect leads, without what may be secret in it; empty if that cannot be told."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return ""
    host = parts.netloc.rpartition("@")[2]
    place = f"{parts.scheme}://{host}{parts.path}" if host else parts.path
    return place if place.isprintable() else ""


def key_of(key: Any) -> str:
    """The key, or that in RESIGHT_KEY for None. A final newline is left out. Raises ConfigError if there is none."""
    found = os.environ.get(KEY, "") if key is None else key
    found = found.strip() if isinstance(found, str) else ""
    if not found or not found.isascii() or not found.isprintable():
        raise ConfigError(f"a service needs a key: key=, or the environment variable {KEY}")
    return found


def trust_of(parts: SplitResult, cafile: Any) -> ssl.SSLContext | None:
    """Which certificates to trust; None of an address without TLS. Raises ConfigError for a file that holds none, or
    that is given where there is no TLS."""
    if parts.scheme != "https":
        if cafile is not None:
            raise ConfigError("cafile is for https, and the address has http")
        return None
    try:
        return ssl.create_default_context(cafile=cafile)
    except (OSError, TypeError, ValueError) as error:  # ssl.SSLError is an OSError
        why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        raise ConfigError(f"cafile {cafile}: no certificates in PEM can be read from it ({why})") from None


def wait_of(value: Any, what: str, *, least: float = 0.0) -> float:
    """A time to wait, in seconds. what: its name in the message. Raises ConfigError if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= LONGEST_S:
        raise ConfigError(f"{what} is a number of seconds from {least:g} to {LONGEST_S:,.0f}, not {value!r}")
    return float(value)


def _wrong(url: str, why: str) -> ConfigError:
    shown = "what was given" if "@" in url else repr(url.partition("?")[0].partition("#")[0])
    return ConfigError(f"{shown} is no address of a service, such as https://host/resight: {why}")
