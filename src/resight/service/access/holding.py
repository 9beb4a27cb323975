"""One service at a time over one folder of keys: each has them in memory, and would write over what another did."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from resight.core.errors import ConfigError
from resight.core.files import locked

HOLDER = "service.lock"  # who holds it, in words; the lock itself ends with the process, however that ends


@contextmanager
def held(folder: Path, address: str) -> Iterator[None]:
    """Keeps other services from a folder of keys, which is made if it is not there. address: where this one listens.

    Raises ConfigError where another has it, and says which and what to do. On Windows nothing is locked.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    note = folder / HOLDER
    note.touch(mode=0o600)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(note))
        except BlockingIOError:
            holder = note.read_text().strip() or "another process"
            raise ConfigError(
                f"{folder} is held by {holder}: two services over the same keys would undo each other's. Use that "
                "one, or end it first; a service with keys of its own is started with --state FOLDER"
            ) from None
        except OSError as error:
            raise ConfigError(
                f"{note} cannot be locked ({error.strerror}); name a folder on a local disk by --state"
            ) from None
        note.write_text(f"process {os.getpid()}, which serves {address}\n")
        yield
