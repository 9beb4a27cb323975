"""What the tests of video share."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared"


@pytest.fixture(scope="session")
def detector() -> Path:
    """YOLOX-nano, which is no part of the project."""
    path = SHARED / "models" / "yolox_nano_416x416.onnx"
    if not path.exists():
        pytest.skip("../shared/models/yolox_nano_416x416.onnx is not here: detectors are not part of the project")
    return path
