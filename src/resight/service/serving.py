"""Runs a service: where it listens, with TLS or behind a proxy, and what it prints at its first start."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from resight.core.errors import ConfigError, MissingExtra
from resight.gallery.gallery import Gallery
from resight.gallery.store import without_password
from resight.service.access.holding import held
from resight.service.settings import ServiceSettings

KEYS = "keys.json"


@dataclass(frozen=True)
class Listening:
    """Where a service listens. tls_cert, tls_key: files in PEM. plain_http: other machines may reach it without TLS,
    because a proxy or a private network is trusted. proxies: addresses whose X-Forwarded-For is believed."""

    host: str = "127.0.0.1"
    port: int = 8000
    tls_cert: Path | None = None
    tls_key: Path | None = None
    plain_http: bool = False
    proxies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ConfigError("--tls-cert and --tls-key go together")
        for path in (self.tls_cert, self.tls_key):
            if path is not None and not path.is_file():
                raise ConfigError(f"{path} is not there")
        if not is_loopback(self.host) and self.tls_cert is None and not self.plain_http:
            raise ConfigError(
                f"on {self.host} other machines reach this service, and their keys would cross the network in the "
                "clear: give --tls-cert and --tls-key, or --plain-http if a proxy before it has TLS"
            )
        if self.tls_cert is not None and self.tls_key is not None:
            _check_pair(self.tls_cert, self.tls_key)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def address_of(listening: Listening, settings: ServiceSettings) -> tuple[str, ServiceSettings]:
    """Where people reach it, and the settings as they are there: which names it answers to, and whether it has TLS."""
    secure = settings.secure or listening.tls_cert is not None
    own = _in_address(listening.host)
    hosts = tuple(map(_in_address, settings.hosts))
    name = hosts[0] if hosts else own
    port = "" if secure and listening.tls_cert is None else f":{listening.port}"  # behind a proxy: the usual one
    address = f"{'https' if secure else 'http'}://{name}{port}{settings.root}/"
    answered = hosts if own in ("0.0.0.0", "[::]") else (*hosts, own)
    return address, replace(settings, secure=secure, hosts=answered)


def _in_address(host: str) -> str:
    """A name or an address as browsers write it: one of IPv6 in brackets, and as short as it can be."""
    try:
        found = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host
    return f"[{found}]" if found.version == 6 else str(found)


def state_folder(place: str, state: Path | None) -> Path:
    """Where a service keeps its keys: beside a gallery in a file. Raises ConfigError if neither tells."""
    if state is not None:
        return state
    if "://" in place or place.startswith("milvus-lite:"):
        raise ConfigError(f"{without_password(place)} is no file: say with --state FOLDER where the keys are kept")
    return Path(f"{place}.service")


def check_root(root: str) -> str:
    """The path under which a proxy shows it, without a slash at the end. Raises ConfigError if it is none."""
    root = root.rstrip("/")
    if root and (not root.startswith("/") or any(letter in root for letter in '?#"\\;{} ')):
        raise ConfigError(f"--root is a path such as /resight, not {root!r}")
    return root


def serve(
    gallery: Gallery,
    state: Path,
    listening: Listening,
    settings: ServiceSettings,
    say: Callable[[str], None],
    *,
    offered: Mapping[str, str] | None = None,
    new_address: bool = False,
) -> None:
    """Serves until a signal ends it, and closes the gallery.

    state: the folder of the keys. say: is told the address. offered: as Desk has it. new_address: print a one-time
    address although there is an admin's key. Raises ConfigError where another service has that folder or the port,
    MissingExtra without the extra `service`.
    """
    try:
        import uvicorn

        from resight.service.application import application
        from resight.service.desk import Desk
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{error.name}, which the service needs,", "service") from None
    address, settings = address_of(listening, settings)
    with held(state, address):
        _check_free(listening)
        desk = Desk(gallery, state / KEYS, settings, offered)
        say(f"the gallery is at {address}")
        if new_address or not desk.keys.any_admin():
            say("open this address within the hour; it works once, and lets you make keys:")
            say(f"  {address}#start={desk.sessions.one_time_secret()}")
        logging.getLogger("resight.service").setLevel(logging.INFO)
        uvicorn.run(
            application(desk),
            host=listening.host,
            port=listening.port,
            ssl_certfile=listening.tls_cert,
            ssl_keyfile=listening.tls_key,
            ws="none",
            access_log=False,  # its lines have paths with pids; the guard writes those of this service
            server_header=False,
            proxy_headers=bool(listening.proxies),
            forwarded_allow_ips=list(listening.proxies),
            log_config=_logs(),
            timeout_graceful_shutdown=10,
            timeout_keep_alive=20,
            h11_max_incomplete_event_size=32_768,
        )


def _check_pair(cert: Path, key: Path) -> None:
    """Raises ConfigError where TLS could not begin with them."""
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key)
    except OSError as error:  # ssl.SSLError is one, which names the library where it has no reason
        why = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(
            f"--tls-cert {cert} and --tls-key {key} are not a certificate and its key, both in PEM"
            + (f" ({why})" if why else "")
        ) from None


def _check_free(listening: Listening) -> None:
    """Raises ConfigError where it cannot listen, before an address is told that leads to somebody else."""
    family = socket.AF_INET6 if ":" in listening.host else socket.AF_INET
    try:
        socket.create_server((listening.host, listening.port), family=family).close()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigError(f"--host {listening.host} --port {listening.port}: {reason}; give another --port") from None


def _logs() -> dict[str, object]:
    """Lines on standard error: what was asked, by template, and by which key's id. No key, no query, no body."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(message)s"}},
        "handlers": {"err": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"}},
        "loggers": {
            "resight.service": {"handlers": ["err"], "level": "INFO", "propagate": False},
            "uvicorn": {"handlers": ["err"], "level": "WARNING", "propagate": False},
        },
    }
