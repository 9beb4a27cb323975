"""Writes docs/openapi.json anew: `python docs/openapi.py`. A test compares it with what the service says of itself."""

from __future__ import annotations

import json
from pathlib import Path

from resight.service.application import bare_application

TARGET = Path(__file__).parent / "openapi.json"


def described() -> str:
    """The description of REST as a file has it."""
    return json.dumps(bare_application(None).openapi(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    TARGET.write_text(described())
