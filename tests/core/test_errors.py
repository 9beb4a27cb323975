from __future__ import annotations

import pytest

from resight.core.errors import ConfigError, ResightError
from resight.evaluation.rerank import Reranking


def test_a_wrong_value_is_a_value_error_too() -> None:
    with pytest.raises(ValueError, match="k1"):
        Reranking(k1=0)
    assert issubclass(ConfigError, ResightError)
