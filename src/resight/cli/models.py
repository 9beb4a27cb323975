"""What the verbs that take a model say of it."""

from __future__ import annotations

MODEL_HELP = "A run's directory, a bundle (.resight), or a packaged model's name (see `resight models`)."
