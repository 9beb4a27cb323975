"""Fields of forms that hold JSON."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import ValidationError

from resight.core.errors import ConfigError
from resight.service.api.shapes import Shape

S = TypeVar("S", bound=Shape)


def from_json(shape: type[S], text: str, **more: Any) -> S:
    """The shape in a field's JSON, and in further fields. Raises ConfigError if it is none."""
    try:
        told = json.loads(text or "{}")
        if not isinstance(told, dict):
            raise ConfigError("a field of JSON is one object here")
        return checked(shape, {**told, **more})
    except (ValueError, RecursionError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"a field that should hold JSON does not: {error}") from None


def checked(shape: type[S], values: dict[str, Any]) -> S:
    """The shape of these values. Raises ConfigError that names what is wrong."""
    try:
        return shape.model_validate(values)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)
        told = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in wrong[:3]]
        raise ConfigError("; ".join(told)) from None
